"""Partition function and marginals of label scores under a grammar, by forward-backward.

Two kernels give the same numbers. The scaled one works with probabilities that are rescaled at
each base and is fast; it detects when the range of float64 did not hold a path that matters.
The logarithmic one is several times slower and holds any finite scores: it takes over then.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST, RULE_BIT, UNKNOWN, Grammar

ALL_LABELS = np.uint32(0xFFFFFFFF)
"""Allowed labels of a base whose label is unknown."""

_TINY = 1e-280
_RESCALE_BELOW, _RESCALE_ABOVE = 1e-20, 1e20
_LOWEST_SCORE = -600.0
_TOLERANCE = 1e-6

_kernel = njit(cache=True, nogil=True, fastmath={"contract", "reassoc", "nsz"})
_exact_kernel = njit(cache=True, nogil=True)


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
        jump_weight: (J,) float64, taken once.
        jump_pair: (J,) int64.
        lane_label: (N,) uint16, label of the skipped bases.
        lane_weight: (N,) float64, taken between two skipped bases.
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
    jump_pair: np.ndarray
    lane_label: np.ndarray
    lane_weight: np.ndarray
    lane_pair: np.ndarray
    jump_bases: int


class Steps(NamedTuple):
    """Edges open at each base: those of position t are `indptr[c]:indptr[c + 1]`, c = classes[t].

    Attributes:
        classes: (L,) int64.
        indptr: (C + 1,) int64.
        edge: (M,) int64.
        source, target: (M,) uint16 states.
        state_indptr: (C + 1,) int64: the states that may hold mass at t are
            `state[state_indptr[c]:state_indptr[c + 1]]`.
        state: uint16.
    """

    classes: np.ndarray
    indptr: np.ndarray
    edge: np.ndarray
    source: np.ndarray
    target: np.ndarray
    state_indptr: np.ndarray
    state: np.ndarray


def build_model(grammar: Grammar, weights: np.ndarray) -> Model:
    """Arrays of `grammar` with `weights` (P,) on its label pairs."""
    weights = np.append(np.asarray(weights, np.float64), 0.0)
    no_pair = len(weights) - 1
    any_bit = RULE_BIT["any"]
    closing, opening, spanning = map(np.flatnonzero, (grammar.closes, grammar.opens, grammar.spans))
    at_gaps = [
        *((state, 0, GAP_FIRST, any_bit) for state in closing),
        *((0, state, GAP_FIRST, any_bit) for state in spanning),
        *((state, 0, GAP_AFTER, any_bit) for state in spanning),
        *((0, state, GAP_AFTER, grammar.begin_rule[state]) for state in opening),
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
        grammar.jump_pair.astype(np.int64),
        lanes[:, 0].astype(np.uint16),
        weights[lanes[:, 1]],
        lanes[:, 1].copy(),
        grammar.jump_bases,
    )


def allowed_labels(labels: np.ndarray) -> np.ndarray:
    """Bit masks, uint32, of labels of any shape: one bit each, all bits where `UNKNOWN`."""
    known = labels != UNKNOWN
    return np.where(known, np.uint32(1) << np.where(known, labels, 0).astype(np.uint32), ALL_LABELS)


def log_partition(
    grammar: Grammar,
    weights: np.ndarray,
    words: np.ndarray,
    emissions: np.ndarray,
    allowed: np.ndarray,
    begin: np.ndarray,
    end: np.ndarray,
    *,
    log_space: bool = False,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Log of the summed exponential scores of all paths, and its gradients.

    Args:
        grammar: states, edges and rules.
        weights: (P,) score of each label pair; -inf forbids it.
        words: (L,) uint32 from `position_words`.
        emissions: (L, K) score of each label at each base; -inf forbids it.
        allowed: (L,) uint32, bit k is set where label k is permitted.
        begin: (S,) bool, states in which a path may begin (if their rule holds at base 0).
        end: (S,) bool, states in which a path may end; inside a jump if its target may.
        log_space: use the logarithmic kernel from the outset.

    Returns:
        The log partition, -inf where no path is permitted; the label marginals (L, K) float32,
        its gradient by `emissions`; the expected counts (P,) float64 of the label pairs, its
        gradient by `weights`. Both gradients are zero where no path is permitted, and all is
        NaN where an emission is NaN.
    """
    length, n_labels = emissions.shape
    if length == 0:
        raise ValueError("a sequence needs at least one base")
    model = build_model(grammar, weights)
    words = np.ascontiguousarray(words, np.uint32)
    allowed = np.ascontiguousarray(allowed, np.uint32)
    scores = np.empty((length, n_labels))
    shift, lowest = _shifted_scores(np.ascontiguousarray(emissions), allowed, scores)
    marginals = np.zeros((length, n_labels), np.float32)
    counts = np.zeros(len(weights) + 1)
    if math.isnan(shift):
        marginals[:], counts[:] = math.nan, math.nan
        return math.nan, marginals, counts[:-1]
    if shift == -math.inf:
        return -math.inf, marginals, counts[:-1]
    steps = _list_steps(words, allowed, model)
    starts = begin & ((words[0] & grammar.begin_rule) != 0)
    log_z = math.nan
    if not log_space and lowest > _LOWEST_SCORE:
        log_z = _scaled_log_partition(model, steps, scores, starts, end, marginals, counts)
    if math.isnan(log_z):
        marginals[:], counts[:] = 0, 0
        log_z = _log_space_partition(model, steps, scores, starts, end, marginals, counts)
    return log_z + shift, marginals, counts[:-1]


# --- what both kernels read -----------------------------------------------------------------


@_exact_kernel
def _shifted_scores(emissions, allowed, scores):
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


@_exact_kernel
def _classify(keys, classes):
    """Number the distinct keys (L,) by appearance into classes (L,); the distinct ones."""
    n_slots = 1024
    slots = np.full(n_slots, -1, np.int64)
    distinct = np.empty(n_slots, np.uint64)
    count = 0
    for t in range(len(keys)):
        key = keys[t]
        if t and key == keys[t - 1]:
            classes[t] = classes[t - 1]
            continue
        if 2 * count >= n_slots:
            n_slots *= 2
            distinct = np.concatenate((distinct, np.empty(n_slots // 2, np.uint64)))
            slots = np.full(n_slots, -1, np.int64)
            for number in range(count):
                slot = _slot(distinct[number], n_slots)
                while slots[slot] >= 0:
                    slot = (slot + 1) % n_slots
                slots[slot] = number
        slot = _slot(key, n_slots)
        while slots[slot] >= 0 and distinct[slots[slot]] != key:
            slot = (slot + 1) % n_slots
        if slots[slot] < 0:
            slots[slot] = count
            distinct[count] = key
            count += 1
        classes[t] = slots[slot]
    return distinct[:count].copy()


@_exact_kernel
def _slot(key, n_slots):
    mixed = key * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed >> np.uint64(33)) % np.uint64(n_slots))


@_exact_kernel
def _list_edges(keys, model):
    """Edges that each key, a word and the allowed labels in its upper half, leaves open."""
    indptr, state_indptr = np.zeros((2, len(keys) + 1), np.int64)
    edge = np.empty(len(keys) * len(model.source), np.int64)
    state = np.empty(len(keys) * len(model.label_of_state), np.uint16)
    count = state_count = 0
    for number in range(len(keys)):
        word = np.uint32(keys[number] & np.uint64(0xFFFFFFFF))
        allowed = np.uint32(keys[number] >> np.uint64(32))
        reached = np.zeros(len(model.label_of_state), np.bool_)
        reached[:] = word == 0
        for j in range(len(model.jump_target)):
            reached[model.jump_target[j]] = True
        for e in range(len(model.source)):
            label = np.uint32(model.label_of_state[model.target[e]])
            if (
                word & model.rule[e]
                and word & model.rule_too[e]
                and (allowed >> label) & np.uint32(1)
                and model.weight[e] > -np.inf
            ):
                edge[count] = e
                count += 1
                reached[model.target[e]] = True
        for s in range(len(reached)):
            label = np.uint32(model.label_of_state[s])
            if reached[s] and (allowed >> label) & np.uint32(1):
                state[state_count] = s
                state_count += 1
        indptr[number + 1], state_indptr[number + 1] = count, state_count
    return indptr, edge[:count].copy(), state_indptr, state[:state_count].copy()


def _list_steps(words: np.ndarray, allowed: np.ndarray, model: Model) -> Steps:
    """Steps into each base; the first base of a sequence has none and may hold any state."""
    keys = (allowed.astype(np.uint64) << np.uint64(32)) | words
    keys[0] &= np.uint64(0xFFFFFFFF00000000)
    classes = np.empty(len(keys), np.int64)
    indptr, edge, *states = _list_edges(_classify(keys, classes), model)
    return Steps(classes, indptr, edge, model.source[edge], model.target[edge], *states)


# --- the scaled kernel ----------------------------------------------------------------------


class Lattice(NamedTuple):
    """What the scaled forward pass leaves for the backward pass; N lanes.

    Attributes:
        alpha: (L, S) float64, forward probabilities, rescaled where they left a range.
        log_scale: (L,) float64, log of what a base was divided by.
        flow: (L, N) float64, running sum of a lane's scores less the log scales.
        blocked: (L, N) int64, last base at or before t where the lane's label is forbidden.
        landed: (L, N) float64, what a jump that lands at t multiplies, but for its own weight.
        inflight: (N,) float64, a bound of the mass inside jumps at the last base.
    """

    alpha: np.ndarray
    log_scale: np.ndarray
    flow: np.ndarray
    blocked: np.ndarray
    landed: np.ndarray
    inflight: np.ndarray


def new_lattice(length: int, n_states: int, n_lanes: int) -> Lattice:
    """Room for `length` bases."""
    return Lattice(
        np.empty((length, n_states)),
        np.empty(length),
        np.empty((length, n_lanes)),
        np.empty((length, n_lanes), np.int64),
        np.empty((length, n_lanes)),
        np.zeros(n_lanes),
    )


def _scaled_log_partition(model, steps, scores, starts, end, marginals, counts) -> float:
    """Log partition less the shifts, NaN where float64 does not hold it; fills the gradients."""
    lattice = new_lattice(len(scores), len(starts), len(model.lane_label))
    likelihoods = np.exp(scores)
    edge_factor = np.exp(model.weight)
    if not _scaled_forward(0, model, steps, edge_factor, scores, likelihoods, starts, lattice):
        return math.nan
    tail = _scaled_tail(model, lattice, end)
    if not 0 < tail < math.inf:
        return math.nan
    fits = _scaled_backward(
        model, steps, edge_factor, likelihoods, end, tail, lattice, marginals, counts
    )
    return float(lattice.log_scale.sum()) + math.log(tail) if fits else math.nan


@_kernel
def _scaled_forward(first, model, steps, edge_factor, scores, likelihoods, starts, lattice):
    """Fill lattice[first:]; the rows before `first` are known. False when all mass is lost."""
    alpha, log_scale, flow, blocked, landed, inflight = lattice
    length, n_states = alpha.shape
    n_lanes, n_jumps, bases = len(model.lane_label), len(model.jump_source), model.jump_bases
    jump_factor, lane_factor = np.exp(model.jump_weight), np.exp(model.lane_weight)
    here, before = np.zeros(n_states), np.zeros(n_states)
    if first:
        here[:] = alpha[first - 1]
    for t in range(first, length):
        here, before = before, here
        here[:] = 0.0
        row = steps.classes[t]
        if t == 0:
            here[:] = starts
        for k in range(steps.indptr[row], steps.indptr[row + 1]):
            here[steps.target[k]] += before[steps.source[k]] * edge_factor[steps.edge[k]]
        for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
            state = steps.state[k]
            here[state] *= likelihoods[t, model.label_of_state[state]]
        if t == 0:
            _clear_forbidden(steps, here)
        _advance_lanes(t, model, scores, flow, blocked, landed)
        total = 0.0
        for n in range(n_lanes):
            inflight[n] *= lane_factor[n]
        for j in range(n_jumps):
            inflight[model.jump_lane[j]] += before[model.jump_source[j]] * jump_factor[j]
        for n in range(n_lanes):
            inflight[n] *= likelihoods[t, model.lane_label[n]]
            total += inflight[n]
        if t >= bases:
            for j in range(n_jumps):
                sent = alpha[t - bases, model.jump_source[j]]
                if sent > 0.0:
                    factor = jump_factor[j] * landed[t, model.jump_lane[j]]
                    here[model.jump_target[j]] += sent * factor
        for s in range(n_states):
            total += here[s]
        if not (total > _TINY and total < np.inf):
            return False
        log_scale[t] = 0.0
        if total < _RESCALE_BELOW or total > _RESCALE_ABOVE:
            log_scale[t] = np.log(total)
            for s in range(n_states):
                here[s] /= total
            for n in range(n_lanes):
                inflight[n] /= total
                flow[t, n] -= log_scale[t]
        for s in range(n_states):
            here[s] = here[s] if here[s] > _TINY else 0.0
            alpha[t, s] = here[s]
        for n in range(n_lanes):
            inflight[n] = inflight[n] if inflight[n] > _TINY else 0.0
    return True


@_kernel
def _clear_forbidden(steps, here):
    """Zero the states whose label is not allowed at the first base."""
    row = steps.classes[0]
    allowed = np.zeros(len(here))
    for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
        allowed[steps.state[k]] = 1.0
    here *= allowed


@_kernel
def _advance_lanes(t, model, scores, flow, blocked, landed):
    bases = model.jump_bases
    for n in range(len(model.lane_label)):
        score = scores[t, model.lane_label[n]]
        blocked[t, n] = blocked[t - 1, n] if t else -1
        flow[t, n] = flow[t - 1, n] if t else 0.0
        landed[t, n] = 0.0
        if score == -np.inf:
            blocked[t, n] = t
            continue
        flow[t, n] += score
        if t >= bases and blocked[t, n] <= t - bases:
            run = flow[t, n] - flow[t - bases, n] + (bases - 1) * model.lane_weight[n]
            landed[t, n] = np.exp(run)


@_kernel
def _scaled_tail(model, lattice, end):
    """Scaled mass of all paths that may end at the last base."""
    alpha, flow, blocked = lattice.alpha, lattice.flow, lattice.blocked
    last = len(alpha) - 1
    total = 0.0
    for s in range(alpha.shape[1]):
        if end[s]:
            total += alpha[last, s]
    for j in range(len(model.jump_source)):
        donor = model.jump_source[j]
        for t in range(max(0, last + 1 - model.jump_bases), last):
            if end[model.jump_target[j]] and alpha[t, donor] > 0:
                total += alpha[t, donor] * _tail_factor(model, flow, blocked, t, j)
    return total


@_kernel
def _tail_factor(model, flow, blocked, t, jump):
    """What multiplies the mass at t that ends inside a jump."""
    last, lane = len(flow) - 1, model.jump_lane[jump]
    if blocked[last, lane] > t:
        return 0.0
    run = flow[last, lane] - flow[t, lane] + model.jump_weight[jump]
    if last - 1 > t:
        run += (last - 1 - t) * model.lane_weight[lane]
    return np.exp(run)


@_kernel
def _scaled_backward(
    model, steps, edge_factor, likelihoods, end, tail, lattice, marginals, counts
):
    """Fill marginals (L, K) and add to counts (P + 1,); False when mass was lost on the way.

    The backward probabilities share the forward scales, so that the posteriors of each base,
    jumps included, sum to 1 unless float64 dropped a path that matters in one of the two passes.
    """
    alpha, log_scale, flow, blocked, landed, _ = lattice
    length, n_states = alpha.shape
    n_lanes, n_jumps, bases = len(model.lane_label), len(model.jump_source), model.jump_bases
    jump_factor = np.exp(model.jump_weight)
    edge_count = np.zeros(len(model.source))
    # what jumps bring back to their origin, and their posterior, by origin modulo `bases`
    returned, posterior = np.zeros((bases, n_jumps)), np.zeros((bases, n_lanes))
    covered = np.zeros(n_lanes)
    beta, ahead = np.zeros(n_states), np.zeros(n_states)
    here, by_label = np.zeros(n_states), np.zeros(likelihoods.shape[1])
    last = length - 1
    for t in range(max(0, length - bases), last):
        for j in range(n_jumps):
            if end[model.jump_target[j]]:
                lane, slot = model.jump_lane[j], t % bases
                onward = _tail_factor(model, flow, blocked, t, j) / tail
                share = alpha[t, model.jump_source[j]] * onward
                returned[slot, j] = onward
                posterior[slot, lane] += share
                covered[lane] += share
                counts[model.jump_pair[j]] += share
                counts[model.lane_pair[lane]] += share * (last - 1 - t)
    slot = length % bases
    for t in range(last, -1, -1):
        slot = slot - 1 if slot else bases - 1
        row = steps.classes[t]
        for s in range(n_states):
            here[s] = alpha[t, s]
        if t == last:
            for s in range(n_states):
                beta[s] = 1.0 / tail if end[s] else 0.0
        else:
            beta[:] = 0.0
            after = steps.classes[t + 1]
            for k in range(steps.indptr[after], steps.indptr[after + 1]):
                source, edge = steps.source[k], steps.edge[k]
                onward = edge_factor[edge] * ahead[steps.target[k]]
                beta[source] += onward
                edge_count[edge] += here[source] * onward
        for j in range(n_jumps):
            beta[model.jump_source[j]] += returned[slot, j]
        total = 0.0
        for n in range(n_lanes):
            covered[n] = max(covered[n] - posterior[slot, n], 0.0)
            total += covered[n]
            posterior[slot, n] = 0.0
        for s in range(n_states):
            beta[s] = beta[s] if beta[s] > _TINY else 0.0
            total += here[s] * beta[s]
        if not abs(total - 1.0) < _TOLERANCE:
            return False
        by_label[:] = 0.0
        scale = 1.0 if log_scale[t] == 0.0 else np.exp(-log_scale[t])
        for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
            state = steps.state[k]
            label = model.label_of_state[state]
            by_label[label] += here[state] * beta[state]
            ahead[state] = beta[state] * likelihoods[t, label] * scale
        for n in range(n_lanes):
            by_label[model.lane_label[n]] += covered[n]
        for k in range(len(by_label)):
            marginals[t, k] = by_label[k]
        for j in range(n_jumps):
            returned[slot, j] = 0.0
            lane = model.jump_lane[j]
            if t >= bases and landed[t, lane] > 0.0:
                onward = jump_factor[j] * landed[t, lane] * beta[model.jump_target[j]]
                share = alpha[t - bases, model.jump_source[j]] * onward
                returned[slot, j] = onward
                posterior[slot, lane] += share
                covered[lane] += share
                counts[model.jump_pair[j]] += share
                counts[model.lane_pair[lane]] += share * (bases - 1)
    for e in range(len(edge_count)):
        counts[model.pair[e]] += edge_count[e]
    return True


# --- the logarithmic kernel -----------------------------------------------------------------


@_exact_kernel
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + np.log1p(np.exp(b - a))


@_exact_kernel
def _log_run(model, flow, blocked, start, stop, jump):
    """Score of a jump's bases from `start` (excluded) to `stop` (included), weights included."""
    lane = model.jump_lane[jump]
    if blocked[stop, lane] > start:
        return -np.inf
    run = flow[stop, lane] - flow[start, lane] + model.jump_weight[jump]
    if stop - start > 1:
        run += (stop - start - 1) * model.lane_weight[lane]
    return run


@_exact_kernel
def _log_space_partition(model, steps, scores, starts, end, marginals, counts):
    """Log partition less the shifts; fills marginals (L, K) and adds to counts (P + 1,)."""
    length, n_states = len(scores), len(starts)
    n_lanes, n_jumps, bases = len(model.lane_label), len(model.jump_source), model.jump_bases
    flow, blocked = np.zeros((length, n_lanes)), np.full((length, n_lanes), -1, np.int64)
    for n in range(n_lanes):
        for t in range(length):
            score = scores[t, model.lane_label[n]]
            if t:
                flow[t, n], blocked[t, n] = flow[t - 1, n], blocked[t - 1, n]
            if score == -np.inf:
                blocked[t, n] = t
            else:
                flow[t, n] += score
    alpha = np.full((length, n_states), -np.inf)
    for t in range(length):
        if t == 0:
            for s in range(n_states):
                alpha[0, s] = 0.0 if starts[s] else -np.inf
        else:
            row = steps.classes[t]
            for k in range(steps.indptr[row], steps.indptr[row + 1]):
                step = alpha[t - 1, steps.source[k]] + model.weight[steps.edge[k]]
                alpha[t, steps.target[k]] = _log_add(alpha[t, steps.target[k]], step)
        for s in range(n_states):
            alpha[t, s] += scores[t, model.label_of_state[s]]
        for j in range(n_jumps):
            if t >= bases:
                run = _log_run(model, flow, blocked, t - bases, t, j)
                step = alpha[t - bases, model.jump_source[j]] + run
                alpha[t, model.jump_target[j]] = _log_add(alpha[t, model.jump_target[j]], step)
    last = length - 1
    log_z = -np.inf
    for s in range(n_states):
        if end[s]:
            log_z = _log_add(log_z, alpha[last, s])
    for j in range(n_jumps):
        for t in range(max(0, length - bases), last):
            if end[model.jump_target[j]]:
                run = _log_run(model, flow, blocked, t, last, j)
                log_z = _log_add(log_z, alpha[t, model.jump_source[j]] + run)
    if log_z > -np.inf:
        _log_space_backward(
            model, steps, scores, end, alpha, flow, blocked, log_z, marginals, counts
        )
    return log_z


@_exact_kernel
def _log_space_backward(model, steps, scores, end, alpha, flow, blocked, log_z, marginals, counts):
    length, n_states = alpha.shape
    bases = model.jump_bases
    covered = np.zeros((length + 1, len(model.lane_label)))
    beta = np.full((length, n_states), -np.inf)
    by_label = np.zeros(scores.shape[1])
    for t in range(length - 1, -1, -1):
        if t == length - 1:
            for s in range(n_states):
                beta[t, s] = 0.0 if end[s] else -np.inf
        else:
            row = steps.classes[t + 1]
            for k in range(steps.indptr[row], steps.indptr[row + 1]):
                source, target, edge = steps.source[k], steps.target[k], steps.edge[k]
                score = scores[t + 1, model.label_of_state[target]]
                onward = beta[t + 1, target] + score + model.weight[edge]
                if onward > -np.inf:
                    beta[t, source] = _log_add(beta[t, source], onward)
                    counts[model.pair[edge]] += np.exp(alpha[t, source] + onward - log_z)
            lands = t + bases < length
            stop = t + bases if lands else length - 1
            for j in range(len(model.jump_source)):
                lane, donor = model.jump_lane[j], model.jump_source[j]
                target = model.jump_target[j]
                onward = _log_run(model, flow, blocked, t, stop, j)
                if lands:
                    onward += beta[stop, target]
                elif not end[target]:
                    onward = -np.inf
                if onward > -np.inf:
                    beta[t, donor] = _log_add(beta[t, donor], onward)
                    posterior = np.exp(alpha[t, donor] + onward - log_z)
                    counts[model.jump_pair[j]] += posterior
                    counts[model.lane_pair[lane]] += posterior * (stop - t - 1)
                    covered[t + 1, lane] += posterior
                    covered[stop if lands else stop + 1, lane] -= posterior
        by_label[:] = 0.0
        for s in range(n_states):
            if alpha[t, s] > -np.inf and beta[t, s] > -np.inf:
                by_label[model.label_of_state[s]] += np.exp(alpha[t, s] + beta[t, s] - log_z)
        for k in range(len(by_label)):
            marginals[t, k] = by_label[k]
    running = np.zeros(covered.shape[1])
    for t in range(length):
        for n in range(len(running)):
            running[n] = max(running[n] + covered[t, n], 0.0)
            marginals[t, model.lane_label[n]] += running[n]
