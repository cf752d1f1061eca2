"""Compiled steps of the Viterbi recursion; `dnaannot.dna.viterbi` is the way in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna.compiled import kernel, part
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
    emerges: np.ndarray  # (S,) bool
    spans: np.ndarray  # (S,) bool
    begin_rule: np.ndarray  # (S,) uint32


class Plans(NamedTuple):
    """Edges that can be taken at a kind of position: N kinds, targets by number of sources."""

    counts: np.ndarray  # (N, 3) uint8, targets with one, two and more sources
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


@kernel()
def advance(tables, plans, front, words, kinds, emissions, begin, position, back, marks):
    """Score bases `position` .. `position + n`, filling their rows of `back` and `marks`."""
    label, column, _, _, _, donor, intron, enter_weight, run, run_label, run_weight = tables[:11]
    opens, closes, emerges, spans, begin_rule = tables[11:]
    counts, target, size, source, weight, leaves, enters = plans
    score, origin, stay, stay_origin, run_sum, jumping, jumping_origin, landing = front
    slot = position % len(landing)
    old, new = np.int64(0), np.int64(1)
    for i in range(len(words)):
        word, kind = words[i], np.uint16(kinds[i])
        first, at_gap = position + i == 0, (word & GAP_BITS) != 0
        if at_gap or leaves[kind]:
            _show_introns(intron, run, stay, stay_origin, run_sum, score, origin, old)
        for r in range(len(run_label)):
            run_sum[r] += emissions[i, run_label[r]] + run_weight[r]
        for s in range(len(label)):
            score[new, s] = -np.inf
        mark = np.uint32(0)
        if first:
            _begin(label, intron, run, begin_rule, begin, word, emissions, score, stay, run_sum)
        else:
            _follow_edges(
                counts, target, size, source, weight, kind,
                label, column, emissions, i, score, origin, old, new, back,
            )  # fmt: skip
            if landing[slot]:
                mark = _land(jumping, jumping_origin, slot, stay, stay_origin)
        if at_gap:
            _cut_exons(
                label, column, intron, opens, closes, spans, begin_rule, word,
                emissions, i, score, origin, old, new, back,
            )  # fmt: skip
            if (word & GAP_FIRST) != 0:
                mark = _open_introns(
                    label, intron, run, emerges, emissions, i, score, origin, old,
                    stay, stay_origin, run_sum, mark,
                )  # fmt: skip
        marks[i] = mark
        landing[slot] = enters[kind] or at_gap or first
        if landing[slot]:
            _jump(
                donor, run, enter_weight, run_sum, score, origin, new, jumping, jumping_origin, slot
            )
        slot = 0 if slot + 1 == len(landing) else slot + 1
        old, new = new, old
    _show_introns(intron, run, stay, stay_origin, run_sum, score, origin, old)
    for s in range(len(label) if old == 1 else 0):  # as slices they take a second to compile
        score[0, s], origin[0, s] = score[1, s], origin[1, s]


@part()
def _show_introns(intron, run, stay, stay_origin, run_sum, score, origin, row):
    """Write the scores of the intron states among the others."""
    for j in range(len(intron)):
        score[row, intron[j]] = stay[j] + run_sum[run[j]]
        origin[row, intron[j]] = stay_origin[j]


@part()
def _begin(label, intron, run, begin_rule, begin, word, emissions, score, stay, run_sum):
    """Begin paths at the first base."""
    for s in range(len(label)):
        if begin[s] and (word & begin_rule[s]) != 0:
            score[1, s] = emissions[0, label[s]]
    for j in range(len(intron)):
        stay[j] = score[1, intron[j]] - run_sum[run[j]]


@part()
def _follow_edges(
    counts, target, size, source, weight, kind,
    label, column, emissions, i, score, origin, old, new, back,
):  # fmt: skip
    """Take the best edge into each state that can be reached."""
    ones = np.int64(counts[kind, 0])
    twos = ones + np.int64(counts[kind, 1])
    for k in range(ones):
        a, s = source[kind, k], target[kind, k]
        score[new, s] = score[old, a] + weight[kind, k] + emissions[i, label[s]]
        origin[new, s] = origin[old, a]
        back[i, column[s]] = a
    edge = ones
    for k in range(ones, twos):
        a, b, s = source[kind, edge], source[kind, edge + 1], target[kind, k]
        best = score[old, a] + weight[kind, edge]
        other = score[old, b] + weight[kind, edge + 1]
        a = b if other > best else a
        best = other if other > best else best
        score[new, s] = best + emissions[i, label[s]]
        origin[new, s] = origin[old, a]
        back[i, column[s]] = a
        edge += 2
    for k in range(twos, twos + np.int64(counts[kind, 2])):
        a, s = source[kind, edge], target[kind, k]
        best = score[old, a] + weight[kind, edge]
        after = edge + np.int64(size[kind, k])
        for m in range(edge + 1, after):
            b = source[kind, m]
            other = score[old, b] + weight[kind, m]
            a = b if other > best else a
            best = other if other > best else best
        score[new, s] = best + emissions[i, label[s]]
        origin[new, s] = origin[old, a]
        back[i, column[s]] = a
        edge = after


@part()
def _land(jumping, jumping_origin, slot, stay, stay_origin):
    """Let the jumps that end here replace what stayed in their intron states."""
    mark = np.uint32(0)
    for j in range(len(stay)):
        if jumping[slot, j] > stay[j]:
            stay[j] = jumping[slot, j]
            stay_origin[j] = jumping_origin[slot, j]
            mark |= np.uint32(1 << j)
    return mark


@part()
def _jump(donor, run, enter_weight, run_sum, score, origin, new, jumping, jumping_origin, slot):
    """Start jumps from the donors here."""
    for j in range(len(donor)):
        jumping[slot, j] = score[new, donor[j]] + enter_weight[j] - run_sum[run[j]]
        jumping_origin[slot, j] = origin[new, donor[j]]


@part()
def _cut_exons(
    label, column, intron, opens, closes, spans, begin_rule, word,
    emissions, i, score, origin, old, new, back,
):  # fmt: skip
    """Take the edges at a gap's ends between intergenic (state 0) and the states cut there."""
    for s in range(len(label)):
        opened = score[old, 0] + emissions[i, label[s]]
        may_open = (word & GAP_AFTER) != 0 and opens[s] and (word & begin_rule[s]) != 0
        if may_open and opened > score[new, s]:
            score[new, s], origin[new, s] = opened, origin[old, 0]
            back[i, column[s]] = 0
        closed = score[old, s] + emissions[i, label[0]]
        may_close = (word & GAP_FIRST) != 0 and closes[s] or (word & GAP_AFTER) != 0 and spans[s]
        if may_close and closed > score[new, 0]:
            score[new, 0], origin[new, 0] = closed, origin[old, s]
            back[i, column[0]] = s


@part()
def _open_introns(
    label, intron, run, emerges, emissions, i, score, origin, old,
    stay, stay_origin, run_sum, mark,
):  # fmt: skip
    """Let introns begin in a gap; returns `mark` with bits for those that do."""
    for j in range(len(intron)):
        opened = score[old, 0] + emissions[i, label[intron[j]]] - run_sum[run[j]]
        if emerges[intron[j]] and opened > stay[j]:
            stay[j], stay_origin[j] = opened, origin[old, 0]
            mark &= ~np.uint32(1 << j)
            mark |= np.uint32(1 << (ENTERED_AT_GAP + j))
    return mark


@kernel()
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
