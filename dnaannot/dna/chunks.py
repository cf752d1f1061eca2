"""Streams of arrays in chunks of another size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import numpy as np

Columns = TypeVar("Columns", bound=tuple[np.ndarray, ...])


def rechunked(chunks: Iterable[Columns], size: int) -> Iterator[Columns]:
    """The same rows in chunks of `size`, the last one shorter.

    Args:
        chunks: tuples of arrays (n, ...), of one length n in each tuple.
    """
    held: list[Columns] = []
    rows = 0
    for chunk in chunks:
        rest = chunk
        while rows + len(rest[0]) >= size:
            taken = size - rows
            yield _joined([*held, _cut(rest, slice(None, taken))])
            rest, held, rows = _cut(rest, slice(taken, None)), [], 0
        if len(rest[0]):
            held.append(rest)
            rows += len(rest[0])
    if held:
        yield _joined(held)


def _cut(chunk: Columns, rows: slice) -> Columns:
    return _like(chunk, (column[rows] for column in chunk))


def _joined(parts: list[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return _like(parts[0], (np.concatenate(column) for column in zip(*parts, strict=True)))


def _like(chunk: Columns, columns: Iterable[np.ndarray]) -> Columns:
    return type(chunk)(columns)
