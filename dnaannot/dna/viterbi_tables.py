"""A grammar and its weights laid out for the Viterbi kernels."""

from __future__ import annotations

import threading

import numpy as np

from dnaannot.dna.grammar import Grammar
from dnaannot.dna.viterbi_kernels import ENTERED_AT_GAP, GAP_BITS, Plans, Tables


def build_tables(grammar: Grammar, weights: np.ndarray) -> Tables:
    """Tables of a grammar and its weights (P,).

    Raises:
        ValueError: if an intron state has other ways in than one jump and its own loop.
    """
    states = len(grammar.states)
    sources, targets = grammar.edges[:, 0].astype(int), grammar.edges[:, 1].astype(int)
    donor, intron = grammar.jumps[:, 0], grammar.jumps[:, 1]
    _check_jumps(grammar)
    degree = np.bincount(targets, minlength=states)
    at_gaps = grammar.opens.copy()
    at_gaps[0] = True
    branching = (degree > 1) | at_gaps
    branching[intron] = False
    only = np.zeros(states, np.uint8)
    only[targets] = sources
    jump_into = np.full(states, -1, np.int8)
    jump_into[intron] = np.arange(len(intron))
    runs, run = np.unique(
        np.stack((grammar.label_of_state[intron], grammar.inner_pair), axis=1).astype(int),
        axis=0,
        return_inverse=True,
    )
    weights = weights.astype(np.float64)
    return Tables(
        label=grammar.label_of_state,
        column=np.where(branching, np.cumsum(branching) - 1, branching.sum()).astype(np.uint8),
        columns=int(branching.sum()) + 1,
        only=only,
        jump_into=jump_into,
        donor=donor.astype(np.uint8),
        intron=intron.astype(np.uint8),
        enter_weight=weights[grammar.jump_pair] - weights[grammar.inner_pair],
        run=run.reshape(-1).astype(np.uint8),
        run_label=runs[:, 0].astype(np.uint8),
        run_weight=weights[runs[:, 1]],
        opens=grammar.opens,
        closes=grammar.closes,
        emerges=grammar.emerges,
        spans=grammar.spans,
        begin_rule=grammar.begin_rule,
    )


def _check_jumps(grammar: Grammar) -> None:
    jumps = list(zip(grammar.jumps.tolist(), grammar.inner_pair.tolist(), strict=True))
    introns = [intron for (_, intron), _ in jumps]
    stays = [((intron, intron), pair) for (_, intron), pair in jumps]
    edges = zip(map(tuple, grammar.edges.tolist()), grammar.edge_pair.tolist(), strict=True)
    into_introns = [(edge, pair) for edge, pair in edges if edge[1] in introns]
    if sorted(into_introns) != sorted(stays) or set(np.flatnonzero(grammar.emerges)) - set(introns):
        raise ValueError(
            "an intron state must be entered by one jump and by its own loop, of one weight"
        )
    if len(jumps) > ENTERED_AT_GAP or len(grammar.states) > 255:
        raise ValueError("at most 16 jumps and 255 states")


class Planner:
    """Kinds of positions and the edges that can be taken there, learnt as they are met.

    The kind of a position is the rules that hold there and those that held at the position
    before, which say where a path may come from.
    """

    _ANYTHING = 0
    """Stands for the rules at a position where a path may be in a state that no edge enters."""

    def __init__(self, grammar: Grammar, weights: np.ndarray) -> None:
        self._grammar, self._weights = grammar, weights.astype(np.float64)
        self._introns = np.unique(grammar.jumps[:, 1])
        self._rules = np.uint32(np.bitwise_or.reduce(grammar.edge_rule, initial=0))
        self._class_of_word = np.full(int(self._rules) + 1, -1, np.int16)
        self._word_of_class: list[int] = [0]
        self._kind_of_pair = np.full((1, 1), -1, np.int16)
        self._rows: list[tuple[np.ndarray, ...]] = []
        self._lock = threading.Lock()
        self.plans: Plans

    def kinds(self, words: np.ndarray, position: int, before: int) -> tuple[np.ndarray, int]:
        """Kinds (n,) int16 of positions `position` .. `position + n`.

        Args:
            words: (n,) uint32.
            before: what the call for the positions before returned, `_ANYTHING` for the first.

        Returns:
            The kinds, and `before` for the positions that follow.
        """
        rules = words & self._rules
        classes = self._class_of_word[rules]
        if classes.min() < 0:
            classes = self._learn_words(rules)
        after = np.where(words & np.uint32(GAP_BITS), self._ANYTHING, classes)
        if position == 0:
            after[0] = self._ANYTHING
        previous = np.concatenate(([before], after[:-1]))
        kinds = self._kind_of_pair[previous, classes]
        if kinds.min() < 0:
            kinds = self._learn_pairs(previous, classes)
        return kinds, int(after[-1])

    def _learn_words(self, rules: np.ndarray) -> np.ndarray:
        with self._lock:
            new = np.unique(rules[self._class_of_word[rules] < 0])
            first, size = len(self._word_of_class), len(self._word_of_class) + len(new)
            known, kind_of_pair = self._kind_of_pair, np.full((size, size), -1, np.int16)
            kind_of_pair[:first, :first] = known
            self._word_of_class += new.tolist()
            self._kind_of_pair = kind_of_pair
            self._class_of_word[new] = np.arange(first, size)
        return self._class_of_word[rules]

    def _learn_pairs(self, previous: np.ndarray, classes: np.ndarray) -> np.ndarray:
        with self._lock:
            table = self._kind_of_pair.copy()
            missing = table[previous, classes] < 0
            pairs = np.stack((previous[missing], classes[missing]), axis=1)
            for before, here in np.unique(pairs, axis=0):
                table[before, here] = len(self._rows)
                self._rows.append(self._plan(int(before), int(here)))
            self.plans = Plans(*(np.stack(rows) for rows in zip(*self._rows, strict=True)))
            self._kind_of_pair = table
        return table[previous, classes]

    def _plan(self, before: int, here: int) -> tuple[np.ndarray, ...]:
        """One row of `Plans`."""
        grammar = self._grammar
        sources, targets = grammar.edges[:, 0], grammar.edges[:, 1]
        reached = np.ones(len(grammar.states), bool)
        if before != self._ANYTHING:
            rules = np.uint32(self._word_of_class[before])
            reached[:] = False
            reached[targets[(grammar.edge_rule & rules) != 0]] = True
            reached[self._introns] = True
        usable = (grammar.edge_rule & np.uint32(self._word_of_class[here])) != 0
        usable &= reached[sources] & ~np.isin(targets, self._introns)
        degree = np.bincount(targets[usable], minlength=len(grammar.states))
        by_group = np.argsort(np.minimum(degree, 3), kind="stable")
        target = by_group[degree[by_group] > 0]
        edges = [edge for s in target for edge in np.flatnonzero(usable & (targets == s))]

        def padded(values: np.ndarray, size: int, dtype: type) -> np.ndarray:
            return np.pad(values, (0, size - len(values))).astype(dtype)

        return (
            np.bincount(np.minimum(degree, 3), minlength=4)[1:].astype(np.uint8),
            padded(target, len(degree), np.uint8),
            padded(degree[target], len(degree), np.uint8),
            padded(sources[edges], len(targets), np.uint8),
            padded(self._weights[grammar.edge_pair[edges]], len(targets), np.float64),
            np.array(np.isin(sources[edges], self._introns).any()),
            np.array(np.isin(target, grammar.jumps[:, 0]).any()),
        )
