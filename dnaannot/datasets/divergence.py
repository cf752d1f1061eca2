"""Sequence as a relative's genome might have it: substitutions that leave the genes as they are.

Few labelled genes are soon known by heart. A window whose neutral bases differ each time that it
is drawn teaches what genes have in common instead; evolution-inspired augmentations do the same
for regulatory sequence (Lee et al. 2023, "EvoAug", Genome Biology 24:105). Here the labels say
what selection keeps: splice sites, the start codon with its context, the stop codon, and most
amino acids.
"""

from __future__ import annotations

import numpy as np

from dnaannot.dna.grammar import (
    ACCEPTOR,
    CDS0,
    CDS1,
    CDS2,
    DONOR,
    IS_CODING,
    MINUS,
    START,
    UNKNOWN,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import N, reverse_complement, translate

TRANSITIONS = 2 / 3
"""Share of the substitutions that are transitions (A and G, C and T)."""
TOLERANCE = 0.15
"""Share of the changes of an amino acid that are kept."""
KEPT = {START: (10, 3), DONOR: (3, 6), ACCEPTOR: (20, 4)}
"""Bases left alone before and from a label on, in the gene's direction."""


def diverged(
    codes: np.ndarray, labels: np.ndarray, divergence: float, random: np.random.Generator
) -> np.ndarray:
    """Codes (L,) after neutral evolution under labels (L,), which stay true of them.

    Codons that lie whole in an exon change to synonyms, and to others but stops with
    probability `TOLERANCE`; other coding bases, those that `KEPT` names, and those of unknown
    label stay.

    Args:
        codes: bases, gaps marked.
        divergence: share of the neutral bases substituted.
    """
    after = _substituted(codes, divergence, random)
    label = np.where(labels == UNKNOWN, 0, labels)
    is_kept = (labels == UNKNOWN) | _kept(labels) | _kept(reverse_complement_labels(labels))[::-1]
    result = np.where(is_kept | IS_CODING[label], codes, after)
    for minus in (0, MINUS):
        codons = _codons(labels, minus)
        codons = codons[~(is_kept | (codes >= N))[codons].any(axis=1)]
        old, new = (_amino_acids(which[codons], bool(minus)) for which in (codes, after))
        is_tolerated = (new != ord("*")) & (random.random(len(codons)) < TOLERANCE)
        codons = codons[(new == old) | is_tolerated]
        result[codons] = after[codons]
    return result


def _substituted(codes: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    at = np.flatnonzero((random.random(len(codes)) < share) & (codes < N))
    is_transition = random.random(len(at)) < TRANSITIONS
    other = 1 + 2 * random.integers(2, size=len(at))
    after = codes.copy()
    after[at] ^= np.where(is_transition, 2, other).astype(np.uint8)
    return after


def _kept(labels: np.ndarray) -> np.ndarray:
    """(L,) what `KEPT` protects of genes of the plus strand."""
    bounds = np.zeros(len(labels) + 1, np.int32)
    for label, (before, after) in KEPT.items():
        at = np.flatnonzero(labels == label)
        np.add.at(bounds, np.maximum(at - before, 0), 1)
        np.add.at(bounds, np.minimum(at + after, len(labels)), -1)
    return np.cumsum(bounds[:-1]) > 0


def _codons(labels: np.ndarray, minus: int) -> np.ndarray:
    """Positions (n, 3), in sequence order, of codons whole in an exon, neither start nor stop."""
    order = (CDS0, CDS1, CDS2)[:: -1 if minus else 1]
    at = np.flatnonzero(
        (labels[:-2] == order[0] + minus)
        & (labels[1:-1] == order[1] + minus)
        & (labels[2:] == order[2] + minus)
    )
    return at[:, None] + np.arange(3)


def _amino_acids(codons: np.ndarray, is_minus: bool) -> np.ndarray:
    """(n,) letters of what codons (n, 3), in sequence order, stand for."""
    if is_minus:
        return _amino_acids(reverse_complement(codons.ravel()).reshape(-1, 3), False)[::-1]
    return np.frombuffer(translate(codons.ravel()).encode(), np.uint8)
