"""The sequences that BEND's tables are about, cut from a genome that is of the right assembly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from dnaannot.dna.names import listed
from dnaannot.dna.nine_labels import SpliceSupport, splice_support
from dnaannot.errors import DataError
from dnaannot.formats.bend import BendRow
from dnaannot.formats.fasta import read_fasta

LEAST_SPLICE_SHARE = 0.8
"""Below this share of splice labels on splice sites, labels and genome do not belong together."""
_FEW_SITES = 20
_ASSEMBLIES = (
    "BEND's gene finding, histone and methylation tables are on GRCh38 (hg38), its chromatin "
    "accessibility on GRCh37 (hg19): give that genome."
)


def read_bend_sequences(genomes: Sequence[str | Path], rows: Sequence[BendRow]) -> list[np.ndarray]:
    """Codes (end - start,) uint8 of each row, on the plus strand whatever the row's.

    Chromosomes may be called with or without "chr" in either file.

    Args:
        genomes: FASTA files of the assembly that the rows were made on.

    Raises:
        DataError: the genome lacks a chromosome, or a row lies beyond the end of one.
    """
    wanted: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        wanted.setdefault(_bare(row.sequence), []).append(index)
    found: dict[int, np.ndarray] = {}
    names: list[str] = []
    for genome, record in ((path, record) for path in genomes for record in read_fasta(path)):
        names.append(record.name)
        for index in wanted.pop(_bare(record.name), ()):
            found[index] = _cut(record.codes, rows[index], genome)
        if not wanted:
            break
    if wanted:
        missing = rows[next(iter(wanted.values()))[0]]
        raise DataError(
            f"no sequence '{missing.sequence}', which line {missing.line} of the table names; "
            f"there is {listed(names)}.",
            path=", ".join(str(path) for path in genomes),
            remedy="Give the whole genome that the table was made on.",
        )
    return [found[index] for index in range(len(rows))]


def _bare(name: str) -> str:
    return name.removeprefix("chr")


def _cut(codes: np.ndarray, row: BendRow, genome: str | Path) -> np.ndarray:
    if row.end > len(codes):
        raise DataError(
            f"'{row.sequence}' has {len(codes):,} bases; line {row.line} of the table ends at "
            f"{row.end:,}.",
            path=genome,
            remedy=_ASSEMBLIES,
        )
    return codes[row.start : row.end].copy()


def check_assembly(
    labels: Iterable[np.ndarray], sequences: Iterable[np.ndarray], genome: str | Path
) -> SpliceSupport:
    """Make sure that splice labels lie on splice sites; returns how many do.

    Raises:
        DataError: most do not, so the genome is of another assembly, or coordinates are shifted.
    """
    pairs = list(zip(labels, sequences, strict=True))
    support = _total(pairs, 0)
    if support.sites < _FEW_SITES or support.share >= LEAST_SPLICE_SHARE:
        return support
    problem = (
        f"only {support.fitting:,} of {support.sites:,} splice labels lie on GT, GC or AG "
        f"({support.share:.0%})"
    )
    for shift in (1, -1):
        if _total(pairs, shift).share >= LEAST_SPLICE_SHARE:
            side = "right" if shift > 0 else "left"
            raise DataError(
                f"{problem}, but they would if they lay one base further to the {side}.",
                path=genome,
                remedy="The table's start must count from 0.",
            )
    raise DataError(f"{problem}: labels and genome differ.", path=genome, remedy=_ASSEMBLIES)


def _total(pairs: Sequence[tuple[np.ndarray, np.ndarray]], shift: int) -> SpliceSupport:
    each = [splice_support(labels, codes, shift) for labels, codes in pairs]
    return SpliceSupport(sum(s.sites for s in each), sum(s.fitting for s in each))
