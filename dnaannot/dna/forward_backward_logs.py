"""Forward and backward passes in logarithms: several times slower, for any finite scores.

Rows are consecutive bases. Rows before `first` belong to an earlier stretch of the sequence, of
which only `LogLattice` is known; row r of `scores` and of the steps is row `first + r` here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dnaannot.dna.compiled import kernel, part


class LogLattice(NamedTuple):
    """What the forward pass leaves for the backward pass; R rows, N lanes.

    Attributes:
        alpha: (R, S) float64, logarithms.
        flow: (R, N) float64, running sum of a lane's scores.
        blocked: (R, N) int64, last row at or before this one where the lane's label is forbidden.
    """

    alpha: np.ndarray
    flow: np.ndarray
    blocked: np.ndarray


def new_log_lattice(rows: int, model) -> LogLattice:
    """An empty lattice."""
    n_states, n_lanes = len(model.label_of_state), len(model.lane_label)
    return LogLattice(
        np.empty((rows, n_states)), np.empty((rows, n_lanes)), np.empty((rows, n_lanes), np.int64)
    )


@part()
def _log_add(a, b):
    if a < b:
        a, b = b, a
    return a if b == -np.inf else a + np.log1p(np.exp(b - a))


@part()
def _run(model, flow, blocked, start, stop, jump):
    """Score of a jump's bases from `start` (excluded) to `stop` (included), weights included."""
    lane = model.jump_lane[jump]
    if blocked[stop, lane] > start:
        return -np.inf
    run = flow[stop, lane] - flow[start, lane] + model.jump_weight[jump]
    if stop - start > 1:
        run += (stop - start - 1) * model.lane_weight[lane]
    return run


@kernel()
def log_forward(first, model, steps, scores, starts, lattice):
    """Fill the rows from `first` on."""
    alpha, flow, blocked = lattice
    n_states, bases = alpha.shape[1], model.jump_bases
    for t in range(first, len(alpha)):
        for n in range(len(model.lane_label)):
            score = scores[t - first, model.lane_label[n]]
            flow[t, n] = flow[t - 1, n] if t else 0.0
            blocked[t, n] = blocked[t - 1, n] if t else -1
            if score == -np.inf:
                blocked[t, n] = t
            else:
                flow[t, n] += score
        row = steps.classes[t - first]
        for s in range(n_states):
            alpha[t, s] = 0.0 if t == 0 and starts[s] else -np.inf
        for k in range(steps.indptr[row], steps.indptr[row + 1]):
            target = steps.target[k]
            step = alpha[t - 1, steps.source[k]] + model.weight[steps.edge[k]]
            alpha[t, target] = _log_add(alpha[t, target], step)
        for s in range(n_states):
            alpha[t, s] += scores[t - first, model.label_of_state[s]]
        if t >= bases:
            for j in range(len(model.jump_source)):
                target = model.jump_target[j]
                step = alpha[t - bases, model.jump_source[j]]
                step += _run(model, flow, blocked, t - bases, t, j)
                alpha[t, target] = _log_add(alpha[t, target], step)


@kernel()
def log_sum(model, lattice, end):
    """Log of the mass of all paths that may end at the last row."""
    alpha, flow, blocked = lattice
    last = len(alpha) - 1
    total = -np.inf
    for s in range(alpha.shape[1]):
        if end[s]:
            total = _log_add(total, alpha[last, s])
    for j in range(len(model.jump_source)):
        if end[model.jump_target[j]]:
            for t in range(max(0, last + 1 - model.jump_bases), last):
                run = _run(model, flow, blocked, t, last, j)
                total = _log_add(total, alpha[t, model.jump_source[j]] + run)
    return total


@kernel()
def log_backward(first, model, steps, scores, end, total, lattice, path, marginals, counts):
    """All rows from `first` on, backwards, of paths whose `log_sum` is `total`, finite.

    Args:
        path: (states, on_path) of which on_path (R - first,) is set to the log of the backward
            probability of states (R - first,), or None.
        marginals: (R - first, K) set to the label posteriors.
        counts: (P + 1,) added to.
    """
    alpha, flow, blocked = lattice
    rows, n_states = alpha.shape
    bases = model.jump_bases
    covered = np.zeros((rows + 1, len(model.lane_label)))
    beta = np.full((rows, n_states), -np.inf)
    by_label = np.zeros(scores.shape[1])
    for t in range(rows - 1, -1, -1):
        if t == rows - 1:
            for s in range(n_states):
                beta[t, s] = 0.0 if end[s] else -np.inf
        elif t + 1 >= first:
            row = steps.classes[t + 1 - first]
            for k in range(steps.indptr[row], steps.indptr[row + 1]):
                source, target, edge = steps.source[k], steps.target[k], steps.edge[k]
                score = scores[t + 1 - first, model.label_of_state[target]]
                onward = beta[t + 1, target] + score + model.weight[edge]
                if onward > -np.inf:
                    beta[t, source] = _log_add(beta[t, source], onward)
                    counts[model.pair[edge]] += np.exp(alpha[t, source] + onward - total)
        lands = t + bases < rows
        stop = t + bases if lands else rows - 1
        for j in range(len(model.jump_source) if first <= stop and t < stop else 0):
            lane, donor = model.jump_lane[j], model.jump_source[j]
            target = model.jump_target[j]
            onward = _run(model, flow, blocked, t, stop, j)
            if lands:
                onward += beta[stop, target]
            elif not end[target]:
                onward = -np.inf
            if onward > -np.inf:
                beta[t, donor] = _log_add(beta[t, donor], onward)
                posterior = np.exp(alpha[t, donor] + onward - total)
                counts[model.jump_pair[j]] += posterior
                counts[model.lane_pair[lane]] += posterior * (stop - t - 1)
                covered[t + 1, lane] += posterior
                covered[stop if lands else stop + 1, lane] -= posterior
        if t < first:
            continue
        by_label[:] = 0.0
        for s in range(n_states):
            if alpha[t, s] > -np.inf and beta[t, s] > -np.inf:
                by_label[model.label_of_state[s]] += np.exp(alpha[t, s] + beta[t, s] - total)
        for k in range(len(by_label)):
            marginals[t - first, k] = by_label[k]
        if path is not None:
            path[1][t - first] = beta[t, path[0][t - first]]
    running = np.zeros(covered.shape[1])
    for t in range(rows):
        for n in range(len(running)):
            running[n] = max(running[n] + covered[t, n], 0.0)
            if t >= first:
                marginals[t - first, model.lane_label[n]] += running[n]
