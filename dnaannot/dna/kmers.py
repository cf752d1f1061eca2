"""Words of k bases as numbers: the first base counts most, AA...A is 0 and TT...T is 4^k - 1."""

from __future__ import annotations

import numpy as np

from dnaannot.dna.sequence import N, T


def kmer_numbers(codes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The words that begin at each base of codes (..., L), of one sequence or many.

    Returns:
        Their numbers (..., L - k + 1) int64, empty where L < k, and which of them hold known
        bases alone; the others' numbers mean nothing, but are below 4^k.
    """
    places = max(0, codes.shape[-1] - k + 1)
    numbers = np.zeros((*codes.shape[:-1], places), np.int64)
    is_known = np.ones(numbers.shape, bool)
    for offset in range(k):
        bases = codes[..., offset : offset + places]
        numbers = 4 * numbers + np.minimum(bases, T)
        is_known &= bases < N
    return numbers, is_known


def kmer_classes(k: int) -> np.ndarray:
    """Class (4^k,) int64 of each word's number; a word and its reverse complement share one.

    Classes count from 0 on in the order of the lesser number of the two. The scores of words in
    model files are rows in this order.
    """
    numbers, powers = np.arange(4**k), 4 ** np.arange(k)[::-1]
    bases = numbers[:, None] // powers % 4
    complements = (T - bases[:, ::-1]) @ powers
    return np.unique(np.minimum(numbers, complements), return_inverse=True)[1]
