"""`dnaannot selfpretrain` on yeast and on sequences made up."""

from __future__ import annotations

import gzip
import json
import os
import re

import numpy as np
import pytest

from dnaannot.dna.sequence import decode
from dnaannot.nn.checkpoint import load_encoder, load_gene_model, load_masked_model, read_facts
from dnaannot.training import selfpretrain_run
from dnaannot.training.estimate import Cost
from dnaannot.training.trainer import Trainer

SMALL = ("--preset", "tiny", "--window-bases", "900", "--batch", "2", "--threads", "1")
SIX_STEPS = (*SMALL, "--steps", "6", "--warmup", "2")


def letters(length, seed):
    return decode(np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loci = "".join(f">locus{n} x\n{letters(400 + 100 * n, n)}\n" for n in range(12))
    (tmp_path / "loci.fa").write_text(loci)
    return tmp_path


@pytest.fixture
def pretrain(run, folder):
    def run_selfpretrain(*arguments, files=("loci.fa",)):
        done = run("train", "selfpretrain", *files, "--device", "cpu", *arguments)
        assert "internal error" not in done.stderr
        return done

    return run_selfpretrain


def left(folder):
    return sorted(os.listdir(folder))


def refused(done, *words, status=1):
    assert done.status == status, done.stderr
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_loci_become_an_encoder_that_genes_are_trained_from(pretrain, run, folder, test_data):
    (folder / "loci.fa.gz").write_bytes(gzip.compress((folder / "loci.fa").read_bytes()))
    done = pretrain(*SMALL, "--epochs", "2", files=("loci.fa.gz",))
    assert (done.status, done.stdout) == (0, "")
    for words in ("0.0114 Mb of 12 records", "held out for validation: ", " epochs of ",
                  "on this machine", "NOT learned more than k-mers"):  # fmt: skip
        assert words in done.stderr
    assert left(folder) == [
        "encoder.safetensors", "encoder.safetensors.report", "loci.fa", "loci.fa.gz",
    ]  # fmt: skip
    model, facts = load_masked_model(folder / "encoder.safetensors")
    assert facts["card"]["training_data"].keys() == {"loci.fa.gz"}
    assert len(facts["card"]["kmer_bits"]) == 11
    assert facts["card"]["metrics"]["bits"] < 3

    genes = [str(test_data / f"yeast_chrII_120kb.{kind}") for kind in ("fa.gz", "gff3.gz")]
    common = ("train", "genes", *genes, "--steps", "2", "--window-bases", "900", "--batch", "1",
              "--threads", "1", "--device", "cpu")  # fmt: skip
    done = run(*common, "-o", "g.safetensors", "--encoder", "encoder.safetensors", "--freeze",
               "--label-fraction", "0.3")  # fmt: skip
    assert done.status == 0, done.stderr
    assert "learning from 13 genes (0.3 of them)" in done.stderr
    frozen, facts = load_gene_model(folder / "g.safetensors")
    for name, value in model.encoder.state_dict().items():
        assert frozen.encoder.state_dict()[name].equal(value)
    assert facts["card"]["frozen_encoder"]
    assert facts["card"]["start"].keys() == {"encoder"}
    done = run(*common, "-o", "h.safetensors", "--encoder", "g.safetensors")
    assert done.status == 0
    tuned, _ = load_encoder(folder / "h.safetensors")
    assert any(not tuned.state_dict()[n].equal(v) for n, v in model.encoder.state_dict().items())
    for status, options, words in (
        (1, ("--encoder", "encoder.safetensors", "--preset", "strided"), "channels is 32, not 192"),
        (2, ("--encoder", "encoder.safetensors", "--init", "fly"), "--encoder and --init"),
        (2, ("--freeze",), "no encoder to freeze"),
        (1, ("--init", "encoder.safetensors"), "for 'encoder', not for genes"),
        (1, ("--encoder", "loci.fa"), "no safetensors model file"),
    ):
        refused(run(*common, "-o", "i.safetensors", *options), words, status=status)
        assert "i.safetensors" not in left(folder)


def test_the_report(pretrain, folder):
    pretrain(*SIX_STEPS, "-o", "e.safetensors", "-q")
    report = folder / "e.safetensors.report"
    assert left(report) == ["curves.png", "report.html", "report.json"]
    facts = json.loads((report / "report.json").read_text())
    assert [metrics["step"] for metrics in facts["validation"]] == [1, 2, 3, 4, 5, 6]
    assert facts["levels"]["order-0 Markov model"] == pytest.approx(2, abs=0.02)
    assert facts["data"]["loci.fa"]["records"] == 12
    assert facts["remarks"][0] in (report / "report.html").read_text().replace("&#x27;", "'")


def test_regions_of_a_genome(pretrain, folder):
    (folder / "a.bed").write_text("locus3\t0\t500\nlocus3\t400\t700\nlocus9\t10\t1000\n")
    done = pretrain(*SIX_STEPS, "--regions", "a.bed", "-o", "e.safetensors")
    assert done.status == 0, done.stderr
    assert "0.00169 Mb of 2 records" in done.stderr
    assert read_facts("e.safetensors")["card"]["training_data"].keys() == {"loci.fa", "a.bed"}
    for line, words in (
        ("locus99\t0\t9", ["a.bed, line 1", "'locus99'", "not in the genome"]),
        ("locus1\t0\t900", ["a.bed, line 1", "past the end of 'locus1'"]),
        ("locus1\t0\t90", ["no record has 100 known bases"]),
    ):
        (folder / "a.bed").write_text(line + "\n")
        refused(pretrain(*SIX_STEPS, "--regions", "a.bed", "-o", "f.safetensors"), *words)


def test_a_region_in_words(pretrain, folder):
    done = pretrain(*SIX_STEPS, "--regions", "locus9:11-1,010", "-o", "e.safetensors")
    assert done.status == 0, done.stderr
    assert "0.001 Mb of 1 record" in done.stderr
    told = read_facts("e.safetensors")["card"]["training_data"]
    assert told["locus9:11-1,010"] == "locus9:11-1,010"
    (folder / "loci.fa").write_text((folder / "loci.fa").read_text().replace("locus9", "a:9"))
    assert "0.0013 Mb of 1 record" in pretrain(*SIX_STEPS, "--regions", "a:9").stderr


def test_starting_from_another_encoder(pretrain, folder, tiny_model_file):
    done = pretrain(*SIX_STEPS[2:], "--init", str(tiny_model_file), "-o", "e.safetensors")
    assert done.status == 0, done.stderr
    assert read_facts("e.safetensors")["encoder"] == read_facts(tiny_model_file)["encoder"]
    again = pretrain(*SIX_STEPS, "--init", "e.safetensors", "-o", "f.safetensors")
    assert again.status == 0
    options = ("--preset", "spt", *SIX_STEPS[2:], "--init", "e.safetensors", "-o", "g.safetensors")
    refused(pretrain(*options), "e.safetensors", "its kind is strided, not residual")


def test_an_interrupted_run_resumed_is_an_undisturbed_one(pretrain, folder, monkeypatch):
    assert pretrain(*SIX_STEPS, "-o", "whole.safetensors").status == 0
    step = Trainer._step

    def killed(self, number, pool):
        if number == 4 and self.progress.step == 4:
            raise KeyboardInterrupt
        return step(self, number, pool)

    monkeypatch.setattr(Trainer, "_step", killed)
    assert pretrain(*SIX_STEPS, "-o", "e.safetensors").status == 130
    monkeypatch.setattr(Trainer, "_step", step)
    assert pretrain(*SIX_STEPS, "-o", "e.safetensors", "--resume", "--threads", "2").status == 0
    one, other = (load_masked_model(f"{n}.safetensors") for n in ("whole", "e"))
    assert all(v.equal(other[0].state_dict()[n]) for n, v in one[0].state_dict().items())
    assert one[1]["card"]["metrics"] == other[1]["card"]["metrics"]


# --- what is refused or told --------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["empty"]),
        (">a\n" + "N" * 5_000 + "\n", ["loci.fa", "no record has 100 known bases", "all N"]),
        (">a\n" + "ACGT" * 20 + "\n>b\nACGT\n", ["no record has 100 known bases"]),
        (">a\nMKVLLAEFPQ*\n", ["line 2", "protein"]),
        (">a\nACGT!\n", ["line 2", "'!' is not a base"]),
        (">a\n" + letters(600, 1) + "\n", ["600 bases are too few", "1,000 bases of one record"]),
        ("chr1\t0\t10\n", ["not a FASTA"]),
    ],
)
def test_sequence_that_cannot_be_used(pretrain, folder, content, words):
    (folder / "loci.fa").write_text(content)
    refused(pretrain(*SIX_STEPS, "-o", "e.safetensors"), *words)
    assert left(folder) == ["loci.fa"]


def test_what_is_too_little_to_learn_from_is_told(pretrain, folder):
    (folder / "loci.fa").write_text(">a\n" + letters(1_500, 1) + "\n")
    done = pretrain(*SIX_STEPS, "-o", "e.safetensors")
    assert done.status == 0, done.stderr
    assert re.search(
        r"warning: .* hidden bases in one window, .*more sequence.*--init", done.stderr
    )
    assert "learning takes 50 steps at least: give more sequence" in done.stderr
    assert "+- 0.000" not in done.stderr


def test_one_record_is_split(pretrain, folder):
    (folder / "loci.fa").write_text(">a\n" + letters(6_000, 1) + "\n")
    done = pretrain(*SIX_STEPS, "-o", "e.safetensors")
    assert "held out for validation: 600 bases of 1 record\n" in done.stderr


def test_records_left_out_are_counted(pretrain, folder):
    text = (folder / "loci.fa").read_text()
    sequence = text.splitlines()[1]
    reverse = sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
    text += f">copy\n{sequence.lower()}\n>other_strand\n{reverse}\n>short\nACGTTGA\n"
    (folder / "loci.fa").write_text(text)
    done = pretrain(*SIX_STEPS, "-o", "e.safetensors")
    assert "left out 1 record with fewer than 100 known bases" in done.stderr
    assert "left out 2 records the same as an earlier one" in done.stderr


@pytest.mark.parametrize(
    ("cost", "options", "words"),
    [
        (Cost(1e-6, 1e12, 0), (), ["GB of memory", "are free", "--preset"]),
        (Cost(1e3, 1e3, 0), ("--epochs", "20"), ["days on this machine", "GPU", "--force"]),
        (Cost(1e-1, 1e3, 0), ("--time-budget", "5m"), ["1 of the 50 steps", "time budget"]),
    ],
)
def test_what_cannot_work_is_refused_beforehand(
    pretrain, folder, monkeypatch, cost, options, words
):
    monkeypatch.setattr(selfpretrain_run, "measure", lambda *_: cost)
    refused(pretrain(*SMALL, *options, "-o", "e.safetensors"), *words)
    assert left(folder) == ["loci.fa"]
    if "--time-budget" in options:
        assert pretrain(*SMALL, *options, "-o", "e.safetensors", "--force").status == 0


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (("--steps", "1", "--epochs", "1"), ["--epochs and --steps each say how long"], 2),
        (("--epochs", "0"), ["--epochs"], 2),
        (("--validation-share", "0.9"), ["--validation-share"], 2),
        (("--steps", "1", "--resume"), ["e.safetensors.state", "without --resume"], 1),
        (("--steps", "1", "--init", "nonsense"), ["no model named 'nonsense'"], 1),
        (("--steps", "1", "--regions", "no.bed"), ["no.bed"], 1),
        (("--steps", "1", "-o", "-"), ["standard output"], 2),
        (("--steps", "1", "-o", "e.pt"), ["e.pt", "end in .safetensors"], 2),
        (("--steps", "1", "--regions", ""), ["--regions", "empty"], 2),
        (("--steps", "1", "-o", "loci.fa"), ["loci.fa: is an input"], 2),
    ],
)
def test_options_that_make_no_sense(pretrain, folder, options, words, status):
    refused(pretrain("-o", "e.safetensors", *SMALL, *options), *words, status=status)
    assert left(folder) == ["loci.fa"]


def test_a_file_is_given_once(pretrain, folder):
    refused(pretrain(*SIX_STEPS, files=("loci.fa", "loci.fa")), "loci.fa is given twice", status=2)
    assert left(folder) == ["loci.fa"]
