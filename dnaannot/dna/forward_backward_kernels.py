"""Forward and backward passes in scaled probabilities: fast, and aware of what they cannot hold.

Rows are consecutive bases. Rows before `first` belong to an earlier stretch of the sequence, of
which only the lattice is known; row r of `scores` and of the steps is row `first + r` here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna.compiled import kernel, part
from dnaannot.dna.forward_backward_tables import Model

_TINY = 1e-280
_RESCALE_BELOW, _RESCALE_ABOVE = 1e-20, 1e20
_TOLERANCE = 1e-6

_FAST = {"contract", "reassoc", "nsz"}
_kernel = kernel(fastmath=_FAST)
_part = part(fastmath=_FAST, forceinline=True)  # left apart, the run that compiles rounds otherwise


class Lattice(NamedTuple):
    """What the forward pass leaves for the backward pass; R rows, N lanes.

    Attributes:
        alpha: (R, S) float64, forward probabilities, rescaled where they left a range.
        log_scale: (R,) float64, log of what a row was divided by.
        flow: (R, N) float64, running sum of a lane's scores less the log scales.
        blocked: (R, N) int64, last row at or before this one where the lane's label is forbidden.
        landed: (R, N) float64, factor of a jump that lands here, but for the jump's own weight;
            0 where none does.
        sends: (R,) bool, whether jumps may start here.
        inflight: (N,) float64, a bound of the mass inside jumps at the last row.
    """

    alpha: np.ndarray
    log_scale: np.ndarray
    flow: np.ndarray
    blocked: np.ndarray
    landed: np.ndarray
    sends: np.ndarray
    inflight: np.ndarray


class Return(NamedTuple):
    """What the backward pass brings from a row to the rows before it.

    Attributes:
        behind: (S,) float64, backward probabilities of the row before, jumps not counted.
        returned: (bases, J) float64, what jumps add to their donor, by its row modulo bases.
        posterior: (bases, N) float64, probability of the jumps from there.
        covered: (N,) float64, probability that the row before is inside a jump or its donor.
    """

    behind: np.ndarray
    returned: np.ndarray
    posterior: np.ndarray
    covered: np.ndarray


def new_lattice(rows: int, model: Model) -> Lattice:
    """An empty lattice."""
    n_states, n_lanes = len(model.label_of_state), len(model.lane_label)
    return Lattice(
        np.empty((rows, n_states)),
        np.empty(rows),
        np.empty((rows, n_lanes)),
        np.empty((rows, n_lanes), np.int64),
        np.empty((rows, n_lanes)),
        np.empty(rows, bool),
        np.zeros(n_lanes),
    )


def carry(before: Lattice, lattice: Lattice, rows: int) -> None:
    """Copy the last `rows` rows of one lattice to the first of another."""
    for old, new in zip(before[:-1], lattice[:-1], strict=True):
        new[:rows] = old[-rows:]
    lattice.flow[:rows] -= before.flow[-1]
    lattice.blocked[:rows] -= len(before.alpha) - rows
    lattice.inflight[:] = before.inflight


@_part
def _advance_lanes(t, first, model, scores, lattice):
    """Fill flow, blocked and landed of row t as if its log scale were 0."""
    _, _, flow, blocked, landed, sends, _ = lattice
    bases = model.jump_bases
    for n in range(len(model.lane_label)):
        score = scores[t - first, model.lane_label[n]]
        blocked[t, n] = blocked[t - 1, n] if t else -1
        flow[t, n] = flow[t - 1, n] if t else 0.0
        landed[t, n] = 0.0
        if score == -np.inf:
            blocked[t, n] = t
            continue
        flow[t, n] += score
        if t >= bases and sends[t - bases] and blocked[t, n] <= t - bases:
            run = flow[t, n] - flow[t - bases, n] + (bases - 1) * model.lane_weight[n]
            landed[t, n] = np.exp(run)


@_kernel
def relattice(first, model, scores, log_alpha, lattice):
    """Fill the rows from `first` on from logarithms (R, S) that are 0 at the base before."""
    alpha, log_scale, flow, _, landed, sends, inflight = lattice
    level = 0.0
    for t in range(first, len(alpha)):
        sends[t] = True
        greatest = -np.inf
        for s in range(alpha.shape[1]):
            greatest = max(greatest, log_alpha[t, s])
        log_scale[t] = greatest - level if greatest > -np.inf else 0.0
        level += log_scale[t]
        for s in range(alpha.shape[1]):
            alpha[t, s] = np.exp(log_alpha[t, s] - level)
        _advance_lanes(t, first, model, scores, lattice)
        for n in range(flow.shape[1]):
            flow[t, n] -= log_scale[t]
            landed[t, n] *= np.exp(-log_scale[t])
    inflight[:] = 0.0


@_kernel
def forward(first, model, steps, scores, likelihoods, starts, lattice):
    """Fill the rows from `first` on; False when all mass is lost.

    The mass inside jumps counts in the scale, or an intron that is certain would leave nothing.
    """
    alpha, log_scale, flow, _, landed, sends, inflight = lattice
    rows, n_states = alpha.shape
    n_lanes, n_jumps, bases = len(model.lane_label), len(model.jump_source), model.jump_bases
    jump_factor, lane_factor = model.jump_factor, model.lane_factor
    for t in range(first, rows):
        for s in range(n_states):
            alpha[t, s] = 0.0
        row = steps.classes[t - first]
        for k in range(steps.indptr[row], steps.indptr[row + 1]):
            alpha[t, steps.target[k]] += alpha[t - 1, steps.source[k]] * steps.factor[k]
        for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
            state = steps.state[k]
            likelihood = likelihoods[t - first, model.label_of_state[state]]
            if t == 0:
                alpha[t, state] = likelihood if starts[state] else 0.0
            else:
                alpha[t, state] *= likelihood
        sends[t] = steps.sends[row]
        _advance_lanes(t, first, model, scores, lattice)
        total = 0.0
        for n in range(n_lanes):
            inflight[n] *= lane_factor[n]
        for j in range(n_jumps if t and sends[t - 1] else 0):
            inflight[model.jump_lane[j]] += alpha[t - 1, model.jump_source[j]] * jump_factor[j]
        for n in range(n_lanes):
            inflight[n] *= likelihoods[t - first, model.lane_label[n]]
            total += inflight[n]
        for j in range(n_jumps if t >= bases and sends[t - bases] else 0):
            sent = alpha[t - bases, model.jump_source[j]]
            if sent > 0.0:
                factor = jump_factor[j] * landed[t, model.jump_lane[j]]
                alpha[t, model.jump_target[j]] += sent * factor
        for s in range(n_states):
            total += alpha[t, s]
        if not (total > _TINY and total < np.inf):
            return False
        log_scale[t] = 0.0
        if total < _RESCALE_BELOW or total > _RESCALE_ABOVE:
            log_scale[t] = np.log(total)
            for s in range(n_states):
                alpha[t, s] /= total
            for n in range(n_lanes):
                inflight[n] /= total
                flow[t, n] -= log_scale[t]
                landed[t, n] /= total
        for s in range(n_states):
            alpha[t, s] = alpha[t, s] if alpha[t, s] > _TINY else 0.0
        for n in range(n_lanes):
            inflight[n] = inflight[n] if inflight[n] > _TINY else 0.0
    return True


def start_return(
    last: int,
    origin: int,
    model: Model,
    lattice: Lattice,
    end: np.ndarray,
    counts: np.ndarray | None,
) -> tuple[float, Return]:
    """Scaled mass of all paths that may end at row `last`, and the `Return` from there.

    Args:
        last: the row; the path may end in states where `end` (S,), or inside a jump into one.
        origin: coordinate of row 0.
        counts: (P + 1,) added to, or None.
    """
    lanes = model.jump_lane
    rows = np.arange(max(0, last + 1 - model.jump_bases), last)
    slots = (origin + rows) % model.jump_bases
    inside = last - 1 - rows
    run = lattice.flow[last] - lattice.flow[rows]
    run[:-1] += inside[:-1, None] * model.lane_weight
    run[lattice.blocked[last] > rows[:, None]] = -np.inf
    sent = lattice.alpha[rows][:, model.jump_source]
    with np.errstate(over="ignore", invalid="ignore"):
        onward = np.exp(run[:, lanes] + model.jump_weight)
        onward[(sent == 0.0) | ~end[model.jump_target]] = 0.0
        total = float(lattice.alpha[last, end].sum() + (sent * onward).sum())
    behind = end.astype(np.float64)
    returned = np.zeros((model.jump_bases, len(lanes)))
    posterior = np.zeros((model.jump_bases, len(model.lane_label)))
    if 0.0 < total < np.inf:
        behind /= total
        onward /= total
        share = sent * onward
        returned[slots] = onward
        for lane in range(posterior.shape[1]):
            posterior[slots, lane] = share[:, lanes == lane].sum(1)
        if counts is not None:
            np.add.at(counts, model.jump_pair, share.sum(0))
            np.add.at(counts, model.lane_pair, inside @ posterior[slots])
    return total, Return(behind, returned, posterior, posterior.sum(0))


@_kernel
def backward(
    first, stop, origin, model, steps, likelihoods, lattice, back, path, marginals, counts
):
    """Rows `stop` - 1 down to `first`; False when mass was lost on the way.

    The backward probabilities share the forward scales, so that the posteriors of each row,
    jumps included, sum to 1 unless float64 dropped a path that matters in one of the two passes.

    Args:
        back: what the rows from `stop` on returned; replaced by what these rows return.
        path: (states, on_path) of which on_path (R,) is set to the backward probability of
            states (R,), or None.
        marginals: (R - first, K) set to the label posteriors, or None.
        counts: (P + 1,) added to, or None.
    """
    alpha, log_scale, _, _, landed, _, _ = lattice
    behind, returned, posterior, covered = back
    n_states, n_lanes = alpha.shape[1], len(model.lane_label)
    n_jumps, bases = len(model.jump_source), model.jump_bases
    jump_factor = model.jump_factor
    beta, ahead = np.zeros(n_states), np.zeros(n_states)
    by_label = np.zeros(likelihoods.shape[1])
    slot = (origin + stop) % bases
    for t in range(stop - 1, first - 1, -1):
        slot = slot - 1 if slot else bases - 1
        row = steps.classes[t - first]
        for j in range(n_jumps):
            behind[model.jump_source[j]] += returned[slot, j]
        total = 0.0
        for n in range(n_lanes):
            covered[n] = max(covered[n] - posterior[slot, n], 0.0)
            total += covered[n]
            posterior[slot, n] = 0.0
        for s in range(n_states):
            beta[s] = behind[s] if behind[s] > _TINY else 0.0
            behind[s] = 0.0
            total += alpha[t, s] * beta[s]
        if not abs(total - 1.0) < _TOLERANCE:
            return False
        scale = 1.0 if log_scale[t] == 0.0 else np.exp(-log_scale[t])
        for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
            state = steps.state[k]
            likelihood = likelihoods[t - first, model.label_of_state[state]]
            ahead[state] = beta[state] * likelihood * scale
        if marginals is not None:
            for k in range(len(by_label)):
                by_label[k] = 0.0
            for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
                state = steps.state[k]
                by_label[model.label_of_state[state]] += alpha[t, state] * beta[state]
            for n in range(n_lanes):
                by_label[model.lane_label[n]] += covered[n]
            for k in range(len(by_label)):
                marginals[t - first, k] = by_label[k]
        if path is not None:
            path[1][t - first] = beta[path[0][t - first]]
        for k in range(steps.indptr[row], steps.indptr[row + 1]):
            source = steps.source[k]
            onward = steps.factor[k] * ahead[steps.target[k]]
            behind[source] += onward
            if counts is not None:
                counts[model.pair[steps.edge[k]]] += alpha[t - 1, source] * onward
        for j in range(n_jumps):
            returned[slot, j] = 0.0
        if t < bases:
            continue
        for j in range(n_jumps):
            lane = model.jump_lane[j]
            if landed[t, lane] > 0.0:
                onward = jump_factor[j] * landed[t, lane] * beta[model.jump_target[j]]
                share = alpha[t - bases, model.jump_source[j]] * onward
                returned[slot, j] = onward
                posterior[slot, lane] += share
                covered[lane] += share
                if counts is not None:
                    counts[model.jump_pair[j]] += share
                    counts[model.lane_pair[lane]] += share * (bases - 1)
    return True


@_kernel
def pass_back(first, stop, origin, model, steps, likelihoods, lattice, back, path):
    """As `backward` where nothing but the path is asked for, in a third of the time.

    Whether mass was lost is seen at row `first`: from where the forward pass lost it, the two
    passes no longer sum to 1 in any row before, and what float64 does not hold of backward
    probabilities is too little to matter. Of `back`, `posterior` and `covered` are left as they
    are.
    """
    alpha, log_scale, _, _, landed, sends, _ = lattice
    behind, returned, _, _ = back
    n_states, n_jumps, bases = alpha.shape[1], len(model.jump_source), model.jump_bases
    beta, ahead = np.zeros(n_states), np.zeros(n_states)
    slot = (origin + stop) % bases
    for t in range(stop - 1, first - 1, -1):
        slot = slot - 1 if slot else bases - 1
        row = steps.classes[t - first]
        for j in range(n_jumps if sends[t] else 0):
            behind[model.jump_source[j]] += returned[slot, j]
            returned[slot, j] = 0.0
        for s in range(n_states):
            beta[s] = behind[s] if behind[s] > _TINY else 0.0
            behind[s] = 0.0
        path[1][t - first] = beta[path[0][t - first]]
        scale = 1.0 if log_scale[t] == 0.0 else np.exp(-log_scale[t])
        for k in range(steps.state_indptr[row], steps.state_indptr[row + 1]):
            state = steps.state[k]
            likelihood = likelihoods[t - first, model.label_of_state[state]]
            ahead[state] = beta[state] * likelihood * scale
        for k in range(steps.indptr[row], steps.indptr[row + 1]):
            behind[steps.source[k]] += steps.factor[k] * ahead[steps.target[k]]
        if t == first:
            total = _mass_across(t, slot, model, alpha, beta, returned)
        for j in range(n_jumps if t >= bases and sends[t - bases] else 0):
            if landed[t, model.jump_lane[j]] > 0.0:
                factor = model.jump_factor[j] * landed[t, model.jump_lane[j]]
                returned[slot, j] = factor * beta[model.jump_target[j]]
    return abs(total - 1.0) < _TOLERANCE


@_part
def _mass_across(t, slot, model, alpha, beta, returned):
    """Posterior of all paths in a state at row t, which has a slot, or inside a jump there."""
    total = 0.0
    for s in range(len(beta)):
        total += alpha[t, s] * beta[s]
    for back in range(1, min(t + 1, model.jump_bases)):
        before = (slot - back) % model.jump_bases
        for j in range(len(model.jump_source)):
            total += alpha[t - back, model.jump_source[j]] * returned[before, j]
    return total
