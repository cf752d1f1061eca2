"""`bin/benchmark growth`: what `dnaannot genes` costs as the input grows."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.genes import dnaannot
from benchmarks.measuring import (
    ROOT,
    Contestant,
    read_bases,
    row,
    run_together,
    say,
    write_fasta,
    write_report,
)

PICTURE = ROOT / "docs" / "benchmarks" / "growth.png"
SHORT = 1_000


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark growth`."""
    parser.add_argument(
        "--genome", type=Path, required=True, help="FASTA, of which the first sequence is taken"
    )
    parser.add_argument("--model", default="human", help="model of dnaannot (default: human)")
    parser.add_argument(
        "--mb", type=float, nargs="+", default=[1, 10, 90], help="lengths (default: 1 10 90)"
    )
    parser.add_argument(
        "--sequences",
        type=int,
        nargs="+",
        default=[1, 100, 10_000, 100_000],
        help="numbers of sequences of 1 kb (default: 1 100 10000 100000)",
    )


def benchmark_growth(arguments: argparse.Namespace) -> None:
    lengths = [round(mb * 1e6) for mb in arguments.mb]
    most = max(*lengths, SHORT * max(arguments.sequences))
    bases = read_bases(arguments.genome, most)
    options = ("--model", arguments.model)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(write_fasta(folder / "first.fa", bases[:SHORT]), SHORT, "first", options)
        for length in lengths:
            if length <= len(bases):
                fasta = write_fasta(folder / "one.fa", bases[:length])
                rows.append(_run(fasta, length, "one sequence", options, sequences=1))
        for count in arguments.sequences:
            fasta, length = _contigs(folder / "many.fa", bases, count)
            rows.append(_run(fasta, length, "sequences of 1 kb", options, sequences=count))
    notes = [
        f"{arguments.genome.name}, model `{arguments.model}`; one run each after a first one",
        f"picture: [{PICTURE.name}]({PICTURE.name})",
    ]
    draw(rows)
    write_report("growth", "How the cost of `dnaannot genes` grows", rows, {}, notes)


def _run(
    fasta: Path, bases: int, name: str, options: tuple[str, ...], sequences: int = 1
) -> dict[str, str | float | int]:
    contestant = Contestant(name, bases, (dnaannot(fasta, *options),))
    cost = run_together(contestant)
    say(f"{name}: {sequences:,} sequences, {bases:,} bases: {asdict(cost)}")
    line = row(contestant, [cost])
    return {"what": name, "sequences": sequences, **line}


def _contigs(path: Path, bases: str, count: int) -> tuple[Path, int]:
    """So many sequences of `SHORT` bases, from the begin again where the genome is too short."""
    last = max(1, len(bases) // SHORT)
    with path.open("w") as stream:
        for number in range(count):
            at = number % last * SHORT
            stream.write(f">contig{number + 1}\n{bases[at : at + SHORT]}\n")
    return path, count * SHORT


def draw(rows: list[dict]) -> None:
    """Seconds and memory against bases, for one sequence and for many."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for name, mark, color in (
        ("one sequence", "o", "#1b6ca8"),
        ("sequences of 1 kb", "s", "#c8553d"),
    ):
        of = [line for line in rows if line["what"] == name]
        megabases = [line["bases"] / 1e6 for line in of]
        for axes, key in ((time, "seconds"), (memory, "peak_mib")):
            axes.plot(megabases, [line[key] for line in of], mark + "-", color=color, label=name)
    for axes, title in ((time, "wall-clock seconds"), (memory, "peak memory, MiB")):
        axes.set_xscale("log")
        axes.set_xlabel("Mb in all")
        axes.set_title(title, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    time.set_yscale("log")
    memory.set_ylim(bottom=0)
    time.legend(frameon=False)
    figure.savefig(PICTURE, dpi=120)
