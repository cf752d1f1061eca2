"""Kinds of position and the edges that can be taken there, for the Viterbi kernels."""

from __future__ import annotations

import threading

import numpy as np

from dnaannot.dna.grammar import Grammar
from dnaannot.dna.kinds import GAP_BITS, START, Kinds
from dnaannot.dna.viterbi_kernels import CUTS, ENTERS, LANES, LEAVES, STORED, Plans


class Planner:
    """What the kernels need to know of each kind of position, learnt as they are met."""

    def __init__(self, grammar: Grammar, weights: np.ndarray) -> None:
        self._grammar, self._weights = grammar, weights.astype(np.float64)
        self._is_intron = np.zeros(len(grammar.states), bool)
        self._is_intron[grammar.jumps[:, 1]] = True
        bits = int(np.bitwise_or.reduce(grammar.edge_rule, initial=0))
        self._kinds = Kinds(grammar.edges, self._is_intron, bits, self._open_edges)
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._lock = threading.Lock()
        self.plans: Plans

    def classify(self, words: np.ndarray, at_start: bool, node: int, kinds: np.ndarray) -> int:
        """Fill `kinds`, which `plans` has then, and return a node; see `Kinds.classify`."""
        node = self._kinds.classify(words, at_start, node, kinds)
        with self._lock:
            if len(self._rows) < len(self._kinds.found):
                self._rows += [self._plan(*kind) for kind in self._kinds.found[len(self._rows) :]]
                self.plans = _joined(self._rows)
        return node

    def _open_edges(self, word: np.uint32) -> tuple[np.ndarray, bool]:
        """For `Kinds`; edges into introns are none, and at gaps there are more than edges."""
        grammar = self._grammar
        into_introns = self._is_intron[grammar.edges[:, 1]]
        is_anything = word == START or bool(word & GAP_BITS)
        return ((grammar.edge_rule & word) != 0) & ~into_introns, is_anything

    def _plan(self, usable: np.ndarray, cuts: bool) -> tuple[np.ndarray, ...]:
        """One kind: flags, counts, target, size, source, weight, before and width of `Plans`."""
        grammar, states = self._grammar, len(self._grammar.states)
        degree = np.bincount(grammar.edges[usable, 1], minlength=states)
        group = np.minimum(degree, 3)
        none, ones, twos, more = np.bincount(group, minlength=4)
        target = np.argsort(group, kind="stable")[none:]
        edges = np.concatenate(
            [np.flatnonzero(usable & (grammar.edges[:, 1] == s)) for s in (-1, *target)]
        )
        source = grammar.edges[edges, 0]
        before = np.zeros(states, np.uint16)
        before[grammar.edges[edges, 1]] = source
        before[target[ones:]] = STORED + np.arange(twos + more)
        leaves = self._is_intron[source].any()
        enters = np.isin(target, grammar.jumps[:, 0]).any()

        def filled(values: np.ndarray, filler: int, dtype: type) -> np.ndarray:
            return np.insert(values, ones, np.full(-ones % LANES, filler)).astype(dtype)

        return (
            np.array(leaves * LEAVES | enters * ENTERS | cuts * CUTS, np.uint8),
            np.array((-(-ones // LANES), twos, more), np.uint8),
            filled(target, states, np.uint8),
            filled(degree[target], 1, np.uint8),
            filled(source, states, np.uint8),
            filled(self._weights[grammar.edge_pair[edges]], 0, np.float64),
            before,
            np.array(twos + more + cuts * states, np.uint16),
        )


def _joined(rows: list[tuple[np.ndarray, ...]]) -> Plans:
    """Plans of all kinds."""
    flags, counts, target, size, source, weight, before, width = zip(*rows, strict=True)

    def starts(parts: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.cumsum([0, *map(len, parts[:-1])]).astype(np.uint32)

    return Plans(
        flags=np.stack(flags),
        counts=np.stack(counts),
        first_target=starts(target),
        first_edge=starts(source),
        target=np.concatenate(target),
        size=np.concatenate(size),
        source=np.concatenate(source),
        weight=np.concatenate(weight),
        before=np.stack(before),
        width=np.stack(width),
    )
