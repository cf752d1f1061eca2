"""bigWig: tracks of values out."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from dnaannot.dna.sequence import runs
from dnaannot.errors import OutputError
from dnaannot.formats.output import atomic_path, check_writable, output_error

_ZOOM_LEVELS = 10
_MARGIN_BYTES = 1 << 24

T = TypeVar("T")


class Block(NamedTuple):
    """Consecutive values of a track.

    Attributes:
        sequence: name of the sequence.
        start: 0-based position of the first value.
        values: (n,) float32; NaN where there is none.
        step: bases that each value stands for; the last one ends at the sequence's end at most.
    """

    sequence: str
    start: int
    values: np.ndarray
    step: int = 1


def write_bigwig(path: str | Path, sizes: Mapping[str, int], blocks: Iterable[Block]) -> None:
    """Write a bigWig with zoom levels; it appears at `path` when complete.

    Args:
        sizes: length of every sequence by name, those without values too.
        blocks: in the order of `sizes`, then by start, without overlap.

    Raises:
        OutputError: it cannot be written (no such folder, disk full).
        ValueError: a block is out of order, on an unknown sequence or beyond its end.
    """
    import pyBigWig

    check_writable(path)  # pyBigWig crashes where it cannot open its file
    with atomic_path(path) as temporary:
        track = _guarded(path, pyBigWig.open, os.fspath(temporary), "w")
        try:
            _guarded(path, track.addHeader, list(sizes.items()), maxZooms=_ZOOM_LEVELS)
            covered = 0
            for block in _in_order(sizes, blocks):
                _check_space(temporary, path, len(block.values))
                covered += _guarded(path, _add, track, sizes, block)
        finally:
            _guarded(path, track.close)
        if _guarded(path, _bases_covered, temporary) != covered:
            raise _cannot_write(path)


def _guarded(path: str | Path, call: Callable[..., T], *args: Any, **options: Any) -> T:
    """Call pyBigWig, whose every failure is a RuntimeError."""
    try:
        return call(*args, **options)
    except RuntimeError as error:
        raise _cannot_write(path) from error


def _check_space(temporary: Path, path: str | Path, n_values: int) -> None:
    """Stop before the disk is full, where pyBigWig would crash or hang instead of failing.

    Zoom levels, written at the end, take no more than the values did.
    """
    needed = os.path.getsize(temporary) + 8 * n_values + _MARGIN_BYTES
    if shutil.disk_usage(temporary.parent).free < needed:
        raise output_error(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def _in_order(sizes: Mapping[str, int], blocks: Iterable[Block]) -> Iterable[Block]:
    """Pass `blocks` on, checked: pyBigWig itself would write a broken file."""
    ranks = {name: rank for rank, name in enumerate(sizes)}
    last = (-1, 0)
    for block in blocks:
        if block.sequence not in ranks:
            raise ValueError(f"no sequence is called '{block.sequence}'")
        rank = ranks[block.sequence]
        if (rank, block.start) < last or block.start < 0:
            raise ValueError(f"block at {block.sequence}:{block.start} is out of order")
        end = block.start + len(block.values) * block.step
        if end - block.step >= sizes[block.sequence] and len(block.values):
            raise ValueError(
                f"block at {block.sequence}:{block.start} is beyond the sequence's end"
            )
        last = (rank, min(end, sizes[block.sequence]))
        yield block


def _add(track: Any, sizes: Mapping[str, int], block: Block) -> int:
    """Add the values of `block` that are not NaN; returns the bases they cover."""
    name, step, covered = block.sequence, block.step, 0
    values = np.ascontiguousarray(block.values, np.float32)
    for first, last in runs(~np.isnan(values)).tolist():
        start, end = block.start + first * step, block.start + last * step
        whole = last if end <= sizes[name] else last - 1
        if whole > first:
            track.addEntries(name, start, values=values[first:whole], span=step, step=step)
        if whole < last:  # a last value that stands for fewer bases
            end, last_start = sizes[name], block.start + whole * step
            track.addEntries([name], [last_start], ends=[end], values=[float(values[whole])])
        covered += end - start
    return covered


def _bases_covered(path: Path) -> int:
    import pyBigWig

    with pyBigWig.open(os.fspath(path)) as track:
        return track.header()["nBasesCovered"]


def _cannot_write(path: str | Path) -> OutputError:
    return OutputError(
        "cannot be written whole.",
        path=path,
        remedy="Check that its folder exists, may be written to and has space left.",
    )
