"""`dnaannot train tracks` on 120 kb of yeast with made-up peaks."""

from __future__ import annotations

import gzip
import json
import os

import numpy as np
import pytest
import torch

from dnaannot.dna.sequence import C, G
from dnaannot.formats.fasta import read_fasta
from dnaannot.nn.checkpoint import load_encoder, load_track_model, model_bytes, read_facts

SMALL = (
    "--preset", "tiny", "--stretch-bases", "4k", "--margin", "256", "--batch", "2",
    "--threads", "1", "--device", "cpu", "--validation-bases", "20k",
)  # fmt: skip
STEPS = ("--steps", "4", "--validate-every", "2", "--warmup", "1")
LEFT = ["dnase__x.bed", "genome.fa", "m.safetensors", "m.safetensors.report"]


@pytest.fixture
def folder(tmp_path, monkeypatch, test_data):
    """A genome and peaks where it is rich in GC."""
    monkeypatch.chdir(tmp_path)
    content = gzip.decompress((test_data / "yeast_chrII_120kb.fa.gz").read_bytes())
    (tmp_path / "genome.fa").write_bytes(content)
    record = next(iter(read_fasta("genome.fa")))
    gc = ((record.codes == C) | (record.codes == G))[: len(record.codes) // 250 * 250]
    shares = gc.reshape(-1, 250).mean(1)
    rich = np.flatnonzero(shares > np.quantile(shares, 0.8))
    lines = [f"{record.name}\t{at * 250}\t{at * 250 + 250}\n" for at in rich]
    (tmp_path / "dnase__x.bed").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def train(run, folder):
    def run_train(*arguments, labels=("dnase__x.bed",)):
        done = run("train", "tracks", "-g", "genome.fa", *labels, "-o", "m.safetensors", *arguments)
        assert "internal error" not in done.stderr
        return done

    return run_train


def tensors(path):
    encoder, _ = load_encoder(path)
    return torch.cat([value.flatten() for value in encoder.state_dict().values()])


def test_a_model_is_trained_with_its_facts(train, folder):
    done = train(
        *SMALL,
        "--steps",
        "40",
        "--learning-rate",
        "5e-3",
        "--task",
        "accessibility",
        "--species",
        "yeast",
    )
    assert (done.status, done.stdout) == (0, ""), done.stderr
    assert "kb a second" in done.stderr
    assert "dnase.auroc 0." in done.stderr
    assert sorted(os.listdir(folder)) == LEFT
    model, facts = load_track_model(folder / "m.safetensors")
    track = model.tracks[0]
    assert (track.task, track.name, track.kind) == ("accessibility", "dnase__x", "binary")
    assert track.scale > 0
    assert (facts["window"], facts["sites"]) == (512, "grid")
    assert facts["card"]["species"] == ["yeast"]
    assert facts["card"]["labels"]["dnase__x"]["positives"] > 50
    assert facts["card"]["metrics"]["dnase__x.auroc"] > 0.55  # GC is soon learned
    report = json.loads((folder / "m.safetensors.report" / "report.json").read_text())
    assert report["data"]["dnase__x"]["validation_positives"] > 0


def test_labels_that_cannot_be_validated_are_told(train, folder):
    record = next(iter(read_fasta("genome.fa")))
    cpgs = np.flatnonzero((record.codes[:-1] == C) & (record.codes[1:] == G))
    # From 90 kb on, where the validation regions are, every CpG is methylated.
    shares = np.where(cpgs > 90_000, 100, np.arange(len(cpgs)) % 2 * 100)
    alternating = np.arange(len(cpgs)) % 2 * 100
    for name, percents in (("x", shares), ("y", alternating)):
        lines = [
            f"{record.name}\t{at}\t{at + 2}\tm\t9\t.\t{at}\t{at + 2}\t0,0,0\t9\t{percent}\n"
            for at, percent in zip(cpgs, percents, strict=True)
        ]
        (folder / f"{name}.bedmethyl").write_text("".join(lines))
    done = train(*SMALL, *STEPS, labels=("x.bedmethyl", "y.bedmethyl"))
    assert done.status == 0, done.stderr
    assert "2 labels (methylation); " in done.stderr
    assert "x has no negative to validate on; it is not calibrated" in done.stderr
    assert "y has no" not in done.stderr
    for options, words in (((), "no label varies"), (("--min-reads", "10"), "Lower --min-reads")):
        refused = train(*SMALL, *STEPS, *options, labels=("x.bedmethyl",))
        assert refused.status == 1
        assert words in refused.stderr


@pytest.mark.parametrize(
    ("task", "meant"),
    [("histon", "histone"), ("*=CTCF", "ctcf"), ("histone", None), ("mappability", None)],
)
def test_a_misspelled_task_is_told(train, folder, task, meant):
    done = train(*SMALL, *STEPS, "--task", task, "-q")
    assert done.status == 0
    word = task.rpartition("=")[2]
    question = f"warning: '{word}' is a task of its own. Did you mean --task {meant}?\n"
    assert done.stderr == (question if meant else "")


def test_a_task_for_no_label_is_told(train, folder):
    done = train(*SMALL, *STEPS, "--task", "zzz*=histone", "-q")
    assert done.stderr == "warning: --task zzz*=histone: no label is called so.\n"


def test_a_resumed_run_ends_as_an_undisturbed_one(train, folder, tiny_model):
    train(*SMALL, *STEPS)
    whole = tensors("m.safetensors")
    os.remove("m.safetensors")
    from dnaannot.training.trainer import Trainer

    with pytest.MonkeyPatch.context() as patch:
        step = Trainer._step
        calls = []

        def stop_at_three(self, *arguments):
            calls.append(1)
            if len(calls) == 4:
                raise KeyboardInterrupt
            return step(self, *arguments)

        patch.setattr(Trainer, "_step", stop_at_three)
        assert train(*SMALL, *STEPS).status == 130
    assert (folder / "m.safetensors.state").exists()
    (folder / "genes.safetensors").write_bytes(model_bytes(tiny_model, {}))
    for other in (("--validation-bases", "30k"), ("--encoder", "genes.safetensors")):
        done = train(*SMALL, *STEPS, "--resume", *other)
        assert (done.status, "other settings" in done.stderr) == (1, True), done.stderr
    assert train(*SMALL, *STEPS, "--resume").status == 0
    assert torch.equal(tensors("m.safetensors"), whole)


def test_an_encoder_of_another_task_is_a_start(train, folder, tiny_model):
    (folder / "genes.safetensors").write_bytes(model_bytes(tiny_model, {}))
    assert train(*SMALL, *STEPS, "--encoder", "genes.safetensors", "--freeze").status == 0
    assert torch.equal(tensors("m.safetensors"), tensors("genes.safetensors"))


def test_motifs_begin_at_narrow_peaks_or_as_those_of_another_model(train, folder, monkeypatch):
    monkeypatch.setattr("dnaannot.training.motif_start._NARROW", 1_000_000)

    def scan(name):
        return load_track_model(folder / name)[0].motifs.scan.weight

    done = train(*SMALL, "--steps", "1", "--motif-steps", "2", "--learning-rate", "1e-9")
    assert "motifs first learn what stands at the peaks of 1 label, for 2 steps" in done.stderr
    os.rename("m.safetensors", "old.safetensors")
    done = train(*SMALL, "--steps", "1", "--motif-steps", "0", "--learning-rate", "1e-9")
    assert "motifs" not in done.stderr
    assert not torch.allclose(scan("m.safetensors"), scan("old.safetensors"), atol=1e-4)
    train(*SMALL, "--steps", "1", "--encoder", "old.safetensors", "--learning-rate", "1e-9")
    assert torch.allclose(scan("m.safetensors"), scan("old.safetensors"), atol=1e-6)


@pytest.mark.parametrize("start", ["--encoder", "--init"])
def test_a_start_of_another_preset_is_refused(train, folder, tmp_path, start):
    train(*SMALL, *STEPS)
    os.rename("m.safetensors", "old.safetensors")
    done = train(*SMALL, *STEPS, start, "old.safetensors", "--preset", "strided")
    assert done.status == 1
    assert "old.safetensors" in done.stderr
    assert "Leave out --preset" in done.stderr


def test_a_model_goes_on_only_with_its_own_labels(train, folder):
    train(*SMALL, *STEPS)
    os.rename("m.safetensors", "old.safetensors")
    assert train(*SMALL, *STEPS, "--init", "old.safetensors").status == 0
    report = json.loads((folder / "m.safetensors.report" / "report.json").read_text())
    assert [metrics["step"] for metrics in report["validation"]] == [0, 2, 4, 4, 4]
    os.rename("dnase__x.bed", "other.bed")
    done = train(*SMALL, *STEPS, "--init", "old.safetensors", "--task", "x", labels=["other.bed"])
    assert done.status == 1
    assert "--encoder" in done.stderr


def test_validation_on_another_assembly(train, folder):
    (folder / "labels").mkdir()
    name, letters = (folder / "genome.fa").read_text().split("\n", 1)
    part = "".join(letters.split())[:40_000]
    (folder / "other.fa").write_text(f"{name}\n{part}\n")
    lines = (folder / "dnase__x.bed").read_text().splitlines(keepends=True)
    inside = [line for line in lines if int(line.split("\t")[2]) <= 40_000]
    (folder / "labels" / "dnase__x.bed").write_text("".join(inside))
    arguments = ("--validation-genome", "other.fa", "--validation-labels", "labels")
    done = train(*SMALL, *STEPS, *arguments)
    assert done.status == 0, done.stderr
    card = read_facts("m.safetensors")["card"]
    assert card["validation"] == ["other.fa"]
    assert [len(each) for each in card["signatures"].values()] == [80]
    assert list(card["signatures"]) == list(card["signature_spreads"]) == ["genome.fa"]


@pytest.mark.parametrize(
    ("arguments", "words", "status"),
    [
        ((*SMALL,), "--time-budget", 2),
        ((*STEPS, "--validation-labels", "x"), "--validation-genome", 2),
        ((*STEPS, "--encoder", "fly", "--init", "fly"), "Give one", 2),
        ((*STEPS, "--freeze"), "--encoder", 2),
        ((*STEPS, "--stretch-bases", "2000"), "--margin", 2),
        ((*STEPS, "--coverage", "150%"), "share", 2),
        ((*STEPS, "--window", "8"), "from 32 to 16,384", 2),
        ((*STEPS, "--validation", "chrQ"), "'chrQ'", 1),
        ((*STEPS, "--exclude", "dnase__x.bed"), "no positive", 1),
        ((*STEPS, "--encoder", "nowhere"), "nowhere", 1),
        ((*STEPS, "-o", "genome.fa"), "genome.fa: is an input", 2),
        ((*STEPS, "-o", "dnase__x.bed"), "dnase__x.bed: is an input", 2),
    ],
)
def test_wrong_settings_are_refused_and_leave_nothing(train, folder, arguments, words, status):
    done = train(*arguments)
    assert done.status == status
    assert words in done.stderr
    assert sorted(os.listdir(folder)) == ["dnase__x.bed", "genome.fa"]


def test_labels_of_a_folder(train, folder):
    (folder / "peaks").mkdir()
    peaks = (folder / "dnase__x.bed").read_text()
    for name in ("ctcf__y.bed", "dnase__x.bed"):
        (folder / "peaks" / name).write_text(peaks)
    done = train(*SMALL, *STEPS, "-o", "m.safetensors", labels=("peaks",))
    assert done.status == 0, done.stderr
    model, facts = load_track_model(folder / "m.safetensors")
    assert [track.name for track in model.tracks] == ["ctcf__y", "dnase__x"]
    assert set(facts["card"]["training_data"]) == {"genome.fa", "ctcf__y.bed", "dnase__x.bed"}


def test_no_file_of_another_assembly_is_overwritten(train, folder):
    (folder / "other").mkdir()
    os.rename("dnase__x.bed", "other/dnase__x.bed")
    (folder / "other.fa").write_text(">c\nACGT\n")
    given = ("--validation-genome", "other.fa", "--validation-labels", "other", *STEPS)
    for output in ("other.fa", "other/dnase__x.bed"):
        done = train(*given, "-o", output, labels=("x.bed",))
        assert (done.status, "is an input" in done.stderr) == (2, True), done.stderr


def test_compare_scratch_tells_what_the_encoder_is_worth(train, folder):
    assert train(*SMALL, "--steps", "1").status == 0
    (folder / "m.safetensors").rename(folder / "first.safetensors")
    given = [option for option in SMALL if option not in ("--preset", "tiny")]
    done = train(
        *given, "--steps", "1", "--encoder", "first.safetensors", "--compare-scratch",
        "--seeds", "1",
    )  # fmt: skip
    assert done.status == 0, done.stderr
    assert "auroc: " in done.stderr
    assert "from scratch, difference" in done.stderr
    facts = json.loads((folder / "m.safetensors.comparison" / "comparison.json").read_text())
    assert facts["pretrained_cost"] == facts["scratch_cost"]
