"""The genomic signature: how often short words occur beside what their parts let expect.

It is nearly the same all over a genome, alike between related species and says little of GC
content (Karlin and Burge 1995, Trends in Genetics 11:283).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dnaannot.dna.kmers import kmer_numbers


def signature(pieces: Iterable[np.ndarray]) -> np.ndarray:
    """Signature (80,) of a genome by stretches of it, both strands counted.

    The first 16 values are the logs of f(xy) / f(x) f(y), the others, at half weight, of
    f(xyz) f(y) / f(xy) f(yz).

    Args:
        pieces: (L_i,) base codes; words with N are left out.
    """
    counts = [np.ones((4,) * k) for k in (1, 2, 3)]
    for codes in pieces:
        for k, count in enumerate(counts, start=1):
            count += _words(codes, k)
    one, two, three = (count + _reverse_complement(count) for count in counts)
    one, two, three = one / one.sum(), two / two.sum(), three / three.sum()
    pairs = np.log(two / (one[:, None] * one))
    triples = np.log(three * one[None, :, None] / (two[:, :, None] * two))
    return np.concatenate((pairs.ravel(), triples.ravel() / 2))


def signature_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of two signatures (80,): up to .2 inside a genome, above 1 between kingdoms."""
    return float(np.linalg.norm(np.asarray(one) - np.asarray(other)))


def _words(codes: np.ndarray, k: int) -> np.ndarray:
    """Counts (4,) * k of the words of k known bases."""
    numbers, is_known = kmer_numbers(codes, k)
    return np.bincount(numbers[is_known], minlength=4**k).reshape((4,) * k)


def _reverse_complement(counts: np.ndarray) -> np.ndarray:
    """Counts (4,) * k of the words on the other strand."""
    return counts[(slice(None, None, -1),) * counts.ndim].transpose()
