"""Genomes labelled with tracks, and the stretches that training draws from them.

A label says something of the window around a position: a grid of positions for peaks and
signals, CpGs for methylation, whatever a table of windows lists. All positions inside a stretch
of sequence are learned from at once, as their windows share nearly all computation.

A stretch is a pure function of (seed, step), as a window is in `datasets.windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dnaannot.dna.interval import covered_bases
from dnaannot.dna.sequence import C, G, N, reverse_complement, unknown_runs
from dnaannot.nn.encoder import PAD

UNKNOWN = 255
"""Target of a window whose label is not known, where targets are bytes; NaN where floats."""

GRID_STEP = 128
_KNOWN_SHARE = 0.5
"""A window with fewer known bases than this share is not labelled."""


@dataclass(frozen=True)
class TrackSequence:
    """A sequence with labelled positions.

    Attributes:
        name: its name.
        codes: (L,) uint8 bases.
        centres: (n,) int64 positions, ascending; a label is about the window around one.
        targets: (n, K) uint8 0, 1 or `UNKNOWN`; or float32, a share or a quantity, NaN where
            unknown.
        span: bases of the site that begins at a position, 0 for the border between two bases
            (a grid), 2 for a CpG; the other strand reads position p at L - p - span.
    """

    name: str
    codes: np.ndarray
    centres: np.ndarray
    targets: np.ndarray
    span: int = 0


@dataclass(frozen=True)
class TrackRegion:
    """A stretch of a labelled sequence, half-open, whose positions may be used."""

    sequence: TrackSequence
    start: int
    end: int

    @property
    def rows(self) -> slice:
        """The region's rows of centres and targets."""
        low, high = np.searchsorted(self.sequence.centres, (self.start, self.end))
        return slice(int(low), int(high))


class Stretch(NamedTuple):
    """A piece of sequence with its labelled positions.

    Attributes:
        tokens: (L,) uint8 encoder tokens, padded at the end where the sequence ends earlier.
        bases: how many of them are bases.
        centres: (m,) int64 positions in the piece.
        targets: (m, K) as in `TrackSequence`.
    """

    tokens: np.ndarray
    bases: int
    centres: np.ndarray
    targets: np.ndarray


def grid_centres(codes: np.ndarray, window: int, step: int = GRID_STEP) -> np.ndarray:
    """Centres (n,) of the bins of a grid whose windows are known sequence for the most part."""
    centres = np.arange(step // 2, len(codes), step, dtype=np.int64)
    unknown = covered_bases_around(unknown_runs(codes, 10), centres, window)
    inside = np.minimum(centres + window // 2, len(codes)) - np.maximum(centres - window // 2, 0)
    return centres[inside - unknown >= _KNOWN_SHARE * window]


def covered_bases_around(intervals: np.ndarray, centres: np.ndarray, window: int) -> np.ndarray:
    """Bases (n,) of the windows around positions (n,) that `union` intervals (m, 2) cover."""
    half = window // 2
    return covered_bases(intervals, centres - half, centres + half)


def peak_targets(
    intervals: np.ndarray, centres: np.ndarray, window: int, least: float
) -> np.ndarray:
    """Targets (n,) uint8: 1 where peaks cover `least` bases of a position's window, else 0.

    Args:
        intervals: (m, 2) int64 peaks, as `union` gives them.
    """
    return (covered_bases_around(intervals, centres, window) >= least).astype(np.uint8)


def gc_shares(codes: np.ndarray, centres: np.ndarray, window: int) -> np.ndarray:
    """Share of G and C (n,) in the windows around positions (n,)."""
    sums = np.zeros(len(codes) + 1, np.int32)
    np.cumsum((codes == G) | (codes == C), dtype=np.int32, out=sums[1:])
    low = np.maximum(centres - window // 2, 0)
    high = np.minimum(centres + window // 2, len(codes))
    return (sums[high] - sums[low]) / np.maximum(high - low, 1)


def gc_matched(
    targets: np.ndarray, gc: np.ndarray, per_positive: int, random: np.random.Generator
) -> np.ndarray:
    """Targets (n,) with only as many negatives as match the positives in GC content.

    Positives and negatives are counted in bins of GC share; from each bin, `per_positive`
    negatives a positive are kept, the others become unknown.

    Args:
        targets: (n,) uint8 of one label.
        gc: (n,) GC share of each window.
    """
    bins = np.minimum((gc * 50).astype(int), 49)
    wanted = per_positive * np.bincount(bins[targets == 1], minlength=50)
    matched = np.where(targets == 1, targets, UNKNOWN).astype(np.uint8)
    negatives = random.permutation(np.flatnonzero(targets == 0))
    order = np.argsort(bins[negatives], kind="stable")
    sorted_bins = bins[negatives][order]
    rank = np.arange(len(order)) - np.searchsorted(sorted_bins, sorted_bins)
    matched[negatives[order[rank < wanted[sorted_bins]]]] = 0
    return matched


def is_known(targets: np.ndarray) -> np.ndarray:
    """Where targets are known, bool of the same shape."""
    return targets != UNKNOWN if targets.dtype == np.uint8 else ~np.isnan(targets)


def is_positive(targets: np.ndarray) -> np.ndarray:
    """Where targets are known to be over one half, bool of the same shape."""
    return targets == 1 if targets.dtype == np.uint8 else np.nan_to_num(targets) > 0.5


def cut_stretch(
    sequence: TrackSequence, start: int, length: int, margin: int, rows: slice, flip: bool = False
) -> Stretch:
    """The piece of a sequence from base `start` on, padded at the end of the sequence.

    Args:
        length: bases of the piece.
        margin: a position has at least so many bases to each side in the piece, but where the
            sequence itself ends.
        rows: the positions that may be used.
        flip: give the reverse complement.
    """
    end = min(start + length, len(sequence.codes))
    codes = sequence.codes[start:end]
    low = start + margin if start > 0 else 0
    high = end - margin if end < len(sequence.codes) else end
    first, last = np.searchsorted(sequence.centres[rows], (low, max(low, high))) + rows.start
    centres, targets = sequence.centres[first:last] - start, sequence.targets[first:last]
    if flip:
        codes = reverse_complement(codes)
        centres = np.clip(len(codes) - centres - sequence.span, 0, len(codes) - 1)
    tokens = np.full(length, PAD, np.uint8)
    tokens[: len(codes)] = np.minimum(codes, N)
    return Stretch(tokens, len(codes), centres, targets)


class StretchSampler:
    """Draws training stretches.

    A share of them lies around a positive of a label drawn at random, the rest around a
    labelled position drawn at random; half of all are reverse-complemented.

    Args:
        regions: whose positions may be used; there must be one at least.
        length: bases a stretch, a multiple of the encoder's stride.
        margin: as `cut_stretch` takes it.
        stride: stretches begin at its multiples.
        positive_share: share of the stretches around a positive.
        seed: of the order.
    """

    def __init__(
        self,
        regions: Sequence[TrackRegion],
        length: int,
        margin: int,
        stride: int,
        positive_share: float = 0.5,
        seed: int = 0,
    ) -> None:
        self.regions = [region for region in regions if region.rows.stop > region.rows.start]
        self.length, self.margin, self.stride = length, margin, stride
        self.positive_share, self.seed = positive_share, seed
        self._ends = np.cumsum([r.rows.stop - r.rows.start for r in self.regions])
        self._positives = [found for found in self._find_positives() if len(found)]

    def batch(self, step: int, size: int) -> list[Stretch]:
        """The stretches of one training step, the same whenever they are asked for."""
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, step]))
        return [self._draw(random) for _ in range(size)]

    def _draw(self, random: np.random.Generator) -> Stretch:
        if self._positives and random.random() < self.positive_share:
            of_label = self._positives[random.integers(len(self._positives))]
            row = int(of_label[random.integers(len(of_label))])
        else:
            row = int(random.integers(self._ends[-1]))
        number = int(np.searchsorted(self._ends, row, side="right"))
        region = self.regions[number]
        row -= int(self._ends[number]) - region.rows.stop
        centre = int(region.sequence.centres[row])
        start = centre - int(random.integers(self.margin, self.length - self.margin))
        start = self._placed(start, len(region.sequence.codes))
        flip = bool(random.random() < 0.5)
        return cut_stretch(region.sequence, start, self.length, self.margin, region.rows, flip=flip)

    def _placed(self, start: int, bases: int) -> int:
        last = -(-max(0, bases - self.length) // self.stride) * self.stride
        return min(max(0, start // self.stride * self.stride), last)

    def _find_positives(self) -> list[np.ndarray]:
        """Rows of the positives of each label, counted over all regions."""
        found: list[list[np.ndarray]] = []
        offset = 0
        for region in self.regions:
            positive = is_positive(region.sequence.targets[region.rows])
            found.append([np.flatnonzero(column) + offset for column in positive.T])
            offset += len(positive)
        return [np.concatenate(of_label) for of_label in zip(*found, strict=True)]
