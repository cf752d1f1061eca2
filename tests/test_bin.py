"""The scripts in bin/ work with the code as it is."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dnaannot.dna.sequence import runs
from dnaannot.evaluate.bend_labels import from_bend_labels
from dnaannot.nn.checkpoint import read_facts

BIN = Path(__file__).resolve().parents[1] / "bin"


def test_benchmark_decodes_on_its_own(test_data):
    genome = test_data / "yeast_chrII_120kb.fa.gz"
    done = subprocess.run(
        [sys.executable, BIN / "benchmark", "viterbi", genome],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(BIN.parent)},
    )
    assert float(done.stdout) > 0


def test_benchmark_measures_tracks(test_data, track_model_files):
    def asked(*command):
        done = subprocess.run(
            [sys.executable, BIN / "benchmark", *command],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(BIN.parent)},
        )
        return json.loads(done.stdout)

    written = asked("bigwig", "--values", "20000")
    names = ["dnaannot, grid", "pyBigWig, grid", "dnaannot, CpG", "pyBigWig, CpG"]
    assert list(written) == names
    assert min(written.values()) > 0
    genome = test_data / "human_chr19_150kb.fa.gz"
    options = ("--task", "ctcf", "--model", track_model_files["grid"], "--windows", "4")
    assert asked("windows", genome, *options)["windows_per_s"] > 0


def test_benchmark_measures_how_cost_grows(monkeypatch, tmp_path, test_data, tiny_model_file):
    from benchmarks import growth

    reports = []
    monkeypatch.setattr(growth, "write_report", lambda *report: reports.append(report))
    monkeypatch.setattr(growth, "PICTURE", tmp_path / "growth.png")
    growth.benchmark_growth(
        argparse.Namespace(
            genome=test_data / "yeast_chrII_120kb.fa.gz",
            model=str(tiny_model_file),
            mb=[0.02, 90],
            sequences=[3],
        )
    )
    _, _, rows, _, _ = reports[0]
    assert [(row["sequences"], row["bases"]) for row in rows] == [(1, 20_000), (3, 3_000)]
    assert all(row["seconds"] > 0 and row["peak_mib"] > 0 for row in rows)
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")


def test_benchmark_measures_the_encoder_and_a_step(monkeypatch):
    from benchmarks import encoder

    reports = {}
    monkeypatch.setattr(
        encoder, "write_report", lambda name, *report: reports.update({name: report})
    )
    monkeypatch.setattr(encoder, "CRF_LENGTH", 100)
    asked = {"preset": "tiny", "rounds": 1}
    encoder.benchmark_encoder(argparse.Namespace(strides=128, **asked))
    encoder.benchmark_train(argparse.Namespace(window=1_152, **asked))
    _, rows, _, notes = reports["encoder"]
    assert {row["what"][-4:] for row in rows} <= {"bf16", "fp32"}
    assert all(row["gflop_per_s"] > 0 for row in rows)
    assert any("operations a base" in note for note in notes)
    _, rows, _, _ = reports["train"]
    assert rows[0]["what"] == "step"
    assert all(row["ms"] > 0 for row in rows)


def test_benchmark_times_the_stages_of_a_run(monkeypatch, test_data, tiny_model_file):
    from benchmarks import stages

    reports = []
    monkeypatch.setattr(stages, "write_report", lambda *report: reports.append(report))
    genome = test_data / "yeast_chrII_120kb.fa.gz"
    stages.benchmark_stages(
        argparse.Namespace(genome=genome, mb=0.05, model=str(tiny_model_file), precision="fp32")
    )
    _, _, rows, _, _ = reports[0]
    names = ["encoder and head", "position words", "Viterbi", "posteriors"]
    assert [row["what"] for row in rows] == [*names, "genes read and written", "all"]
    assert all(row["seconds"] >= 0 for row in rows)
    assert rows[-1]["seconds"] == pytest.approx(sum(row["seconds"] for row in rows[:-1]), abs=0.01)


def test_benchmark_runs_the_peers_that_are_there(monkeypatch, tmp_path):
    from benchmarks import peers

    for name in ("augustus", "snap-hmm", "geneml"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    hmm = tmp_path / "fly.hmm"
    monkeypatch.setenv("PATH", str(tmp_path))
    given = argparse.Namespace(species="fly", snap_hmm=hmm, geneml="geneml")
    whole = tmp_path / "whole.fa"
    notes = []
    names = [peer.name for peer in peers.peers(given, "ACGTA", whole, notes)]
    assert names == ["AUGUSTUS --species=fly", "geneML"]
    assert notes[0].startswith("SNAP is not installed")
    hmm.touch()
    augustus, snap, geneml = peers.peers(given, "ACGTA", whole, notes)
    halves = [Path(command[-1]).read_text() for command in snap.commands]
    assert halves == [">benchmark\nAC\n", ">benchmark\nGTA\n"]
    assert len(augustus.commands) == 2
    assert geneml.commands[0][-1] == str(whole)
    assert augustus.bases == snap.bases == geneml.bases == 5


def test_benchmark_sums_up_the_pages_that_are_there():
    from benchmarks import summary

    names = [path.stem for path in summary.PAGES.glob("*.json") if path.stem != "summary"]
    found = {name: json.loads((summary.PAGES / f"{name}.json").read_text()) for name in names}
    lines = list(summary.figures(found))
    assert {line.page for line in lines} == {f"{name}.md" for name in found}
    assert all(line.figure for line in lines)


def test_benchmark_of_a_gpu_compares_genes_and_needs_one(monkeypatch, tmp_path):
    from benchmarks import gpu

    exons = [("10", "20", "g1"), ("40", "50", "g1"), ("70", "80", "g2")]
    rows = [f"c\tx\tCDS\t{a}\t{b}\t0.5\t+\t0\tID=x;Parent={p}" for a, b, p in exons]
    path = tmp_path / "genes.gff3"
    path.write_text("\n".join(["##gff-version 3", *rows]))
    whole = gpu.genes_in(path)
    path.write_text("\n".join(row.replace("g1", "g9").replace("0.5", "0.6") for row in rows[:2]))
    assert len(whole) == 2
    assert len(whole & gpu.genes_in(path)) == 1
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match="needs a CUDA device"):
        gpu.benchmark_gpu(argparse.Namespace(rounds=1))


def test_benchmark_adds_up_what_runs_side_by_side():
    benchmark = runpy.run_path(str(BIN / "benchmarks" / "measuring.py"))
    hold = (sys.executable, "-c", f"held = b'x' * {64 << 20}")
    one = benchmark["run_together"](benchmark["Contestant"]("one", 1, (hold,)))
    two = benchmark["run_together"](benchmark["Contestant"]("two", 1, (hold, hold)))
    assert one.peak_mib > 64
    assert two.peak_mib == pytest.approx(2 * one.peak_mib, rel=0.1)


def test_benchmark_stops_where_a_program_fails():
    benchmark = runpy.run_path(str(BIN / "benchmarks" / "measuring.py"))
    fail = (sys.executable, "-c", "raise SystemExit('no such species')")
    with pytest.raises(SystemExit, match="no such species"):
        benchmark["run_together"](benchmark["Contestant"]("failing", 1, (fail,)))


@pytest.mark.parametrize(
    ("start", "end", "widened"),
    [
        (50, 90, (50, 90)),  # between genes
        (150, 350, (100, 400)),  # in one gene at each end
        (250, 350, (100, 400)),  # in a gene that begins inside another
        (100, 220, (100, 260)),  # at a gene's first base
    ],
)
def test_pieces_cut_no_gene(start, end, widened):
    make_test_data = runpy.run_path(str(BIN / "make-test-data"))
    spans = [(100, 220), (200, 260), (300, 400)]
    genes = [[make_test_data["Feature"]([], *span)] for span in spans]
    assert make_test_data["widen"](start, end, genes) == widened


def test_real_transcripts_come_back_from_their_labels(test_data, tmp_path):
    for piece in ("yeast_chrII_120kb", "zymoseptoria_chr13_150kb", "human_chr19_150kb"):
        folder = tmp_path / "genes" / piece
        folder.mkdir(parents=True)
        (folder / "genome.fa.gz").symlink_to(test_data / f"{piece}.fa.gz")
        (folder / "genes.gff3.gz").symlink_to(test_data / f"{piece}.gff3.gz")
    done = subprocess.run(
        [sys.executable, BIN / "round-trip", tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(BIN.parent)},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.partition("all:")[2].splitlines()[1:]
    outcomes = dict(reversed(line.split(maxsplit=1)) for line in lines)
    assert "IS LOST" not in outcomes
    assert int(outcomes["comes back"].replace(",", "")) > 100


def test_ablation_scores_all_four_variants(test_data, tiny_model_file):
    piece = test_data / "zymoseptoria_chr13_150kb"
    given = ["--init", tiny_model_file, "--validation", "chr_13:1-40000", "--steps", "1"]
    done = subprocess.run(
        [sys.executable, BIN / "ablation", f"{piece}.fa.gz", f"{piece}.gff3.gz", *given],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(BIN.parent)},
    )
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if "  mcc " in line)
    assert list(rows) == ["labels", "viterbi", "crf9", "grammar"]
    assert all(-100 <= float(row.split()[1]) <= 100 for row in rows.values())


@pytest.fixture(scope="module")
def bend_files(test_data, tmp_path_factory):
    """A table of five genes with their labels, cut by the script, and its genome."""
    reproduce = runpy.run_path(str(BIN / "reproduce-paper"))
    data = tmp_path_factory.mktemp("data")
    folder = data / "genes" / "human"
    folder.mkdir(parents=True)
    genome = folder / "genome.fa.gz"
    genome.symlink_to(test_data / "human_chr19_150kb.fa.gz")
    (folder / "genes.gff3.gz").symlink_to(test_data / "human_chr19_150kb.gff3.gz")
    part, everything = reproduce["Part"], 1 << 40
    parts = (
        part("human", 0, 73_000, "valid"),
        part("human", 68_000, 94_000, "test"),
        part("human", 81_000, everything, "train"),
    )
    table = data / "gene_finding.bed"
    assert reproduce["cut_samples"](data, table, parts) == [genome]
    return table, genome


def reproduce_paper(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["reproduce-paper", *map(str, arguments)])
    runpy.run_path(str(BIN / "reproduce-paper"), run_name="__main__")


def test_reproduce_paper_fills_its_table_and_does_no_run_twice(bend_files, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no AUGUSTUS
    table, genome = bend_files
    given = ["--bend", table, "--genome", genome, "--out", tmp_path / "out"]
    given += ["--report", tmp_path / "report", "--size", "mini", "--seeds", "1", "--batch", "2"]
    given += ["--labels", "", "--device", "cpu", "--epochs", "1"]
    reproduce_paper(monkeypatch, *given)
    report = (tmp_path / "report" / "gene_finding.md").read_text()
    rows = [line.split("|") for line in report.splitlines() if line.startswith("|")]
    arms = {row[1].strip(): row for row in rows}
    assert "not run" not in report
    assert -1 <= float(arms["SPT + CRF"][2]) <= 1
    fine_tuning = {name: float(row[5]) for name, row in arms.items() if name.startswith("scratch")}
    before = float(arms["SPT"][6])
    assert fine_tuning["scratch"] == fine_tuning["scratch + CRF"] == float(arms["SPT"][5])
    longer = fine_tuning["scratch, pretraining's FLOPs added"]
    assert longer == pytest.approx(fine_tuning["scratch"] + before, rel=0.3)  # whole steps
    assert (tmp_path / "report" / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert "figure3" not in report  # no parts of the labels
    folder = tmp_path / "out" / "runs"
    before_again = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert not [path for path in before_again if path.suffix == ".state"]
    (folder / "spt-crf.100.1.json").unlink()
    reproduce_paper(monkeypatch, *given)
    again = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    changed = {path.stem for path in again if before_again[path] != again[path]}
    assert changed == {"spt-crf.100.1"}
    with pytest.raises(SystemExit, match="has size mini: give another --out"):
        reproduce_paper(monkeypatch, *given, "--size", "tiny")


def test_genes_that_augustus_finds_exactly_score_one(bend_files, tmp_path):
    reproduce = runpy.run_path(str(BIN / "reproduce-paper"))
    table, genome = bend_files
    data = reproduce["read_bend_data"](table, [genome])
    # a stop codon that an intron splits cannot be told from labels
    samples = [s for s in (*data.train, *data.test) if len(runs(s.labels != 8)) == 1]
    assert samples
    found = tmp_path / "found.gff3"
    lines = []
    for number, sample in enumerate(samples):
        for gene in from_bend_labels(sample.labels, f"sample{number}"):
            for exon in gene.exons:
                lines.append(
                    f"{gene.sequence}\tAUGUSTUS\tCDS\t{exon.start + 1}\t{exon.end}\t.\t"
                    f"{gene.strand.value}\t{exon.phase}\tParent={number}.{gene.start}"
                )
    found.write_text("##gff-version 3\n" + "\n".join(lines) + "\n")
    counts = reproduce["augustus_confusion"](samples, found)
    assert counts.sum() == np.trace(counts) == sum(len(sample.codes) for sample in samples)


def write_baseline_data(folder: Path) -> None:
    """Random sequence with labels that GC content tells, laid out as the scripts of tracks read."""
    random = np.random.default_rng(1)

    def sequence(path: Path, names: list[str]) -> dict[str, np.ndarray]:
        path.parent.mkdir(parents=True, exist_ok=True)
        rich = {name: random.random(60) < 0.4 for name in names}
        with gzip.open(path, "wt") as stream:
            for name in names:
                parts = [
                    random.choice(list("ACGT"), 512, p=[0.2, 0.3, 0.3, 0.2] if is_rich else None)
                    for is_rich in rich[name]
                ]
                stream.write(f">{name}\n{''.join(np.concatenate(parts))}\n")
        return rich

    tracks = folder / "tracks"
    human = sequence(folder / "genes/human_GRCh38_chr19/genome.fa.gz", ["chr19"])
    human |= sequence(tracks / "genomes/hg38_chr22.fa.gz", ["chr22"])
    names = ["I", "II", "IV", "VII", "IX", "X", "XIII", "M"]
    yeast = sequence(tracks / "genomes/sacCer3.fa.gz", [f"chr{name}" for name in names])
    rows = {name: [(name, 512 * i, rich) for i, rich in enumerate(of)]
            for name, of in (human | yeast).items()}  # fmt: skip
    (tracks / "human_encode/hg38").mkdir(parents=True)
    for label in ("dnase__a", "h3k4me3__b", "h3k4me3__c"):
        with gzip.open(tracks / f"human_encode/hg38/{label}.bed.gz", "wt") as stream:
            for name, start, rich in rows["chr19"] + rows["chr22"]:
                stream.write(f"{name}\t{start}\t{start + 300}\n" if rich else "")
    (tracks / "human_methylation_IMR90_chr22").mkdir()
    table = tracks / "human_methylation_IMR90_chr22/cpg_windows512_labels.tsv.gz"
    with gzip.open(table, "wt") as stream:
        stream.write("chrom\tstart\tend\tfold\tlabel\n")
        for index, (name, start, rich) in enumerate(rows["chr22"]):
            stream.write(f"{name}\t{start}\t{start + 512}\t{index // 15 + 1}\t{int(not rich)}\n")
    (tracks / "yeast_histone_EMP").mkdir()
    with gzip.open(tracks / "yeast_histone_EMP/emp_windows_sacCer3.tsv.gz", "wt") as stream:
        marks = ["H3", "H4", *(f"m{number}" for number in range(8))]
        stream.write("chrom\tstart\tend\tstrand\tmismatches\tn_hits\t")
        stream.write("\t".join(marks) + "\n")
        more = "\t1:y" * 8
        for name in yeast:
            for _, start, rich in rows[name]:
                rest = f"\t{int(rich)}:y" * 8
                stream.write(f"{name}\t{start}\t{start + 500}\t+\t0\t1\t{int(rich)}:x\t.{rest}\n")
            stream.write(f"{name}\t3\t503\t+\t1\t1\t1:x\t1:y{more}\n")
            stream.write(f"{name}\t3\t503\t+\t0\t1\t.\t{len(name) % 2}{more}\n")


def test_track_baselines_train_on_all_sets(tmp_path):
    write_baseline_data(tmp_path)
    given = ["--train", "chr19", "--minutes", "0.005", "--width", "0.03", "--batch", "8",
             "--steps", "20", "--subsample", "50", "--json", tmp_path / "b.json"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, BIN / "track-baselines", tmp_path, *given],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(BIN.parent)},
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "b.json").read_text())
    found = {
        (name, row["label"], row["model"]): row["auroc"]
        for name in ("human", "methylation", "yeast")
        for row in results[name]
    }
    assert found["human", "dnase__a", "kmer"] > 0.9
    assert found["human", "mean h3k4me3", "kmer"] > 0.9
    assert found["methylation", "IMR90", "kmer"] > 0.9
    assert found["yeast", "H3", "kmer"] > 0.9
    assert ("methylation", "> 40 CpG", "cnn") in found
    assert "mean h3k4me3" in done.stdout


def test_track_arms_differ_in_encoder_and_steps_and_no_run_is_done_twice(
    tmp_path, monkeypatch, capfd, run
):
    write_baseline_data(tmp_path)
    out = tmp_path / "out"
    given = ["--sets", "yeast", "--preset", "tiny", "--steps", "1", "--pretraining-steps", "1"]
    given += ["--warmup", "0", "--seeds", "1", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["track-arms", str(tmp_path), str(out), *given])
    done = []

    def run_here(command, check):
        done.append(run(*command[3:]))
        assert done[-1].status == 0, done[-1].stderr

    monkeypatch.setattr(subprocess, "run", run_here)
    runpy.run_path(str(BIN / "track-arms"), run_name="__main__")
    table = capfd.readouterr().out
    assert len(done) == 4
    assert (out / "yeast.bed").read_text().splitlines()[1:] == ["chrII\t0\t30720"]
    for arm, steps in (("scratch", 1), ("pretrained", 1), ("scratch-more", 2)):
        card = read_facts(out / f"yeast.{arm}.1.safetensors")["card"]
        assert card["metrics"]["step"] == steps
        assert bool(card["start"]) == (arm == "pretrained")
        metrics = json.loads((out / f"yeast.{arm}.1.json").read_text())
        assert 0 <= metrics["histone.auroc"] <= 1
        assert any(line.split()[2] == arm for line in table.splitlines())
    runpy.run_path(str(BIN / "track-arms"), run_name="__main__")
    assert len(done) == 4
    assert capfd.readouterr().out == table


def test_posterior_error_falls_with_the_burn_in(test_data, tiny_model_file):
    genome = test_data / "yeast_chrII_120kb.fa.gz"
    name = gzip.decompress(genome.read_bytes()).split(None, 1)[0].decode().lstrip(">")
    command = [sys.executable, BIN / "posterior-error", genome, name, "0", "40000"]
    done = subprocess.run(
        [*command, tiny_model_file, "20", "40000"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(BIN.parent)},
    )
    errors = [float(line.split("labels ")[1].split(",")[0]) for line in done.stdout.splitlines()]
    assert errors[0] > errors[1] == 0
