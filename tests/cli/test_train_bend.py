"""`dnaannot train genes --bend` and `--compare-scratch`."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch

from dnaannot.dna.nine_labels import ACCEPTOR, CDS, DONOR, INTRON
from dnaannot.dna.sequence import decode, encode
from dnaannot.formats.bend import BendRow
from dnaannot.formats.bend_labels import write_bend
from dnaannot.nn.checkpoint import model_bytes, read_facts
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.masked import MaskedModel


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a benchmark of three samples, an hg38 and an hg19."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(8)
    codes = random.integers(0, 4, 6_000).astype(np.uint8)
    rows, labels = [], []
    for number, split in enumerate(("train", "valid", "test")):
        start = 2_000 * number + 100
        each = np.full(1_500, 8, np.uint8)
        for exon in range(100, 1_300, 200):
            each[exon : exon + 80] = CDS
            each[exon + 80 : exon + 200] = INTRON
            each[exon + 80], each[exon + 199] = DONOR, ACCEPTOR
            codes[start + exon + 80 : start + exon + 82] = encode(b"GT")
            codes[start + exon + 198 : start + exon + 200] = encode(b"AG")
        rows.append(BendRow("chr7", start, start + 1_500, split))
        labels.append(each)
    write_bend("gene_finding.bed", rows, labels)
    (tmp_path / "hg38.fa").write_text(f">chr7\n{decode(codes)}\n")
    (tmp_path / "hg19.fa").write_text(f">7\n{decode(np.roll(codes, 77))}\n")
    return tmp_path


@pytest.fixture
def train(run, folder):
    def run_train(*arguments):
        return run(
            "train", "genes", "--bend", "gene_finding.bed", "--preset", "tiny", "--device", "cpu",
            "--threads", "1", "-o", "m.safetensors", *arguments,
        )  # fmt: skip

    return run_train


def test_bend_trains_and_tells_the_score_on_its_test_split(train, folder):
    done = train("--genome", "hg38.fa", "--epochs", "2", "--batch", "1")
    assert (done.status, done.stdout) == (0, ""), done.stderr
    assert "samples: 1 train, 1 valid, 1 test" in done.stderr
    told = float(re.search(r"test_mcc (-?[\d.]+)", done.stderr)[1])
    report = folder / "m.safetensors.report"
    assert json.loads((report / "test.json").read_text())["test_mcc"] == pytest.approx(
        told, abs=1e-3
    )
    told = json.loads((report / "report.json").read_text())
    assert len(told["losses"]) == 2
    assert told["settings"]["optimizer"] == "adamw"
    assert told["settings"]["learning_rate"] == pytest.approx(1e-3)
    facts = read_facts(folder / "m.safetensors")
    assert (facts["task"], facts["crf"]) == ("bend", True)


def test_two_lengths_are_refused(train):
    done = train("--genome", "hg38.fa", "--epochs", "2", "--steps", "3")
    assert done.status == 2
    assert "--epochs and --steps each say how long" in done.stderr


def test_its_files_are_not_overwritten(train, folder):
    for name in ("hg38.fa", "gene_finding.bed", "gene_finding.hdf5"):
        before = (folder / name).read_bytes()
        done = train("--genome", "hg38.fa", "-o", name)
        assert (done.status, f"{name}: is an input" in done.stderr) == (2, True), done.stderr
        assert (folder / name).read_bytes() == before


def test_another_assembly_is_told(train):
    done = train("--genome", "hg19.fa")
    assert done.status == 1
    assert "splice labels lie on GT, GC or AG" in done.stderr
    assert "GRCh38" in done.stderr
    assert "GRCh37" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--genome", "hg38.fa", "--min-intron", "30"], "--min-intron does not go with --bend"),
        ([], "--bend needs --genome"),
        (["hg38.fa", "genes.gff3", "--genome", "hg38.fa"], "takes the place of genomes"),
    ],
)
def test_options_that_do_not_go_with_bend_are_refused(train, arguments, words):
    done = train(*arguments)
    assert done.status == 2
    assert words in " ".join(done.stderr.split())


def test_bends_options_do_not_go_without_it(run):
    done = run("train", "genes", "a.fa", "a.gff3", "-o", "m.safetensors", "--epochs", "3")
    assert done.status == 2
    assert "--epochs goes with --bend" in done.stderr


def test_compare_scratch_tells_the_difference_over_seeds(train, run, folder):
    torch.manual_seed(2)
    encoder = folder / "encoder.safetensors"
    encoder.write_bytes(model_bytes(MaskedModel(PRESETS["tiny"]), {}))
    given = ["--genome", "hg38.fa", "--epochs", "1", "--batch", "1", "--compare-scratch"]
    done = train(*given, "--encoder", encoder, "--seeds", "2")
    assert done.status == 0, done.stderr
    assert re.search(
        r"mcc: \S+ with the encoder, \S+ from scratch, difference \S+ \[\S+, \S+\] over 2 seeds",
        done.stderr,
    )
    facts = json.loads((folder / "m.safetensors.comparison" / "comparison.json").read_text())
    assert facts["pretrained_cost"] == facts["scratch_cost"]
    assert "test_mcc" in facts["difference"]
    done = train(*given)
    assert done.status == 2
    assert "without an encoder" in done.stderr
