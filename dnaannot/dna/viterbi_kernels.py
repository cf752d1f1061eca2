"""Compiled steps of the Viterbi recursion; `dnaannot.dna.viterbi` is the way in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna.compiled import kernel, part
from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST

LEAVES, ENTERS, CUTS = 1, 2, 4
"""Flags of a kind of position: an edge leaves an intron, a jump may start, or anything may
happen, as at the start of a sequence and the ends of a gap."""
LANES = 4
"""Targets with one source are taken by so many; where their number is no multiple of it, edges
from the state S, in which no path is, to itself fill up."""
NONE = 255
"""Stands for no state."""
STORED = 256
"""What is added to the number of a back pointer, to tell it from a state."""
ENTERED_AT_GAP = 16
"""A mark has bit j where jump j was taken into a base, bit 16 + j where a gap opened its state."""


_part = part(forceinline=True)  # a call puts every array on the stack, which takes longer
_rare = part()


class Tables(NamedTuple):
    """A grammar and its weights as the kernels read them: S states, J jumps, R kinds of run.

    A run is what the inside of an intron scores a base: a label and a weight.
    """

    label: np.ndarray  # (S + 1,) uint8, 0 for the state S
    most_pointers: int  # of a base
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
    """Edges that can be taken at N kinds of position: T targets and M edges of all kinds.

    Targets are in order of their number of sources, edges in that of their targets. A base has
    one back pointer for each target of several sources; where `CUTS`, those of all S states
    follow for the edges that are cut, `NONE` where they are not taken.
    """

    flags: np.ndarray  # (N,) uint8, `LEAVES`, `ENTERS` and `CUTS`
    counts: np.ndarray  # (N, 3) uint8, targets with one (in `LANES`), two and more sources
    first_target: np.ndarray  # (N,) uint32
    first_edge: np.ndarray  # (N,) uint32
    target: np.ndarray  # (T,) uint8
    size: np.ndarray  # (T,) uint8, sources of a target
    source: np.ndarray  # (M,) uint8
    weight: np.ndarray  # (M,) float64
    before: np.ndarray  # (N, S) uint16, predecessor of a state, or `STORED` + its back pointer
    width: np.ndarray  # (N,) uint16, back pointers of a base


class Pointers(NamedTuple):
    """Back pointers of consecutive bases."""

    kinds: np.ndarray  # (n,) uint16
    marks: np.ndarray  # (n,) uint32, how intron states were entered
    back: np.ndarray  # (m,) uint8, predecessors, as many a base as its kind has


class Front(NamedTuple):
    """Scores of the best paths into the last position, and where they were at the last block end.

    An intron state's score is kept less the running sum over its labels (`run_sum`), so that
    staying in it costs nothing. Origins are codes: a state, or S + slot * J + j for a path
    inside jump j whose donor stands at the position that is `slot` modulo `jump_bases`.
    """

    score: np.ndarray  # (2, more than S) float64, -inf beyond S
    origin: np.ndarray  # (2, more than S) int32
    stay: np.ndarray  # (J,) float64
    stay_origin: np.ndarray  # (J,) int32
    run_sum: np.ndarray  # (R,) float64, since the start of the block
    jumping: np.ndarray  # (jump_bases, J) float64
    jumping_origin: np.ndarray  # (jump_bases, J) int32
    landing: np.ndarray  # (jump_bases,) bool, whether the slot holds any path


@kernel()
def advance(tables, plans, front, words, kinds, emissions, begin, position, back, marks):
    """Score bases `position` .. `position + n`, filling their `marks` and back pointers.

    Returns the number of back pointers.
    """
    score, origin, landing, run_sum = front.score, front.origin, front.landing, front.run_sum
    slot = position % len(landing)
    old, new, used = np.int64(0), np.int64(1), np.int64(0)
    for i in range(len(words)):
        kind = kinds[i]
        flag = plans.flags[kind]
        if flag & (LEAVES | CUTS):
            _show_introns(tables, front, old)
        for r in range(len(run_sum)):
            run_sum[r] += emissions[i, tables.run_label[r]] + tables.run_weight[r]
        for s in range(score.shape[1]):
            score[new, s] = -np.inf
        used = _follow_edges(tables, plans, front, kind, emissions, i, old, new, back, used)
        mark = _land(front, slot) if landing[slot] else np.uint32(0)
        if position + i == 0:
            _begin(tables, front, begin, words[i], emissions, i)
        if flag & CUTS:
            used = _cut_exons(tables, front, words[i], emissions, i, old, new, back, used)
            if words[i] & GAP_FIRST:
                mark = _open_introns(tables, front, emissions, i, old, mark)
        marks[i] = mark
        landing[slot] = (flag & (ENTERS | CUTS)) != 0
        if landing[slot]:
            _jump(tables, front, new, slot)
        slot = 0 if slot + 1 == len(landing) else slot + 1
        old, new = new, old
    _show_introns(tables, front, old)
    for s in range(score.shape[1] if old == 1 else 0):  # as slices they take a second to compile
        score[0, s], origin[0, s] = score[1, s], origin[1, s]
    return used


@_part
def _show_introns(tables, front, row):
    """Write the scores of the intron states among the others."""
    for j in range(len(tables.intron)):
        state = tables.intron[j]
        front.score[row, state] = front.stay[j] + front.run_sum[tables.run[j]]
        front.origin[row, state] = front.stay_origin[j]


@_part
def _follow_edges(tables, plans, front, kind, emissions, i, old, new, back, used):
    """Take the best edge into each target; returns how many back pointers there are now."""
    label, score, origin = tables.label, front.score, front.origin
    target, size, source, weight = plans.target, plans.size, plans.source, plans.weight
    t, edge = plans.first_target[kind], plans.first_edge[kind]
    for _ in range(plans.counts[kind, 0]):
        for k in range(LANES):
            a, s = source[edge + np.uint32(k)], target[t + np.uint32(k)]
            w = weight[edge + np.uint32(k)]
            score[new, s] = score[old, a] + w + emissions[i, label[s]]
            origin[new, s] = origin[old, a]
        edge += np.uint32(LANES)
        t += np.uint32(LANES)
    for _ in range(plans.counts[kind, 1]):
        a, b, s = source[edge], source[edge + np.uint32(1)], target[t]
        best = score[old, a] + weight[edge]
        other = score[old, b] + weight[edge + np.uint32(1)]
        a = b if other > best else a
        best = other if other > best else best
        score[new, s] = best + emissions[i, label[s]]
        origin[new, s] = origin[old, a]
        back[used] = a
        used += 1
        edge += np.uint32(2)
        t += np.uint32(1)
    for _ in range(plans.counts[kind, 2]):
        a, s = source[edge], target[t]
        best = score[old, a] + weight[edge]
        after = edge + np.uint32(size[t])
        for m in range(edge + np.uint32(1), after):
            b = source[m]
            other = score[old, b] + weight[m]
            a = b if other > best else a
            best = other if other > best else best
        score[new, s] = best + emissions[i, label[s]]
        origin[new, s] = origin[old, a]
        back[used] = a
        used += 1
        edge = after
        t += np.uint32(1)
    return used


@_part
def _land(front, slot):
    """Let the jumps that end here replace what stayed in their intron states."""
    mark = np.uint32(0)
    for j in range(len(front.stay)):
        if front.jumping[slot, j] > front.stay[j]:
            front.stay[j] = front.jumping[slot, j]
            front.stay_origin[j] = front.jumping_origin[slot, j]
            mark |= np.uint32(1 << j)
    return mark


@_part
def _jump(tables, front, new, slot):
    """Start jumps from the donors here."""
    for j in range(len(tables.donor)):
        entered = front.score[new, tables.donor[j]] + tables.enter_weight[j]
        front.jumping[slot, j] = entered - front.run_sum[tables.run[j]]
        front.jumping_origin[slot, j] = front.origin[new, tables.donor[j]]


@_rare
def _begin(tables, front, begin, word, emissions, i):
    """Begin paths at the first base."""
    for s in range(len(begin)):
        if begin[s] and word & tables.begin_rule[s]:
            front.score[1, s] = emissions[i, tables.label[s]]
    for j in range(len(tables.intron)):
        front.stay[j] = front.score[1, tables.intron[j]] - front.run_sum[tables.run[j]]


@_rare
def _cut_exons(tables, front, word, emissions, i, old, new, back, used):
    """Take the edges at a gap's ends between intergenic (state 0) and the states cut there.

    Returns how many back pointers there are now.
    """
    label, score, origin, states = tables.label, front.score, front.origin, len(tables.opens)
    for s in range(states):
        back[used + s] = NONE
    for s in range(states):
        opened = score[old, 0] + emissions[i, label[s]]
        may_open = word & GAP_AFTER and tables.opens[s] and word & tables.begin_rule[s]
        if may_open and opened > score[new, s]:
            score[new, s], origin[new, s] = opened, origin[old, 0]
            back[used + s] = 0
        closed = score[old, s] + emissions[i, label[0]]
        may_close = word & GAP_FIRST and tables.closes[s] or word & GAP_AFTER and tables.spans[s]
        if may_close and closed > score[new, 0]:
            score[new, 0], origin[new, 0] = closed, origin[old, s]
            back[used] = s
    return used + states


@_rare
def _open_introns(tables, front, emissions, i, old, mark):
    """Let introns begin in a gap; returns `mark` with bits for those that do."""
    for j in range(len(tables.intron)):
        state = tables.intron[j]
        opened = (
            front.score[old, 0] + emissions[i, tables.label[state]] - front.run_sum[tables.run[j]]
        )
        if tables.emerges[state] and opened > front.stay[j]:
            front.stay[j], front.stay_origin[j] = opened, front.origin[old, 0]
            mark &= ~np.uint32(1 << j)
            mark |= np.uint32(1 << (ENTERED_AT_GAP + j))
    return mark


@kernel()
def trace(tables, plans, slots, code, end, pointers, path):
    """Fill `path` (n,) with the states of the path that stands at `code` at base `end - 1`."""
    kinds, marks, back = pointers
    states, jumps, used = len(tables.opens), len(tables.donor), len(back)
    state, inside = code, np.int64(0)
    if code >= states:
        slot, j = (code - states) // jumps, (code - states) % jumps
        inside = (end - 1 - slot) % slots
        state = np.int64(tables.intron[j] if inside else tables.donor[j])
    for i in range(len(path) - 1, -1, -1):
        path[i] = state
        used -= np.int64(plans.width[kinds[i]])
        j = tables.jump_into[state]
        if inside == 0 and j >= 0 and marks[i] >> j & 1:
            inside = slots
        if inside > 0:
            inside -= 1
            state = state if inside else np.int64(tables.donor[j])
        elif j < 0:
            state = _predecessor(plans, kinds[i], state, back, used)
        elif marks[i] >> (ENTERED_AT_GAP + j) & 1:
            state = np.int64(0)


@_part
def _predecessor(plans, kind, state, back, first):
    """The state before `state` at a base whose back pointers begin at `first`."""
    if plans.flags[kind] & CUTS:
        cut = back[first + np.int64(plans.width[kind]) - plans.before.shape[1] + state]
        if cut != NONE:
            return np.int64(cut)
    before = np.int64(plans.before[kind, state])
    return before if before < STORED else np.int64(back[first + before - STORED])
