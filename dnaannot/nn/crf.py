"""Conditional random fields over label scores: the gene grammar's, and the paper's linear chain."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
import torchcrf  # type: ignore[import-untyped]
from torch import Tensor
from torch.autograd.function import once_differentiable

from dnaannot.dna.forward_backward import ALL_LABELS, log_partition
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.linear_chain import best_labels, chain_grammar, chain_words
from dnaannot.nn import crf_cuda


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

    Gradients flow to `emissions` and `weights`. On a GPU all stays there where Triton is
    installed, and is copied to the CPU's kernels where it is not.
    """
    values, possible = _LogLikelihood.apply(
        emissions, weights, words, allowed, grammar, free_ends, None
    )
    return LogLikelihood(values, possible)


def crf_divergence(
    emissions: Tensor,
    target: Tensor,
    weights: Tensor,
    words: Tensor | np.ndarray,
    grammar: Grammar,
    free_ends: bool = True,
) -> Tensor:
    """Kullback-Leibler divergences (B,) in nats of paths by `emissions` from those by `target`.

    Args:
        target: (B, L, K) label scores of the distribution to come near to; no gradient flows
            there, and for it `weights` are constants.

    The other arguments and the gradients are as in `crf_log_likelihood`.
    """
    anything = np.full(words.shape, ALL_LABELS)
    values, _ = _LogLikelihood.apply(
        emissions, weights, words, anything, grammar, free_ends, target.detach()
    )
    return -values


def _as_uint32(values: Tensor | np.ndarray) -> np.ndarray:
    return np.asarray(values.cpu() if isinstance(values, Tensor) else values).astype(
        np.uint32, copy=False
    )


def _as_integers(values: Tensor | np.ndarray, device: torch.device) -> Tensor:
    """Int64 of 32 bits."""
    if not isinstance(values, Tensor):
        values = torch.from_numpy(values.astype(np.int64))
    return values.to(device, torch.int64) & int(ALL_LABELS)


def _in_threads(function: Callable[..., Any], jobs: Iterable[tuple]) -> list[Any]:
    """Results of `function(*job)` in order; the kernels run without the interpreter's lock."""
    jobs = list(jobs)
    with ThreadPoolExecutor(max(1, min(len(jobs), torch.get_num_threads()))) as pool:
        return list(pool.map(lambda job: function(*job), jobs))


def _kept_type(values: Tensor) -> torch.dtype:
    """Float32 or, of double, float64."""
    return torch.float64 if values.dtype == torch.float64 else torch.float32


def _as_array(values: Tensor) -> np.ndarray:
    """On the CPU, of the kept type."""
    return values.detach().to("cpu", _kept_type(values)).contiguous().numpy()


class _Likelihoods(NamedTuple):
    """Log-likelihoods (B,), whether they are any (B,), and their gradients.

    Of a target, what is likely is each of its paths, by its probability, and the values are
    negative divergences.

    Attributes:
        by_emission: (B, L, K).
        by_weight: (B, P) float64.
    """

    values: Tensor
    possible: Tensor
    by_emission: Tensor
    by_weight: Tensor


def _likelihoods_on_cpu(
    emissions: Tensor,
    weights: Tensor,
    words: np.ndarray,
    allowed: np.ndarray,
    grammar: Grammar,
    ends: tuple[np.ndarray, np.ndarray],
    target: Tensor | None,
) -> _Likelihoods:
    scores, pair_scores = _as_array(emissions), weights.detach().double().cpu().numpy()
    wanted = scores if target is None else _as_array(target)

    def partition(window: int, restricted: bool) -> tuple[float, np.ndarray, np.ndarray]:
        mask = allowed[window] if restricted else np.full(len(words[window]), ALL_LABELS)
        at = (wanted if restricted else scores)[window]
        return log_partition(grammar, pair_scores, words[window], at, mask, *ends)

    n_windows = len(words)
    jobs = [(window, restricted) for restricted in (True, False) for window in range(n_windows)]
    results = _in_threads(partition, jobs)
    values, possible = np.zeros(n_windows), np.ones(n_windows, bool)
    by_emission = np.zeros_like(scores)
    by_weight = np.zeros((n_windows, len(pair_scores)))
    for window in range(n_windows):
        fitting, every = results[window], results[n_windows + window]
        possible[window] = fitting[0] != -math.inf
        if possible[window]:
            values[window] = fitting[0] - every[0]
            if target is not None:
                values[window] += np.vdot(fitting[1], scores[window] - wanted[window])
            np.subtract(fitting[1], every[1], out=by_emission[window])
            by_weight[window] = fitting[2] - every[2]
    return _Likelihoods(*map(torch.from_numpy, (values, possible, by_emission, by_weight)))


def _likelihoods_on_gpu(
    emissions: Tensor,
    weights: Tensor,
    words: Tensor | np.ndarray,
    allowed: Tensor | np.ndarray,
    grammar: Grammar,
    ends: tuple[np.ndarray, np.ndarray],
    target: Tensor | None,
) -> _Likelihoods:
    masks = _as_integers(allowed, emissions.device)
    masks = torch.cat((masks, torch.full_like(masks, int(ALL_LABELS))))
    at = _as_integers(words, emissions.device).int().repeat(2, 1)
    wanted = emissions if target is None else target.to(emissions)
    found = crf_cuda.partitions(
        grammar, weights, at, torch.cat((wanted, emissions)), masks, *ends
    )  # fmt: skip
    fitting, every = (
        crf_cuda.Partition(*parts) for parts in zip(*(part.chunk(2) for part in found), strict=True)
    )
    made = _Likelihoods(
        fitting.log_z - every.log_z,
        torch.ones_like(fitting.fits),
        (fitting.marginals - every.marginals).to(emissions.dtype),
        fitting.counts - every.counts,
    )
    if target is not None:
        made.values.add_((fitting.marginals * (emissions - wanted)).sum((1, 2)))
    lost = (~(fitting.fits & every.fits)).nonzero().flatten()
    if len(lost):
        these = (_as_uint32(at[lost]), _as_uint32(masks[lost]))
        aim = None if target is None else target[lost]
        again = _likelihoods_on_cpu(emissions[lost], weights, *these, grammar, ends, aim)
        for whole, part in zip(made, again, strict=True):
            whole[lost] = part.to(whole)
    return made


class _LogLikelihood(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        emissions: Tensor,
        weights: Tensor,
        words: Tensor | np.ndarray,
        allowed: Tensor | np.ndarray,
        grammar: Grammar,
        free_ends: bool,
        target: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        free = np.ones(len(grammar.states), bool)
        ends = (free, free) if free_ends else (grammar.begins, grammar.ends)
        if crf_cuda.is_available(emissions.device):
            made = _likelihoods_on_gpu(emissions, weights, words, allowed, grammar, ends, target)
        else:
            these = (_as_uint32(words), _as_uint32(allowed))
            made = _likelihoods_on_cpu(emissions, weights, *these, grammar, ends, target)
        device = emissions.device
        ctx.save_for_backward(
            made.by_emission.to(device, emissions.dtype), made.by_weight.to(weights.device)
        )
        ctx.weight_type = weights.dtype
        possible = made.possible.to(device)
        ctx.mark_non_differentiable(possible)
        return made.values.to(device, _kept_type(emissions)), possible

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        by_emission, by_weight = ctx.saved_tensors
        for_emissions = by_emission * gradient.to(by_emission.dtype)[:, None, None]
        for_weights = (by_weight * gradient.to(by_weight)[:, None]).sum(0)
        return for_emissions, for_weights.to(ctx.weight_type), None, None, None, None, None


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
        return _LogPartition.apply(emissions.transpose(0, 1), self.transitions, on.T, self._grammar)

    def _viterbi_decode(self, emissions: Tensor, mask: Tensor) -> list[list[int]]:
        """Best tags of each window of emissions (L, B, K), where the mask is on."""
        scores, on = _as_array(emissions.transpose(0, 1)), mask.bool().T.cpu().numpy()
        parameters = [
            _as_array(values).astype(scores.dtype)
            for values in (self.transitions, self.start_transitions, self.end_transitions)
        ]
        jobs = [(scores[window][on[window]], *parameters) for window in range(len(on))]
        return [labels.tolist() for labels in _in_threads(best_labels, jobs)]


def _partitions_on_cpu(
    emissions: Tensor, transitions: Tensor, mask: np.ndarray, grammar: Grammar
) -> tuple[Tensor, Tensor, Tensor]:
    """Log partitions (B,), marginals (B, L, K) and counts (B, K * K) where mask (B, L) is on."""
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
    return (
        torch.tensor(values, dtype=torch.float64),
        torch.from_numpy(gradient),
        torch.from_numpy(np.stack(counts)),
    )


def _partitions_on_gpu(
    emissions: Tensor, transitions: Tensor, mask: Tensor, grammar: Grammar
) -> tuple[Tensor, Tensor, Tensor]:
    """As `_partitions_on_cpu`."""
    rows = torch.argsort(~mask, dim=1, stable=True)  # what is on first
    places = rows.unsqueeze(-1).expand_as(emissions)
    anywhere = np.ones(len(grammar.states), bool)
    words = torch.full_like(rows, int(chain_words(1)[0]), dtype=torch.int32)
    found = crf_cuda.partitions(
        grammar, transitions.flatten(), words, emissions.gather(1, places), None,
        anywhere, anywhere, mask.sum(1),
    )  # fmt: skip
    made = (
        found.log_z,
        torch.zeros_like(found.marginals).scatter_(1, places, found.marginals),
        found.counts,
    )
    lost = (~found.fits).nonzero().flatten()
    if len(lost):
        again = _partitions_on_cpu(
            emissions[lost], transitions, mask[lost].cpu().numpy(), grammar
        )  # fmt: skip
        for whole, part in zip(made, again, strict=True):
            whole[lost] = part.to(whole)
    return made


class _LogPartition(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transitions: Tensor, mask: Tensor, grammar: Grammar
    ) -> Tensor:
        if crf_cuda.is_available(emissions.device):
            found = _partitions_on_gpu(emissions, transitions, mask, grammar)
        else:
            found = _partitions_on_cpu(emissions, transitions, mask.cpu().numpy(), grammar)
        values, marginals, counts = found
        ctx.save_for_backward(
            marginals.to(emissions), counts.view(-1, *transitions.shape).to(transitions)
        )
        return values.to(emissions.device, _kept_type(emissions))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        marginals, counts = ctx.saved_tensors
        per_window = gradient[:, None, None]
        return marginals * per_window, (counts * per_window).sum(0), None, None
