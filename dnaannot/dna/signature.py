"""The genomic signature: how often short words occur beside what their parts let expect.

It is nearly the same all over a genome, alike between related species and says little of GC
content (Karlin and Burge 1995, Trends in Genetics 11:283).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dnaannot.dna.kmers import kmer_numbers

_LENGTHS = (1, 2, 3)
_BORDERS = (4, 4 + 16)
_NO_COUNTS = np.zeros(4 + 16 + 64, np.int64)


def signature(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Signature (80,) of a genome by stretches of it, both strands counted.

    The first 16 values are the logs of f(xy) / f(x) f(y), the others, at half weight, of
    f(xyz) f(y) / f(xy) f(yz).

    Args:
        pieces: (L_i,) base codes; words with N are left out.
    """
    return _of_counts(sum((_counts(codes) for codes in pieces), _NO_COUNTS))


def signature_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two signatures (80,): up to .2 inside a genome, above 1 between kingdoms."""
    return float(np.linalg.norm(np.asarray(one) - np.asarray(other)))


def signature_spread(pieces: Iterable[np.ndarray]) -> float | None:
    """How far stretches of one genome lie from the rest of it, as the median distance.

    It is what a short stretch of the same genome may differ by, from chance and from the
    genome's own variety: mammals are less uniform than yeasts.

    Args:
        pieces: (L_i,) base codes of two stretches or more; None of fewer.
    """
    counts = [_counts(codes) for codes in pieces]
    if len(counts) < 2:
        return None
    total = sum(counts, _NO_COUNTS)
    distances = [signature_distance(_of_counts(own), _of_counts(total - own)) for own in counts]
    return float(np.median(distances))


def _of_counts(counts: np.ndarray) -> np.ndarray:
    """Signature (80,) by the counts (84,) of the words of one, two and three bases."""
    one, two, three = (
        of_words + _reverse_complement(of_words)
        for of_words in (
            part.reshape((4,) * k) + 1.0
            for k, part in zip(_LENGTHS, np.split(counts, _BORDERS), strict=True)
        )
    )
    one, two, three = one / one.sum(), two / two.sum(), three / three.sum()
    pairs = np.log(two / (one[:, None] * one))
    triples = np.log(three * one[None, :, None] / (two[:, :, None] * two))
    return np.concatenate((pairs.ravel(), triples.ravel() / 2))


def _counts(codes: np.ndarray) -> np.ndarray:
    """Counts (84,) of the words of one, two and three known bases on the strand that is read."""
    return np.concatenate([_words(codes, k) for k in _LENGTHS])


def _words(codes: np.ndarray, k: int) -> np.ndarray:
    """Counts (4^k,) of the words of k known bases."""
    numbers, is_known = kmer_numbers(codes, k)
    return np.bincount(numbers[is_known], minlength=4**k)


def _reverse_complement(counts: np.ndarray) -> np.ndarray:
    """Counts (4,) * k of the words on the other strand."""
    return counts[(slice(None, None, -1),) * counts.ndim].transpose()
