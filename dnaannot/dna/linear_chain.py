"""Plain linear chains: every label may follow every label, each pair with a score of its own."""

from __future__ import annotations

import numpy as np

from dnaannot.dna.compiled import kernel
from dnaannot.dna.grammar import RULE_BIT, Grammar

MAX_LABELS = 32
"""Labels that the bit masks of the forward-backward kernels hold."""


def chain_grammar(n_labels: int) -> Grammar:
    """The grammar without rules over `n_labels` labels; pair `a * n_labels + b` is (a, b).

    Raises:
        ValueError: if there are more than `MAX_LABELS` labels.
    """
    if not 0 < n_labels <= MAX_LABELS:
        raise ValueError(f"a chain has 1 to {MAX_LABELS} labels, not {n_labels}")
    names = tuple(str(label) for label in range(n_labels))
    target, source = np.divmod(np.arange(n_labels**2), n_labels)
    any_rule, everywhere = np.uint32(RULE_BIT["any"]), np.ones(n_labels, bool)
    return Grammar(
        labels=names,
        states=names,
        label_of_state=np.arange(n_labels, dtype=np.uint8),
        edges=np.stack((source, target), axis=1).astype(np.int16),
        edge_rule=np.full(n_labels**2, any_rule),
        edge_pair=(source * n_labels + target).astype(np.int16),
        pairs=tuple((a, b) for a in names for b in names),
        jumps=np.zeros((0, 2), np.int16),
        jump_pair=np.zeros(0, np.int16),
        inner_pair=np.zeros(0, np.int16),
        min_intron=4,
        opens=~everywhere,
        closes=~everywhere,
        emerges=~everywhere,
        spans=~everywhere,
        begins=everywhere,
        ends=everywhere,
        begin_rule=np.full(n_labels, any_rule),
    )


def chain_words(length: int) -> np.ndarray:
    """Position words (L,) uint32 of a chain."""
    return np.full(length, RULE_BIT["any"], np.uint32)


@kernel()
def best_labels(
    emissions: np.ndarray, transitions: np.ndarray, start: np.ndarray, end: np.ndarray
) -> np.ndarray:
    """Labels (L,) int64 of the best path; of equal ones, that with the lowest label at the end.

    Args:
        emissions: (L, K).
        transitions: (K, K), from row to column; same type as `emissions`, as all that follow.
        start, end: (K,) scores of the first and last label.
    """
    length, n_labels = emissions.shape
    back = np.zeros((length, n_labels), np.uint8)
    score, following = start + emissions[0], np.empty_like(start)
    for t in range(1, length):
        for b in range(n_labels):
            best, origin = (score[0] + transitions[0, b]) + emissions[t, b], 0
            for a in range(1, n_labels):
                candidate = (score[a] + transitions[a, b]) + emissions[t, b]
                if candidate > best:
                    best, origin = candidate, a
            following[b], back[t, b] = best, origin
        score, following = following, score
    labels = np.empty(length, np.int64)
    labels[-1] = np.argmax(score + end)
    for t in range(length - 1, 0, -1):
        labels[t - 1] = back[t, labels[t]]
    return labels
