"""Partition functions of whole batches on a GPU, by the Triton kernels in `crf_kernels`.

They compute what `dnaannot.dna.forward_backward` computes, in float64 and with its scaling, a
program for each sequence; H200s and their like have float64 at half the rate of float32, and
the passes wait for memory and shuffles rather than for products anywhere. As there, the
posteriors of a row tell whether float64 held every path that matters; the sequences where it
did not are left to the logarithmic kernel on the CPU.
"""

from __future__ import annotations

import importlib.util
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnaannot.dna.grammar import Grammar
from dnaannot.nn.crf_layout import Layout, layout_of
from dnaannot.nn.gpu_memory import free_gpu_memory

_TOLERANCE = 1e-6
_FREE_SHARE = 0.5
"""Of the free memory that one launch may take."""


def is_available(device: torch.device) -> bool:
    """Whether the kernels run on tensors of this device."""
    return device.type == "cuda" and importlib.util.find_spec("triton") is not None


class Partition(NamedTuple):
    """What paths sum to, of P sequences; see `forward_backward.log_partition`.

    Attributes:
        log_z: (P,) float64.
        marginals: (P, L, K) float64, zero beyond a sequence's end.
        counts: (P, W) float64 of the W label pairs.
        fits: (P,) bool, whether float64 held what matters; the rest is no result where not.
    """

    log_z: Tensor
    marginals: Tensor
    counts: Tensor
    fits: Tensor


class Closing(NamedTuple):
    """What the last rows of P sequences bring to the backward pass; see `Batch.close`.

    Attributes:
        log_mass: (P,) log of all paths' mass, less the shift.
        behind: (P, S) backward probabilities of the last row.
        rows: (P, BASES - 1) rows of the donors of jumps that the end cuts.
        cut: (P, BASES - 1, J) backward probabilities of those donors.
        share: (P, BASES - 1, J) posteriors of those jumps.
    """

    log_mass: Tensor
    behind: Tensor
    rows: Tensor
    cut: Tensor
    share: Tensor


class Path(NamedTuple):
    """States (P, L) int32 whose backward probabilities are wanted; see `crf_kernels.backward`."""

    states: Tensor
    on_path: Tensor
    held: Tensor


def partitions(
    grammar: Grammar,
    weights: Tensor,
    words: Tensor,
    emissions: Tensor,
    allowed: Tensor | None,
    begin: np.ndarray,
    end: np.ndarray,
    lengths: Tensor | None = None,
) -> Partition:
    """Log partitions and their gradients, as `forward_backward.log_partition` of each sequence.

    Args:
        grammar: states, edges and rules.
        weights: (W,) scores of the label pairs.
        words: (P, L) int32 position words.
        emissions: (P, L, K) label scores, on the device that computes.
        allowed: (P, L) int64 bit masks of the labels; all labels by default.
        begin, end: (states,) bool.
        lengths: (P,) bases of each sequence, L by default.
    """
    layout = layout_of(grammar, emissions.device)
    count, length, _ = emissions.shape
    if lengths is None:
        lengths = torch.full((count,), length, device=emissions.device)
    weights = weights.detach().to(emissions.device, torch.float64)
    at_once = sequences_at_once(layout, emissions.device, length, emissions.shape[2])
    parts = []
    for at in range(0, count, at_once):
        rows = slice(at, at + at_once)
        masks = None if allowed is None else allowed[rows]
        batch = Batch(layout, weights, words[rows], emissions[rows], masks, lengths[rows])
        parts.append(batch.partition(begin, end))
    return Partition(*(torch.cat(values) for values in zip(*parts, strict=True)))


def sequences_at_once(layout: Layout, device: torch.device, length: int, labels: int) -> int:
    """How many sequences of this length one launch takes, by the free memory."""
    if device.type != "cuda":
        return 1 << 30
    a_row = 8 * (2 * layout.states + 6 * labels + 4 * layout.jumps + 16)
    return max(1, int(_FREE_SHARE * free_gpu_memory(device) / (length * a_row)))


class Batch:
    """Sequences that are computed together: what both passes read, and what the first leaves."""

    def __init__(
        self,
        layout: Layout,
        weights: Tensor,
        words: Tensor,
        emissions: Tensor,
        allowed: Tensor | None,
        lengths: Tensor,
    ) -> None:
        self.layout, self.lengths, self.words = layout, lengths.long(), words.contiguous()
        self.weights = torch.cat((weights, weights.new_full((1,), -torch.inf)))
        self.jump_weight = self.weights[layout.jump_pair]
        self.lane_weight = self.weights[layout.lane_pair]
        self.rows = torch.arange(words.shape[1], device=words.device)
        self.inside = self.rows < self.lengths[:, None]
        self._score(emissions, allowed)
        self._run()
        shape, new = emissions.shape[:2], self.likelihood.new_empty
        self.alpha, self.gain = new(*shape, layout.states), new(*shape, layout.jumps)
        self.level, self.inverse = new(shape), new(shape)

    def _score(self, emissions: Tensor, allowed: Tensor | None) -> None:
        """Set `shift` (P,), what is taken off the scores, and `likelihood` (P, L, K)."""
        scores = emissions.detach().double()
        self.labels = scores.shape[2]
        if allowed is not None:
            bits = torch.arange(self.labels, device=scores.device)
            forbidden = ((allowed.unsqueeze(-1) >> bits) & 1) == 0
            scores = scores.masked_fill(forbidden, -torch.inf)
        greatest = scores.amax(-1)
        self.shift = torch.where(self.inside, greatest, 0.0).sum(1)
        self.scores = scores - greatest.unsqueeze(-1)
        self.likelihood = self.scores.exp()

    def _run(self) -> None:
        """Set what the bases up to each row add to a jump: `total`, `blocked`, `run`."""
        layout, bases = self.layout, self.layout.bases
        scores = self.scores[:, :, layout.lane_label]  # (P, L, N)
        forbidden = scores == -torch.inf
        self.total = scores.masked_fill(forbidden, 0.0).cumsum(1)
        self.blocked = forbidden.cumsum(1)
        self.run = torch.full_like(self.total, -torch.inf)
        over = self.total[:, bases:] - self.total[:, :-bases] + (bases - 1) * self.lane_weight
        fits = self.blocked[:, bases:] == self.blocked[:, :-bases]
        self.run[:, bases:] = torch.where(fits, over, -torch.inf)
        del self.scores

    def partition(self, begin: np.ndarray, end: np.ndarray) -> Partition:
        """Both passes, from and to these states (states,) bool."""
        self.begin(self.padded(begin) * ((self.words[:, :1] & self.layout.begin_rule) != 0))
        self.forward()
        closing = self.close(self.padded(end).expand(len(self.words), -1))
        share, count = self.backward(closing)
        covered = self.covered(share, closing)
        counts = self._expected(share, closing, count)
        posterior = self.alpha.masked_fill(~self.inside.unsqueeze(-1), 0.0)
        log_z = closing.log_mass + self.shift
        held = self.holds(posterior.sum(-1), covered) & log_z.isfinite()
        return Partition(log_z, self.marginals(covered), counts, held)

    def padded(self, states: np.ndarray) -> Tensor:
        """(S,) float64 of states (states,)."""
        padded = np.zeros(self.layout.states)
        padded[: len(states)] = states
        return torch.from_numpy(padded).to(self.alpha.device)

    def _one_hot(self, labels: Tensor) -> Tensor:
        return torch.eye(self.labels, dtype=torch.float64, device=labels.device)[labels.long()]

    @staticmethod
    def _at(values: Tensor, rows: Tensor) -> Tensor:
        """(P, R, ...) rows (P, R) of values (P, L, ...)."""
        return values[torch.arange(len(rows), device=rows.device)[:, None], rows]

    def begin(self, starts: Tensor) -> None:
        """Set the first rows: paths begin in the states where starts (P, S) is 1."""
        self.alpha[:, 0] = starts * self.likelihood[:, 0, self.layout.label.long()]
        self.level[:, 0], self.inverse[:, 0] = 0.0, 1.0
        self.first = torch.ones_like(self.lengths, dtype=torch.int32)

    def begin_with(self, sequence: int, alpha: Tensor, level: Tensor) -> None:
        """Set the first rows of a sequence to given ones: alpha (R, S), level (R,)."""
        self.alpha[sequence, : len(alpha)] = alpha
        self.level[sequence, : len(alpha)] = level
        self.inverse[sequence, : len(alpha)] = 1.0
        self.gain[sequence, : len(alpha)] = 0.0
        self.first[sequence] = len(alpha)

    def forward(self, which: Tensor | None = None) -> None:
        """The forward pass of the sequences `which` (n,), all by default."""
        from dnaannot.nn.crf_kernels import forward

        layout = self.layout
        source, rule, pair = layout.edges_in
        if which is None:
            which = torch.arange(len(self.words), device=self.words.device)
        jump_factor, lane_factor = torch.zeros(2, layout.states, device=which.device).double()
        jump_factor[layout.jump_target] = self.jump_weight.exp()
        lane_factor[layout.jump_target] = self.lane_weight.exp()[layout.jump_lanes]
        forward[(len(which),)](
            which.int(), self.first, self.words, self.likelihood, self.run, self.lengths.int(),
            source, rule, self.weights[pair].exp(), layout.label,
            layout.enter_gap, layout.enter_rule, layout.leave_gap,
            layout.jump, layout.jump_source, layout.jump_lane, jump_factor, lane_factor,
            self.alpha, self.level, self.inverse, self.gain,
            *self._sizes(), layout.bases,
            D=len(source), S=layout.states, JUMPS=layout.jumps > 0, GAPS=layout.has_gaps,
            num_warps=1,
        )  # fmt: skip

    def _sizes(self) -> tuple[int, ...]:
        """L, K, N, J."""
        return self.words.shape[1], self.labels, self.run.shape[2], self.layout.jumps

    def close(self, ends: Tensor) -> Closing:
        """What may end in the states of ends (P, S), or inside a jump into one of them."""
        layout, last = self.layout, (self.lengths - 1)[:, None]
        bases_on = torch.arange(1, layout.bases, device=last.device)
        rows = last - bases_on  # (P, BASES - 1)
        at = rows.clamp(min=0)
        run = self._at(self.total, last) - self._at(self.total, at)
        run = run + (bases_on - 1)[:, None] * self.lane_weight
        run = run - (self._at(self.level, last) - self._at(self.level, at)).unsqueeze(-1)
        fits = (self._at(self.blocked, last) == self._at(self.blocked, at)) & (rows >= 0)[..., None]
        run = torch.where(fits, run, -torch.inf)[..., layout.jump_lanes] + self.jump_weight
        cut = run.exp() * ends[:, layout.jump_target].unsqueeze(1)
        sent = self._at(self.alpha, at)[..., layout.jump_donor]
        mass = (self._at(self.alpha, last)[:, 0] * ends).sum(1) + (cut * sent).sum((1, 2))
        cut = cut / mass[:, None, None]
        log_mass = self._at(self.level, last)[:, 0] + mass.log()
        return Closing(log_mass, (ends / mass[:, None]).contiguous(), rows, cut, cut * sent)

    def backward(self, closing: Closing, path: Path | None = None) -> tuple[Tensor, Tensor]:
        """Posteriors of the jumps that land on each row (P, L, J), counts (P, D, S) of edges."""
        from dnaannot.nn.crf_kernels import backward

        layout = self.layout
        target, rule, pair = layout.edges_out
        count = len(self.words)
        returned = closing.cut.new_zeros(count, layout.bases, layout.jumps)
        sequence = torch.arange(count, device=returned.device)[:, None]
        returned[sequence, closing.rows % layout.bases] = closing.cut
        share = torch.zeros_like(self.gain)
        counts = returned.new_empty(count, *target.shape)
        nothing = (layout.label, counts, counts)
        length, labels, _, jumps = self._sizes()
        backward[(count,)](
            self.words, self.likelihood, self.lengths.int(),
            target, rule, self.weights[pair].exp(), layout.label,
            layout.enter_gap, layout.enter_rule, layout.leave_gap,
            layout.jump, layout.jump_source, layout.jump_of_donor,
            self.alpha, self.inverse, self.gain, closing.behind, returned, share, counts,
            *(nothing if path is None else path),
            length, labels, jumps, layout.bases,
            D=len(target), S=layout.states, JUMPS=jumps > 0, GAPS=layout.has_gaps,
            PATH=path is not None, num_warps=1,
        )  # fmt: skip
        return share, counts

    def covered(self, share: Tensor, closing: Closing) -> Tensor:
        """Probability (P, L, N) that a row is inside a jump of a lane, its donor excepted."""
        layout, bases = self.layout, self.layout.bases
        sequences, length, _ = share.shape
        beyond = share.new_zeros(sequences, bases, layout.jumps)
        landing = torch.cat((share, beyond), 1)  # a cut jump would land beyond the end
        sequence = torch.arange(sequences, device=share.device)[:, None]
        landing[sequence, closing.rows + bases] += closing.share
        by_lane = landing.new_zeros(sequences, length + bases, self.run.shape[2])
        by_lane.index_add_(2, layout.jump_lanes, landing)
        running = by_lane.cumsum(1)
        covered = (running[:, bases - 1 : -1] - running[:, :-bases]).clamp(min=0.0)
        return covered.masked_fill(~self.inside.unsqueeze(-1), 0.0)

    def holds(self, posterior: Tensor, covered: Tensor) -> Tensor:
        """(P,) whether the posteriors (P, L) of all rows, with what jumps cover, sum to 1."""
        whole = posterior + covered.sum(-1)
        return (((whole - 1).abs() < _TOLERANCE) | ~self.inside).all(1)

    def marginals(self, covered: Tensor) -> Tensor:
        """(P, L, K) posteriors of the labels, after the backward pass."""
        posterior = self.alpha.masked_fill(~self.inside.unsqueeze(-1), 0.0)
        marginals = posterior @ self._one_hot(self.layout.label)
        return marginals + covered @ self._one_hot(self.layout.lane_label)

    def _expected(self, share: Tensor, closing: Closing, count: Tensor) -> Tensor:
        """Expected counts (P, W) of the label pairs; count (P, D, S) is that of the edges."""
        layout, bases = self.layout, self.layout.bases
        counts = share.new_zeros(len(share), len(self.weights))
        counts.index_add_(1, layout.edges_out[2].flatten(), count.flatten(1))
        counts.index_add_(1, layout.jump_pair, share.sum(1) + closing.share.sum(1))
        bases_on = torch.arange(bases - 1, device=share.device)
        inner = share.sum(1) * (bases - 1) + (closing.share * bases_on[:, None]).sum(1)
        counts.index_add_(1, layout.lane_pair[layout.jump_lanes], inner)
        return counts[:, :-1]
