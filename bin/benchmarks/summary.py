"""`bin/benchmark all`: every benchmark in one run, and one table of what they found."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measuring import OURS, ROOT, say, write_report

PAGES = ROOT / "docs" / "benchmarks"
SCRIPT = ROOT / "bin" / "benchmark"
TITLE = "What dnaannot costs, in one table"

Report = dict[str, Any]


class Figure(NamedTuple):
    """One line of the summary: what was measured, and what stands beside it."""

    what: str
    figure: str
    beside: str
    page: str


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark all`."""
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="see docs/training.md")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--geneml", default="geneml", help="geneML's program")
    parser.add_argument(
        "--only", nargs="+", metavar="WHAT", help="run these; take the others from their pages"
    )


def benchmark_all(arguments: argparse.Namespace) -> None:
    """Run the benchmarks as programs of their own and write docs/benchmarks/summary.md."""
    for name, options in steps(arguments):
        if arguments.only is None or name in arguments.only:
            say(f"== {name}")
            subprocess.run([sys.executable, SCRIPT, name, *options], check=True, env=OURS)
    found = {
        path.stem: json.loads(path.read_text())
        for path in sorted(PAGES.glob("*.json"))
        if path.stem != "summary"
    }
    rows = [figure._asdict() for figure in figures(found)]
    notes = ["Every line is from the page that it names, where the rest of that run is."]
    if "gpu" not in found:
        notes.append("Nothing was measured on a GPU: see [gpu.md](gpu.md).")
    write_report("summary", TITLE, rows, {}, notes)


def steps(given: argparse.Namespace) -> Iterator[tuple[str, list[str]]]:
    """Name and options of each benchmark that this machine can run."""
    import torch

    fly = str(given.data / "genes" / "fly_dm6_chr2L" / "genome.fa.gz")
    human = str(given.data / "genes" / "human_GRCh38_chr16" / "genome.fa.gz")
    rounds = ["--rounds", str(given.rounds)]
    of_fly = ["--genome", fly, "--mb", "2", "--model", "fly"]
    yield "genes", [*of_fly, *rounds, "--geneml", given.geneml]
    yield "stages", of_fly
    yield "encoder", []
    yield "train", []
    yield "tracks", ["--genome", human, *rounds]
    yield "growth", ["--genome", human]
    if torch.cuda.is_available():
        yield "gpu", ["--genome", human]


def figures(reports: dict[str, Report]) -> Iterator[Figure]:
    """The lines of the summary that the reports at hand allow."""
    for name, lines in OF_PAGE.items():
        if name in reports:
            yield from lines(reports[name])


def _rows(report: Report) -> dict[str, Report]:
    return {row["what"]: row for row in report["rows"]}


def _of_genes(report: Report) -> Iterator[Figure]:
    page, rows = "genes.md", _rows(report)
    for name, row in rows.items():
        if name.startswith("dnaannot"):
            others = [
                f"{float(other['seconds']) / float(row['seconds']):.1f} times {peer}"
                for peer, other in rows.items()
                if other["dnaannot_is"] and not peer.startswith("dnaannot")
            ]
            speed = f"{row['kb_per_s']:g} kb/s with start, {row['peak_mib']} MiB"
            yield Figure(f"`{name}`", speed, ", ".join(others), page)
    for name in ("cold start", "second start"):
        yield Figure(f"{name}, 100 kb", f"{rows[name]['seconds']} s", "", page)
    speed = statistics.median(report["viterbi_mb_per_s"])
    yield Figure("Viterbi, one core", f"{speed:.1f} Mb/s", "", page)


def _of_stages(report: Report) -> Iterator[Figure]:
    shares = [f"{row['what']} {row['share']}" for row in report["rows"] if row["what"] != "all"]
    yield Figure("stages of `dnaannot genes`", shares[0], ", ".join(shares[1:]), "stages.md")


def _of_encoder(report: Report) -> Iterator[Figure]:
    for name, row in _rows(report).items():
        if name.startswith("model, "):
            speed = f"{row['kb_per_s']:g} kb/s"
            beside = f"{row['of_matrix_rate']} of the rate of matrix products"
            yield Figure(f"encoder and head, one core, {name[-4:]}", speed, beside, "encoder.md")


def _of_training(report: Report) -> Iterator[Figure]:
    page, rows = "train.md", _rows(report)
    speed = f"{rows['step']['kb_per_s']:g} kb/s"
    parts = ", ".join(f"{name} {rows[name]['share_of_step']}" for name in ("CRF", "weights"))
    yield Figure("training step, one core", speed, parts, page)
    ours, theirs = rows["linear-chain CRF"], rows["pytorch-crf"]
    ratio = f"{theirs['ms'] / ours['ms']:.0f} times pytorch-crf"
    yield Figure("CRF, both passes, 14,000 bases", f"{ours['ms']:g} ms", ratio, page)


def _of_tracks(report: Report) -> Iterator[Figure]:
    for name, row in _rows(report).items():
        cost = f"{row['seconds']} s, {row['peak_mib']} MiB"
        yield Figure(f"`dnaannot tracks`, {name}", cost, f"{row['kb_per_s']:g} kb/s", "tracks.md")
    written = report["bigwig"]
    for kind in ("grid", "CpG"):
        ours, theirs = written[f"dnaannot, {kind}"], written[f"pyBigWig, {kind}"]
        beside = f"{ours / theirs:.1f} times pyBigWig"
        yield Figure(f"bigWig written, {kind}", f"{ours:.2f} million values/s", beside, "tracks.md")


def _of_growth(report: Report) -> Iterator[Figure]:
    rates: list[float] = []
    for row in report["rows"]:
        if row["what"] == "one sequence":
            rates.append(row["kb_per_s"])
            what = f"`dnaannot genes`, {row['bases'] / 1e6:g} Mb in one sequence"
            yield Figure(what, f"{row['kb_per_s']:g} kb/s", f"{row['peak_mib']} MiB", "growth.md")
        elif row["sequences"] >= 10_000 and rates:
            what = f"`dnaannot genes`, {row['sequences']:,} sequences of 1 kb"
            beside = f"{row['kb_per_s'] / max(rates):.0%} of the rate of the longest sequence"
            yield Figure(what, f"{row['kb_per_s']:g} kb/s", beside, "growth.md")


OF_PAGE = {
    "genes": _of_genes,
    "stages": _of_stages,
    "encoder": _of_encoder,
    "train": _of_training,
    "tracks": _of_tracks,
    "growth": _of_growth,
}
"""What gives the lines of each page, in the order of the table."""
