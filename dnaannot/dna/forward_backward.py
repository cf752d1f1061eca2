"""Partition function, marginals and posteriors of label scores under a grammar.

Two kernels give the same numbers. The scaled one works with probabilities that are rescaled
where they leave a range, and is fast; it detects when float64 did not hold a path that matters.
The logarithmic one takes over then.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from dnaannot.dna.forward_backward_kernels import backward, forward, new_lattice, start_return
from dnaannot.dna.forward_backward_logs import (
    log_backward,
    log_forward,
    log_sum,
    new_log_lattice,
)
from dnaannot.dna.forward_backward_tables import (
    ALL_LABELS,
    Model,
    Steps,
    build_model,
    list_steps,
    shifted_scores,
)
from dnaannot.dna.grammar import UNKNOWN, Grammar

__all__ = ["ALL_LABELS", "allowed_labels", "log_partition"]

_LOWEST_SCORE = -600.0


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
        The log partition, -inf where no path is permitted; the label marginals (L, K), its
        gradient by `emissions`, float32 unless `emissions` is float64; the expected counts (P,)
        float64 of the label pairs, its gradient by `weights`. Both gradients are zero where no
        path is permitted, and all is NaN where an emission is NaN.
    """
    length, n_labels = emissions.shape
    if length == 0:
        raise ValueError("a sequence needs at least one base")
    model = build_model(grammar, weights)
    words = np.ascontiguousarray(words, np.uint32)
    allowed = np.ascontiguousarray(allowed, np.uint32)
    scores = np.empty((length, n_labels))
    shift, lowest = shifted_scores(np.ascontiguousarray(emissions), allowed, scores)
    exact = emissions.dtype == np.float64
    marginals = np.zeros((length, n_labels), np.float64 if exact else np.float32)
    counts = np.zeros(len(weights) + 1)
    if math.isnan(shift):
        marginals[:], counts[:] = math.nan, math.nan
        return math.nan, marginals, counts[:-1]
    if shift == -math.inf:
        return -math.inf, marginals, counts[:-1]
    steps = list_steps(words, allowed, model)
    starts = begin & ((words[0] & grammar.begin_rule) != 0)
    paths = _Paths(model, steps, scores, starts, end, marginals, counts)
    log_z = math.nan
    if not log_space and lowest > _LOWEST_SCORE:
        log_z = _scaled_partition(paths)
    if math.isnan(log_z):
        marginals[:], counts[:] = 0, 0
        log_z = _log_partition(paths)
    return log_z + shift, marginals, counts[:-1]


class _Paths(NamedTuple):
    """The paths to sum over, and what is counted of them on the way.

    Attributes:
        model, steps: as the kernels take them.
        scores: (L, K).
        starts, ends: (S,) bool.
        marginals, counts: (L, K) and (P + 1,), zero; filled with the gradients.
    """

    model: Model
    steps: Steps
    scores: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    marginals: np.ndarray
    counts: np.ndarray


def _scaled_partition(paths: _Paths) -> float:
    """Log partition, NaN where float64 does not hold it."""
    model, steps, scores, starts, ends, marginals, counts = paths
    length = len(scores)
    lattice, likelihoods = new_lattice(length, model), np.exp(scores)
    if not forward(0, model, steps, scores, likelihoods, starts, lattice):
        return math.nan
    total, back = start_return(length - 1, 0, model, lattice, ends, counts)
    if not 0 < total < math.inf:
        return math.nan
    fits = backward(0, length, 0, model, steps, likelihoods, lattice, back, None, marginals, counts)
    return float(lattice.log_scale.sum()) + math.log(total) if fits else math.nan


def _log_partition(paths: _Paths) -> float:
    """Log partition in the logarithmic kernel."""
    model, steps, scores, starts, ends, marginals, counts = paths
    lattice = new_log_lattice(len(scores), model)
    log_forward(0, model, steps, scores, starts, lattice)
    total = log_sum(model, lattice, ends)
    if total > -math.inf:
        log_backward(0, model, steps, scores, ends, total, lattice, None, marginals, counts)
    return float(total)
