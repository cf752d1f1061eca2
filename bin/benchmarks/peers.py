"""Other gene finders, as the commands that run them on a sequence."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measuring import Contestant, write_fasta


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which peers run, and with what parameters."""
    parser.add_argument("--species", default="fly", help="AUGUSTUS species (default: fly)")
    parser.add_argument(
        "--snap-hmm",
        type=Path,
        default=Path("/usr/share/snap/HMM/D.melanogaster.hmm"),
        help="SNAP's parameters (default: %(default)s)",
    )
    parser.add_argument(
        "--geneml", default="geneml", help="geneML's program, of its own environment"
    )


def peers(
    given: argparse.Namespace, bases: str, whole: Path, notes: list[str]
) -> Iterator[Contestant]:
    """Those installed here, each with every core; the notes tell which are not.

    Args:
        bases, whole: the sequence and the FASTA that holds it; halves are written beside it, for
            programs that use one core.
        notes: is added to.
    """
    halves = _halves(bases, whole.parent)

    def at_once(*command: str) -> tuple[tuple[str, ...], ...]:
        return tuple((*command, str(half)) for half in halves)

    if augustus := shutil.which("augustus"):
        commands = at_once(augustus, f"--species={given.species}", "--UTR=off")
        yield Contestant(f"AUGUSTUS --species={given.species}", len(bases), commands)
    else:
        notes.append("AUGUSTUS is not installed here and was not measured.")
    snap = shutil.which("snap-hmm")
    if snap and given.snap_hmm.exists():
        commands = at_once(snap, "-gff", "-quiet", str(given.snap_hmm))
        yield Contestant(f"SNAP, {given.snap_hmm.name}", len(bases), commands)
    else:
        notes.append("SNAP is not installed here and was not measured.")
    if geneml := shutil.which(given.geneml):
        cores = str(len(os.sched_getaffinity(0)))
        out = str(whole.with_suffix(".geneml.gff3"))
        yield Contestant("geneML", len(bases), ((geneml, "-c", cores, "-o", out, str(whole)),))
        notes.append("geneML is for fungi: on other genomes only its speed can be compared.")
    else:
        notes.append("geneML is not installed here and was not measured.")


def _halves(bases: str, folder: Path) -> list[Path]:
    middle = len(bases) // 2
    parts = {"left": bases[:middle], "right": bases[middle:]}
    return [write_fasta(folder / f"{name}.fa", part) for name, part in parts.items()]
