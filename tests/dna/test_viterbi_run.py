from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dnaannot.dna import viterbi_run
from dnaannot.dna.grammar import LABEL_INDEX, gene_grammar, position_words
from dnaannot.dna.viterbi import Viterbi
from dnaannot.dna.viterbi_run import Run, Stand

GRAMMAR = gene_grammar(20)


def sequence(length, seed, scale=1.0):
    """Words, emissions that favour nothing, and weights."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, length).astype(np.uint8)
    codes[length // 3 : length // 3 + 70] = 5
    emissions = (scale * rng.normal(size=(length, 17))).astype(np.float32)
    return position_words(codes), emissions, rng.normal(size=len(GRAMMAR.pairs)).astype(np.float32)


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
def test_side_by_side_is_one_by_one_to_the_last_bit(states_and_score, block, length, scale):
    words, emissions, weights = sequence(length, seed=length, scale=scale)
    viterbi = Viterbi(GRAMMAR, weights, block=block)
    expected = states_and_score(viterbi.decode([(words, emissions)]))
    with ThreadPoolExecutor(3) as pool:
        for at_once, size in ((1, 50), (3, 1_000), (8, 10_000)):
            chunks = cut(words, emissions, size)
            found = states_and_score(viterbi.decode(chunks, pool=pool, at_once=at_once))
            assert np.array_equal(found[0], expected[0])
            assert found[1] == expected[1]


def test_what_an_intron_remembers_is_done_again(states_and_score, redone):
    """Its phase is decided before all stretches but the first, and matters after them."""
    words, emissions, weights = sequence(4_000, seed=2, scale=0.2)
    emissions[500:3_800, LABEL_INDEX["intron+"]] += 9
    viterbi = Viterbi(GRAMMAR, weights, block=64)
    expected = states_and_score(viterbi.decode([(words, emissions)]))
    with ThreadPoolExecutor(2) as pool:
        found = states_and_score(viterbi.decode([(words, emissions)], pool=pool, at_once=100))
    assert np.array_equal(found[0], expected[0])
    assert found[1] == expected[1]
    assert sum(redone) > 5


def test_where_paths_meet_soon_little_is_done_again(states_and_score, redone):
    words, emissions, weights = sequence(20_000, seed=4)
    emissions[:, 0] += 6
    viterbi = Viterbi(GRAMMAR, weights, block=512)
    with ThreadPoolExecutor(2) as pool:
        states_and_score(viterbi.decode([(words, emissions)], pool=pool, at_once=100))
    assert sum(redone) == 0


def test_a_stretch_is_done_again_until_it_stands_as_before(monkeypatch):
    """An intron reaches into the second stretch; one block of it is done again, not four."""
    words, emissions, weights = sequence(8_192, seed=1)
    emissions[:, 0] += 6
    emissions[1_000:2_100, 0] -= 6
    emissions[1_000:2_100, LABEL_INDEX["intron+"]] += 9
    closed, close = [], Run.close

    def counted(run):
        closed.append(run.position)
        return close(run)

    monkeypatch.setattr(Run, "close", counted)
    with ThreadPoolExecutor(2) as pool:
        list(
            Viterbi(GRAMMAR, weights, block=512).decode([(words, emissions)], pool=pool, at_once=4)
        )
    once, begun_before = range(512, 8_193, 512), (2_048, 4_096, 6_144)
    assert sorted(closed) == sorted((*once, *begun_before, 2_560))


def test_paths_stand_alike_in_states_and_inside_jumps():
    stand = Stand(np.array([0.0, -1.0]), np.array([[-2.0], [-np.inf]]), taken_off=5.0)
    assert stand.is_as(stand._replace(taken_off=6.0))
    assert not stand.is_as(stand._replace(score=np.array([0.0, -1.5])))
    assert not stand.is_as(stand._replace(jumping=np.array([[-2.0], [-3.0]])))


def test_no_path_is_an_error_side_by_side(states_and_score):
    viterbi = Viterbi(GRAMMAR, np.zeros(len(GRAMMAR.pairs), np.float32), block=32)
    words = position_words(np.zeros(500, np.uint8))
    nowhere = np.zeros(len(GRAMMAR.states), bool)
    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match="no path"):
        states_and_score(
            viterbi.decode(
                [(words, np.zeros((500, 17), np.float32))], end=nowhere, pool=pool, at_once=4
            )
        )


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_end_the_run(states_and_score, value):
    words, emissions, weights = sequence(1_000, seed=1)
    emissions[200] = value
    viterbi = Viterbi(GRAMMAR, weights, block=32)
    with pytest.raises(FloatingPointError):
        states_and_score(viterbi.decode([(words, emissions)]))
    with ThreadPoolExecutor(2) as pool, pytest.raises(FloatingPointError):
        states_and_score(viterbi.decode([(words, emissions)], pool=pool, at_once=4))
