"""Summaries of a track's values over longer and longer stretches, kept on disk."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dnaannot.formats.bigwig_layout import MOST_LEVELS, SUMMARY
from dnaannot.formats.spool import Spool

_FIRST, _FACTOR = 16, 4
_CHUNK = 1 << 16
_FEW = 32
"""A level of so few summaries needs none above it."""
_MOST_BASES = 1 << 30
"""Of a summary; the format counts them in 32 bits."""


class Zooms:
    """Gathers summaries of values that come in order; each level has a quarter of the last.

    Raises:
        OutputError: as `Spool`.
    """

    def __init__(self) -> None:
        self._reduction = self._longest = 0
        self._merge: _Merger | None = None
        self._spool = Spool()

    def add(self, sequence: int, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
        """Take in values (n,) float32 of intervals starts, ends (n,), n >= 1, in order.

        Raises:
            OutputError: the disk is full.
        """
        if self._merge is None:
            apart = np.append(np.diff(starts), ends[:1] - starts[:1])
            self._reduction = min(_FIRST * max(1, int(np.median(apart))), _MOST_BASES)
            self._merge = _Merger(self._reduction)
        self._longest = max(self._longest, int(ends[-1]))
        first = _firsts(starts // self._reduction)
        wide, value = ends - starts, values.astype(np.float64)
        summaries = np.empty(len(first), SUMMARY)
        summaries["sequence"], summaries["start"] = sequence, starts[first]
        summaries["end"] = ends[np.append(first[1:], len(ends)) - 1]
        summaries["least"] = np.minimum.reduceat(values, first)
        summaries["most"] = np.maximum.reduceat(values, first)
        for name, column in (("bases", wide), ("sum", wide * value), ("squares", wide * value**2)):
            summaries[name] = np.add.reduceat(column, first)
        self._spool.write(self._merge.add(summaries).tobytes())

    def levels(self) -> Iterator[tuple[int, Iterator[np.ndarray]]]:
        """(bases a summary, chunks (n,) of dtype `SUMMARY`) of each level; consume each in turn.

        Raises:
            OutputError: the disk is full.
        """
        if self._merge is None:
            return
        self._spool.write(self._merge.rest().tobytes())
        for level in range(1, MOST_LEVELS + 1):
            yield self._reduction, _read(self._spool)
            is_whole = self._reduction >= self._longest  # one summary a sequence
            is_few = self._spool.rewind() <= _FEW * SUMMARY.itemsize
            if is_whole or is_few or level == MOST_LEVELS:
                return
            self._reduction = min(self._reduction * _FACTOR, _MOST_BASES)
            finer, self._spool = self._spool, Spool()
            merge = _Merger(self._reduction)
            for chunk in _read(finer):
                self._spool.write(merge.add(chunk).tobytes())
            self._spool.write(merge.rest().tobytes())
            finer.close()

    def close(self) -> None:
        """Free the disk."""
        self._spool.close()


class _Merger:
    """Merges summaries that begin in the same stretch of `reduction` bases."""

    def __init__(self, reduction: int) -> None:
        self.reduction = reduction
        self._held = np.empty(0, SUMMARY)  # what the next ones may belong to

    def add(self, summaries: np.ndarray) -> np.ndarray:
        """The merged summaries that are complete."""
        summaries = np.concatenate((self._held, summaries))
        key = summaries["sequence"].astype(np.int64) << 32 | summaries["start"] // self.reduction
        first = _firsts(key)
        merged = summaries[first]
        merged["end"] = summaries["end"][np.append(first[1:], len(summaries)) - 1]
        merged["least"] = np.minimum.reduceat(summaries["least"], first)
        merged["most"] = np.maximum.reduceat(summaries["most"], first)
        for name in ("bases", "sum", "squares"):
            merged[name] = np.add.reduceat(summaries[name].astype(np.float64), first)
        self._held = merged[-1:]
        return merged[:-1]

    def rest(self) -> np.ndarray:
        """The last summary."""
        return self._held


def _firsts(key: np.ndarray) -> np.ndarray:
    """Where each run of equal keys begins."""
    return np.flatnonzero(np.append(True, key[1:] != key[:-1]))


def _read(spool: Spool) -> Iterator[np.ndarray]:
    spool.rewind()
    while data := spool.read(_CHUNK * SUMMARY.itemsize):
        yield np.frombuffer(data, SUMMARY)
