from __future__ import annotations

import itertools

import numpy as np
import pytest

from dnaannot.dna.kmers import kmer_classes, kmer_numbers
from dnaannot.dna.sequence import GAP, N, decode, encode, reverse_complement


def words(k):
    """All words, in the order of their numbers."""
    return ["".join(word) for word in itertools.product("ACGT", repeat=k)]


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_classes_are_numbered_by_the_first_word_of_each(k):
    expected = {}
    for word in words(k):
        other = decode(reverse_complement(encode(word.encode())))
        expected[word] = expected.get(other, len(set(expected.values())))
    assert kmer_classes(k).tolist() == list(expected.values())


@pytest.mark.parametrize("k", [1, 3])
def test_numbers_are_those_of_the_words_read_one_by_one(k):
    codes = np.random.default_rng(k).integers(0, 6, (2, 3, 20)).astype(np.uint8)
    numbers, is_known = kmer_numbers(codes, k)
    assert numbers.shape == is_known.shape == (2, 3, 21 - k)
    assert ((numbers >= 0) & (numbers < 4**k)).all()
    for row, place in itertools.product(np.ndindex(2, 3), range(21 - k)):
        word = decode(codes[row][place : place + k])
        assert is_known[row][place] == ("N" not in word)
        if "N" not in word:
            assert words(k)[numbers[row][place]] == word


def test_what_is_shorter_than_a_word_has_none():
    for codes in (np.array([0, N], np.uint8), np.array([GAP], np.uint8), np.zeros(0, np.uint8)):
        numbers, is_known = kmer_numbers(codes, 3)
        assert len(numbers) == len(is_known) == 0
