"""The scripts in bin/ work with the code as it is."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_benchmark_adds_up_what_runs_side_by_side():
    benchmark = runpy.run_path(str(BIN / "benchmark"))
    hold = (sys.executable, "-c", f"held = b'x' * {64 << 20}")
    one = benchmark["run_together"](benchmark["Contestant"]("one", 1, (hold,)))
    two = benchmark["run_together"](benchmark["Contestant"]("two", 1, (hold, hold)))
    assert one.peak_mib > 64
    assert two.peak_mib == pytest.approx(2 * one.peak_mib, rel=0.1)


def test_benchmark_stops_where_a_program_fails():
    benchmark = runpy.run_path(str(BIN / "benchmark"))
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


def test_ablation_scores_all_four_variants(test_data):
    piece = test_data / "zymoseptoria_chr13_150kb"
    given = ["--init", "fungi", "--validation", "chr_13:1-40000", "--steps", "1"]
    done = subprocess.run(
        [sys.executable, BIN / "ablation", f"{piece}.fa.gz", f"{piece}.gff3.gz", *given],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(BIN.parent)},
    )
    assert done.returncode == 0, done.stderr
    rows = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if "  mcc " in line)
    assert list(rows) == ["labels", "viterbi", "crf9", "grammar"]
    assert float(rows["viterbi"].split()[1]) > 30
