from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dnaannot.dna import viterbi_run
from dnaannot.dna.grammar import LABEL_INDEX, gene_grammar, position_words
from dnaannot.dna.viterbi import Viterbi

GRAMMAR = gene_grammar(20)


def sequence(length, seed, scale=1.0):
    """Words, emissions that favour nothing, and weights."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, length).astype(np.uint8)
    codes[length // 3 : length // 3 + 70] = 5
    emissions = (scale * rng.normal(size=(length, 17))).astype(np.float32)
    return position_words(codes), emissions, rng.normal(size=len(GRAMMAR.pairs)).astype(np.float32)


def decoded(decoding):
    states = []
    while True:
        try:
            states.append(next(decoding))
        except StopIteration as stop:
            return np.concatenate(states), stop.value


def cut(words, emissions, size):
    return [(words[at : at + size], emissions[at : at + size]) for at in range(0, len(words), size)]


@pytest.fixture
def redone(monkeypatch):
    """Stretches that were done again, counted."""
    counted = []
    unfounded = viterbi_run._unfounded

    def count(stretches):
        found = unfounded(stretches)
        counted.append(len(found))
        return found

    monkeypatch.setattr(viterbi_run, "_unfounded", count)
    return counted


@pytest.mark.parametrize("block", [32, 128])
@pytest.mark.parametrize("length", [1, 31, 128, 129, 3_001])
@pytest.mark.parametrize("scale", [0.05, 3.0])
def test_side_by_side_is_one_by_one_to_the_last_bit(block, length, scale):
    words, emissions, weights = sequence(length, seed=length, scale=scale)
    viterbi = Viterbi(GRAMMAR, weights, block=block)
    expected = decoded(viterbi.decode([(words, emissions)]))
    with ThreadPoolExecutor(3) as pool:
        for at_once, size in ((1, 50), (3, 1_000), (8, 10_000)):
            chunks = cut(words, emissions, size)
            found = decoded(viterbi.decode(chunks, pool=pool, at_once=at_once))
            assert np.array_equal(found[0], expected[0])
            assert found[1] == expected[1]


def test_what_an_intron_remembers_is_done_again(redone):
    """Its phase is decided before all stretches but the first, and matters after them."""
    words, emissions, weights = sequence(4_000, seed=2, scale=0.2)
    emissions[500:3_800, LABEL_INDEX["intron+"]] += 9
    viterbi = Viterbi(GRAMMAR, weights, block=64)
    expected = decoded(viterbi.decode([(words, emissions)]))
    with ThreadPoolExecutor(2) as pool:
        found = decoded(viterbi.decode([(words, emissions)], pool=pool, at_once=100))
    assert np.array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert sum(redone) > 5


def test_where_paths_meet_soon_little_is_done_again(redone):
    words, emissions, weights = sequence(20_000, seed=4)
    emissions[:, 0] += 6
    viterbi = Viterbi(GRAMMAR, weights, block=512)
    with ThreadPoolExecutor(2) as pool:
        decoded(viterbi.decode([(words, emissions)], pool=pool, at_once=100))
    assert sum(redone) == 0


def test_no_path_is_an_error_side_by_side():
    viterbi = Viterbi(GRAMMAR, np.zeros(len(GRAMMAR.pairs), np.float32), block=32)
    words = position_words(np.zeros(500, np.uint8))
    nowhere = np.zeros(len(GRAMMAR.states), bool)
    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="no path"):
        decoded(
            viterbi.decode(
                [(words, np.zeros((500, 17), np.float32))], end=nowhere, pool=pool, at_once=4
            )
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_end_the_run(value):
    words, emissions, weights = sequence(1_000, seed=1)
    emissions[200] = value
    viterbi = Viterbi(GRAMMAR, weights, block=32)
    with pytest.raises(FloatingPointError):
        decoded(viterbi.decode([(words, emissions)]))
    with ThreadPoolExecutor(2) as pool, pytest.raises(FloatingPointError):
        decoded(viterbi.decode([(words, emissions)], pool=pool, at_once=4))
