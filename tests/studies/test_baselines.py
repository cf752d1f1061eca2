from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from dnaannot.dna.kmers import kmer_classes
from dnaannot.dna.sequence import decode, reverse_complement
from studies.baselines import (
    CnnBudget,
    Split,
    Windows,
    aurocs,
    draw,
    fit_logistic,
    kmer_frequencies,
    predict,
    score_kmers,
    train_cnn,
)


def planted(n: int, seed: int, length: int = 96) -> Windows:
    """Windows of a random sequence, positive where a motif was put, on either strand."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, n * length).astype(np.uint8)
    motif = np.array([2, 0, 3, 0, 0, 1, 1], np.uint8)
    positive = random.random(n) < 0.4
    for index in np.flatnonzero(positive):
        for start in random.integers(0, length - 8, 3) + index * length:
            codes[start : start + 7] = reverse_complement(motif) if start % 2 else motif
    labels = np.stack((positive, random.random(n) < 0.5), axis=1).astype(np.int8)
    labels[::7, 1] = -1
    return Windows((codes,), np.zeros(n, int), np.arange(n) * length, labels, length)


def test_windows_at_the_ends_are_filled_up_and_gaps_unknown():
    windows = Windows(
        (np.array([0, 1, 2, 3, 5, 0], np.uint8),), np.zeros(2, int), np.array([-2, 3]),
        np.zeros((2, 1), np.int8), 5,
    )  # fmt: skip
    assert windows.tokens(np.arange(2)).tolist() == [[4, 4, 0, 1, 2], [3, 4, 0, 4, 4]]


def test_frequencies_equal_those_of_counted_words():
    windows = planted(3, 1, length=40)
    windows.sequences[0][5:8] = 4
    found = kmer_frequencies(windows, chunk=2)
    words = [decode(row) for row in windows.tokens(np.arange(3))]
    for k, first in ((1, 0), (3, 2 + 10)):
        columns = kmer_classes(k)
        for text, row in zip(words, found, strict=True):
            kmers = [text[i : i + k] for i in range(len(text) - k + 1)]
            kmers = [kmer for kmer in kmers if "N" not in kmer]
            expected = np.zeros(columns.max() + 1)
            for kmer in kmers:
                expected[
                    columns[sum("ACGT".index(b) * 4**p for p, b in enumerate(kmer[::-1]))]
                ] += 1
            np.testing.assert_allclose(
                row[first : first + len(expected)], expected / len(kmers), atol=1e-6
            )
    flipped = kmer_frequencies(
        Windows(
            (reverse_complement(windows.sequences[0]),),
            windows.which,
            windows.starts[::-1],
            windows.labels,
            40,
        )  # fmt: skip
    )
    np.testing.assert_allclose(flipped, found, atol=1e-6)


@pytest.mark.parametrize("inverse_penalty", [0.01, 1.0])
def test_all_labels_at_once_equal_scikit_learn_one_by_one(inverse_penalty):
    random = np.random.default_rng(1)
    features = random.normal(size=(300, 6)).astype(np.float32)
    labels = (features[:, :2] + random.normal(size=(300, 2)) > 0.5).astype(np.int8)
    labels[:50, 1] = -1
    start = torch.zeros(7, 2)
    weights = fit_logistic(
        torch.from_numpy(features), torch.from_numpy(labels), inverse_penalty, start, 200
    ).numpy()
    for column in range(2):
        known = labels[:, column] >= 0
        ours = LogisticRegression(C=inverse_penalty, tol=1e-8, max_iter=1000)
        ours.fit(features[known], labels[known, column])
        np.testing.assert_allclose(weights[:-1, column], ours.coef_[0], atol=2e-3)
        assert weights[-1, column] == pytest.approx(ours.intercept_[0], abs=2e-3)


def test_kmers_find_a_planted_motif_and_nothing_in_noise():
    split = Split(planted(1200, 1), planted(300, 2))
    test = planted(400, 3)
    found = aurocs(score_kmers(split, test, steps=30), test.labels)
    assert found[0] > 0.85
    assert 0.35 < found[1] < 0.65


def test_cnn_learns_in_its_time_and_reads_both_strands():
    split = Split(planted(400, 1), planted(100, 2))
    looks: list[tuple[int, float]] = []
    budget = CnnBudget(0.05, width=0.05, batch=32, looks=3)
    model = train_cnn(split, budget, lambda seen, area: looks.append((seen, area)))
    assert 1 <= len(looks) <= 3
    scores = predict(model, split.validation)
    area = np.nanmean(aurocs(scores, split.validation.labels))
    assert area == pytest.approx(max(each for _, each in looks), abs=1e-6)
    flipped = Windows(
        tuple(map(reverse_complement, split.validation.sequences)), split.validation.which,
        split.validation.starts[::-1], split.validation.labels, 96,
    )  # fmt: skip
    np.testing.assert_allclose(predict(model, flipped), scores, atol=1e-5)


def test_half_of_a_batch_has_a_positive():
    labels = np.zeros((1000, 2), np.int8)
    labels[17, 1] = 1
    rows = draw(labels, 10, np.random.default_rng(1))
    assert len(rows) == 10
    assert (rows == 17).sum() >= 5
    assert len(draw(labels[:5], 10, np.random.default_rng(1))) == 10
