"""Conditional random fields over label scores: the gene grammar's."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dnaannot.dna.forward_backward import ALL_LABELS, log_partition
from dnaannot.dna.grammar import Grammar


class LogLikelihood(NamedTuple):
    """Log-likelihoods of a batch of windows.

    Attributes:
        values: (B,) float32, 0 without gradient where the known labels fit no path.
        possible: (B,) bool, whether some path fits the known labels.
    """

    values: Tensor
    possible: Tensor


def crf_log_likelihood(
    emissions: Tensor,
    weights: Tensor,
    words: Tensor | np.ndarray,
    allowed: Tensor | np.ndarray,
    grammar: Grammar,
    free_ends: bool = True,
) -> LogLikelihood:
    """Log of the share of the paths compatible with what is known among all paths.

    Args:
        emissions: (B, L, K) label scores in nats, any float type.
        weights: (P,) scores of the grammar's label pairs.
        words: (B, L) position words, any integer type.
        allowed: (B, L) bit masks, bit k is set where label k is possible; any integer type.
        grammar: states, edges and rules.
        free_ends: windows begin and end in any state; otherwise as whole sequences do.

    Gradients flow to `emissions` and `weights`. CUDA tensors are copied to the CPU kernels.
    """
    words, allowed = _as_uint32(words), _as_uint32(allowed)
    values, possible = _LogLikelihood.apply(emissions, weights, words, allowed, grammar, free_ends)
    return LogLikelihood(values, possible)


def _as_uint32(values: Tensor | np.ndarray) -> np.ndarray:
    return np.asarray(values.cpu() if isinstance(values, Tensor) else values).astype(
        np.uint32, copy=False
    )


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(ctx, emissions, weights, words, allowed, grammar, free_ends):
        free = np.ones(len(grammar.states), bool)
        ends = (free, free) if free_ends else (grammar.begins, grammar.ends)
        value_type = torch.float64 if emissions.dtype == torch.float64 else torch.float32
        scores = emissions.detach().to("cpu", value_type).numpy()
        pair_scores = weights.detach().double().cpu().numpy()

        def partition(window: int, restricted: bool):
            mask = allowed[window] if restricted else np.full(len(words[window]), ALL_LABELS)
            return log_partition(grammar, pair_scores, words[window], scores[window], mask, *ends)

        n_windows = len(words)
        jobs = [(window, restricted) for restricted in (True, False) for window in range(n_windows)]
        threads = max(1, min(len(jobs), torch.get_num_threads()))
        with ThreadPoolExecutor(threads) as pool:
            results = list(pool.map(partition, *zip(*jobs, strict=True)))
        likelihoods, possible = np.zeros(n_windows), np.ones(n_windows, bool)
        emission_gradient = np.zeros_like(scores)
        weight_gradient = np.zeros((n_windows, len(pair_scores)))
        for window in range(n_windows):
            fitting, every = results[window], results[n_windows + window]
            possible[window] = fitting[0] != -math.inf
            if possible[window]:
                likelihoods[window] = fitting[0] - every[0]
                np.subtract(fitting[1], every[1], out=emission_gradient[window])
                weight_gradient[window] = fitting[2] - every[2]
        ctx.save_for_backward(
            torch.from_numpy(emission_gradient).to(emissions.device, emissions.dtype),
            torch.from_numpy(weight_gradient).to(weights.device),
        )
        ctx.weight_type = weights.dtype
        flags = torch.from_numpy(possible).to(emissions.device)
        ctx.mark_non_differentiable(flags)
        return torch.from_numpy(likelihoods).to(emissions.device, value_type), flags

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient, _):
        emission_gradient, weight_gradient = ctx.saved_tensors
        for_emissions = emission_gradient * gradient.to(emission_gradient.dtype)[:, None, None]
        for_weights = (weight_gradient * gradient.to(weight_gradient)[:, None]).sum(0)
        return for_emissions, for_weights.to(ctx.weight_type), None, None, None, None


class GeneCRF(nn.Module):
    """The CRF of a gene grammar: one learned score for each pair of consecutive labels.

    Args:
        grammar: states, edges and rules.
        free_ends: training windows begin and end in any state.

    Attributes:
        weights: (P,) parameter, 0 at first; tied between the strands.
    """

    def __init__(self, grammar: Grammar, free_ends: bool = True) -> None:
        super().__init__()
        self.grammar, self.free_ends = grammar, free_ends
        self.weights = nn.Parameter(torch.zeros(len(grammar.pairs)))

    def log_likelihood(
        self, emissions: Tensor, words: Tensor | np.ndarray, allowed: Tensor | np.ndarray
    ) -> LogLikelihood:
        """As `crf_log_likelihood`, with this module's grammar and weights."""
        return crf_log_likelihood(
            emissions, self.weights, words, allowed, self.grammar, self.free_ends
        )

    def forward(
        self, emissions: Tensor, words: Tensor | np.ndarray, allowed: Tensor | np.ndarray
    ) -> Tensor:
        """Mean negative log-likelihood in nats per base, over the windows that fit some path."""
        values, possible = self.log_likelihood(emissions, words, allowed)
        return -values.sum() / (possible.sum() * emissions.shape[1]).clamp(min=1)
