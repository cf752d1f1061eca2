"""A genome with its long introns and intergenic stretches shortened.

Most bases of a large genome are far from any exon, and a training window there, or in one of its
long introns, says little for what it costs. With the middle of such stretches left out a window
holds whole genes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dnaannot.datasets.genes import LabelledSequence, Region, genes_within
from dnaannot.dna.grammar import INTERGENIC, INTRON, MINUS, UNKNOWN

_IS_SITE = np.ones(256, bool)
_IS_SITE[[INTERGENIC, INTRON, INTRON + MINUS, UNKNOWN]] = False

REACH = 1_000
"""Bases kept beside coding bases and splice sites: introns and intergenic stretches keep twice
as many, shorter ones are whole."""
SPARSE = 0.3
"""Genes are sparse where condensing leaves less than this share of the bases: 0.05 of human
chr16, 0.12 of mouse chr17, 0.24 of human chr19, 0.6 of a fly's chromosome arm and 0.8 of a
plant's."""


def is_sparse(region: Region, twin: Region) -> bool:
    """Whether genes are so sparse in a region that its condensed twin is `SPARSE` of it or less."""
    return twin.end - twin.start <= SPARSE * (region.end - region.start)


def condensed(region: Region, reach: int = REACH) -> Region:
    """The region without the bases farther than `reach` from where the label changes.

    Labels go with their bases. What is left out lies inside an intron, an intergenic stretch or
    one of unknown label, so that the labels that are left spell the same genes.
    """
    codes, labels = (
        part[region.start : region.end] for part in (region.sequence.codes, region.sequence.labels)
    )
    is_site = _IS_SITE[labels]
    is_site[1:] |= labels[1:] != labels[:-1]
    kept = _merged(np.flatnonzero(is_site), reach, len(labels))
    spans = _moved(genes_within(region) - region.start, kept)
    sequence = LabelledSequence(
        region.sequence.name,
        _taken(codes, kept),
        _taken(labels, kept),
        spans[spans[:, 1] > spans[:, 0]],
    )
    return replace(region, sequence=sequence, start=0, end=len(sequence.codes))


def _merged(at: np.ndarray, reach: int, length: int) -> np.ndarray:
    """Half-open spans (R, 2) of the positions within `reach` of positions (n,), in order."""
    is_new = np.diff(at, prepend=-length - 2 * reach) > 2 * reach + 1
    starts, ends = at[is_new], at[np.append(is_new[1:], True)[: len(at)]]
    return np.stack((np.maximum(starts - reach, 0), np.minimum(ends + reach + 1, length)), axis=1)


def _taken(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return np.concatenate([values[:0], *(values[start:end] for start, end in kept)])


def _moved(positions: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Where positions lie once only what is kept is left; others as the next that is kept."""
    if not len(kept):
        return np.zeros_like(positions)
    after = np.cumsum(kept[:, 1] - kept[:, 0])
    places = np.stack((np.append(0, after[:-1]), after), axis=1)
    return np.interp(positions, kept.ravel(), places.ravel()).astype(np.int64)
