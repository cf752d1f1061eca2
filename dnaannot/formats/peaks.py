"""Peaks: BED, narrowPeak and broadPeak in, as arrays of intervals."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dnaannot.dna.interval import union
from dnaannot.formats.bed import read_bed

_LEAST_BASES, _LEAST_HISTONE_SHARE = 50, 0.5


def least_coverage(window: int, is_histone: bool, coverage: float | None = None) -> float:
    """Bases of a window that peaks must cover for it to be positive.

    Args:
        window: its bases.
        is_histone: the peaks are of a histone mark, and so broad.
        coverage: bases (over 1) or share of the window; by default 50 bases, and half the
            window for histone marks.
    """
    if coverage is None:
        return _LEAST_HISTONE_SHARE * window if is_histone else _LEAST_BASES
    return coverage if coverage > 1 else coverage * window


def read_peaks(path: str | Path) -> dict[str, np.ndarray]:
    """The bases in peaks, by sequence: intervals (n, 2) int64, ascending, with gaps between.

    Takes what `read_bed` takes (BED of three columns or more, narrowPeak, broadPeak; plain,
    gzip or bgzip; header, track and browser lines are passed over). Peaks that overlap or touch
    become one interval.

    Raises:
        InputFormatError: as `read_bed` does.
    """
    of: dict[str, list[tuple[int, int]]] = {}
    for sequence, start, end, *_ in read_bed(path):
        of.setdefault(sequence, []).append((start, end))
    return {sequence: union(np.array(each, np.int64)) for sequence, each in of.items()}
