"""A genome with its long introns and intergenic stretches shortened.

Most bases of a large genome are far from any exon, and a training window there, or in one of its
long introns, says little for what it costs. With the middle of such stretches left out a window
holds whole genes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dnaannot.datasets.genes import LabelledSequence, Region
from dnaannot.dna.grammar import INTERGENIC, INTRON, MINUS, UNKNOWN

REACH = 1_000
"""Bases kept beside coding bases and splice sites: introns and intergenic stretches keep twice
as many, shorter ones are whole."""


SPARSE = 0.3
"""Genes are sparse where condensing leaves less than this share of the bases: 0.05 of human
chr16, 0.12 of mouse chr17, 0.24 of human chr19, 0.6 of a fly's chromosome arm and 0.8 of a
plant's."""


def kept_share(regions: Sequence[Region], twins: Sequence[Region]) -> float:
    """Share of the bases of regions that their condensed twins have."""
    lengths = [sum(each.end - each.start for each in of) for of in (twins, regions)]
    return lengths[0] / max(1, lengths[1])


def condensed(region: Region, reach: int = REACH) -> Region:
    """The region without the bases farther than `reach` from where the label changes.

    Labels go with their bases. What is left out lies inside an intron, an intergenic stretch or
    one of unknown label, so that the labels that are left spell the same genes.
    """
    codes, labels = (
        part[region.start : region.end] for part in (region.sequence.codes, region.sequence.labels)
    )
    is_site = ~np.isin(labels, (INTERGENIC, INTRON, INTRON + MINUS, UNKNOWN))
    is_site[1:] |= labels[1:] != labels[:-1]
    is_kept = near(is_site, reach)
    moved = np.concatenate((np.zeros(1, np.int64), np.cumsum(is_kept)))
    genes = region.sequence.genes
    inside = genes[(genes[:, 0] >= region.start) & (genes[:, 1] <= region.end)] - region.start
    spans = moved[inside]
    spans = spans[spans[:, 1] > spans[:, 0]]
    sequence = LabelledSequence(region.sequence.name, codes[is_kept], labels[is_kept], spans)
    return replace(region, sequence=sequence, start=0, end=len(sequence.codes))


def near(mask: np.ndarray, reach: int) -> np.ndarray:
    """(L,) which positions lie within `reach` of a True of mask (L,)."""
    at = np.flatnonzero(mask)
    steps = np.zeros(len(mask) + 1, np.int32)
    np.add.at(steps, np.maximum(at - reach, 0), 1)
    np.add.at(steps, np.minimum(at + reach + 1, len(mask)), -1)
    return np.cumsum(steps[:-1]) > 0
