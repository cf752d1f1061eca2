from __future__ import annotations

import numpy as np
import pytest

from dnaannot.dna import posterior
from dnaannot.dna.forward_backward import ALL_LABELS, log_partition
from dnaannot.dna.grammar import gene_grammar, position_words
from dnaannot.dna.posterior import posteriors
from dnaannot.dna.sequence import encode, mark_gaps
from dnaannot.dna.viterbi import best_path


def in_blocks(size, *arrays):
    for start in range(0, len(arrays[0]), size):
        yield tuple(array[start : start + size] for array in arrays)


def joined(found):
    return [
        None if parts[0] is None else np.concatenate(parts) for parts in zip(*found, strict=True)
    ]


def a_long_one(length=3000, seed=3, spread=2.0):
    grammar = gene_grammar(20)
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, length).astype(np.uint8)
    codes[length // 3 : length // 3 + 60] = 4
    words = position_words(mark_gaps(codes, 50))
    weights = (0.3 * rng.normal(size=len(grammar.pairs))).astype(np.float32)
    emissions = (spread * rng.normal(size=(length, len(grammar.labels)))).astype(np.float32)
    emissions[:, 0] += 0.5 * spread
    emissions[np.arange(length) % 400 < 200, 0] -= spread
    states, _ = best_path(grammar, weights, words, emissions)
    assert len(set(states)) > 20
    return grammar, weights, words, emissions, states


def test_blocks_equal_whole():
    grammar, weights, *arrays = a_long_one()
    whole = joined(posteriors(grammar, weights, [tuple(arrays)], labels=True))
    for size in (7, 64, 256, 2999):
        parts = joined(
            posteriors(grammar, weights, in_blocks(size, *arrays), burn_in=3000, labels=True)
        )
        for found, expected in zip(parts, whole, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)
    free = np.full(3000, ALL_LABELS)
    _, marginals, _ = log_partition(
        grammar, weights, *arrays[:2], free, grammar.begins, grammar.ends
    )
    np.testing.assert_allclose(whole[0], marginals, atol=1e-6)


def test_burn_in_is_forgotten():
    grammar, weights, *arrays = a_long_one(length=6000)
    _, enter, leave, _ = joined(posteriors(grammar, weights, [tuple(arrays)]))
    errors = []
    for burn_in in (20, 200, 2000):
        _, cut_enter, cut_leave, _ = joined(
            posteriors(grammar, weights, in_blocks(500, *arrays), burn_in=burn_in)
        )
        np.testing.assert_allclose(cut_enter, enter, atol=1e-8)
        errors.append(np.abs(np.exp(cut_enter + cut_leave) - np.exp(enter + leave)).max())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-6


@pytest.mark.parametrize(
    ("lossy", "labels"), [("forward", True), ("backward", True), ("pass_back", False)]
)
def test_logarithms_take_over(monkeypatch, lossy, labels):
    grammar, weights, *arrays = a_long_one(length=1500)

    def run():
        blocks = in_blocks(400, *arrays)
        return joined(posteriors(grammar, weights, blocks, burn_in=600, labels=labels))

    expected = run()
    kernel, calls = getattr(posterior, lossy), []

    def failing(*arguments):
        calls.append(arguments)
        return len(calls) % 2 == 0 and kernel(*arguments)

    monkeypatch.setattr(posterior, lossy, failing)
    for found, wanted in list(zip(run(), expected, strict=True))[not labels :]:
        np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert len(calls) > 2


def test_labels_change_nothing_else():
    grammar, weights, *arrays = a_long_one()
    with_labels, without = (
        joined(posteriors(grammar, weights, in_blocks(700, *arrays), burn_in=1000, labels=labels))
        for labels in (True, False)
    )
    assert without[0] is None
    for found, wanted in zip(without[1:], with_labels[1:], strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-9)


@pytest.mark.parametrize("labels", [False, True])
def test_mass_that_the_forward_pass_loses_is_missed(monkeypatch, labels):
    """A path that is unlikely in one place, and the only one that is likely later."""
    grammar, weights, *arrays = a_long_one(length=1200, spread=150.0)

    def run():
        blocks = in_blocks(300, *arrays)
        return joined(posteriors(grammar, weights, blocks, burn_in=1200, labels=labels))[1:]

    fits = []
    for name in ("pass_back", "backward"):
        kernel = getattr(posterior, name)
        monkeypatch.setattr(
            posterior, name, lambda *given, kernel=kernel: fits.append(kernel(*given)) or fits[-1]
        )
    found = run()
    assert not all(fits)
    monkeypatch.setattr(posterior, "forward", lambda *_: False)
    monkeypatch.setattr(posterior, "pass_back", lambda *_: False)
    monkeypatch.setattr(posterior, "backward", lambda *_: False)
    for part, wanted in zip(found, run(), strict=True):
        np.testing.assert_allclose(part, wanted, atol=1e-5)


def test_no_path_is_an_error():
    grammar = gene_grammar(4)
    words = position_words(encode(b"CCCCCC"))
    weights, emissions = np.zeros(len(grammar.pairs)), np.zeros((6, len(grammar.labels)))
    nowhere = np.zeros(len(grammar.states), bool)
    blocks = [(words, emissions, np.zeros(6, np.uint8))]
    with pytest.raises(ValueError, match="no path"):
        list(posteriors(grammar, weights, blocks, begin=nowhere))
    with pytest.raises(ValueError, match="no path"):
        list(posteriors(grammar, weights, blocks, end=nowhere))
