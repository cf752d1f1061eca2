"""`bin/benchmark genes`: dnaannot genes beside other gene finders on the same sequence."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks import peers
from benchmarks.measuring import (
    OURS,
    ROOT,
    Contestant,
    Cost,
    read_bases,
    row,
    run_together,
    take_turns,
    write_fasta,
    write_report,
)

START_BASES = 100_000
CHUNK = 65_536
SCRIPT = ROOT / "bin" / "benchmark"


def add_sequence_options(parser: argparse.ArgumentParser, mb: float) -> None:
    """Which bases to find genes in."""
    parser.add_argument(
        "--genome",
        type=Path,
        default=ROOT / "test_data" / "fly_chr2L_200kb.fa.gz",
        help="FASTA, of which the first sequence is taken (default: %(default)s)",
    )
    parser.add_argument(
        "--mb", type=float, default=mb, help="megabases to take (default: %(default)s)"
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark genes`."""
    add_sequence_options(parser, mb=4.0)
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--model", help="model of dnaannot (default: its own choice)")
    peers.add_options(parser)


def add_viterbi_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark viterbi`."""
    parser.add_argument("genome", type=Path, metavar="FA")


def dnaannot(fasta: Path, *options: str) -> tuple[str, ...]:
    """The command that finds the genes of a file."""
    out = fasta.with_suffix(".gff3")
    return (sys.executable, "-m", "dnaannot", "genes", str(fasta), "-o", str(out), "-q", *options)


def starts(bases: str, folder: Path, options: list[str]) -> Iterator[tuple[Contestant, Cost]]:
    """The first run ever, compiling everything, and the one after it, on 100 kb."""
    fasta = write_fasta(folder / "start.fa", bases[:START_BASES])
    environment = (("NUMBA_CACHE_DIR", str(folder / "compiled")),)
    for name in ("cold start", "second start"):
        contestant = Contestant(
            name, min(START_BASES, len(bases)), (dnaannot(fasta, *options),), environment
        )
        yield contestant, run_together(contestant)


def benchmark_genes(arguments: argparse.Namespace) -> None:
    bases = read_bases(arguments.genome, round(arguments.mb * 1e6))
    notes = [f"{arguments.genome.name}: {len(bases):,} bases; {arguments.rounds} rounds, medians"]
    options = ["--model", arguments.model] if arguments.model else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = write_fasta(folder / "whole.fa", bases)
        first = list(starts(bases, folder, options))
        contestants = [
            Contestant("dnaannot genes", len(bases), (dnaannot(whole, *options),)),
            Contestant(
                "dnaannot genes --precision fp32",
                len(bases),
                (dnaannot(whole, *options, "--precision", "fp32"),),
            ),
            *peers.peers(arguments, bases, whole, notes),
        ]
        viterbi = (sys.executable, str(SCRIPT), "viterbi", str(whole))
        costs = take_turns(contestants, arguments.rounds)
        speeds = [
            float(subprocess.check_output(viterbi, text=True, env=OURS))
            for _ in range(arguments.rounds)
        ]
    notes.append(f"Viterbi alone, one core, random scores: {statistics.median(speeds):.2f} Mb/s")
    rows = [{**row(contestant, [cost]), "dnaannot_is": ""} for contestant, cost in first]
    measured = [row(contestant, costs[contestant.name]) for contestant in contestants]
    ours = float(measured[0]["seconds"])
    rows += [{**line, "dnaannot_is": f"{float(line['seconds']) / ours:.1f}x"} for line in measured]
    details = {
        "rounds": {name: [asdict(cost) for cost in runs] for name, runs in costs.items()},
        "viterbi_mb_per_s": speeds,
    }
    write_report("genes", "Speed and memory of `dnaannot genes`", rows, details, notes)


def benchmark_viterbi(arguments: argparse.Namespace) -> None:
    """Decode random scores over a file's bases on one core and print Mb/s, after compiling."""
    import numpy as np

    from dnaannot.dna.grammar import gene_grammar, position_words
    from dnaannot.dna.sequence import encode
    from dnaannot.dna.viterbi import Viterbi

    grammar = gene_grammar()
    words = position_words(encode(read_bases(arguments.genome, 10**9).encode()))
    shape = (CHUNK, len(grammar.labels))
    emissions = np.random.default_rng(1).standard_normal(shape, np.float32)
    decoder = Viterbi(grammar, np.zeros(len(grammar.pairs), np.float32))

    def decode(bases: int) -> None:
        starts = range(0, bases, CHUNK)
        chunks = ((words[at : at + CHUNK], emissions[: bases - at]) for at in starts)
        for _ in decoder.decode(chunks):
            pass

    decode(min(CHUNK, len(words)))
    begun = time.perf_counter()
    decode(len(words))
    print(len(words) / (time.perf_counter() - begun) / 1e6)
