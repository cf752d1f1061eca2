from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dnaannot.dna.forward_backward import ALL_LABELS, allowed_labels, log_partition
from dnaannot.dna.grammar import (
    LABEL_INDEX,
    UNKNOWN,
    gene_grammar,
    position_words,
)
from dnaannot.nn.crf import GeneCRF, crf_log_likelihood

GRAMMAR = gene_grammar(6)
FREE = np.ones(len(GRAMMAR.states), bool)


def batch_of_windows(n_windows: int = 3, length: int = 90, seed: int = 0):
    """Words, allowed labels and emissions; the first window holds an exon of known labels."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 4, (n_windows, length)).astype(np.uint8)
    labels = np.full((n_windows, length), UNKNOWN, np.uint8)
    labels[:, :10] = LABEL_INDEX["intergenic"]
    labels[0, 30:60] = (np.arange(30) % 3) + LABEL_INDEX["cds0+"]
    codes[0, 30:60] = 1
    emissions = torch.tensor(rng.normal(0, 1, (n_windows, length, 17)), dtype=torch.float32)
    weights = torch.tensor(rng.normal(0, 0.5, len(GRAMMAR.pairs)), dtype=torch.float32)
    words = np.stack([position_words(window) for window in codes])
    return words, allowed_labels(labels), emissions, weights


def test_allowed_labels():
    labels = np.array([[0, 3, UNKNOWN]], np.uint8)
    assert allowed_labels(labels).tolist() == [[1, 8, int(ALL_LABELS)]]


@pytest.mark.parametrize("free_ends", [True, False])
def test_log_likelihood_is_difference_of_log_partitions(free_ends):
    words, allowed, emissions, weights = batch_of_windows()
    ends = (FREE, FREE) if free_ends else (GRAMMAR.begins, GRAMMAR.ends)
    found = crf_log_likelihood(emissions, weights, words, allowed, GRAMMAR, free_ends)
    assert found.possible.all()
    for window in range(len(words)):
        arguments = (GRAMMAR, weights.numpy(), words[window], emissions[window].numpy())
        anything = np.full(words.shape[1], ALL_LABELS)
        known, every = (log_partition(*arguments, m, *ends)[0] for m in (allowed[window], anything))
        assert found.values[window].item() == pytest.approx(known - every, rel=1e-6)
    assert (found.values < 0).all()


def test_gradients_equal_finite_differences():
    words, allowed, emissions, weights = batch_of_windows(n_windows=2, length=66)
    emissions = emissions.double().requires_grad_()
    weights = weights.double().requires_grad_()
    scale = torch.tensor([1.0, -2.5], dtype=torch.float64)

    def loss(emissions, weights):
        values, _ = crf_log_likelihood(emissions, weights, words, allowed, GRAMMAR)
        return (values * scale).sum()

    def slope(parts, which, index, step=1e-4):
        sides = []
        for sign in (step, -step):
            moved = [part.detach().clone() for part in parts]
            moved[which][index] += sign
            sides.append(loss(*moved).item())
        return (sides[0] - sides[1]) / (2 * step)

    parts = (emissions, weights)
    loss(*parts).backward()
    rng = np.random.default_rng(1)
    for index in zip(*rng.integers(0, [[2], [66], [17]], (3, 15)), strict=True):
        assert slope(parts, 0, index) == pytest.approx(emissions.grad[index].item(), abs=1e-6)
    for index in range(len(weights)):
        assert slope(parts, 1, index) == pytest.approx(weights.grad[index].item(), abs=1e-4)


def test_impossible_window_takes_no_part():
    words, allowed, emissions, weights = batch_of_windows()
    allowed[1, 20:22] = 1 << LABEL_INDEX["start+"]
    emissions.requires_grad_()
    values, possible = crf_log_likelihood(emissions, weights, words, allowed, GRAMMAR)
    values.sum().backward()
    assert possible.tolist() == [True, False, True]
    assert values[1] == 0
    assert not emissions.grad[1].any()
    assert emissions.grad[0].any()
    crf = GeneCRF(GRAMMAR)
    kept = crf(emissions[[0, 2]], words[[0, 2]], allowed[[0, 2]])
    assert crf(emissions, words, allowed).item() == pytest.approx(kept.item())
    nothing = crf(emissions[1:2], words[1:2], allowed[1:2])
    nothing.backward()
    assert nothing.item() == 0
    assert not crf.weights.grad.any()


def test_bfloat16_emissions():
    words, allowed, emissions, weights = batch_of_windows()
    rounded = emissions.bfloat16().requires_grad_()
    exact = rounded.detach().float().requires_grad_()
    for scores in (rounded, exact):
        crf_log_likelihood(scores, weights, words, allowed, GRAMMAR).values.sum().backward()
    assert rounded.grad.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.grad.float(), exact.grad, atol=0.01, rtol=0.01)


def test_integer_tensors_and_forbidden_weights():
    words, allowed, emissions, weights = batch_of_windows()
    weights[3] = -math.inf
    weights.requires_grad_()
    arrays = crf_log_likelihood(emissions, weights, words, allowed, GRAMMAR).values
    tensors = (torch.from_numpy(words.astype(np.int64)), torch.from_numpy(allowed.view(np.int32)))
    assert torch.equal(crf_log_likelihood(emissions, weights, *tensors, GRAMMAR).values, arrays)
    arrays.sum().backward()
    assert torch.isfinite(weights.grad).all()
    assert weights.grad[3] == 0


def test_learns_known_labels():
    words, allowed, emissions, _ = batch_of_windows()
    crf = GeneCRF(GRAMMAR)
    emissions = emissions.clone().requires_grad_()
    optimizer = torch.optim.Adam([emissions, *crf.parameters()], lr=0.1)
    losses = []
    for _ in range(30):
        loss = crf(emissions, words, allowed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
