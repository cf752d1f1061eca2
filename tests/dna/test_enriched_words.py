from __future__ import annotations

import numpy as np
import pytest

from dnaannot.dna.enriched_words import distinct_words, word_scores
from dnaannot.dna.kmers import kmer_numbers
from dnaannot.dna.sequence import N, encode, reverse_complement

K = 6


def number(text):
    return int(kmer_numbers(encode(text.encode()), len(text))[0][0])


def pieces(random, n, strong):
    """Codes (n, 100), a base of which is C or G with probability `strong`."""
    share = np.array([1 - strong, strong, strong, 1 - strong]) / 2
    return random.choice(4, size=(n, 100), p=share).astype(np.uint8)


def test_a_word_put_in_scores_best_on_both_strands():
    random = np.random.default_rng(1)
    inside, beside = pieces(random, 400, 0.5), pieces(random, 800, 0.5)
    word = encode(b"GATTAC")
    for n in range(0, 400, 4):
        inside[n, 20:26] = word if n % 8 else reverse_complement(word)
    scores = word_scores(inside, beside, K)
    assert scores.shape == (4**K,)
    assert {int(scores.argmax()), number("GATTAC"), number("GTAATC")} == {
        number("GATTAC"),
        number("GTAATC"),
    }
    assert scores[number("GATTAC")] == scores[number("GTAATC")] > 8


def test_chance_is_a_standard_deviation():
    random = np.random.default_rng(2)
    scores = word_scores(pieces(random, 2000, 0.5), pieces(random, 4000, 0.5), K)
    assert abs(scores.mean()) < 0.1
    assert scores.std() == pytest.approx(1, abs=0.1)


def test_a_difference_in_composition_enriches_nothing():
    random = np.random.default_rng(3)
    scores = word_scores(pieces(random, 2000, 0.7), pieces(random, 4000, 0.4), K)
    assert scores.max() < 6


def test_unknown_bases_are_no_word():
    unknown = np.full((5, 100), N, np.uint8)
    assert not word_scores(unknown, unknown, K).any()


def test_words_that_overlap_or_differ_in_a_base_are_one():
    words = [
        "TGAGTCAT",  # the best
        "ATGACTCA",  # its reverse complement
        "TGAGTCAC",  # a base differs
        "AATGAGTC",  # two bases before it
        "CCACTAGA",  # another word
        "CTAGTGGC",  # that one's reverse complement, moved
    ]
    numbers = np.array([number(text) for text in words])
    found = ["".join("ACGT"[base] for base in word) for word in distinct_words(numbers, 8)]
    assert found == ["TGAGTCAT", "CCACTAGA"]
