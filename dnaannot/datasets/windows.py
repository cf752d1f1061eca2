"""Windows that training draws from genomes labelled with genes.

A window is a pure function of (seed, step): the order of the data does not depend on workers
and a resumed run sees what an undisturbed one would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np

from dnaannot.datasets.divergence import diverged
from dnaannot.datasets.genes import Region, genes_within
from dnaannot.dna.forward_backward import allowed_labels
from dnaannot.dna.grammar import (
    IS_CODING,
    MINUS,
    RULE_BIT,
    START,
    UNKNOWN,
    position_words,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import N, reverse_complement
from dnaannot.nn.encoder import PAD

_COUNTED_WINDOWS = 1_000
"""Windows of a genome in which gene starts are counted."""


class Batch(NamedTuple):
    """Windows of equal length.

    Attributes:
        tokens: (B, L) uint8 encoder tokens.
        labels: (B, L) uint8, `UNKNOWN` where not known.
        words: (B, L) uint32 position words for the grammar.
        allowed: (B, L) uint32, bit k set where label k is compatible with what is known.
        enrichment: (B,) float32, log of how many times as often genes begin in windows like
            these as in the genome that they are cut from.
    """

    tokens: np.ndarray
    labels: np.ndarray
    words: np.ndarray
    allowed: np.ndarray
    enrichment: np.ndarray


class _Place(NamedTuple):
    """Where a window is cut from.

    Attributes:
        is_condensed: it is cut from the condensed twin of its region.
        flip: it is read on the other strand.
    """

    region: Region
    is_condensed: bool
    start: int
    flip: bool


class WindowSampler:
    """Draws training windows from regions.

    A share of the windows is placed around a gene, the rest uniformly; half of all are
    reverse-complemented. Regions are drawn by weight times length.

    Args:
        regions: where windows may lie; one shorter than a window is padded.
        window: bases a window, a multiple of the encoder's stride.
        genic_share: share of the windows that contain part of a gene for sure.
        exon_share: share of those that contain a coding base for sure, where introns are long.
        seed: of the data order.
        divergence: each window diverges by up to this share of its neutral bases, see `diverged`.
        condensed: a shortened twin of each region, or None; see `dnaannot.datasets.condensed`.
        condensed_share: share of the windows that are cut from the twin of their region, where it
            has one that holds genes and is no shorter than a window.
    """

    def __init__(
        self,
        regions: Sequence[Region],
        window: int,
        *,
        genic_share: float = 0.5,
        exon_share: float = 0.0,
        seed: int = 0,
        divergence: float = 0.0,
        condensed: Sequence[Region | None] = (),
        condensed_share: float = 0.0,
    ) -> None:
        self.regions, self.window = list(regions), window
        self.genic_share, self.exon_share, self.seed = genic_share, exon_share, seed
        self.divergence = divergence
        self._mass = np.array([each.weight * (each.end - each.start) for each in self.regions])
        self._probability = self._mass / self._mass.sum()
        self._genes = [genes_within(region) for region in self.regions]
        self.condensed_share = condensed_share if condensed else 0.0
        self._twins = [self._with_genes(twin) for twin in condensed]

    def _with_genes(self, twin: Region | None) -> tuple[Region, np.ndarray] | None:
        """A twin that windows can be cut from, and its genes."""
        if twin is None or twin.end - twin.start < self.window:
            return None
        genes = genes_within(twin)
        return (twin, genes) if len(genes) else None

    def batch(self, step: int, size: int) -> Batch:
        """The windows of one training step, the same whenever they are asked for."""
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 0, step]))
        windows = [self._draw(random) for _ in range(size)]
        return Batch(*(np.stack(column) for column in zip(*windows, strict=True)))

    @cached_property
    def enrichment(self) -> dict[tuple[int, bool], float]:
        """Log of how many times as often genes begin in windows as in the genome they are of.

        By genome and whether the windows are condensed, counted for each known base in windows
        drawn for it; 0 where no gene begins.
        """
        genomes = np.array([region.genome for region in self.regions])
        return {
            (int(genome), is_condensed): value
            for genome in np.unique(genomes)
            for is_condensed, value in self._enrichment(genomes == genome).items()
        }

    def _enrichment(self, own: np.ndarray) -> dict[bool, float]:
        """Of the genome that `own` (R,) regions are of, by whether windows are condensed."""
        random = np.random.Generator(np.random.Philox(key=self.seed, counter=[0, 0, 1, 0]))
        probability = self._mass * own / (self._mass * own).sum()
        places = [self._place(random, probability) for _ in range(_COUNTED_WINDOWS)]
        there = _starts_per_base(self.regions[number] for number in np.flatnonzero(own))
        found = {}
        for is_condensed in (False, True):
            windows = (self._window(each) for each in places if each.is_condensed == is_condensed)
            drawn = _starts_per_base(windows)
            found[is_condensed] = math.log(drawn / there) if drawn and there else 0.0
        return found

    def _draw(self, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        place = self._place(random, self._probability)
        change = None
        if self.divergence:
            share = self.divergence * random.random()
            change = partial(diverged, divergence=share, random=random)
        arrays = window_arrays(place.region, place.start, self.window, place.flip, change)
        enrichment = self.enrichment[place.region.genome, place.is_condensed]
        return *arrays, np.float32(enrichment)

    def _place(self, random: np.random.Generator, probability: np.ndarray) -> _Place:
        choice = int(random.choice(len(self.regions), p=probability))
        region, genes, twin = self.regions[choice], self._genes[choice], None
        if self.condensed_share and random.random() < self.condensed_share:
            twin = self._twins[choice]
        if twin is not None:
            region, genes = twin
        low, high = region.start, max(region.start, region.end - self.window)
        if len(genes) and random.random() < self.genic_share:
            anchor = self._anchor(random, region, *genes[random.integers(len(genes))])
            start = anchor - int(random.integers(self.window))
        else:
            start = int(random.integers(low, high + 1))
        start = min(max(start, low), high)
        return _Place(region, twin is not None, start, random.random() < 0.5)

    def _window(self, place: _Place) -> Region:
        end = min(place.start + self.window, place.region.end)
        return replace(place.region, start=place.start, end=end)

    def _anchor(self, random: np.random.Generator, region: Region, start: int, end: int) -> int:
        """A base of a gene, which the window shall contain."""
        if self.exon_share and random.random() < self.exon_share:
            labels = region.sequence.labels[start:end]
            coding = np.flatnonzero(np.append(IS_CODING, False)[np.minimum(labels, len(IS_CODING))])
            if len(coding):
                return start + int(coding[random.integers(len(coding))])
        return int(random.integers(start, end))


def _starts_per_base(regions: Iterable[Region]) -> float:
    """Gene starts of regions, for each base of known label."""
    starts = bases = 0
    for region in regions:
        labels = region.sequence.labels[region.start : region.end]
        starts += int(((labels == START) | (labels == START + MINUS)).sum())
        bases += int((labels != UNKNOWN).sum())
    return starts / max(1, bases)


def window_arrays(
    region: Region,
    start: int,
    window: int,
    flip: bool,
    change: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, ...]:
    """Tokens, labels, words and allowed labels (window,) of one window of a region.

    Sequence rules at the window's ends look at the true neighbours. Bases past the region are
    padding of unknown label.

    Args:
        change: makes other codes of the codes and labels of the window and its neighbours.
    """
    codes, labels = region.sequence.codes, region.sequence.labels
    end = min(start + window, region.end)
    kept = end - start
    flank = 3
    low, high = max(0, start - flank), min(len(codes), end + flank)
    left = start - low
    neighbourhood, own = codes[low:high], labels[start:end]
    if change is not None:
        neighbourhood = change(neighbourhood, labels[low:high])
    if flip:
        neighbourhood, own = reverse_complement(neighbourhood), reverse_complement_labels(own)
        left = high - end
    tokens = np.full(window, PAD, np.uint8)
    tokens[:kept] = np.minimum(neighbourhood[left : left + kept], N)
    padded_labels = np.full(window, UNKNOWN, np.uint8)
    padded_labels[:kept] = own
    words = np.zeros(window, np.uint32)
    words[:kept] = position_words(neighbourhood)[left : left + kept]
    words[kept:] = RULE_BIT["any"]
    return tokens, padded_labels, words, allowed_labels(padded_labels)
