"""bigWig: tracks of values in, on a grid or at sites."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dnaannot.errors import InputFormatError
from dnaannot.formats.source import BIGWIG_MAGIC, kind_of

_STRETCH = 1 << 20
"""Bases read at a time."""


class BigWig:
    """A bigWig file open for reading, to be used in a `with` block.

    Attributes:
        path: where it is.
        sizes: length of each sequence by name, in the file's order.

    Raises:
        InputFormatError: the file is missing, unreadable or no bigWig.
    """

    def __init__(self, path: str | Path) -> None:
        import pyBigWig

        self.path = Path(path)
        _require_bigwig(self.path)
        try:
            self._file: Any = pyBigWig.open(os.fspath(path))
            self.sizes: dict[str, int] = dict(self._file.chroms())
        except (RuntimeError, TypeError, AttributeError) as error:
            raise _damaged(self.path) from error

    def __enter__(self) -> BigWig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def values(self, sequence: str, start: int, end: int) -> np.ndarray:
        """Values (end - start,) float32 of each base, NaN where the file has none.

        Raises:
            InputFormatError: the file is damaged there.
            ValueError: the stretch is not within a sequence of the file.
        """
        if not 0 <= start <= end <= self.sizes.get(sequence, -1):
            raise ValueError(f"{sequence}:{start}-{end} is not within a sequence of the track")
        if start == end:
            return np.zeros(0, np.float32)
        try:
            return self._file.values(sequence, start, end, numpy=True)
        except RuntimeError as error:
            raise _damaged(self.path) from error

    def has_values(self, sequence: str) -> bool:
        """Whether any base of a sequence of the file has a value.

        Raises:
            InputFormatError: the file is damaged.
        """
        try:
            return self._file.stats(sequence, type="max")[0] is not None
        except RuntimeError as error:
            raise _damaged(self.path) from error

    def window_means(
        self, sequence: str, starts: np.ndarray, ends: np.ndarray, missing: float | None = None
    ) -> np.ndarray:
        """Mean value of windows [start, end), (n,) float32, in any order.

        Args:
            missing: as `means` takes it; a window without any value is NaN by default.

        Raises:
            InputFormatError: the file is damaged.
            ValueError: a window is empty or not within a sequence of the file.
        """
        means = np.empty(len(starts), np.float32)
        order = np.argsort(starts, kind="stable")
        ascending = starts[order]
        first = 0
        while first < len(order):
            low = int(ascending[first])
            last = int(np.searchsorted(ascending, low + _STRETCH))
            rows = order[first:last]
            values = self.values(sequence, low, int(ends[rows].max()))
            if missing is not None:
                values = np.where(np.isnan(values), missing, values)
            means[rows] = _window_means(values, starts[rows] - low, ends[rows] - low)
            first = last
        return means

    def means(self, sequence: str, bin_size: int, missing: float | None = None) -> np.ndarray:
        """Mean value of each bin [b * bin_size, (b + 1) * bin_size), (bins,) float32.

        The last bin ends with the sequence and may be shorter.

        Args:
            missing: the value of bases that the file has none for, such as 0 in a track of
                coverage. If None, they do not count, and a bin without any value is NaN.

        Raises:
            InputFormatError: the file is damaged.
            ValueError: the sequence is not in the file.
        """
        length = self.sizes.get(sequence, -1)
        stretch = max(_STRETCH // bin_size, 1) * bin_size
        pieces = [
            _bin_means(
                self.values(sequence, start, min(start + stretch, length)), bin_size, missing
            )
            for start in range(0, max(length, 1), stretch)
        ]
        return np.concatenate(pieces)


def _window_means(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    if (ends <= starts).any():
        raise ValueError("a window is empty")
    has_value = ~np.isnan(values)
    sums = np.append(0, np.cumsum(np.where(has_value, values, 0), dtype=np.float64))
    counts = np.append(0, np.cumsum(has_value))
    with np.errstate(invalid="ignore"):
        return (sums[ends] - sums[starts]) / (counts[ends] - counts[starts])


def _bin_means(values: np.ndarray, bin_size: int, missing: float | None) -> np.ndarray:
    starts = np.arange(0, len(values), bin_size)
    has_value = ~np.isnan(values)
    if missing is None:
        counts = np.add.reduceat(has_value, starts, dtype=np.int64)
        values = np.where(has_value, values, 0)
    else:
        counts = np.diff(np.append(starts, len(values)))
        values = np.where(has_value, values, missing)
    with np.errstate(invalid="ignore"):
        return (np.add.reduceat(values, starts, dtype=np.float64) / counts).astype(np.float32)


def _require_bigwig(path: Path) -> None:
    """Raise unless the file begins as a bigWig: pyBigWig itself would say nothing of use."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputFormatError(f"{reason}.", path=path, remedy="Check the path.") from error
    if not head.startswith(BIGWIG_MAGIC):
        kind = kind_of(head) or "text" if head else "an empty file"
        raise InputFormatError(
            f"This is {kind}, not a bigWig file.",
            path=path,
            remedy="Give a bigWig; bedGraphToBigWig of UCSC makes one of a sorted bedGraph.",
        )


def _damaged(path: Path) -> InputFormatError:
    return InputFormatError(
        "The bigWig file is damaged or cut short.",
        path=path,
        remedy="Copy or download it again.",
    )
