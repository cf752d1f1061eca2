"""Streams of arrays in chunks of another size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

Columns = tuple[np.ndarray, ...]
"""Arrays (n, ...) of one length n."""


def rechunked(chunks: Iterable[Columns], size: int) -> Iterator[Columns]:
    """The same rows in chunks of `size`, the last one shorter."""
    held: list[Columns] = []
    rows = 0
    for chunk in chunks:
        rest = chunk
        while rows + len(rest[0]) >= size:
            taken = size - rows
            yield _joined([*held, tuple(column[:taken] for column in rest)])
            rest, held, rows = tuple(column[taken:] for column in rest), [], 0
        if len(rest[0]):
            held.append(rest)
            rows += len(rest[0])
    if held:
        yield _joined(held)


def _joined(parts: list[Columns]) -> Columns:
    if len(parts) == 1:
        return parts[0]
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))
