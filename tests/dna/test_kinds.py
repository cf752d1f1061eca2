from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dnaannot.dna.grammar import gene_grammar, position_words
from dnaannot.dna.kinds import ANYWHERE, GAP_BITS, START, Kinds

GRAMMAR = gene_grammar(20)
INTRONS = np.isin(np.arange(len(GRAMMAR.states)), GRAMMAR.jumps[:, 1])


def is_open(word):
    return (GRAMMAR.edge_rule & word) != 0, bool(word == START or word & GAP_BITS)


def make_kinds():
    bits = int(np.bitwise_or.reduce(GRAMMAR.edge_rule))
    return Kinds(GRAMMAR.edges, INTRONS, bits, is_open)


def classified(kinds, words, cuts=()):
    """Kinds (n,) of words (n,), in pieces cut at some positions."""
    found, node = np.empty(len(words), np.uint16), ANYWHERE
    borders = [0, *cuts, len(words)]
    for start, end in zip(borders, borders[1:], strict=False):
        node = kinds.classify(words[start:end], start == 0, node, found[start:end])
    return found


@pytest.mark.parametrize("least", [1, 257])
def test_edges_from_states_that_a_path_may_be_in_are_among_them(random_codes, least):
    """Also with more kinds than a byte can number."""
    codes = random_codes(1, 3000, gap=30, unknown=0.02)
    if least > 1:
        codes = np.random.default_rng(1).integers(0, 6, 20_000).astype(np.uint8)
    kinds, words = make_kinds(), position_words(codes)
    found = classified(kinds, words)
    assert len(kinds.found) >= least
    reached, spared = np.ones(len(GRAMMAR.states), bool), []
    for word, kind in zip(np.append(np.uint32(START), words[1:]), found, strict=True):
        edges, anything = is_open(word)
        taken = edges & reached[GRAMMAR.edges[:, 0]]
        usable, is_anything = kinds.found[kind]
        assert is_anything == anything
        assert not (taken & ~usable).any()
        assert not (usable & ~edges).any()
        reached = INTRONS | anything
        reached[GRAMMAR.edges[taken, 1]] = True
        spared.append(edges.sum() - usable.sum())
    assert np.mean(spared) > 10


@pytest.mark.parametrize("cuts", [(1,), (2, 3, 4), range(1, 500)])
def test_pieces_do_not_matter(random_codes, cuts):
    kinds, words = make_kinds(), position_words(random_codes(2, 500, gap=30))
    whole = classified(kinds, words)
    assert classified(kinds, words, cuts).tolist() == whole.tolist()


def test_threads_learn_together():
    rng = np.random.default_rng(1)
    parts = [position_words(rng.integers(0, 6, 20_000).astype(np.uint8)) for _ in range(8)]
    kinds = make_kinds()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda words: classified(kinds, words), parts))
    for words, numbers in zip(parts, found, strict=True):
        assert classified(kinds, words).tolist() == numbers.tolist()
