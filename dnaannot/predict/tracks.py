"""Tracks of sequences: values on a grid or at CpGs, tile by tile.

codes -> tiles -> scores of trunk cells -> logits of windows around sites -> values

A value depends on its sequence and its position alone: tiles lie at fixed coordinates, each is
computed by one thread with all the real sequence that its windows need, and regions only select
which sites are kept and so which tiles are computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from dnaannot.dna.interval import covered_bases
from dnaannot.dna.sequence import N, cpg_sites, reverse_complement
from dnaannot.nn.encoder import PAD
from dnaannot.nn.tracks import TrackLabel, TrackModel, WindowScores
from dnaannot.predict.scorer import (
    Compute,
    Network,
    Tile,
    no_numbers,
    ordered,
    tile_length,
    tiles,
    tokens_of,
)

DEFAULT_STEP = 128
METHYLATION = "methylation"
_HALOS_PER_TILE = 8
_LONGEST_TILE = 1 << 40


def unit(label: TrackLabel) -> str:
    """What a label's values are: "probability", "percent" (methylation) or "signal"."""
    if label.kind != "binary":
        return "signal"
    return "percent" if label.task == METHYLATION else "probability"


def label_values(label: TrackLabel, logits: np.ndarray) -> np.ndarray:
    """A label's values (n,) float32 in its `unit`, from logits (n,)."""
    if label.kind != "binary":
        return np.expm1(np.maximum(logits, 0)).astype(np.float32)
    calibrated = np.clip(label.scale * logits.astype(np.float64) + label.shift, -80, 80)
    top = 100.0 if unit(label) == "percent" else 1.0
    return (top / (1 + np.exp(-calibrated))).astype(np.float32)


class Sites(Protocol):
    """Where values stand on a sequence.

    Attributes:
        reflection: a site with its centre at p has it at L - reflection - p on the other strand.
    """

    @property
    def reflection(self) -> int: ...

    def starts(self, codes: np.ndarray, low: int, high: int) -> np.ndarray:
        """First bases (n,) int64, ascending, of the sites with their centre in [low, high)."""

    def ends(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Ends (n,), exclusive, of the sites that begin there."""

    def centres(self, starts: np.ndarray, length: int) -> np.ndarray:
        """Positions (n,) around which the windows of these sites lie."""


@dataclass(frozen=True)
class Grid:
    """Bins of `step` bases from the sequence's first base on, those of nothing but N left out.

    The last bin ends with the sequence. A bin's window is centred at its base `step // 2`, or at
    the sequence's last base where that lies beyond it.
    """

    step: int = DEFAULT_STEP

    @property
    def reflection(self) -> int:
        """See `Sites`."""
        return self.step % 2

    def starts(self, codes: np.ndarray, low: int, high: int) -> np.ndarray:
        """See `Sites`."""
        step, length = self.step, len(codes)
        first = max(0, -(-(low - step // 2) // step))
        last = -(-(high - step // 2) // step) if high < length else -(-length // step)
        if last <= first:
            return np.empty(0, np.int64)
        starts = np.arange(first, last, dtype=np.int64) * step
        known = codes[starts[0] : starts[-1] + step] < N
        return starts[np.logical_or.reduceat(known, starts - starts[0])]

    def ends(self, starts: np.ndarray, length: int) -> np.ndarray:
        """See `Sites`."""
        return np.minimum(starts + self.step, length)

    def centres(self, starts: np.ndarray, length: int) -> np.ndarray:
        """See `Sites`."""
        return np.minimum(starts + self.step // 2, length - 1)


@dataclass(frozen=True)
class Cpgs:
    """The two bases of each CG; the window is centred at the C."""

    reflection: int = 2

    def starts(self, codes: np.ndarray, low: int, high: int) -> np.ndarray:
        """See `Sites`."""
        return low + cpg_sites(codes[low : high + 1])

    def ends(self, starts: np.ndarray, length: int) -> np.ndarray:
        """See `Sites`."""
        return starts + 2

    def centres(self, starts: np.ndarray, length: int) -> np.ndarray:
        """See `Sites`."""
        return starts


class Values(NamedTuple):
    """Values of consecutive sites of one sequence.

    Attributes:
        sequence: its name.
        starts, ends: (n,) int64, ascending and disjoint.
        values: (n, K) float32.
        bases: of the sequence that were worked through for them.
    """

    sequence: str
    starts: np.ndarray
    ends: np.ndarray
    values: np.ndarray
    bases: int


class _Job(NamedTuple):
    sequence: str
    codes: np.ndarray
    spans: np.ndarray | None
    tile: Tile


SpansOf = Callable[[str, int], np.ndarray | None]
"""(name, length) of a sequence -> the `union` (m, 2) of what is selected; None for all."""


class _Sited(NamedTuple):
    """The sites (n,) of a job, as first and last base, exclusive."""

    job: _Job
    starts: np.ndarray
    ends: np.ndarray


class _Stretch(NamedTuple):
    """Tokens (1, size) of a strand from coordinate `start` on, of `length` bases in all.

    Attributes:
        centres: (n,) positions of sites on that strand.
    """

    tokens: np.ndarray
    start: int
    length: int
    centres: np.ndarray


class TrackPredictor:
    """Predicts tracks with one model.

    Args:
        model: in evaluation mode.
        sites: where values stand.
        compute: how to compute.
        chosen: indices of the model's labels that are wanted, in the order of the values; all
            by default.
        both_strands: average the logits of both strands; takes twice the time.
    """

    def __init__(
        self,
        model: TrackModel,
        sites: Sites,
        compute: Compute,
        *,
        chosen: Sequence[int] | None = None,
        both_strands: bool = False,
    ) -> None:
        self.chosen = list(range(model.labels) if chosen is None else chosen)
        self.labels = [model.tracks[index] for index in self.chosen]
        self.sites, self.compute, self.both_strands = sites, compute, both_strands
        self._logits_of = WindowScores.of(model, self.chosen)
        self.stride = model.stride
        reach = -(-(model.window // 2) // self.stride) * self.stride
        self.halo = model.halo + reach + 2 * self.stride
        self._network = Network(model, compute)
        wanted = _LONGEST_TILE if compute.device == "cuda" else _HALOS_PER_TILE * self.halo
        self._most = tile_length(wanted, self.stride)

    def predict(
        self, sequences: Iterable[tuple[str, np.ndarray]], spans_of: SpansOf | None = None
    ) -> Iterator[Values]:
        """Values of (name, codes (L,)) sequences, in order, by ascending position.

        Args:
            sequences: L >= 1.
            spans_of: what is selected; everything by default.

        Raises:
            ModelError: if a value is no number.
        """
        jobs = (
            _Job(name, codes, spans, tile)
            for name, codes in sequences
            for spans in [spans_of(name, len(codes)) if spans_of else None]
            for tile in self._tiles(len(codes), spans)
        )
        in_flight = 2 * self.compute.at_once
        with self.compute.workers() as pool:
            for values in ordered(pool, self._work, self._batches(jobs), in_flight):
                yield from values

    def planned_bases(self, length: int, spans: np.ndarray | None) -> int:
        """Bases that are worked through for a sequence of this length."""
        return sum(tile.core_end - tile.core_start for tile in self._tiles(length, spans))

    def _batches(self, jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
        """Consecutive jobs whose tiles are of one size, as many as are computed together."""
        for size, alike in itertools.groupby(jobs, lambda job: self._size(len(job.codes))):
            while batch := list(itertools.islice(alike, self._rows(size))):
                yield batch

    def _rows(self, size: int) -> int:
        """Tiles of a batch; on the CPU each is computed alone."""
        return 1 if self.compute.device == "cpu" else self._network.rows(size)

    def _size(self, length: int) -> int:
        return min(self._most, tile_length(length, self.stride))

    def _tiles(self, length: int, spans: np.ndarray | None) -> Iterable[Tile]:
        """The tiles of a sequence that can hold the centre of a selected site."""
        plan = tiles(length, self.stride, self.halo, self._size(length))
        if spans is None:
            return plan
        around = getattr(self.sites, "step", 2)
        low = np.array([tile.core_start for tile in plan]) - around
        high = np.array([tile.core_end for tile in plan]) + around
        return [plan[index] for index in np.flatnonzero(covered_bases(spans, low, high))]

    def _work(self, batch: list[_Job]) -> list[Values]:
        """The values of tiles of one size."""
        sites = [self._sites(job) for job in batch]
        found = iter(self._logits([s for s in sites if len(s.starts)]))
        return [self._values(s, next(found) if len(s.starts) else None) for s in sites]

    def _sites(self, job: _Job) -> _Sited:
        """What is selected in the core of a tile."""
        codes, tile = job.codes, job.tile
        starts = self.sites.starts(codes, tile.core_start, tile.core_end)
        ends = self.sites.ends(starts, len(codes))
        if job.spans is not None:
            selected = covered_bases(job.spans, starts, ends) > 0
            starts, ends = starts[selected], ends[selected]
        return _Sited(job, starts, ends)

    def _values(self, sited: _Sited, logits: np.ndarray | None) -> Values:
        job, starts, ends = sited
        values = np.empty((len(starts), len(self.labels)), np.float32)
        if logits is not None:
            for column, label in enumerate(self.labels):
                values[:, column] = label_values(label, logits[:, column])
            if not np.isfinite(values).all():
                raise no_numbers(f" at {job.sequence}:{starts[0] + 1:,}-{ends[-1]:,}")
        return Values(job.sequence, starts, ends, values, job.tile.core_end - job.tile.core_start)

    def _logits(self, batch: Sequence[_Sited]) -> list[np.ndarray]:
        """Logits (n, K) of the sites of each tile; the tiles are of one size."""
        if not batch:
            return []
        logits = self._strand_logits([self._forward(sited) for sited in batch])
        if not self.both_strands:
            return logits
        others = self._strand_logits([self._mirrored(sited) for sited in batch])
        return [(one + other) / 2 for one, other in zip(logits, others, strict=True)]

    def _forward(self, sited: _Sited) -> _Stretch:
        codes, tile = sited.job.codes, sited.job.tile
        centres = self.sites.centres(sited.starts, len(codes))
        tokens = tokens_of(codes, tile.start, self._size(len(codes)))
        return _Stretch(tokens, tile.start, len(codes), centres)

    def _mirrored(self, sited: _Sited) -> _Stretch:
        """The same sites on the other strand."""
        codes, tile = sited.job.codes, sited.job.tile
        length, size = len(codes), self._size(len(codes))
        centres = self.sites.centres(sited.starts, length)
        centres = np.clip(length - self.sites.reflection - centres, 0, length - 1)
        start = 0
        if length > size:  # from a multiple of the stride on the other strand
            start = (length - tile.core_end - self.halo) // self.stride * self.stride
        return _Stretch(_other_strand(codes, start, size), start, length, centres)

    def _strand_logits(self, stretches: Sequence[_Stretch]) -> list[np.ndarray]:
        """Logits (n, K) around the centres of each stretch."""
        size = stretches[0].tokens.shape[1]
        tokens = np.full((self._rows(size), size), PAD, np.uint8)
        for row, stretch in enumerate(stretches):
            tokens[row] = stretch.tokens[0]
        found = []
        for cells, (_, start, length, centres) in zip(
            self._network(tokens), stretches, strict=False
        ):
            first = start // self.stride
            cells = cells[max(0, -first) : -(-length // self.stride) - first]
            found.append(self._logits_of(cells, centres, max(0, first)))
        return found


def _other_strand(codes: np.ndarray, start: int, size: int) -> np.ndarray:
    """Tokens (1, size) of the reverse complement from its coordinate `start` on."""
    length = len(codes)
    piece = codes[max(0, length - start - size) : min(length, length - start)]
    return tokens_of(reverse_complement(piece), min(start, 0), size)
