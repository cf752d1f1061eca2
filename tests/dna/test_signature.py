from __future__ import annotations

import itertools

import numpy as np
import pytest

from dnaannot.dna.sequence import encode, reverse_complement
from dnaannot.dna.signature import signature, signature_distance, signature_spread

BASES = "ACGT"


def slow_signature(text):
    """By counting letters, on both strands, each count begun at 2."""
    strands = [text, text.translate(str.maketrans("ACGT", "TGCA"))[::-1]]

    def frequencies(k):
        words = ["".join(word) for word in itertools.product(BASES, repeat=k)]
        counts = dict.fromkeys(words, 2)
        for strand in strands:
            for at in range(len(strand) - k + 1):
                if strand[at : at + k] in counts:
                    counts[strand[at : at + k]] += 1
        return {word: count / sum(counts.values()) for word, count in counts.items()}

    one, two, three = (frequencies(k) for k in (1, 2, 3))
    pairs = [np.log(f / (one[w[0]] * one[w[1]])) for w, f in two.items()]
    triples = [np.log(f * one[w[1]] / (two[w[:2]] * two[w[1:]])) / 2 for w, f in three.items()]
    return np.array(pairs + triples)


def random_text(seed, letters="ACGT", length=300):
    return "".join(np.random.default_rng(seed).choice(list(letters), length))


@pytest.mark.parametrize("letters", ["ACGT", "AACGTN", "AT"])
def test_signature_is_counted(letters):
    text = random_text(1, letters)
    found = signature([encode(text.encode())])
    assert found.shape == (4**2 + 4**3,)
    assert found == pytest.approx(slow_signature(text))


def test_both_strands_and_pieces_count_alike():
    codes = encode(random_text(2, length=400).encode())
    assert signature([codes]) == pytest.approx(signature([reverse_complement(codes)]))
    halves = signature([codes[:200], codes[200:]])
    assert signature_distance(halves, signature([codes])) < 0.1
    assert signature_distance(halves, halves) == 0


def test_nothing_known_is_no_signature():
    assert signature([]) == pytest.approx(np.zeros(80))
    assert signature([encode(b"NNNN"), encode(b"")]) == pytest.approx(np.zeros(80))


def test_spread_is_the_median_distance_to_the_other_stretches():
    texts = [random_text(seed, letters) for seed, letters in enumerate(("ACGT", "AACGTN", "AT"))]
    pieces = [encode(text.encode()) for text in texts]
    distances = []
    for own in texts:
        others = "NNN".join(text for text in texts if text is not own)
        distances.append(signature_distance(slow_signature(own), slow_signature(others)))
    assert signature_spread(pieces) == pytest.approx(sorted(distances)[1])
    assert signature_spread(pieces[:1]) is None
    assert signature_spread(pieces[:1] * 2) == 0
