"""What k-mers know of a base: its frequencies given the bases before it, or on both sides.

A model of `left` and `right` bases of context counts which base stands between them, on both
strands. Contexts that were seen rarely lean on those of the next smaller model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dnaannot.dna.compiled import kernel
from dnaannot.dna.sequence import N, reverse_complement

PRIOR = 16.0
"""How many sightings the smaller model's frequencies count for."""


@dataclass(frozen=True)
class ContextModel:
    """Frequencies of a base given its neighbours.

    Attributes:
        left, right: bases of context before and after it; right is 0 in a Markov model.
        probabilities: (4 ** (left + right), 4) float64, rows by context as `context_index`.
        smaller: the model of one base less, for contexts that hold an N or pass the ends.
    """

    left: int
    right: int
    probabilities: np.ndarray
    smaller: ContextModel | None = None

    @property
    def name(self) -> str:
        """What it is, in words."""
        if self.right:
            return f"{self.left} bases before and {self.right} after"
        return f"order-{self.left} Markov model"

    def bits(self, codes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """-log2 of the probability (n,) of the bases at `positions` (n,) of codes (L,).

        The bases there must be known (codes 0 to 3).
        """
        context, known = context_index(codes, positions, self.left, self.right)
        found = self.probabilities[np.where(known, context, 0), codes[positions]]
        bits = -np.log2(found)
        if self.smaller is not None and not known.all():
            bits[~known] = self.smaller.bits(codes, positions[~known])
        return bits


def context_index(
    codes: np.ndarray, positions: np.ndarray, left: int, right: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number of the context of each position, and whether all its bases are known.

    The number's digits in base 4 are the bases in their order, the base itself left out.

    Args:
        codes: (L,) uint8.
        positions: (n,) int64.

    Returns:
        (n,) int64 contexts, 0 to 4 ** (left + right) - 1, and (n,) bool.
    """
    context = np.zeros(len(positions), np.int64)
    known = (positions >= left) & (positions + right < len(codes))
    for offset in (*range(-left, 0), *range(1, right + 1)):
        neighbours = codes[np.clip(positions + offset, 0, len(codes) - 1)]
        known &= neighbours < N
        context = context * 4 + np.minimum(neighbours, 3)
    return context, known


def count_contexts(sequences: Sequence[np.ndarray], left: int, right: int) -> np.ndarray:
    """Sightings (4 ** (left + right), 4) int64 of each base in each context, on both strands."""
    counts = np.zeros((4 ** (left + right), 4), np.int64)
    for codes in sequences:
        _count(codes, left, right, counts)
        _count(reverse_complement(codes), left, right, counts)
    return counts


@kernel()
def _count(codes: np.ndarray, left: int, right: int, counts: np.ndarray) -> None:
    word, known = 0, 0  # the last left + 1 + right bases in base 4, and how many are known
    last = (1 << 2 * (left + right + 1)) - 1
    for code in codes:
        known = known + 1 if code < N else 0
        word = (word << 2 | (code & 3)) & last
        if known > left + right:
            before, after = word >> 2 * (right + 1), word & ((1 << 2 * right) - 1)
            counts[before << 2 * right | after, word >> 2 * right & 3] += 1


def markov_models(sequences: Sequence[np.ndarray], largest: int = 5) -> list[ContextModel]:
    """Markov models of orders 0 to `largest`, fitted on sequences of codes (L_i,)."""
    return _chain(sequences, [(order, 0) for order in range(largest + 1)])


def two_sided_models(sequences: Sequence[np.ndarray], largest: int = 5) -> list[ContextModel]:
    """Models of 1 to `largest` bases to each side, fitted on sequences of codes (L_i,)."""
    shapes = [(0, 0)]
    for size in range(1, largest + 1):
        shapes += [(size, size - 1), (size, size)]
    return [model for model in _chain(sequences, shapes) if model.left == model.right > 0]


def _chain(
    sequences: Sequence[np.ndarray], shapes: Sequence[tuple[int, int]]
) -> list[ContextModel]:
    """Models of growing context, each leaning on the one before."""
    models: list[ContextModel] = []
    for left, right in shapes:
        smaller = models[-1] if models else None
        expected = np.full(4, 0.25) if smaller is None else _expected(smaller, left, right)
        counts = count_contexts(sequences, left, right) + PRIOR * expected
        models.append(ContextModel(left, right, counts / counts.sum(1, keepdims=True), smaller))
    return models


def _expected(smaller: ContextModel, left: int, right: int) -> np.ndarray:
    """The smaller model's probabilities for each context (4 ** (left + right), 4)."""
    if smaller.right < right:  # the last base is what is new
        return np.repeat(smaller.probabilities, 4, axis=0)
    return np.tile(smaller.probabilities, (4 ** (left - smaller.left), 1))
