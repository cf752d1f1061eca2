"""Kinds of position and the edges that can be taken there, for the Viterbi kernels."""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np

from dnaannot.dna.grammar import Grammar
from dnaannot.dna.viterbi_kernels import (
    CUTS,
    ENTERS,
    GAP_BITS,
    LANES,
    LEAVES,
    STORED,
    Plans,
    classify,
)

_REACH = 3
"""Positions before one that tell where a path into it may come from."""


class _Class(NamedTuple):
    """What words have in common.

    Attributes:
        edges: (E,) bool, edges that may be taken there, but those into introns.
        cuts: whether a path may be in a state there that no edge enters.
    """

    edges: np.ndarray
    cuts: bool


class Planner:
    """Kinds of positions, learnt as they are met.

    The kind of a position is the edges into it that may be taken and come from states that a
    path may be in, judging by the words of `_REACH` positions before. A node stands for these
    states: (`_REACH` + 1, S) bool, of which row r are those judging by r words.
    """

    ANYWHERE = 0
    """The node of all states."""

    def __init__(self, grammar: Grammar, weights: np.ndarray) -> None:
        self._grammar, self._weights = grammar, weights.astype(np.float64)
        self._introns = np.unique(grammar.jumps[:, 1])
        rules = int(np.bitwise_or.reduce(grammar.edge_rule, initial=0))
        self._classes = [_Class(np.zeros(len(grammar.edges), bool), False)]
        self._class_of_word = np.zeros((2, 1 << rules.bit_length()), np.int16)  # 0: not met yet
        self._nodes = [np.ones((_REACH + 1, len(grammar.states)), bool)]
        self._node_of_key = {self._nodes[0].tobytes(): self.ANYWHERE}
        self._onward = np.full((64, 32), -1, np.int32)  # by node and class: node << 16 | kind
        self._kind_of_key: dict[tuple[bytes, bool], int] = {}
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._lock = threading.Lock()
        self.plans: Plans

    def classify(self, words: np.ndarray, at_start: bool, node: int, kinds: np.ndarray) -> int:
        """Fill `kinds` (n,) uint16 of consecutive positions; returns the node after them.

        Args:
            words: (n,) uint32.
            at_start: whether the first is that of the sequence.
            node: what the call for the positions before returned.
        """
        done = 0
        while True:
            rest, at_start = slice(done, None), at_start and not done
            known, node = classify(
                self._class_of_word, self._onward, words[rest], at_start, node, kinds[rest]
            )
            done += known
            if done == len(words):
                break
            with self._lock:
                self._learn(node, int(words[done]), at_start and not known)
        with self._lock:
            if not hasattr(self, "plans") or len(self.plans.flags) < len(self._rows):
                self.plans = _joined(self._rows)
        return node

    def _learn(self, node: int, word: int, at_start: bool) -> None:
        """Learn what comes of a word after a node."""
        grammar, states = self._grammar, self._nodes[node]
        number = self._class_of(word, at_start)
        edges, cuts = self._classes[number]
        usable = edges & states[:, grammar.edges[:, 0]]
        after = np.ones_like(states)
        if not cuts:
            after[1:] = False
            after[1:, self._introns] = True
            rows, taken = np.nonzero(usable[:-1])
            after[rows + 1, grammar.edges[taken, 1]] = True
        following = self._node_of_key.setdefault(after.tobytes(), len(self._nodes))
        self._nodes += [after] if following == len(self._nodes) else []
        onward = self._onward
        short = np.maximum(0, np.add((following, number), 1) - onward.shape)
        if short.any():
            more = np.where(short, onward.shape, 0)
            onward = np.pad(onward, [(0, more[0]), (0, more[1])], constant_values=-1)
        onward[node, number] = following << 16 | self._kind_of(usable[-1], cuts)
        self._onward = onward

    def _class_of(self, word: int, at_start: bool) -> int:
        """Number of a word's class."""
        cuts = at_start or bool(word & GAP_BITS)
        rules = word & (self._class_of_word.shape[1] - 1)
        if not self._class_of_word[int(cuts), rules]:
            edges = (self._grammar.edge_rule & np.uint32(rules)) != 0
            edges &= ~np.isin(self._grammar.edges[:, 1], self._introns)
            self._class_of_word[int(cuts), rules] = len(self._classes)
            self._classes.append(_Class(edges, cuts))
        return int(self._class_of_word[int(cuts), rules])

    def _kind_of(self, usable: np.ndarray, cuts: bool) -> int:
        """The kind of a position where these edges (E,) bool are usable."""
        kind = self._kind_of_key.setdefault((usable.tobytes(), cuts), len(self._rows))
        if kind == len(self._rows):
            self._rows.append(self._plan(usable, cuts))
        return kind

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
        leaves = np.isin(source, self._introns).any()
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
