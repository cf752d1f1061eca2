from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef

import dnaannot.training.bend_run
from dnaannot.dna.nine_labels import reverse_complement_nine, splice_support
from dnaannot.dna.sequence import decode, reverse_complement
from dnaannot.errors import DataError, SettingsError
from dnaannot.formats.bend import BendRow, read_bend
from dnaannot.formats.bend_labels import write_bend
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation
from dnaannot.nn.checkpoint import load_nine_label_model
from dnaannot.nn.encoder import EncoderConfig
from dnaannot.nn.nine_labels import NineLabelModel
from dnaannot.predict.scorer import Compute
from dnaannot.training.bend import BendLosses, BendObjective, BendValidation, in_parts
from dnaannot.training.bend_data import (
    LEAST_BASES,
    MOST_BASES,
    Sample,
    cut_genes,
    read_bend_data,
    some_of,
)
from dnaannot.training.bend_run import BendRun
from dnaannot.training.trainer import Schedule, Trainer

CONFIG = EncoderConfig("residual", 8, (1, 2), kernel=5)


@pytest.fixture(scope="module")
def bend_files(test_data, tmp_path_factory) -> tuple[Path, Path]:
    """A table with labels, five genes of human chr19, and their genome."""
    genome = test_data / "human_chr19_150kb.fa.gz"
    (record,) = read_fasta(genome)
    annotation = read_annotation(test_data / "human_chr19_150kb.gff3.gz")

    def split_of(start: int, end: int) -> str:
        return "valid" if start < 61_000 else "test" if start < 71_000 else "train"

    transcripts = [each.transcript for each in annotation.transcripts]
    rows, labels = cut_genes(record.name, record.codes, transcripts, split_of)
    table = tmp_path_factory.mktemp("bend") / "gene_finding.bed"
    write_bend(table, rows, labels)
    return table, genome


def samples(count: int = 7, seed: int = 3) -> list[Sample]:
    random = np.random.default_rng(seed)
    lengths = random.integers(50, 90, count)
    return [
        Sample(random.integers(0, 4, n).astype(np.uint8), random.integers(0, 9, n).astype(np.uint8))
        for n in lengths
    ]


# --- samples --------------------------------------------------------------------------------


def test_genes_are_cut_with_flanks_and_their_labels_lie_on_splice_sites(bend_files):
    table, genome = bend_files
    rows, data = read_bend(table), read_bend_data(table, [genome])
    everything = [*data.train, *data.valid, *data.test]
    assert [len(data.train), len(data.valid), len(data.test)] == [3, 1, 1]
    for sample in everything:
        assert LEAST_BASES <= len(sample.codes) <= MOST_BASES
        assert (sample.labels[:500] == 8).all() or (sample.labels[-500:] == 8).all()
    support = [splice_support(each.labels, each.codes) for each in everything]
    assert sum(each.sites for each in support) == sum(each.fitting for each in support) == 48
    by_line = {row.line: row for row in rows}
    strands = {by_line[2].strand, by_line[3].strand}
    assert strands == {"+", "-"}
    assert {4, 5, 6, 7} <= set(np.unique(data.valid[0].labels).tolist())


def test_another_assembly_is_refused(bend_files, tmp_path):
    table, genome = bend_files
    (record,) = read_fasta(genome)
    other = tmp_path / "hg19.fa"
    other.write_text(f">chr19\n{decode(np.roll(record.codes, 260))}\n")
    with pytest.raises(DataError, match=r"hg19.fa: only \d+ of 48 splice labels.*GRCh37"):
        read_bend_data(table, [other])


def test_splits_that_are_missing_or_unknown_are_refused(bend_files, tmp_path):
    table, genome = bend_files
    rows = [BendRow("chr19", 0, 5, "train"), BendRow("chr19", 0, 5, "fold3")]
    write_bend(tmp_path / "x.bed", rows, [np.full(5, 8, np.uint8)] * 2)
    with pytest.raises(DataError, match="line 3: split 'fold3'"):
        read_bend_data(tmp_path / "x.bed", [genome])
    write_bend(tmp_path / "y.bed", rows[:1], [np.full(5, 8, np.uint8)])
    with pytest.raises(DataError, match="no row is of the split 'valid'"):
        read_bend_data(tmp_path / "y.bed", [genome])


def test_smaller_shares_of_the_labels_lie_in_larger_ones():
    everything = samples(40)
    tenth, quarter = some_of(everything, 0.1, 1), some_of(everything, 0.25, 1)
    assert (len(tenth), len(quarter), len(some_of(everything, 1.0, 1))) == (4, 10, 40)
    assert {id(each.codes) for each in tenth} < {id(each.codes) for each in quarter}
    assert {id(e.codes) for e in some_of(everything, 0.25, 2)} != {id(e.codes) for e in quarter}
    assert len(some_of(everything, 0.001, 1)) == 1


# --- losses ---------------------------------------------------------------------------------


def test_an_epoch_takes_every_sample_once_and_flips_half():
    everything = samples(40)
    losses = BendLosses(everything, BendObjective(batch=8))
    drawn = [sample for step in range(losses.steps_per_epoch) for sample in losses.draw(step)]
    forward = {each.codes.tobytes(): each for each in everything}
    flipped = 0
    for codes, labels in drawn:
        original = forward.pop(codes.tobytes(), None)
        if original is None:
            flipped += 1
            original = forward.pop(reverse_complement(codes).tobytes())
            labels = reverse_complement_nine(labels)
        assert (labels == original.labels).all()
    assert not forward
    assert 8 < flipped < 32
    again = BendLosses(everything, BendObjective(batch=8))
    assert [s.codes.tobytes() for s in again.draw(3)] == [s.codes.tobytes() for s in losses.draw(3)]
    assert [s.codes.tobytes() for s in again.draw(8)] != [s.codes.tobytes() for s in losses.draw(3)]


@pytest.mark.parametrize("crf", [False, True])
def test_the_loss_of_a_step_does_not_depend_on_its_parts(crf):
    torch.manual_seed(1)
    model = NineLabelModel(CONFIG, crf)
    means = []
    for part_bases in (1, 200, 10_000):
        parts = BendLosses(samples(), BendObjective(batch=5, part_bases=part_bases))(model, 2)
        means.append(sum(loss().item() for loss in parts) / len(parts))
    assert means == pytest.approx([means[0]] * 3, rel=1e-5)


def test_parts_hold_so_many_padded_bases():
    ordered = sorted(samples(9), key=lambda sample: -len(sample.codes))
    parts = in_parts(ordered, 250)
    assert [sample for part in parts for sample in part] == ordered
    assert all(len(part) == 1 or len(part) * len(part[0].codes) <= 250 for part in parts)
    assert len(parts) < 9


@pytest.mark.parametrize("part_bases", [1, 1000])
def test_validation_is_scikit_learns_coefficient_over_all_bases(part_bases):
    torch.manual_seed(4)
    model, everything = NineLabelModel(CONFIG).eval(), samples(5)
    with torch.inference_mode():
        found = [model(torch.from_numpy(s.codes[None]))[0].argmax(-1) for s in everything]
    truth = np.concatenate([sample.labels for sample in everything])
    metrics = BendValidation(everything, Compute(), part_bases)(model)
    assert metrics["mcc"] == pytest.approx(matthews_corrcoef(truth, torch.cat(found)))


def test_labels_that_follow_from_the_bases_are_learned():
    random = np.random.default_rng(0)
    codes = [random.integers(0, 4, 120).astype(np.uint8) for _ in range(12)]
    labels = [np.where(each == 0, 0, 8).astype(np.uint8) for each in codes]
    train = [Sample(*pair) for pair in zip(codes, labels, strict=True)]
    torch.manual_seed(1)
    model = NineLabelModel(CONFIG, crf=True)
    objective = BendObjective(batch=6, part_bases=10_000, flip=False)
    validate = BendValidation(train, Compute(), 10_000)
    schedule = Schedule(60, 1e-2, warmup=5, validate_every=60)
    history = Trainer(
        model, BendLosses(train, objective), validate, lambda _: None, schedule
    ).run().history  # fmt: skip
    assert history[-1]["mcc"] > 0.95


# --- the run --------------------------------------------------------------------------------


def run_of(table: Path, genome: Path, output: Path, **settings) -> BendRun:
    return BendRun(
        table=str(table), genomes=[str(genome)], output=str(output), preset="tiny", batch=2,
        note=lambda _: None, warn=lambda _: None, device="cpu", **settings,
    )  # fmt: skip


def test_a_run_leaves_a_model_and_its_score_on_the_test_set(bend_files, tmp_path):
    output = tmp_path / "bend.safetensors"
    best = run_of(*bend_files, output, epochs=1).train()
    assert -1 <= best["test_mcc"] <= 1
    report = json.loads((tmp_path / "bend.safetensors.report" / "test.json").read_text())
    assert report["test_mcc"] == best["test_mcc"]
    assert sum(map(sum, report["confusion"])) == 4829
    model, facts = load_nine_label_model(output)
    assert facts["crf"] is True
    assert model.crf is not None
    assert sorted(facts["card"]["training_data"]) == [
        "gene_finding.bed", "gene_finding.hdf5", "human_chr19_150kb.fa.gz",
    ]  # fmt: skip


def test_other_processes_are_told_the_score_on_the_test_set(bend_files, tmp_path, monkeypatch):
    other = SimpleNamespace(is_first=False, from_first=lambda value: value or 0.25)
    monkeypatch.setattr(dnaannot.training.bend_run, "join_processes", lambda: other)
    best = run_of(*bend_files, tmp_path / "bend.safetensors", steps=1).train()
    assert best["test_mcc"] == 0.25
    assert not (tmp_path / "bend.safetensors.report" / "test.json").exists()


def test_a_fixed_encoder_stays_as_it_was(bend_files, tmp_path):
    first = tmp_path / "first.safetensors"
    run_of(*bend_files, first, steps=1, crf=False).train()
    second = tmp_path / "second.safetensors"
    run_of(*bend_files, second, steps=2, crf=False, encoder=str(first), freeze=True).train()
    before, after = (load_nine_label_model(path)[0].state_dict() for path in (first, second))
    for name in before:
        assert torch.equal(before[name], after[name]) == name.startswith("encoder.")
    with pytest.raises(SettingsError, match="no encoder to freeze"):
        run_of(*bend_files, second, steps=1, freeze=True).train()
