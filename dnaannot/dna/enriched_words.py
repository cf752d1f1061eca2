"""Words that some stretches of DNA hold more often than others: what motifs begin with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dnaannot.dna.kmers import kmer_classes, kmer_numbers
from dnaannot.dna.sequence import C, G, reverse_complement


def word_scores(inside: np.ndarray, beside: np.ndarray, k: int) -> np.ndarray:
    """How many deviations each word is more frequent in one set of pieces than in another.

    The pieces beside say how often a word is to be expected; among words with as many G and C and
    as many CpG, so that a difference in composition is no enrichment. So a word that is alone of
    its kind (CGCGCGCG) scores 0, and those of small kinds score less than they would.

    Args:
        inside: (n, L) base codes.
        beside: (m, L) base codes.
        k: bases of a word; it and its reverse complement are one.

    Returns:
        (4^k,) float64, by the number of the word; words that are one have the same score.
    """
    classes, kinds = kmer_classes(k), _kinds(k)
    found, expected = (_counts(codes, classes, k) for codes in (inside, beside))
    expected = expected + 0.5
    of_kind = np.zeros(len(found), np.int64)
    of_kind[classes] = kinds
    totals = [np.bincount(of_kind, counts, kinds.max() + 1) for counts in (found, expected)]
    ratio = (totals[0] / np.maximum(totals[1], 0.5))[of_kind]
    scores = (found - ratio * expected) / np.sqrt((ratio + ratio**2) * expected + 1)
    return scores[classes]


def distinct_words(numbers: np.ndarray, k: int) -> Iterator[np.ndarray]:
    """Bases (k,) of the words that are not nearly one before them.

    Nearly the same are words, on either strand, that differ in one base or none where they
    overlap when moved by no more than three.

    Args:
        numbers: of the words, the best first.
    """
    kept = np.empty((0, k), np.int64)
    for word in _bases(numbers, k):
        if not (_is_near(word, kept) or _is_near(reverse_complement(word), kept)):
            kept = np.concatenate((kept, word[None]))
            yield word


def _is_near(word: np.ndarray, others: np.ndarray) -> bool:
    k = len(word)
    for by in range(-3, 4):
        own = word[max(0, by) : k + min(0, by)]
        theirs = others[:, max(0, -by) : k - max(0, by)]
        if ((own != theirs).sum(1) <= 1).any():
            return True
    return False


def _counts(codes: np.ndarray, classes: np.ndarray, k: int) -> np.ndarray:
    """Counts of each class of words of known bases."""
    numbers, is_known = kmer_numbers(codes, k)
    return np.bincount(classes[numbers[is_known]], minlength=int(classes.max()) + 1)


def _kinds(k: int) -> np.ndarray:
    """(4^k,) one number for words with as many G and C and as many CpG."""
    bases = _bases(np.arange(4**k), k)
    strong = ((bases == G) | (bases == C)).sum(1)
    return strong * k + ((bases[:, :-1] == C) & (bases[:, 1:] == G)).sum(1)


def _bases(numbers: np.ndarray, k: int) -> np.ndarray:
    """Base codes (n, k) of words by their numbers (n,)."""
    return numbers[:, None] // 4 ** np.arange(k)[::-1] % 4
