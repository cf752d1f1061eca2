"""Conditional random fields over label scores: the gene grammar's, and the paper's linear chain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
import torchcrf  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from dnaannot.dna.forward_backward import ALL_LABELS, log_partition
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.linear_chain import best_labels, chain_grammar, chain_words


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


def _in_threads(function: Callable[..., Any], jobs: Iterable[tuple]) -> list[Any]:
    """Results of `function(*job)` in order; the kernels run without the interpreter's lock."""
    jobs = list(jobs)
    with ThreadPoolExecutor(max(1, min(len(jobs), torch.get_num_threads()))) as pool:
        return list(pool.map(lambda job: function(*job), jobs))


def _as_array(values: Tensor) -> np.ndarray:
    """Float32 or, of double, float64."""
    kept = torch.float64 if values.dtype == torch.float64 else torch.float32
    return values.detach().to("cpu", kept).contiguous().numpy()


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        weights: Tensor,
        words: np.ndarray,
        allowed: np.ndarray,
        grammar: Grammar,
        free_ends: bool,
    ) -> tuple[Tensor, Tensor]:
        free = np.ones(len(grammar.states), bool)
        ends = (free, free) if free_ends else (grammar.begins, grammar.ends)
        scores = _as_array(emissions)
        pair_scores = weights.detach().double().cpu().numpy()

        def partition(window: int, restricted: bool) -> tuple[float, np.ndarray, np.ndarray]:
            mask = allowed[window] if restricted else np.full(len(words[window]), ALL_LABELS)
            return log_partition(grammar, pair_scores, words[window], scores[window], mask, *ends)

        n_windows = len(words)
        jobs = [(window, restricted) for restricted in (True, False) for window in range(n_windows)]
        results = _in_threads(partition, jobs)
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
        return torch.from_numpy(likelihoods.astype(scores.dtype)).to(emissions.device), flags

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
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


class LinearChainCRF(torchcrf.CRF):
    """pytorch-crf's `CRF` with the same parameters, meaning and interface, made fast.

    Transition scores may be -inf. At most 32 tags.
    """

    def __init__(self, num_tags: int, batch_first: bool = False) -> None:
        super().__init__(num_tags, batch_first)
        self._grammar = chain_grammar(num_tags)

    def _compute_score(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """Scores (B,) of tags (L, B)."""
        on = mask.bool()
        scores = emissions.gather(2, tags.unsqueeze(2)).squeeze(2)
        scores = scores[0] + torch.where(on[1:], scores[1:], 0.0).sum(0)
        steps = self.transitions[tags[:-1], tags[1:]]
        scores = scores + torch.where(on[1:], steps, 0.0).sum(0)
        last = tags.gather(0, on.sum(0, keepdim=True) - 1).squeeze(0)
        return scores + self.start_transitions[tags[0]] + self.end_transitions[last]

    def _compute_normalizer(self, emissions: Tensor, mask: Tensor) -> Tensor:
        """Log partition functions (B,) of emissions (L, B, K)."""
        length, n_windows = mask.shape
        on = mask.bool()
        positions = torch.arange(length, device=on.device).unsqueeze(1)
        last = torch.where(on, positions, 0).amax(0)
        windows = torch.arange(n_windows, device=on.device)
        first = torch.zeros_like(last)
        ends = self.end_transitions.expand(n_windows, -1).to(emissions.dtype)
        starts = self.start_transitions.expand(n_windows, -1).to(emissions.dtype)
        emissions = emissions.index_put((first, windows), starts, accumulate=True)
        emissions = emissions.index_put((last, windows), ends, accumulate=True)
        return _LogPartition.apply(
            emissions.transpose(0, 1), self.transitions, on.T.cpu().numpy(), self._grammar
        )

    def _viterbi_decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best tags of each window of emissions (L, B, K), where the mask is on."""
        scores, on = _as_array(emissions.transpose(0, 1)), mask.bool().T.cpu().numpy()
        parameters = [
            _as_array(values).astype(scores.dtype)
            for values in (self.transitions, self.start_transitions, self.end_transitions)
        ]
        jobs = [(scores[window][on[window]], *parameters) for window in range(len(on))]
        return [labels.tolist() for labels in _in_threads(best_labels, jobs)]


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transitions: Tensor, mask: np.ndarray, grammar: Grammar
    ) -> Tensor:
        scores, pair_scores = _as_array(emissions), _as_array(transitions).reshape(-1)
        anywhere = np.ones(len(grammar.states), bool)

        def partition(window: int) -> tuple[float, np.ndarray, np.ndarray]:
            rows = scores[window][mask[window]]
            words, allowed = chain_words(len(rows)), np.full(len(rows), ALL_LABELS)
            return log_partition(grammar, pair_scores, words, rows, allowed, anywhere, anywhere)

        values, marginals, counts = zip(
            *_in_threads(partition, [(window,) for window in range(len(mask))]), strict=True
        )
        gradient = np.zeros_like(scores)
        gradient[mask] = np.concatenate(marginals)
        pair_counts = np.stack(counts).reshape(-1, *transitions.shape)
        ctx.save_for_backward(
            torch.from_numpy(gradient).to(emissions), torch.from_numpy(pair_counts).to(transitions)
        )
        return torch.from_numpy(np.array(values, scores.dtype)).to(emissions.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        marginals, counts = ctx.saved_tensors
        per_window = gradient[:, None, None]
        return marginals * per_window, (counts * per_window).sum(0), None, None
