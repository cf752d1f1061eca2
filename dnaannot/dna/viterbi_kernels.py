"""Compiled steps of the Viterbi recursion; `dnaannot.dna.viterbi` is the way in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST

GAP_BITS = GAP_FIRST | GAP_AFTER
ENTERED_AT_GAP = 16
"""A mark has bit j where jump j was taken into a base, bit 16 + j where a gap opened its state."""


class Tables(NamedTuple):
    """A grammar and its weights as the kernels read them: S states, J jumps, R kinds of run.

    A run is what the inside of an intron scores a base: a label and a weight.
    """

    label: np.ndarray  # (S,) uint8
    column: np.ndarray  # (S,) uint8, where a row of back pointers holds the state's predecessor
    columns: int  # in a row of back pointers, the last for all states with one predecessor
    only: np.ndarray  # (S,) uint8, the predecessor of a state that has one
    jump_into: np.ndarray  # (S,) int8, the jump that enters the state, -1 if none
    donor: np.ndarray  # (J,) uint8
    intron: np.ndarray  # (J,) uint8
    enter_weight: np.ndarray  # (J,) float64, jump weight less one inner weight
    run: np.ndarray  # (J,) uint8
    run_label: np.ndarray  # (R,) uint8
    run_weight: np.ndarray  # (R,) float64
    opens: np.ndarray  # (S,) bool
    closes: np.ndarray  # (S,) bool
    spans: np.ndarray  # (J,) bool
    begin_rule: np.ndarray  # (S,) uint32


class Plans(NamedTuple):
    """Edges that can be taken at a kind of position: N kinds, targets by number of sources."""

    counts: np.ndarray  # (N, 3) int64, targets with one, two and more sources
    target: np.ndarray  # (N, S) uint8
    size: np.ndarray  # (N, S) uint8, sources of a target
    source: np.ndarray  # (N, E) uint8, by target
    weight: np.ndarray  # (N, E) float64
    leaves: np.ndarray  # (N,) bool, an edge leaves an intron state
    enters: np.ndarray  # (N,) bool, a state is reached from which a jump starts


class Front(NamedTuple):
    """Scores of the best paths into the last position, and where they were at the last block end.

    An intron state's score is kept less the running sum over its labels (`run_sum`), so that
    staying in it costs nothing. Origins are codes: a state, or S + slot * J + j for a path
    inside jump j whose donor stands at the position that is `slot` modulo `jump_bases`.
    """

    score: np.ndarray  # (2, S) float64
    origin: np.ndarray  # (2, S) int32
    stay: np.ndarray  # (J,) float64
    stay_origin: np.ndarray  # (J,) int32
    run_sum: np.ndarray  # (R,) float64, since the start of the block
    jumping: np.ndarray  # (jump_bases, J) float64
    jumping_origin: np.ndarray  # (jump_bases, J) int32
    landing: np.ndarray  # (jump_bases,) bool, whether the slot holds any path


@njit(cache=True, nogil=True)
def advance(tables, plans, front, words, kinds, emissions, begin, position, back, marks):
    """Score bases `position` .. `position + n`, filling their rows of `back` and `marks`."""
    states, slots = len(tables.label), len(front.landing)
    slot = position % slots
    prev, new = front.score[0], front.score[1]
    prev_origin, new_origin = front.origin[0], front.origin[1]
    for i in range(len(words)):
        scores, kind, row = emissions[i], kinds[i], back[i]
        at_gap = (words[i] & GAP_BITS) != 0
        if at_gap or plans.leaves[kind]:
            _show_introns(tables, front, prev, prev_origin)
        for r in range(len(tables.run_label)):
            front.run_sum[r] += scores[tables.run_label[r]] + tables.run_weight[r]
        for s in range(states):
            new[s] = -np.inf
        mark = np.uint32(0)
        if position + i == 0:
            _begin(tables, front, words[i], scores, begin, new)
        else:
            _follow_edges(tables, plans, kind, scores, prev, prev_origin, new, new_origin, row)
            if front.landing[slot]:
                mark = _land(front, slot)
        if at_gap:
            mark = _cross_gap(
                tables, front, words[i], scores, prev, prev_origin, new, new_origin, row, mark
            )
        marks[i] = mark
        front.landing[slot] = plans.enters[kind] or at_gap or position + i == 0
        if front.landing[slot]:
            _jump(tables, front, slot, new, new_origin)
        slot += 1
        if slot == slots:
            slot = 0
        prev, new = new, prev
        prev_origin, new_origin = new_origin, prev_origin
    _show_introns(tables, front, prev, prev_origin)
    if len(words) % 2:
        front.score[0], front.origin[0] = prev, prev_origin


@njit(cache=True, nogil=True)
def _show_introns(tables, front, score, origin):
    for j in range(len(tables.intron)):
        score[tables.intron[j]] = front.stay[j] + front.run_sum[tables.run[j]]
        origin[tables.intron[j]] = front.stay_origin[j]


@njit(cache=True, nogil=True)
def _begin(tables, front, word, scores, begin, new):
    for s in range(len(new)):
        if begin[s] and (word & tables.begin_rule[s]) != 0:
            new[s] = scores[tables.label[s]]
    for j in range(len(tables.intron)):
        front.stay[j] = new[tables.intron[j]] - front.run_sum[tables.run[j]]


@njit(cache=True, nogil=True)
def _follow_edges(tables, plans, kind, scores, prev, prev_origin, new, new_origin, row):
    target, source, weight = plans.target[kind], plans.source[kind], plans.weight[kind]
    ones = plans.counts[kind, 0]
    twos = ones + plans.counts[kind, 1]
    for k in range(ones):
        a, s = source[k], target[k]
        new[s] = prev[a] + weight[k] + scores[tables.label[s]]
        new_origin[s] = prev_origin[a]
        row[tables.column[s]] = a
    edge = ones
    for k in range(ones, twos):
        a, b, s = source[edge], source[edge + 1], target[k]
        best, other = prev[a] + weight[edge], prev[b] + weight[edge + 1]
        a = b if other > best else a
        best = other if other > best else best
        new[s] = best + scores[tables.label[s]]
        new_origin[s] = prev_origin[a]
        row[tables.column[s]] = a
        edge += 2
    for k in range(twos, twos + plans.counts[kind, 2]):
        a, s = source[edge], target[k]
        best = prev[a] + weight[edge]
        for m in range(edge + 1, edge + plans.size[kind, k]):
            other = prev[source[m]] + weight[m]
            a = source[m] if other > best else a
            best = other if other > best else best
        new[s] = best + scores[tables.label[s]]
        new_origin[s] = prev_origin[a]
        row[tables.column[s]] = a
        edge += plans.size[kind, k]


@njit(cache=True, nogil=True)
def _land(front, slot):
    """Let the jumps that end here replace what stayed in their intron states."""
    mark = np.uint32(0)
    for j in range(len(front.stay)):
        if front.jumping[slot, j] > front.stay[j]:
            front.stay[j] = front.jumping[slot, j]
            front.stay_origin[j] = front.jumping_origin[slot, j]
            mark |= np.uint32(1 << j)
    return mark


@njit(cache=True, nogil=True)
def _jump(tables, front, slot, new, new_origin):
    """Start jumps from the donors here."""
    for j in range(len(tables.donor)):
        s = tables.donor[j]
        front.jumping[slot, j] = new[s] + tables.enter_weight[j] - front.run_sum[tables.run[j]]
        front.jumping_origin[slot, j] = new_origin[s]


@njit(cache=True, nogil=True)
def _cross_gap(tables, front, word, scores, prev, prev_origin, new, new_origin, row, mark):
    """Take the edges between intergenic (state 0) and the states that gaps cut."""
    if (word & GAP_AFTER) != 0:
        for s in range(len(new)):
            score = prev[0] + scores[tables.label[s]]
            if tables.opens[s] and (word & tables.begin_rule[s]) != 0 and score > new[s]:
                new[s], new_origin[s], row[tables.column[s]] = score, prev_origin[0], 0
        for j in range(len(tables.intron)):
            s = tables.intron[j]
            if tables.spans[j] and prev[s] + scores[tables.label[0]] > new[0]:
                new[0], new_origin[0] = prev[s] + scores[tables.label[0]], prev_origin[s]
                row[tables.column[0]] = s
    if (word & GAP_FIRST) != 0:
        for s in range(len(new)):
            if tables.closes[s] and prev[s] + scores[tables.label[0]] > new[0]:
                new[0], new_origin[0] = prev[s] + scores[tables.label[0]], prev_origin[s]
                row[tables.column[0]] = s
        for j in range(len(tables.intron)):
            score = prev[0] + scores[tables.label[tables.intron[j]]]
            score -= front.run_sum[tables.run[j]]
            if tables.spans[j] and score > front.stay[j]:
                front.stay[j], front.stay_origin[j] = score, prev_origin[0]
                mark &= ~np.uint32(1 << j)
                mark |= np.uint32(1 << (ENTERED_AT_GAP + j))
    return mark


@njit(cache=True, nogil=True)
def rebase(tables, front):
    """Take the best score off all, make each path its own origin; returns what was taken off."""
    states, jumps = len(tables.label), len(tables.donor)
    best = front.score[0].max()
    for slot in range(len(front.landing)):
        for j in range(jumps):
            front.jumping[slot, j] += front.run_sum[tables.run[j]]
            best = max(best, front.jumping[slot, j])
    if best == -np.inf:
        best = 0.0
    for s in range(states):
        front.score[0, s] -= best
        front.origin[0, s] = s
    for j in range(jumps):
        front.stay[j] = front.score[0, tables.intron[j]]
        front.stay_origin[j] = tables.intron[j]
        for slot in range(len(front.landing)):
            front.jumping[slot, j] -= best
            front.jumping_origin[slot, j] = states + slot * jumps + j
    front.run_sum[:] = 0.0
    return best


@njit(cache=True, nogil=True)
def trace(tables, slots, code, end, back, marks, path):
    """Fill `path` (n,) with the states of the path that stands at `code` at base `end - 1`."""
    states, jumps = len(tables.label), len(tables.donor)
    i = len(path) - 1
    state = code
    if code >= states:
        slot, j = (code - states) // jumps, (code - states) % jumps
        for _ in range((end - 1 - slot) % slots):
            if i >= 0:
                path[i] = tables.intron[j]
            i -= 1
        state = np.int64(tables.donor[j])
    while i >= 0:
        path[i] = state
        j = tables.jump_into[state]
        if j < 0:
            column = tables.column[state]
            last = column == tables.columns - 1
            state = np.int64(tables.only[state] if last else back[i, column])
        elif marks[i] >> j & 1:
            for k in range(max(0, i - slots + 1), i):
                path[k] = state
            i -= slots - 1
            state = np.int64(tables.donor[j])
        elif marks[i] >> (ENTERED_AT_GAP + j) & 1:
            state = 0
        i -= 1
