from __future__ import annotations

import math

import numpy as np
import pytest

from dnaannot.dna.forward_backward import ALL_LABELS, log_partition
from dnaannot.dna.grammar import (
    GAP_AFTER,
    GAP_FIRST,
    LABEL_INDEX,
    MIRRORED_LABEL,
    Grammar,
    gene_grammar,
    position_words,
)
from dnaannot.dna.posterior import posteriors
from dnaannot.dna.sequence import encode, mark_gaps, reverse_complement

GENE = b"CATGGCCTGAAGTACCCAGGTTTAAGG"
"""A start and a stop codon in frame around an intron GT...AG."""


def enumerate_paths(grammar, words, begin, end):
    """Every path as (states of its bases, weight indices of its edges), by depth-first search.

    The bases that a jump skips carry the state that it enters plus S.
    """
    length, bases, n_states = len(words), grammar.jump_bases, len(grammar.states)
    paths = []

    def ordinary_steps(state, t):
        for (source, target), rule, pair in zip(
            grammar.edges, grammar.edge_rule, grammar.edge_pair, strict=True
        ):
            if source == state and words[t] & rule:
                yield target, [pair]
        for target in range(len(grammar.states)):
            opens = grammar.opens[target] and words[t] & grammar.begin_rule[target]
            if state == 0 and (
                (words[t] & GAP_FIRST and grammar.emerges[target])
                or (words[t] & GAP_AFTER and opens)
            ):
                yield target, []
        if (words[t] & GAP_FIRST and grammar.closes[state]) or (
            words[t] & GAP_AFTER and grammar.spans[state]
        ):
            yield 0, []

    def extend(state, states, pairs):
        t = len(states)
        if t == length:
            if end[state]:
                paths.append((states, pairs))
            return
        for target, used in ordinary_steps(state, t):
            extend(target, [*states, target], pairs + used)
        for (source, target), jump_pair, inner_pair in zip(
            grammar.jumps, grammar.jump_pair, grammar.inner_pair, strict=True
        ):
            if source != state:
                continue
            skipped = min(bases, length - t)
            used = [*pairs, jump_pair, *[inner_pair] * (skipped - 1)]
            if skipped == bases:
                extend(target, [*states, *[target + n_states] * (bases - 1), target], used)
            elif end[target]:
                paths.append((states + [target + n_states] * skipped, used))

    for state in np.flatnonzero(begin & ((words[0] & grammar.begin_rule) != 0)):
        extend(state, [state], [])
    return paths


def score_paths(grammar, paths, weights, emissions):
    """Labels and scores of enumerated paths."""
    labels = [grammar.label_of_state[np.array(states) % len(grammar.states)] for states, _ in paths]
    rows = np.arange(len(emissions))
    scores = [
        emissions[rows, own].sum() + weights[np.array(pairs, int)].sum()
        for own, (_, pairs) in zip(labels, paths, strict=True)
    ]
    return labels, np.array(scores)


def sum_paths(grammar, paths, weights, emissions, allowed):
    """Log partition, label marginals and pair counts of enumerated paths."""
    weights, emissions = weights.astype(np.float64), emissions.astype(np.float64)
    labels, scores = score_paths(grammar, paths, weights, emissions)
    fitting = [all((allowed >> own) & 1) for own in labels]
    scores = np.where(fitting, scores, -math.inf)
    marginals, counts = np.zeros(emissions.shape), np.zeros(len(weights))
    if scores.max() == -math.inf:
        return -math.inf, marginals, counts
    log_z = scores.max() + math.log(np.exp(scores - scores.max()).sum())
    for own, (_, pairs), score in zip(labels, paths, scores, strict=True):
        marginals[np.arange(len(own)), own] += math.exp(score - log_z)
        np.add.at(counts, np.array(pairs, int), math.exp(score - log_z))
    return log_z, marginals, counts


def random_scores(grammar: Grammar, length: int, seed: int, spread: float = 1.0):
    rng = np.random.default_rng(seed)
    emissions = rng.normal(0, spread, (length, len(grammar.labels))).astype(np.float32)
    return rng.normal(0, 1, len(grammar.pairs)).astype(np.float32), emissions


def everything(grammar: Grammar, length: int):
    """No label known, paths that begin and end anywhere."""
    free = np.ones(len(grammar.states), bool)
    return np.full(length, ALL_LABELS, np.uint32), free, free


def assert_same(found, expected, atol=2e-6):
    assert found[0] == pytest.approx(expected[0], abs=1e-6, rel=1e-9)
    np.testing.assert_allclose(found[1], expected[1], atol=atol)
    np.testing.assert_allclose(found[2], expected[2], atol=atol)


@pytest.fixture(scope="module", params=["scaled", "logarithmic"])
def kernel(request):
    return {"log_space": request.param == "logarithmic"}


SHORT = [b"ATGGTAAGTAA", b"CCTGTAGCAT", b"GTNNAGTCCAN", b"ACNNNNGTAGTG", b"TTACAGNNNNTG"]
SHORT += [b"GT", b"A"]


@pytest.mark.parametrize("bases", SHORT)
@pytest.mark.parametrize("ends", ["free", "whole"])
def test_equals_enumeration(kernel, bases, ends):
    grammar = gene_grammar(4)
    words = position_words(mark_gaps(encode(bases), 3))
    weights, emissions = random_scores(grammar, len(words), seed=len(bases))
    allowed, free, _ = everything(grammar, len(words))
    begin, end = (free, free) if ends == "free" else (grammar.begins, grammar.ends)
    paths = enumerate_paths(grammar, words, begin, end)
    assert paths
    found = log_partition(grammar, weights, words, emissions, allowed, begin, end, **kernel)
    assert_same(found, sum_paths(grammar, paths, weights, emissions, allowed))


@pytest.mark.parametrize("seed", range(12))
def test_restricted_equals_enumeration(kernel, seed):
    grammar = gene_grammar(4 + seed % 3)
    rng = np.random.default_rng(seed)
    words = position_words(mark_gaps(encode(SHORT[seed % len(SHORT)]), 3))
    weights, emissions = random_scores(grammar, len(words), seed)
    allowed, begin, end = everything(grammar, len(words))
    paths = enumerate_paths(grammar, words, begin, end)
    kept, _ = score_paths(grammar, [paths[rng.integers(len(paths))]], weights, emissions)
    known = rng.random(len(words)) < 0.6
    allowed[known] = (1 << kept[0].astype(np.uint32))[known]
    found = log_partition(grammar, weights, words, emissions, allowed, begin, end, **kernel)
    expected = sum_paths(grammar, paths, weights, emissions, allowed)
    assert math.isfinite(expected[0])
    assert_same(found, expected)


def test_forbidden_weights_and_emissions(kernel):
    grammar = gene_grammar(4)
    words = position_words(encode(b"ATGGTAAGTAA"))
    weights, emissions = random_scores(grammar, len(words), seed=3)
    weights[::5] = -math.inf
    emissions[4, 2:6] = -math.inf
    allowed, begin, end = everything(grammar, len(words))
    paths = enumerate_paths(grammar, words, begin, end)
    found = log_partition(grammar, weights, words, emissions, allowed, begin, end, **kernel)
    assert_same(found, sum_paths(grammar, paths, weights, emissions, allowed))
    assert not found[2][::5].any()


def test_no_path_gives_zero_gradients(kernel):
    grammar = gene_grammar(4)
    words = position_words(encode(b"CCCCCCCC"))
    weights, emissions = random_scores(grammar, len(words), seed=3)
    allowed, begin, end = everything(grammar, len(words))
    allowed[4] = 1 << LABEL_INDEX["start+"]
    for forbidden in (allowed, np.where(np.arange(8) == 2, 0, allowed)):
        found = log_partition(grammar, weights, words, emissions, forbidden, begin, end, **kernel)
        assert found[0] == -math.inf
        assert not found[1].any()
        assert not found[2].any()


def test_nan_emission_gives_nan():
    grammar = gene_grammar(4)
    words = position_words(encode(b"ACGT"))
    weights, emissions = random_scores(grammar, len(words), seed=3)
    emissions[2, 3] = math.nan
    found = log_partition(grammar, weights, words, emissions, *everything(grammar, 4))
    assert math.isnan(found[0])
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("spread", [1, 10, 50, 300])
@pytest.mark.parametrize("min_intron", [4, 20])
def test_kernels_agree(spread, min_intron):
    grammar = gene_grammar(min_intron)
    rng = np.random.default_rng(int(spread))
    codes = rng.integers(0, 4, 600).astype(np.uint8)
    codes[200:260], codes[400:403] = 5, 4
    words = position_words(codes)
    weights, emissions = random_scores(grammar, len(words), seed=7, spread=spread)
    allowed, begin, end = everything(grammar, len(words))
    for known in (False, True):
        allowed[100:130] = ALL_LABELS if not known else 1 << LABEL_INDEX["intron-"]
        arguments = (grammar, weights, words, emissions, allowed, begin, end)
        found = log_partition(*arguments)
        assert math.isfinite(found[0])
        np.testing.assert_allclose(found[1].sum(axis=1), 1, atol=1e-5)
        assert_same(found, log_partition(*arguments, log_space=True), atol=1e-5)


def test_lost_path_is_found_again():
    """The only path that can end is 1,500 nats behind the best one half way."""
    grammar = gene_grammar(4)
    words = position_words(np.zeros(400, np.uint8))
    weights = np.zeros(len(grammar.pairs), np.float32)
    emissions = np.zeros((400, len(grammar.labels)), np.float32)
    cds = [LABEL_INDEX[name] for name in ("cds0+", "cds1+", "cds2+")]
    emissions[:50, cds] = -30
    emissions[200:, 0] = -40
    allowed, begin, end = everything(grammar, 400)
    only = np.isin(np.array(grammar.labels)[grammar.label_of_state], ["intergenic", "cds2+"])
    arguments = (grammar, weights, words, emissions, allowed, begin & only, end & only)
    found = log_partition(*arguments)
    assert found[1][300, cds].sum() == pytest.approx(1)
    assert_same(found, log_partition(*arguments, log_space=True))


def test_reverse_complement_mirrors():
    """Between intergenic ends each label path has one state path, so the sums agree."""
    grammar = gene_grammar(6)
    rng = np.random.default_rng(5)
    codes = np.concatenate((rng.integers(0, 4, 150), encode(GENE), rng.integers(0, 4, 150)))
    codes = codes.astype(np.uint8)
    weights, emissions = random_scores(grammar, len(codes), seed=11, spread=2.0)
    emissions[:, 1:] += 3
    allowed, *_ = everything(grammar, len(codes))
    outside = np.arange(len(grammar.states)) == 0
    forward = log_partition(
        grammar, weights, position_words(codes), emissions, allowed, outside, outside
    )
    backward = log_partition(
        grammar,
        weights,
        position_words(reverse_complement(codes)),
        np.ascontiguousarray(emissions[::-1][:, MIRRORED_LABEL]),
        allowed,
        outside,
        outside,
    )
    assert backward[0] == pytest.approx(forward[0], abs=1e-8)
    np.testing.assert_allclose(backward[1], forward[1][::-1][:, MIRRORED_LABEL], atol=1e-6)
    np.testing.assert_allclose(backward[2], forward[2], atol=1e-8)
    assert forward[1][:, 1:].sum() > 1


def test_gradients_equal_finite_differences():
    grammar = gene_grammar(5)
    rng = np.random.default_rng(8)
    words = position_words(mark_gaps(rng.integers(0, 5, 60).astype(np.uint8), 3))
    weights, emissions = random_scores(grammar, len(words), seed=9)
    weights, emissions = weights.astype(np.float64), emissions.astype(np.float64)
    rest = everything(grammar, len(words))
    _, marginals, counts = log_partition(grammar, weights, words, emissions, *rest)
    step = 1e-5
    for t, k in rng.integers(0, (60, 17), (20, 2)):
        sides = []
        for sign in (step, -step):
            moved = emissions.copy()
            moved[t, k] += sign
            sides.append(log_partition(grammar, weights, words, moved, *rest)[0])
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(marginals[t, k], abs=1e-6)
    for p in range(len(weights)):
        sides = []
        for sign in (step, -step):
            moved = weights.copy()
            moved[p] += sign
            sides.append(log_partition(grammar, moved, words, emissions, *rest)[0])
        assert (sides[0] - sides[1]) / (2 * step) == pytest.approx(counts[p], abs=1e-5)


@pytest.mark.parametrize("bases", SHORT)
@pytest.mark.parametrize("block", [3, 100])
def test_posteriors_of_segments_equal_enumeration(bases, block):
    grammar = gene_grammar(4)
    words = position_words(mark_gaps(encode(bases), 3))
    weights, emissions = random_scores(grammar, len(words), seed=1, spread=0.5)
    paths = enumerate_paths(grammar, words, grammar.begins, grammar.ends)
    _, scores = score_paths(grammar, paths, weights.astype(float), emissions.astype(float))
    shares = np.exp(scores - scores.max())
    shares /= shares.sum()
    every = np.array([states for states, _ in paths])
    inside = every >= len(grammar.states)
    chosen = np.random.default_rng(2).integers(0, len(paths), 5)
    for path in (*chosen, inside.sum(axis=1).argmax(), inside[:, -1].argmax()):
        states = every[path] % len(grammar.states)
        cuts = range(0, len(words), block)
        blocks = [tuple(a[i : i + block] for a in (words, emissions, states)) for i in cuts]
        found = list(posteriors(grammar, weights, blocks, burn_in=100))
        enter = np.concatenate([part.enter for part in found])
        leave = np.concatenate([part.leave for part in found])
        for a in range(len(words)):
            for b in range(a, len(words)):
                alike = (every[:, a : b + 1] == every[path, a : b + 1]).all(axis=1)
                expected = shares[alike].sum()
                assert math.exp(enter[a] + leave[b]) == pytest.approx(expected, rel=1e-6)


# two introns that end at one base: after T and A on +, and on - left to right after T and G
INTERRUPTED = [(b"AGTTGTNAG" + exon, exon in (b"CC", b"AC")) for exon in (b"CC", b"AC", b"AA")]
INTERRUPTED += [(reverse_complement(encode(b"CCGTNAGAAGC")), True)]


@pytest.mark.parametrize(("bases", "several"), INTERRUPTED)
@pytest.mark.parametrize("block", [4, 100])
def test_posteriors_of_exons_sum_over_interrupted_codons(bases, several, block):
    grammar = gene_grammar(4)
    words = position_words(encode(bases) if isinstance(bases, bytes) else bases)
    weights, emissions = random_scores(grammar, len(words), seed=4, spread=0.5)
    paths = enumerate_paths(grammar, words, grammar.begins, grammar.ends)
    labels, scores = score_paths(grammar, paths, weights.astype(float), emissions.astype(float))
    shares = np.exp(scores) / np.exp(scores).sum()
    every, labels = np.array([states for states, _ in paths]), np.array(labels)
    ends = [LABEL_INDEX["acceptor+"], LABEL_INDEX["donor-"]]
    summed = 0
    for path in np.flatnonzero(np.isin(labels[:, :-2], ends).any(axis=1)):
        states = every[path] % len(grammar.states)
        cuts = range(0, len(words), block)
        blocks = [tuple(a[i : i + block] for a in (words, emissions, states)) for i in cuts]
        found = list(posteriors(grammar, weights, blocks, burn_in=100))
        enter, leave, join = (np.concatenate(part) for part in list(zip(*found, strict=True))[1:])
        for a in range(len(words)):
            if labels[path, a] not in ends:
                assert join[a] == enter[a]
                continue
            for b in range(a + 2, len(words)):
                alike = (labels[:, a : b + 1] == labels[path, a : b + 1]).all(axis=1)
                alike &= every[:, a + 2] == every[path, a + 2]
                assert math.exp(join[a] + leave[b]) == pytest.approx(shares[alike].sum(), rel=1e-6)
            summed += join[a] > enter[a] + 1e-6
    assert bool(summed) == several


def test_an_intron_that_begins_in_a_gap_counts_once_a_phase():
    grammar = gene_grammar(4)
    words = position_words(mark_gaps(encode(b"ACNNNNAGCCCA"), 4))
    paths = enumerate_paths(grammar, words, grammar.begins, grammar.ends)
    labels, _ = score_paths(
        grammar, paths, np.zeros(len(grammar.pairs)), np.zeros((len(words), len(grammar.labels)))
    )
    index = LABEL_INDEX
    hidden = [index["intergenic"]] * 2 + [index["intron+"]] * 5 + [index["acceptor+"]]
    exons = [int(own[8]) for own in labels if own[:8].tolist() == hidden]
    assert sorted(exons) == [index["cds0+"], index["cds1+"], index["cds2+"]]
