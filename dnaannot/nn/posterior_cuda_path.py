"""The decoded path beside the passes of a lot of blocks on a GPU; see `posterior_cuda`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from dnaannot.dna.forward_backward_tables import Model
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.posterior_path import intron_ends, joining_states, step_tables
from dnaannot.nn.crf_cuda import Batch, Closing, Path

Part = tuple[np.ndarray, Tensor, np.ndarray]
"""Words (n,) uint32, emissions (n, K) on the device and decoded states (n,) of some bases."""


class Span(NamedTuple):
    """Rows of a region that a program computes, and those of its block among them.

    Attributes:
        start, stop: rows of the region.
        low, high: rows of the block.
    """

    start: int
    stop: int
    low: int
    high: int


class Region(NamedTuple):
    """Bases around the blocks of a lot.

    Attributes:
        parts: words, emissions and states of all.
        spans: what each program computes.
        is_start, is_end: whether the sequence begins or ends with the region.
    """

    parts: Part
    spans: list[Span]
    is_start: bool
    is_end: bool


class Tables:
    """What of a grammar the path's scores follow from.

    Attributes:
        step_score, is_jump: (S, S) of each step between states.
        label_of_state: (S,) int64.
        ends_intron: (S,) bool.
    """

    def __init__(self, grammar: Grammar, model: Model, device: torch.device) -> None:
        score, is_jump = step_tables(model)
        self.step_score = torch.from_numpy(score).to(device)
        self.is_jump = torch.from_numpy(is_jump).to(device)
        self.label_of_state = torch.from_numpy(grammar.label_of_state.astype(np.int64)).to(device)
        self.ends_intron = intron_ends(model)
        self._model = model
        self._joining: dict[bytes, np.ndarray] = {}

    def joining(self, words: np.ndarray, states: np.ndarray) -> np.ndarray:
        """As `joining_states`, remembered."""
        key = words.tobytes() + states.tobytes()
        if key not in self._joining:
            self._joining[key] = joining_states(self._model, words, states)
        return self._joining[key]


class PathScores:
    """The decoded path beside the forward pass of a lot; all (P, L).

    Attributes:
        enter, join: see `BlockPosterior`.
        wanted: what the backward pass fills.
    """

    def __init__(self, tables: Tables, region: Region, batch: Batch, bases: int) -> None:
        self._tables, self._batch = tables, batch
        device = batch.alpha.device
        rows, _ = rows_of(region.spans, device)
        states = torch.from_numpy(region.parts[2].astype(np.int64)).to(device)
        before, after = states[:-1], states[1:]
        entered = tables.is_jump[before, after].long().cumsum(0)
        entered = torch.cat((entered.new_zeros(1), entered))
        inside = bases - 1
        earlier = torch.cat((entered.new_zeros(inside), entered))[: len(entered)]
        steps = torch.cat((states.new_zeros(1).double(), tables.step_score[before, after]))
        self._skipped, states = (entered > earlier)[rows], states[rows]
        label = tables.label_of_state[states].unsqueeze(-1)
        own = batch.likelihood.gather(2, label).squeeze(2).log()
        steps = steps.cumsum(0)
        self._score = own.cumsum(1) + steps[rows]
        self._gauge = batch.level - self._score
        mass = batch.alpha.gather(2, states.unsqueeze(-1)).squeeze(2)
        self.enter = self._at_donor(mass.log() + self._gauge)
        self.join = self._joined(region)
        self.wanted = Path(states.int(), torch.zeros_like(mass), torch.zeros_like(mass))

    def _at_donor(self, values: Tensor) -> Tensor:
        rows = torch.arange(values.shape[1], device=values.device)
        donors = torch.where(self._skipped, 0, rows).cummax(1).values
        return values.gather(1, donors)

    def _joined(self, region: Region) -> Tensor:
        """`enter` where no intron ends, and the mass of all that joins where one does."""
        words, _, states = region.parts
        ends = self._tables.ends_intron[states]
        programs, rows, masks = [], [], []
        for number, span in enumerate(region.spans):
            for at in span.low + np.flatnonzero(ends[span.low : span.high]):
                programs.append(number)
                rows.append(at - span.start)
                masks.append(self._tables.joining(words[at : at + 3], states[at : at + 3]))
        join = self.enter.clone()
        if programs:
            which = torch.tensor(programs, device=join.device)
            row = torch.tensor(np.array(rows, np.int64), device=join.device)
            mask = torch.from_numpy(np.stack(masks)).to(join.device)
            alpha = self._batch.alpha[which, row][:, : mask.shape[1]]
            join[which, row] = (alpha * mask).sum(1).log() + self._gauge[which, row]
        return join

    def leave(self, closing: Closing) -> Tensor:
        """(P, L) `leave`, after the backward pass."""
        batch = self._batch
        values = self.wanted.on_path.log() - self._gauge
        last = (batch.lengths - 1)[:, None]
        final = self._score.gather(1, last) - closing.log_mass[:, None]
        length = values.shape[1]
        rows = torch.arange(length, device=values.device)
        values = torch.cat((values, final), 1)
        skipped = self._skipped & (rows <= last)
        landing = torch.where(skipped | (rows > last), length, rows)
        landing = landing.flip(1).cummin(1).values.flip(1)
        return values.gather(1, landing)


def rows_of(spans: list[Span], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows (P, L) of the region that the programs' rows are, and their lengths (P,)."""
    starts = torch.tensor([span.start for span in spans], device=device)
    lengths = torch.tensor([span.stop - span.start for span in spans], device=device)
    rows = starts[:, None] + torch.arange(int(lengths.max()), device=device)
    return torch.minimum(rows, (starts + lengths - 1)[:, None]), lengths
