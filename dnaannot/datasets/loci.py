"""Fewer labels: what a lab would have that had annotated a share of the loci."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dnaannot.datasets.genes import Region, genes_within, mass
from dnaannot.dna.grammar import UNKNOWN
from dnaannot.dna.interval import union


class Locus(NamedTuple):
    """Genes that overlap, with the bases nearer to them than to others.

    Attributes:
        region: number of the region it lies in.
        start, end: half-open; the loci of a region cover it.
        genes: (R, 2) their spans.
    """

    region: int
    start: int
    end: int
    genes: np.ndarray


def loci(regions: Sequence[Region]) -> list[Locus]:
    """The loci of regions; borders lie midway between neighbouring genes."""
    found: list[Locus] = []
    for number, region in enumerate(regions):
        genes = genes_within(region)
        clusters = union(genes)
        middles = (clusters[:-1, 1] + clusters[1:, 0]) // 2
        borders = [region.start, *middles.tolist(), region.end]
        for (first, last), start, end in zip(clusters, borders, borders[1:], strict=False):
            inside = (genes[:, 0] >= first) & (genes[:, 1] <= last)
            found.append(Locus(number, start, end, genes[inside]))
    return found


def with_fewer_labels(
    regions: Sequence[Region], fraction: float, flank: int, seed: int
) -> tuple[list[Region], int]:
    """Regions in which only the loci of a share of the genes are labelled.

    Loci of each genome are drawn at random until they hold the share (at least one). All other
    bases are of unknown label, intergenic ones too: nobody has looked there. What is left are
    the loci with `flank` bases to each side for context.

    Args:
        fraction: share of the genes to keep, above 0.

    Returns:
        The regions, with weights by which each genome is drawn from as often as before, and how
        many genes they keep.
    """
    random = np.random.default_rng(seed)
    fewer: list[Region] = []
    count = 0
    for genome in sorted({region.genome for region in regions}):
        own = [region for region in regions if region.genome == genome]
        kept = _drawn(loci(own), fraction, random)
        around = [
            part
            for number, region in enumerate(own)
            for part in _around(region, [locus for locus in kept if locus.region == number], flank)
        ]
        factor = mass(own) / mass(around) if around else 1.0
        fewer += [replace(region, weight=region.weight * factor) for region in around]
        count += sum(len(locus.genes) for locus in kept)
    return fewer, count


def _drawn(
    everything: Sequence[Locus], fraction: float, random: np.random.Generator
) -> list[Locus]:
    """Loci, in random order, that hold a share of the genes."""
    wanted = math.ceil(fraction * sum(len(locus.genes) for locus in everything))
    kept: list[Locus] = []
    count = 0
    for number in random.permutation(len(everything)):
        if count >= wanted:
            break
        kept.append(everything[number])
        count += len(everything[number].genes)
    return kept


def _around(region: Region, kept: Sequence[Locus], flank: int) -> list[Region]:
    """Parts of a region around the loci that are kept, with no other labels."""
    if not kept:
        return []
    labels = np.full_like(region.sequence.labels, UNKNOWN)
    for locus in kept:
        labels[locus.start : locus.end] = region.sequence.labels[locus.start : locus.end]
    genes = np.concatenate([locus.genes for locus in kept])
    genes = genes[np.argsort(genes[:, 0], kind="stable")]
    sequence = replace(region.sequence, labels=labels, genes=genes)
    spans = union(np.array([(locus.start - flank, locus.end + flank) for locus in kept]))
    return [
        replace(
            region,
            sequence=sequence,
            start=max(int(start), region.start),
            end=min(int(end), region.end),
        )
        for start, end in spans
    ]
