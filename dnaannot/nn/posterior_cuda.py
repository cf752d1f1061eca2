"""Posteriors along a decoded path on a GPU: what `dnaannot.dna.posterior` computes, block beside
block.

The backward pass of a block begins a burn-in behind it there as here. The forward pass goes on
from block to block there. Here all blocks of a lot begin at once, a burn-in before them, with
every state alike; where a block then disagrees with the end of the one before it, because an
intron longer than the burn-in has kept what came before it in memory, it goes on from that one
and is computed again, until all agree. So the result is the same within `_AGREES`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnaannot.dna.forward_backward_tables import build_model
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.posterior import BURN_IN, BlockPosterior
from dnaannot.dna.posterior import posteriors as posteriors_on_cpu
from dnaannot.nn.crf_cuda import Batch, sequences_at_once
from dnaannot.nn.crf_layout import layout_of
from dnaannot.nn.posterior_cuda_path import (
    Part,
    PathScores,
    Region,
    Span,
    Tables,
    rows_of,
)

_AGREES = 1e-7
"""Nats by which two forward passes may differ."""
_MATTERS = 80.0
"""Nats behind the best state within which a state counts."""
_LOT = 128
"""Blocks computed together at most."""

Block = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Words (n,) uint32, emissions (n, K) and decoded states (n,) of consecutive bases."""


def posteriors(
    grammar: Grammar,
    weights: np.ndarray,
    blocks: Iterable[Block],
    device: torch.device,
    *,
    burn_in: int = BURN_IN,
    labels: bool = False,
    lot: int = _LOT,
) -> Iterator[BlockPosterior]:
    """Posteriors of consecutive blocks of one sequence, some behind what has been read.

    Args:
        blocks: as for `dnaannot.dna.posterior.posteriors`, all of one length but the last.
        device: where to compute.
        burn_in: bases around a block within which its passes begin.
        labels: whether label posteriors are wanted.
        lot: blocks computed together at most.

    Raises:
        ValueError: if no path fits the sequence, or blocks are shorter than two jumps.
        FloatingPointError: if an emission is no number.
    """
    sequence = _Sequence(grammar, weights, device, burn_in, labels)
    reading = map(sequence.sent, blocks)
    held = list(islice(reading, 1))
    while held:
        bases = len(held[0][0])
        reach = -(-burn_in // bases)
        lot = min(lot, sequence.blocks_at_once(bases, held[0][1].shape[1]))
        held += islice(reading, max(0, lot + reach - len(held)))
        following = next(reading, None)
        if following is not None:
            held.append(following)
        wanted = min(len(held), lot)
        try:
            found = sequence.finish(held, wanted, is_end=following is None)
        except torch.cuda.OutOfMemoryError:
            torch.cuda.empty_cache()
            lot = wanted // 2
            if lot:
                continue
            lot, wanted = 1, 1
            found = sequence.finish_on_cpu(held, is_end=following is None)
        yield from found
        del held[:wanted]


class _Carried(NamedTuple):
    """What a lot leaves for the next one.

    Attributes:
        parts: bases before the next block.
        alpha, level: rows from which its forward pass goes on.
        enter: of the last base.
    """

    parts: Part
    alpha: Tensor | None
    level: Tensor | None
    enter: float


class _Sequence:
    """The blocks of one sequence, lot by lot."""

    def __init__(
        self,
        grammar: Grammar,
        weights: np.ndarray,
        device: torch.device,
        burn_in: int,
        labels: bool,
    ) -> None:
        self._grammar, self._weights, self._device = grammar, weights, device
        self._burn_in, self._labels = burn_in, labels
        self._layout = layout_of(grammar, device)
        self._tables = Tables(grammar, build_model(grammar, weights), device)
        self._before: _Carried | None = None
        self._warm = 0  # bases before a block from which its forward pass begins

    def sent(self, block: Block) -> Part:
        """A block with its emissions on the device."""
        words, emissions, states = block
        return words, torch.from_numpy(np.ascontiguousarray(emissions)).to(self._device), states

    def blocks_at_once(self, bases: int, labels: int) -> int:
        """Blocks of this length that fit the free memory together."""
        rows = bases + 2 * self._burn_in
        return sequences_at_once(self._layout, self._device, rows, 2 * labels)

    def finish(self, held: list[Part], wanted: int, is_end: bool) -> list[BlockPosterior]:
        """Posteriors of the first `wanted` blocks held.

        Args:
            is_end: the sequence ends with the last block held.
        """
        region = self._region(held, wanted, is_end)
        batch = self._batch(region)
        self._settle(batch, region)
        path = PathScores(self._tables, region, batch, self._layout.bases)
        closing = batch.close(self._endings(region))
        carried = self._tail(batch, region)
        share, _ = batch.backward(closing, path.wanted)
        covered = batch.covered(share, closing)
        fits = batch.holds(path.wanted.held, covered) & closing.log_mass.isfinite()
        marginals = batch.marginals(covered).float().cpu().numpy() if self._labels else None
        leaves, found = path.leave(closing).cpu().numpy(), []
        enters, joins = (values.cpu().numpy() for values in (path.enter, path.join))
        enter = 0.0 if self._before is None else self._before.enter
        for number, (span, fit) in enumerate(zip(region.spans, fits.tolist(), strict=True)):
            rows = slice(span.low - span.start, span.high - span.start)
            if fit and np.isfinite((enters[number, rows], leaves[number, rows])).all():
                before = enters[number, rows.start - 1] if rows.start else 0.0
                posterior = BlockPosterior(
                    marginals[number, rows] if marginals is not None else None,
                    enters[number, rows], leaves[number, rows], joins[number, rows],
                )  # fmt: skip
            else:
                posterior, before = self._again(region, span)
            found.append(_shifted(posterior, before - enter if rows.start else 0.0))
            enter = float(found[-1].enter[-1])
        self._before = carried._replace(enter=enter)
        return found

    def finish_on_cpu(self, held: list[Part], is_end: bool) -> list[BlockPosterior]:
        """As `finish` of one block, with what the CPU computes around it."""
        region = self._region(held, 1, is_end)
        span = region.spans[0]
        posterior, before = self._again(region, span)
        enter = 0.0 if self._before is None else self._before.enter
        posterior = _shifted(posterior, before - enter if span.low > span.start else 0.0)
        parts = _cut(region.parts, span.high - self._warm, span.high)
        self._before = _Carried(parts, None, None, float(posterior.enter[-1]))
        return [posterior]

    def _region(self, held: list[Part], wanted: int, is_end: bool) -> Region:
        """The first `wanted` blocks held, with what lies around them."""
        if self._before is None:
            self._warm = min(self._burn_in, len(held[0][0]))
            if len(held) > 1 and self._warm < 2 * self._layout.bases:
                raise ValueError("blocks and burn-in must have the length of two jumps at least")
        parts = [*([self._before.parts] if self._before else []), *held]
        words, emissions, states = zip(*parts, strict=True)
        whole = np.concatenate(words), torch.cat(emissions), np.concatenate(states)
        low, spans = self._warm if self._before else 0, []
        for size in (len(part[0]) for part in held[:wanted]):
            stop = min(len(whole[0]), low + size + self._burn_in)
            spans.append(Span(max(0, low - self._warm), stop, low, low + size))
            low += size
        last = spans[-1].stop
        is_end = is_end and last == len(whole[0])
        return Region(_cut(whole, 0, last), spans, self._before is None, is_end)

    def _batch(self, region: Region) -> Batch:
        """The programs, each but the first begun with every state alike."""
        words, emissions, _ = region.parts
        rows, lengths = rows_of(region.spans, self._device)
        to = self._device
        at = torch.from_numpy(words.astype(np.int32)).to(to)[rows]
        weights = torch.from_numpy(self._weights.astype(np.float64)).to(to)
        batch = Batch(self._layout, weights, at, emissions[rows], None, lengths)
        states = len(self._grammar.states)
        starts = batch.padded(np.ones(states)).expand(len(lengths), -1).clone()
        for number, span in enumerate(region.spans):
            if region.is_start and span.start == 0:
                fits = (int(words[0]) & self._grammar.begin_rule) != 0
                starts[number] = batch.padded(self._grammar.begins & fits)
        batch.begin(starts)
        before = self._before
        if before is not None and before.alpha is not None and before.level is not None:
            batch.begin_with(0, before.alpha, before.level)
        batch.forward()
        return batch

    def _settle(self, batch: Batch, region: Region) -> None:
        """Compute programs again until each begins as the one before it goes on."""
        bases, spans = self._layout.bases, region.spans
        for _ in spans[1:]:
            again = [
                number for number, differs in enumerate(self._disagree(batch, spans), 1) if differs
            ]
            if not again:
                return
            for number in again:
                at = spans[number].start - spans[number - 1].start
                rows = slice(at, at + bases)
                batch.begin_with(
                    number, batch.alpha[number - 1, rows], batch.level[number - 1, rows]
                )
            batch.forward(torch.tensor(again, device=self._device))

    def _disagree(self, batch: Batch, spans: list[Span]) -> list[bool]:
        """Whether each program but the first holds other scores before its block than the last."""
        if len(spans) < 2:
            return []
        bases = torch.arange(self._layout.bases, device=self._device)
        low = torch.tensor([span.low for span in spans[1:]], device=self._device)
        starts = torch.tensor([span.start for span in spans], device=self._device)
        number = torch.arange(len(spans), device=self._device)
        logs = []
        for which, start in ((number[:-1], starts[:-1]), (number[1:], starts[1:])):
            rows = (low - start)[:, None] - 1 - bases
            rows = rows.clamp(min=0)
            alpha = batch.alpha[which[:, None], rows].log()
            logs.append((alpha + batch.level[which[:, None], rows].unsqueeze(-1)).flatten(1))
        one, other = (values - values.amax(1, keepdim=True) for values in logs)
        matters = torch.maximum(one, other) > -_MATTERS
        apart = torch.where(matters, (one - other).abs(), 0.0).amax(1)
        known = logs[0].amax(1).isfinite() & ~logs[0].isnan().any(1)
        return (known & ~(apart < _AGREES)).tolist()

    def _endings(self, region: Region) -> Tensor:
        """(P, S) states in which each program's paths may end."""
        anywhere, sequence_ends = np.zeros((2, self._layout.states))
        anywhere[: len(self._grammar.states)] = 1.0
        sequence_ends[: len(self._grammar.states)] = self._grammar.ends
        last = region.spans[-1].stop
        ends = [
            sequence_ends if region.is_end and span.stop == last else anywhere
            for span in region.spans
        ]
        return torch.from_numpy(np.stack(ends)).to(self._device)

    def _tail(self, batch: Batch, region: Region) -> _Carried:
        """What the next lot goes on from, before the backward pass takes its place."""
        span = region.spans[-1]
        parts = _cut(region.parts, span.high - self._warm, span.high)
        at = span.high - self._warm - span.start
        rows = slice(at, at + self._layout.bases)
        alpha, level = batch.alpha[-1, rows].clone(), batch.level[-1, rows].clone()
        return _Carried(parts, alpha, level, 0.0)

    def _again(self, region: Region, span: Span) -> tuple[BlockPosterior, float]:
        """A block's posteriors by the CPU, and `enter` of the base before it."""
        begin = end = np.ones(len(self._grammar.states), bool)
        if region.is_start and span.start == 0:
            begin = self._grammar.begins
        if region.is_end and span.stop == len(region.parts[0]):
            end = self._grammar.ends
        cuts = ((span.start, span.low), (span.low, span.high), (span.high, span.stop))
        parts = [_on_cpu(_cut(region.parts, a, b)) for a, b in cuts if a < b]
        found = list(
            posteriors_on_cpu(
                self._grammar, self._weights, parts, burn_in=span.stop,
                labels=self._labels, begin=begin, end=end,
            )
        )  # fmt: skip
        if span.start == span.low:
            return found[0], 0.0
        return found[1], float(found[0].enter[-1])


def _cut(part: Part, start: int, stop: int) -> Part:
    words, emissions, states = part
    return words[start:stop], emissions[start:stop], states[start:stop]


def _on_cpu(part: Part) -> Block:
    words, emissions, states = part
    return words, emissions.cpu().numpy(), states


def _shifted(found: BlockPosterior, gauge: float) -> BlockPosterior:
    """The same with `enter` less a constant, `leave` more by it."""
    return found._replace(
        enter=found.enter - gauge, join=found.join - gauge, leave=found.leave + gauge
    )
