"""Triton kernels of the forward and backward pass over a grammar; `crf_cuda` is the way in.

A program runs along one sequence with a warp: each lane holds the probabilities of two states.
What a base needs from memory is loaded a base ahead. Nothing here is imported where Triton is
not installed.

Names: S states and D edges into or out of a state, both padded to powers of two; J jumps, N
lanes (see `dnaannot.dna.forward_backward_tables`), L rows.
"""

from __future__ import annotations

import triton
import triton.language as tl

from dnaannot.dna.grammar import GAP_AFTER, GAP_FIRST

_GAP_BITS = tl.constexpr(GAP_FIRST | GAP_AFTER)
_RESCALE_BELOW, _RESCALE_ABOVE = tl.constexpr(1e-20), tl.constexpr(1e20)


@triton.jit
def _passed(values, index, factor, open_, D: tl.constexpr, S: tl.constexpr):
    """(D, S) what passes the open edges: values (S,) at index (D, S), times their factors."""
    spread = tl.broadcast_to(values[None, :], (D, S))
    return tl.where(open_, tl.gather(spread, index, 1) * factor, 0.0)


@triton.jit
def forward(
    which, first, words, likelihood, run, lengths,
    source, rule, factor, label,
    enter_gap, enter_rule, leave_gap,
    jump, jump_source, jump_lane, jump_factor, lane_factor,
    alpha, level, inverse, gain,
    L, K, N, J, BASES,
    D: tl.constexpr, S: tl.constexpr, JUMPS: tl.constexpr, GAPS: tl.constexpr,
):  # fmt: skip
    """Fill the rows of one sequence from the first on that is not given.

    Args:
        which: (programs,) int32, the sequence p of each.
        first: (P,) int32, rows of alpha and level that are given: 1, or BASES and more.
        words: (P, L) int32.
        likelihood: (P, L, K) float64.
        run: (P, L, N) float64, log of what the BASES bases up to a row add to a jump over them.
        lengths: (P,) int32.
        source, rule, factor: (D, S) edges into a state; the factor is 0 where there is none.
        label: (S,) of a state.
        enter_gap, enter_rule: (S,) bits that a word must have for the edge from state 0, 0 for
            no such edge.
        leave_gap: (S,) likewise for the edge to state 0.
        jump, jump_source, jump_lane: (S,) of the jump into a state; jump is -1 where none ends.
        jump_factor, lane_factor: (S,) float64 likewise.
        alpha: (P, L, S) float64, probabilities rescaled where they left a range.
        level: (P, L) float64, log of what they were divided by in all.
        inverse: (P, L) float64, 1 over what the row was divided by.
        gain: (P, L, J) float64, factor of a jump that lands on a row.
    """
    p = tl.load(which + tl.program_id(0)).to(tl.int64)
    s, d = tl.arange(0, S), tl.arange(0, D)
    edge = d[:, None] * S + s[None, :]
    sources, rules, factors = tl.load(source + edge), tl.load(rule + edge), tl.load(factor + edge)
    labels = tl.load(label + s)
    words += p * L
    likelihood += p * L * K
    run += p * L * N
    alpha += p * L * S
    level += p * L
    inverse += p * L
    gain += p * L * J
    begin = tl.load(first + p)
    last = tl.load(lengths + p) - 1
    now = tl.minimum(begin, last)
    here, height = tl.load(alpha + (begin - 1) * S + s), tl.load(level + begin - 1)
    inflight = here * 0.0
    if GAPS:
        gap_in, rule_in, gap_out = (
            tl.load(enter_gap + s), tl.load(enter_rule + s), tl.load(leave_gap + s),
        )  # fmt: skip
    if JUMPS:
        column = tl.load(jump + s)
        lands = column >= 0
        origin, lane = tl.load(jump_source + s), tl.load(jump_lane + s)
        by_jump, by_base = tl.load(jump_factor + s), tl.load(lane_factor + s)
        begun = tl.maximum(now - BASES, 0)
        next_run = tl.load(run + now * N + lane)
        next_sent, next_base = tl.load(alpha + begun * S + origin), tl.load(level + begun)
    next_word = tl.load(words + now)
    next_scores = tl.load(likelihood + now * K + labels)
    for t in range(begin, last + 1):
        word, scores = next_word, next_scores
        following = tl.minimum(t + 1, last)
        next_word = tl.load(words + following)
        next_scores = tl.load(likelihood + following * K + labels)
        open_ = (rules & word) != 0
        new = tl.sum(_passed(here, sources, factors, open_, D, S), 0)
        if GAPS:  # noqa: SIM102
            if (word & _GAP_BITS) != 0:
                outside = tl.sum(tl.where(s == 0, here, 0.0), 0)
                cut = tl.sum(tl.where((gap_out & word) != 0, here, 0.0), 0)
                opened = ((gap_in & word) != 0) & ((rule_in & word) != 0)
                new += tl.where(opened, outside, 0.0) + tl.where(s == 0, cut, 0.0)
        new *= scores
        total = tl.sum(new, 0)
        if JUMPS:
            sent, landed = next_sent, tl.exp(next_run - (height - next_base)) * by_jump
            landed = tl.where(lands, landed, 0.0)
            begun = tl.maximum(following - BASES, 0)
            next_run = tl.load(run + following * N + lane)
            next_sent, next_base = tl.load(alpha + begun * S + origin), tl.load(level + begun)
            donors = tl.gather(here, origin, 0)
            inflight = (inflight * by_base + tl.where(lands, donors * by_jump, 0.0)) * scores
            landing = sent * landed
            new += landing
            total += tl.sum(landing + inflight, 0)
        reverse = total * 0.0 + 1.0
        if (total < _RESCALE_BELOW) | (total > _RESCALE_ABOVE):
            reverse = 1.0 / total
            height += tl.log(total)
            new *= reverse
            if JUMPS:
                inflight *= reverse
                landed *= reverse
        tl.store(alpha + t * S + s, new)
        tl.store(level + t, height)
        tl.store(inverse + t, reverse)
        if JUMPS:
            tl.store(gain + t * J + column, landed, mask=lands)
            tl.debug_barrier()  # other lanes read these rows when jumps land
        here = new


@triton.jit
def backward(
    words, likelihood, lengths,
    target, rule, factor, label,
    enter_gap, enter_rule, leave_gap,
    jump, jump_source, jump_of_donor,
    alpha, inverse, gain, behind, returned, share, count, states, on_path, held,
    L, K, J, BASES,
    D: tl.constexpr, S: tl.constexpr, JUMPS: tl.constexpr, GAPS: tl.constexpr,
    PATH: tl.constexpr,
):  # fmt: skip
    """Replace the probabilities in `alpha` by posteriors; arguments as in `forward`.

    With PATH, the backward probabilities of given states and what the posteriors of a row sum to
    are kept as well.

    Args:
        target, rule, factor: (D, S) edges out of a state.
        jump_of_donor: (S,), the jump that begins in a state, -1 for none.
        behind: (P, S) float64, backward probabilities of the last row, jumps not counted.
        returned: (P, BASES, J) float64, what jumps add to their donor, by its row modulo BASES.
        share: (P, L, J) float64, filled with the posterior of the jumps that land on a row.
        count: (P, D, S) float64, filled with the expected number of each edge.
        states: (P, L) int32, with PATH.
        on_path: (P, L) float64, filled with their backward probabilities, with PATH.
        held: (P, L) float64, filled with the sums of the posteriors, with PATH.
    """
    p = tl.program_id(0).to(tl.int64)
    s, d = tl.arange(0, S), tl.arange(0, D)
    edge = d[:, None] * S + s[None, :]
    targets, rules, factors = tl.load(target + edge), tl.load(rule + edge), tl.load(factor + edge)
    labels = tl.load(label + s)
    words += p * L
    likelihood += p * L * K
    alpha += p * L * S
    inverse += p * L
    gain += p * L * J
    share += p * L * J
    returned += p * BASES * J
    length = tl.load(lengths + p)
    onto = tl.load(behind + p * S + s)
    counts = factors * 0.0
    if GAPS:
        gap_in, rule_in, gap_out = (
            tl.load(enter_gap + s), tl.load(enter_rule + s), tl.load(leave_gap + s),
        )  # fmt: skip
    if JUMPS:
        column, begun = tl.load(jump + s), tl.load(jump_of_donor + s)
        lands, begins = column >= 0, begun >= 0
        origin = tl.load(jump_source + s)
    last = length - 1
    here = tl.load(alpha + last * S + s)
    before = tl.load(alpha + tl.maximum(last - 1, 0) * S + s)
    for back in range(0, length):
        t = last - back
        word, scale = tl.load(words + t), tl.load(inverse + t)
        scores = tl.load(likelihood + t * K + labels)
        earlier = tl.load(alpha + tl.maximum(t - 2, 0) * S + s)
        beta = onto
        if JUMPS:
            slot = (t % BASES) * J
            landed = tl.load(gain + t * J + column, mask=lands, other=0.0)
            sent = tl.load(alpha + tl.maximum(t - BASES, 0) * S + origin)
            beta += tl.load(returned + slot + begun, mask=begins, other=0.0)
            tl.debug_barrier()  # all have read what is overwritten below
            onward = tl.where(t >= BASES, landed * beta, 0.0)
            tl.store(returned + slot + column, onward, mask=lands)
            tl.store(share + t * J + column, sent * onward, mask=lands)
        if PATH:
            tl.store(on_path + p * L + t + s * 0, beta, mask=s == tl.load(states + p * L + t))
            tl.store(held + p * L + t, tl.sum(here * beta, 0))
        tl.store(alpha + t * S + s, here * beta)
        ahead = beta * scores * scale
        passed = _passed(ahead, targets, factors, (rules & word) != 0, D, S)
        counts += tl.where(t > 0, passed * before[None, :], 0.0)
        onto = tl.sum(passed, 0)
        if GAPS:  # noqa: SIM102
            if (word & _GAP_BITS) != 0:
                outside = tl.sum(tl.where(s == 0, ahead, 0.0), 0)
                opened = ((gap_in & word) != 0) & ((rule_in & word) != 0)
                cut = tl.sum(tl.where(opened, ahead, 0.0), 0)
                onto += tl.where((gap_out & word) != 0, outside, 0.0) + tl.where(s == 0, cut, 0.0)
        here, before = before, earlier
        if JUMPS:
            tl.debug_barrier()  # donors read `returned`, where it is written by other lanes
    tl.store(count + p * D * S + edge, counts)
