"""A grammar as arrays that the forward-backward kernels read, and the edges open at each base."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna.compiled import kernel
from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST, RULE_BIT, Grammar

ALL_LABELS = np.uint32(0xFFFFFFFF)
"""Allowed labels of a base whose label is unknown."""


class Model(NamedTuple):
    """A grammar and its weights as kernels read them; E edges with those at gaps, S states.

    Attributes:
        source, target: (E,) uint16 states.
        rule, rule_too: (E,) uint32, bits that a word must have, one of each.
        pair: (E,) int64 index of the weight, P where an edge has none.
        weight: (E,) float64.
        label_of_state: (S,) uint16.
        jump_source, jump_target: (J,) uint16 states.
        jump_lane: (J,) uint16, which lane the jump runs in.
        jump_weight, jump_factor: (J,) float64, taken once, and its exponential.
        jump_pair: (J,) int64.
        lane_label: (N,) uint16, label of the skipped bases.
        lane_weight, lane_factor: (N,) float64, taken between two skipped bases, likewise.
        lane_pair: (N,) int64.
        jump_bases: bases that a jump advances.
    """

    source: np.ndarray
    target: np.ndarray
    rule: np.ndarray
    rule_too: np.ndarray
    pair: np.ndarray
    weight: np.ndarray
    label_of_state: np.ndarray
    jump_source: np.ndarray
    jump_target: np.ndarray
    jump_lane: np.ndarray
    jump_weight: np.ndarray
    jump_factor: np.ndarray
    jump_pair: np.ndarray
    lane_label: np.ndarray
    lane_weight: np.ndarray
    lane_factor: np.ndarray
    lane_pair: np.ndarray
    jump_bases: int


class Steps(NamedTuple):
    """Edges open at each base: those of position t are `indptr[c]:indptr[c + 1]`, c = classes[t].

    Attributes:
        classes: (L,) int64.
        indptr: (C + 1,) uint64.
        edge: (M,) uint16.
        source, target: (M,) uint16 states.
        factor: (M,) float64, exponential of the edge's weight.
        state_indptr: (C + 1,) uint64: the states that may hold mass at t are
            `state[state_indptr[c]:state_indptr[c + 1]]`.
        state: uint16.
        sends: (C,) bool, whether a jump may start at t.
    """

    classes: np.ndarray
    indptr: np.ndarray
    edge: np.ndarray
    source: np.ndarray
    target: np.ndarray
    factor: np.ndarray
    state_indptr: np.ndarray
    state: np.ndarray
    sends: np.ndarray


def build_model(grammar: Grammar, weights: np.ndarray) -> Model:
    """Arrays of `grammar` with `weights` (P,) on its label pairs."""
    weights = np.append(np.asarray(weights, np.float64), 0.0)
    no_pair = len(weights) - 1
    any_bit = RULE_BIT["any"]
    at_gaps = [
        *((state, 0, GAP_FIRST, any_bit) for state in np.flatnonzero(grammar.closes)),
        *((0, state, GAP_FIRST, any_bit) for state in np.flatnonzero(grammar.emerges)),
        *((state, 0, GAP_AFTER, any_bit) for state in np.flatnonzero(grammar.spans)),
        *(
            (0, state, GAP_AFTER, grammar.begin_rule[state])
            for state in np.flatnonzero(grammar.opens)
        ),
    ]
    table = np.array(at_gaps, np.int64).reshape(-1, 4)
    source = np.concatenate((grammar.edges[:, 0], table[:, 0]))
    target = np.concatenate((grammar.edges[:, 1], table[:, 1]))
    rule = np.concatenate((grammar.edge_rule, table[:, 2]))
    rule_too = np.concatenate((grammar.edge_rule, table[:, 3]))
    pair = np.concatenate((grammar.edge_pair, np.full(len(table), no_pair)))
    order = np.lexsort((source, target))
    jump_label = grammar.label_of_state[grammar.jumps[:, 1]].astype(np.int64)
    lanes, jump_lane = np.unique(
        np.stack((jump_label, grammar.inner_pair), axis=1).astype(np.int64),
        axis=0,
        return_inverse=True,
    )
    return Model(
        source[order].astype(np.uint16),
        target[order].astype(np.uint16),
        rule[order].astype(np.uint32),
        rule_too[order].astype(np.uint32),
        pair[order].astype(np.int64),
        weights[pair[order].astype(np.int64)],
        grammar.label_of_state.astype(np.uint16),
        grammar.jumps[:, 0].astype(np.uint16),
        grammar.jumps[:, 1].astype(np.uint16),
        jump_lane.reshape(-1).astype(np.uint16),
        weights[grammar.jump_pair],
        np.exp(weights[grammar.jump_pair]),
        grammar.jump_pair.astype(np.int64),
        lanes[:, 0].astype(np.uint16),
        weights[lanes[:, 1]],
        np.exp(weights[lanes[:, 1]]),
        lanes[:, 1].copy(),
        grammar.jump_bases,
    )


@kernel()
def shifted_scores(emissions, allowed, scores):
    """Fill scores (L, K): emissions less the greatest allowed of each base, -inf if not allowed.

    Returns the sum of what was taken off, -inf where a base has no allowed label, and the lowest
    finite score.
    """
    length, n_labels = emissions.shape
    total, lowest = 0.0, 0.0
    for t in range(length):
        greatest = -np.inf
        for k in range(n_labels):
            value = np.float64(emissions[t, k])
            if np.isnan(value) or value == np.inf:
                return np.nan, lowest
            if (allowed[t] >> np.uint32(k)) & np.uint32(1) and value > greatest:
                greatest = value
        if greatest == -np.inf:
            return -np.inf, lowest
        total += greatest
        for k in range(n_labels):
            value = np.float64(emissions[t, k]) - greatest
            if not (allowed[t] >> np.uint32(k)) & np.uint32(1):
                value = -np.inf
            elif value > -np.inf:
                lowest = min(lowest, value)
            scores[t, k] = value
    return total, lowest


def list_steps(
    words: np.ndarray, allowed: np.ndarray, model: Model, at_start: bool = True
) -> Steps:
    """Steps into each base; the first base of a sequence has none and may hold any state."""
    keys = (allowed.astype(np.uint64) << np.uint64(32)) | words
    if at_start:
        keys[0] &= np.uint64(0xFFFFFFFF00000000)
    distinct, classes = np.unique(keys, return_inverse=True)
    kinds = distinct.astype(np.uint32)[:, None]
    permitted = _has_bit((distinct >> np.uint64(32)).astype(np.uint32), model.label_of_state)
    is_open = (kinds & model.rule) != 0
    is_open &= (kinds & model.rule_too) != 0
    is_open &= permitted[:, model.target] & (model.weight > -np.inf)
    row, edge = np.nonzero(is_open)
    reached = np.repeat(kinds == 0, permitted.shape[1], axis=1)
    reached[:, model.jump_target] = True
    reached[row, model.target[edge]] = True
    return steps_of(model, classes, is_open, reached & permitted)


def steps_of(model: Model, classes: np.ndarray, edges: np.ndarray, states: np.ndarray) -> Steps:
    """Steps of bases of C classes (L,), whose edges (C, E) bool are open and lead to states.

    Args:
        states: (C, S) bool, which may hold mass.
    """
    edge = np.nonzero(edges)[1]
    return Steps(
        classes,
        _row_ends(edges),
        edge.astype(np.uint16),
        model.source[edge],
        model.target[edge],
        np.exp(model.weight)[edge],
        _row_ends(states),
        np.nonzero(states)[1].astype(np.uint16),
        np.asarray(states[:, model.jump_source].any(axis=1)),
    )


def _has_bit(masks: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """(C, S) bool, whether each of masks (C,) uint32 has each of bits (S,)."""
    return (masks[:, None] >> bits.astype(np.uint32)) & np.uint32(1) != 0


def _row_ends(flags: np.ndarray) -> np.ndarray:
    """(C + 1,) uint64, before and after each row of flags (C, M) how many are set so far."""
    return np.append(0, flags.sum(1).cumsum()).astype(np.uint64)
