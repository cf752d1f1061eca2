"""`bin/benchmark tracks`: dnaannot tracks in many regions, along a stretch, and its writing."""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import (
    OURS,
    ROOT,
    Contestant,
    read_bases,
    row,
    take_turns,
    write_fasta,
    write_report,
)

if TYPE_CHECKING:
    import numpy as np

REGION = 512
BIGWIG_ROUNDS = 5
SCRIPT = ROOT / "bin" / "benchmark"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark tracks`."""
    parser.add_argument(
        "--genome",
        type=Path,
        default=ROOT / "test_data" / "human_chr19_150kb.fa.gz",
        help="FASTA, of which the first sequence is taken, from its first base that is known "
        "(default: %(default)s)",
    )
    parser.add_argument("--mb", type=float, default=10.0, help="megabases to take (default: 10)")
    parser.add_argument("--regions", type=int, default=10_000, help="regions (default: 10,000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: 3)")
    parser.add_argument("--task", default="accessibility", help="default: %(default)s")
    parser.add_argument("--model", help="model of dnaannot (default: the task's)")
    parser.add_argument(
        "--windows", type=int, default=200, help="windows one by one (default: 200)"
    )


def add_bigwig_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark bigwig`."""
    parser.add_argument("--values", type=int, default=1_000_000, help="default: 1,000,000")


def add_windows_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark windows`."""
    parser.add_argument("genome", type=Path, metavar="FA")
    parser.add_argument("--task", required=True)
    parser.add_argument("--model")
    parser.add_argument("--windows", type=int, default=200)


def benchmark_tracks(arguments: argparse.Namespace) -> None:
    """Throughput and memory of the command, and what its parts do."""
    bases = read_bases(arguments.genome, 10**9).lstrip("N")[: round(arguments.mb * 1e6)]
    of_model = ["--task", arguments.task]
    of_model += ["--model", arguments.model] if arguments.model else []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        genome = write_fasta(folder / "genome.fa", bases)
        bed = write_regions(folder / "regions.bed", len(bases), arguments.regions)
        tracks = (sys.executable, "-m", "dnaannot", "tracks", "-q", "-g", str(genome), *of_model)
        contestants = [
            Contestant(
                f"{arguments.regions:,} regions of {REGION} b",
                arguments.regions * REGION,
                ((*tracks, str(bed), "-o", str(folder / "regions")),),
            ),
            Contestant(
                f"{len(bases) / 1e6:g} Mb, every 128 b",
                len(bases),
                ((*tracks, "-o", str(folder / "stretch")),),
            ),
        ]
        costs = take_turns(contestants, arguments.rounds)
        one_by_one = asked("windows", str(genome), *of_model, "--windows", str(arguments.windows))
        written = asked("bigwig")
    shared = len(bases) / 128 / statistics.median(c.seconds for c in costs[contestants[1].name])
    notes = [
        f"{arguments.genome.name}: {len(bases):,} bases; {arguments.rounds} rounds, medians",
        f"windows of 512 b every 128 b: {shared:,.0f} a second on all cores, start included; "
        f"each on its own with its flanks: {one_by_one['windows_per_s']:,.0f} a second on one core",
        "writing bigWigs, million values a second on one core: "
        + "; ".join(f"{what} {speed:.2f}" for what, speed in written.items()),
    ]
    rows = [row(contestant, costs[contestant.name]) for contestant in contestants]
    details = {
        "rounds": {name: [asdict(cost) for cost in runs] for name, runs in costs.items()},
        "windows": one_by_one,
        "bigwig": written,
    }
    write_report("tracks", "Speed and memory of `dnaannot tracks`", rows, details, notes)


def asked(*command: str) -> dict[str, float]:
    """What another command of this script prints as JSON."""
    text = subprocess.check_output((sys.executable, str(SCRIPT), *command), text=True, env=OURS)
    return json.loads(text)


def write_regions(path: Path, length: int, count: int) -> Path:
    """A BED file of regions anywhere on the sequence, in no order."""
    chance = random.Random(1)
    starts = (chance.randrange(max(1, length - REGION)) for _ in range(count))
    lines = (f"benchmark\t{start}\t{min(start + REGION, length)}\n" for start in starts)
    path.write_text("".join(lines))
    return path


def benchmark_windows(arguments: argparse.Namespace) -> None:
    """Predict windows one by one on one core and print windows a second."""
    import numpy as np

    from dnaannot.formats.fasta import read_fasta
    from dnaannot.nn.checkpoint import load_track_model
    from dnaannot.predict.device import choose_compute
    from dnaannot.predict.scorer import Network, tokens_of
    from dnaannot.predict.track_choice import candidates

    model, _ = load_track_model(candidates(arguments.task, arguments.model)[0].path)
    codes = next(read_fasta(arguments.genome)).codes
    size = (-(-model.window // model.stride) + 2) * model.stride + 2 * model.halo
    starts = np.linspace(0, len(codes) - size, arguments.windows).astype(int)
    network = Network(model, choose_compute("cpu"))
    with network.compute.workers() as pool:
        pool.submit(network, tokens_of(codes, 0, size)).result()
        begun = time.perf_counter()
        for start in starts.tolist():
            pool.submit(network, tokens_of(codes, start, size)).result()
    print(json.dumps({"windows_per_s": arguments.windows / (time.perf_counter() - begun)}))


def benchmark_bigwig(arguments: argparse.Namespace) -> None:
    """Write random values both ways in turn and print million values a second of CPU time.

    Medians of rounds; a first one, in which modules are imported, does not count.
    """
    import numpy as np

    values = np.random.default_rng(1).random(arguments.values, np.float32)
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for kind, span, apart in (("grid", 128, 128), ("CpG", 2, 97)):
            starts = np.arange(arguments.values) * apart
            for counted in (False, *[True] * BIGWIG_ROUNDS):
                for name, write in (("dnaannot", write_ours), ("pyBigWig", write_theirs)):
                    begun = time.process_time()
                    write(f"{folder}/out.bw", starts, span, values)
                    if counted:
                        took = time.process_time() - begun
                        seconds.setdefault(f"{name}, {kind}", []).append(took)
    millions = arguments.values / 1e6
    rates = {name: millions / statistics.median(took) for name, took in seconds.items()}
    print(json.dumps(rates))


def write_ours(path: str, starts: np.ndarray, span: int, values: np.ndarray) -> None:
    from dnaannot.formats.bigwig import open_bigwig

    with open_bigwig(path, {"a": int(starts[-1]) + span}) as track:
        track.add_sites("a", starts, starts + span, values)


def write_theirs(path: str, starts: np.ndarray, span: int, values: np.ndarray) -> None:
    import pyBigWig

    track = pyBigWig.open(path, "w")
    track.addHeader([("a", int(starts[-1]) + span)], maxZooms=10)
    if starts[1] - starts[0] == span:
        track.addEntries("a", 0, values=values, span=span, step=span)
    else:
        track.addEntries("a", starts, values=values, span=span)
    track.close()
