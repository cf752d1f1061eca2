"""Stretches that stand for a genome, evenly spread over it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dnaannot.dna.interval import Interval
from dnaannot.dna.sequence import N

PIECE_BASES = 36_864
SCORED_PIECES, SIGNED_PIECES = 8, 64
"""Pieces that a model is tried on, and that a genomic signature is taken of."""


def sample(
    sequences: Sequence[np.ndarray], pieces: int = SCORED_PIECES, bases: int = PIECE_BASES
) -> list[np.ndarray]:
    """Copies of stretches of at most `bases` bases, about `pieces` times as many, evenly spread.

    Stretches that are mostly N are left out.

    Args:
        sequences: (L_i,) codes, no length 0.
    """
    stretches = [codes[start:end] for codes in sequences for start, end in _cut(len(codes), bases)]
    step = max(1, math.ceil(sum(map(len, stretches)) / (pieces * bases)))
    return mostly_known(codes.copy() for codes in stretches[step // 2 :: step])  # gaps get marked


def mostly_known(stretches: Iterable[np.ndarray]) -> list[np.ndarray]:
    """The stretches of codes (L_i,) that are not mostly N."""
    return [codes for codes in stretches if (codes == N).mean() < 0.5]


def spread_stretches(
    sizes: Mapping[str, int], pieces: int = SIGNED_PIECES, bases: int = PIECE_BASES
) -> list[Interval]:
    """Stretches of at most `bases` bases of a genome, evenly spread.

    Of its stretches in order each 2^n-th is taken, with the least n that makes them no more
    bases than `pieces` times `bases`.

    Args:
        sizes: length of each sequence by name, none 0.
    """
    every = [
        Interval(name, *span) for name, length in sizes.items() for span in _cut(length, bases)
    ]
    step = 1
    while sum(each.end - each.start for each in every[step - 1 :: step]) > pieces * bases:
        step *= 2
    return every[step - 1 :: step]


def _cut(length: int, bases: int) -> list[tuple[int, int]]:
    """Spans one after another; one of less than half of `bases` stands only for a whole."""
    starts = range(0, max(1, length - bases // 2), bases)
    return [(start, min(start + bases, length)) for start in starts]


class StreamSample:
    """The stretches that `spread_stretches` names, of a genome that is read once.

    Args:
        pieces, bases: as there.
    """

    def __init__(self, pieces: int = SIGNED_PIECES, bases: int = PIECE_BASES) -> None:
        self._most, self._bases = pieces * bases, bases
        self._name: str | None = None
        self._open = bytearray()
        self._is_first = True
        self._seen, self._step, self._held = 0, 1, 0
        self._taken: list[bytes] = []

    def add(self, name: str, codes: bytes) -> None:
        """The codes that follow in a sequence; another name ends the one before."""
        if name != self._name:
            self._end_sequence()
            self._name = name
        at = 0
        while at < len(codes):
            part = codes[at : at + self._bases - len(self._open)]
            self._open += part
            at += len(part)
            if len(self._open) == self._bases:
                self._close()

    def stretches(self) -> list[np.ndarray]:
        """Codes (L_i,) of the stretches; nothing is added after that."""
        self._end_sequence()
        return [np.frombuffer(codes, np.uint8) for codes in self._taken]

    def _end_sequence(self) -> None:
        is_whole = self._is_first and self._open
        if is_whole or len(self._open) > self._bases // 2:
            self._close()
        self._open.clear()
        self._is_first = True

    def _close(self) -> None:
        """A stretch is full; every second one is dropped as they grow too many."""
        self._seen += 1
        self._is_first = False
        if self._seen % self._step == 0:
            self._taken.append(bytes(self._open))
            self._held += len(self._open)
            while self._held > self._most:
                self._step *= 2
                self._taken = self._taken[1::2]
                self._held = sum(map(len, self._taken))
        self._open.clear()
