"""Do labels belong to the genome that they are used with?"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np

from dnaannot.dna.names import listed, naming_remedy
from dnaannot.dna.sequence import C, G
from dnaannot.errors import DataError
from dnaannot.formats.bed import read_bed
from dnaannot.formats.source import STDIN, display_name

LEAST_CPG_SHARE = 0.8


def check_names(names: Iterable[str], there: Collection[str], path: str | Path) -> list[str]:
    """The names of a label file that are not `there`, in the genome; they will not count.

    Raises:
        DataError: it holds none of them; the message names those of both and tells of 'chr'.
    """
    ordered = list(dict.fromkeys(names))
    absent = [name for name in ordered if name not in there]
    if not ordered or len(absent) < len(ordered):
        return absent
    raise DataError(
        f"None of its sequences is in the genome: {listed(ordered)} here, {listed(there)} there.",
        path=display_name(path),
        remedy=naming_remedy(ordered, there, "Give the genome that the file was made on."),
    )


def check_within(
    spans: Mapping[str, np.ndarray], sizes: Mapping[str, int], path: str | Path
) -> None:
    """Refuse intervals (n, 2) that reach beyond the end of their sequence.

    Raises:
        DataError: one does; the message tells the line if the file can be read again.
    """
    for name, intervals in spans.items():
        length = sizes.get(name)
        if length is not None and len(intervals) and int(intervals[:, 1].max()) > length:
            end = int(intervals[:, 1].max())
            raise DataError(
                f"An interval ends at {end:,} of '{name}', which has {length:,} bases "
                "in the genome.",
                path=display_name(path),
                line=_line_beyond(path, name, length),
                remedy="Give the genome of the assembly that the labels were made on.",
            )


def check_sizes(found: Mapping[str, int], sizes: Mapping[str, int], path: str | Path) -> None:
    """Refuse a bigWig whose sequences have other lengths than the genome's.

    Sequences that only one of them holds are left to `check_names`.

    Raises:
        DataError: a sequence differs.
    """
    for name, length in found.items():
        if name in sizes and sizes[name] != length:
            raise DataError(
                f"'{name}' has {length:,} bases here and {sizes[name]:,} in the genome.",
                path=display_name(path),
                remedy="Give the genome of the assembly that the track was made on.",
            )


def at_cpgs(positions: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n,) bool: a CG begins at the position in codes (L,); positions beyond the end are none."""
    inside = (positions >= 0) & (positions < len(codes) - 1)
    at = np.where(inside, positions, 0)
    if len(codes) < 2:
        return inside
    return inside & (codes[at] == C) & (codes[at + 1] == G)


def check_cpg_share(n_cpgs: int, n_sites: int, path: str | Path) -> None:
    """Refuse methylation most of whose sites are no CG in the genome.

    Some always are not, where the donor differs from the reference; they are to be left out.

    Args:
        n_cpgs: sites `at_cpgs`, summed over all sequences that the genome holds.
        n_sites: all sites on these sequences.

    Raises:
        DataError: fewer than `LEAST_CPG_SHARE` are; the message tells the share.
    """
    if n_sites and n_cpgs < LEAST_CPG_SHARE * n_sites:
        raise DataError(
            f"Only {n_cpgs:,} of {n_sites:,} sites ({100 * n_cpgs / n_sites:.1f} %) are CGs "
            "in the genome.",
            path=display_name(path),
            remedy="Is it of another assembly, with positions counted from 1, or with "
            "cytosines outside CG (keep those in CG: modkit pileup --cpg)?",
        )


def check_counts(counts: Mapping[str, int], what: str) -> None:
    """Refuse labels that have nothing to learn from.

    Args:
        counts: by label.
        what: is counted, as in "positive in the training regions".

    Raises:
        DataError: a count is 0; the message names the labels.
    """
    empty = [name for name, count in counts.items() if not count]
    if empty:
        raise DataError(
            f"{listed(empty)} {'have' if len(empty) > 1 else 'has'} no {what}.",
            remedy="Leave the label out, or give more of the genome that it was measured on.",
        )


def _line_beyond(path: str | Path, name: str, length: int) -> int | None:
    if str(path) == STDIN:
        return None
    try:
        intervals = read_bed(path)
    except Exception:
        return None
    return next((i.line for i in intervals if i.sequence == name and i.end > length), None)
