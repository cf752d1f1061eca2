"""Sets of bases as sorted, disjoint, half-open intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from dnaannot.dna import interval
from dnaannot.dna.interval import NOTHING, Interval


def union(intervals: Iterable[tuple[int, int]]) -> np.ndarray:
    """Intervals (N, 2) int64, ascending and with gaps between them, of all bases covered."""
    return interval.union(np.array(list(intervals), np.int64).reshape(-1, 2))


def bases(intervals: np.ndarray) -> int:
    """Number of bases in disjoint intervals (N, 2)."""
    return int((intervals[:, 1] - intervals[:, 0]).sum())


def shared_bases(one: np.ndarray, other: np.ndarray) -> int:
    """Number of bases in both of two sets of `union` intervals, (N, 2) and (M, 2)."""
    if not len(one) or not len(other):
        return 0
    before = np.concatenate(([0], np.cumsum(one[:, 1] - one[:, 0])))
    covered_at_bound = np.repeat(before, 2)[1:-1]
    covered = np.interp(other, one.ravel(), covered_at_bound)
    return round(float((covered[:, 1] - covered[:, 0]).sum()))


def intersection(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Intervals (K, 2) of the bases in both of two sets of `union` intervals."""
    bounds = np.union1d(one, other)
    if len(bounds) < 2:
        return NOTHING
    pieces = np.stack((bounds[:-1], bounds[1:]), axis=1)
    kept = np.ones(len(pieces), bool)
    for intervals in (one, other):
        # an odd number of bounds at or before a piece's start: the piece lies inside
        kept &= np.searchsorted(intervals.ravel(), pieces[:, 0], side="right") % 2 == 1
    return union(map(tuple, pieces[kept].tolist()))


@dataclass(frozen=True)
class Regions:
    """The part of a genome that counts.

    Attributes:
        of: `union` intervals (N, 2) by sequence name; regions that touch are one.
    """

    of: Mapping[str, np.ndarray]

    @classmethod
    def of_intervals(cls, intervals: Iterable[Interval]) -> Regions:
        """The regions that intervals in any order cover together."""
        by_sequence: dict[str, list[tuple[int, int]]] = {}
        for sequence, start, end, *_ in intervals:
            by_sequence.setdefault(sequence, []).append((start, end))
        return cls({sequence: union(each) for sequence, each in by_sequence.items()})

    def hold(self, sequence: str, start: int, end: int) -> bool:
        """Whether one region holds the whole interval."""
        return bool(self.hold_each(sequence, np.array([(start, end)]))[0])

    def hold_each(self, sequence: str, intervals: np.ndarray) -> np.ndarray:
        """Whether (n,) one region holds the whole of each of intervals (n, 2)."""
        regions = self.of.get(sequence, NOTHING)
        if not len(regions):
            return np.zeros(len(intervals), bool)
        which = np.searchsorted(regions[:, 0], intervals[:, 0], side="right") - 1
        return (which >= 0) & (intervals[:, 1] <= regions[np.maximum(which, 0), 1])

    def clip(self, sequence: str, intervals: np.ndarray) -> np.ndarray:
        """The part (K, 2) of `union` intervals (N, 2) that lies inside the regions."""
        return intersection(intervals, self.of.get(sequence, NOTHING))
