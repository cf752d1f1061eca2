from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torchcrf

from dnaannot.dna.forward_backward import ALL_LABELS, allowed_labels, log_partition
from dnaannot.dna.grammar import (
    LABEL_INDEX,
    UNKNOWN,
    gene_grammar,
    position_words,
)
from dnaannot.nn.crf import LinearChainCRF, crf_divergence, crf_log_likelihood

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


@pytest.mark.parametrize("of", ["likelihood", "divergence"])
def test_gradients_equal_finite_differences(of):
    words, allowed, emissions, weights = batch_of_windows(n_windows=2, length=66)
    target = batch_of_windows(n_windows=2, length=66, seed=3)[2].double()
    emissions = emissions.double().requires_grad_()
    weights = weights.double().requires_grad_()
    scale = torch.tensor([1.0, -2.5], dtype=torch.float64)

    def loss(emissions, weights):
        if of == "likelihood":
            values, _ = crf_log_likelihood(emissions, weights, words, allowed, GRAMMAR)
        else:
            values = crf_divergence(emissions, target, weights, words, GRAMMAR)
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
    if of == "likelihood":  # the weights of a divergence's target are constants
        for index in range(len(weights)):
            assert slope(parts, 1, index) == pytest.approx(weights.grad[index].item(), abs=1e-4)


def test_divergence_is_what_the_log_partition_bends_by():
    """f(1) - f(0) - f'(0) of the log partition f on the way from the target."""
    words, _, emissions, weights = batch_of_windows()
    target = batch_of_windows(seed=5)[2]
    found = crf_divergence(emissions, target, weights, words, GRAMMAR)
    anything = np.full(words.shape[1], ALL_LABELS)
    step = 1e-3
    for window in range(len(words)):
        start, end = target[window].double().numpy(), emissions[window].double().numpy()
        at_0, at_1, before, after = (
            log_partition(
                GRAMMAR, weights.numpy(), words[window], start + share * (end - start), anything,
                FREE, FREE,
            )[0]
            for share in (0, 1, -step, step)
        )  # fmt: skip
        bend = at_1 - at_0 - (after - before) / (2 * step)
        assert bend > 1
        assert found[window].item() == pytest.approx(bend, rel=1e-4)


def test_divergence_from_itself_is_nothing():
    words, _, emissions, weights = batch_of_windows()
    parts = (emissions.requires_grad_(), weights.requires_grad_())
    values = crf_divergence(parts[0], parts[0], parts[1], words, GRAMMAR)
    values.sum().backward()
    assert values.abs().max() < 1e-4
    assert max(part.grad.abs().max() for part in parts) < 1e-4


def test_impossible_window_takes_no_part():
    words, allowed, emissions, weights = batch_of_windows()
    allowed[1, 20:22] = 1 << LABEL_INDEX["start+"]
    gradients = []
    for windows in ([0, 1, 2], [0, 2]):
        parts = [emissions.clone().requires_grad_(), weights.clone().requires_grad_()]
        values, possible = crf_log_likelihood(*parts, words, allowed, GRAMMAR)
        values[windows].sum().backward()
        assert possible.tolist() == [True, False, True]
        assert values[1] == 0
        gradients.append([part.grad for part in parts])
    torch.testing.assert_close(*gradients)
    by_emission, by_weight = gradients[0]
    assert not by_emission[1].any()
    assert by_emission[0].any()
    assert by_weight.any()


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
    words, allowed, *parameters = batch_of_windows()
    optimizer = torch.optim.Adam([part.requires_grad_() for part in parameters], lr=0.1)
    losses = []
    for _ in range(30):
        loss = -crf_log_likelihood(*parameters, words, allowed, GRAMMAR).values.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def chain_pair(n_tags: int = 5, batch_first: bool = False, seed: int = 0):
    """pytorch-crf's CRF and ours with the same parameters, in float64."""
    torch.manual_seed(seed)
    theirs = torchcrf.CRF(n_tags, batch_first).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours = LinearChainCRF(n_tags, batch_first).double()
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def chain_batch(n_tags: int = 5, length: int = 23, n_windows: int = 4, masked: bool = True):
    emissions = torch.randn(length, n_windows, n_tags, dtype=torch.float64)
    tags = torch.randint(n_tags, (length, n_windows))
    lengths = torch.tensor([length, 7, 1, length - 1])[:n_windows]
    mask = torch.arange(length)[:, None] < lengths if masked else None
    return emissions, tags, mask


@pytest.mark.filterwarnings("ignore:where received a uint8")
@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "token_mean"])
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_linear_chain_equals_pytorch_crf(reduction, batch_first, masked):
    theirs, ours = chain_pair(batch_first=batch_first)
    batch = chain_batch(masked=masked)
    if batch_first:
        batch = [part if part is None else part.transpose(0, 1).contiguous() for part in batch]
    emissions, tags, mask = batch
    gradients = []
    values = []
    for crf in (theirs, ours):
        scores = emissions.clone().requires_grad_()
        value = crf(scores, tags, mask=mask, reduction=reduction)
        (value * torch.arange(1, 1 + value.numel()).view(value.shape)).sum().backward()
        values.append(value.detach())
        gradients.append([scores.grad, *(parameter.grad for parameter in crf.parameters())])
    torch.testing.assert_close(values[1], values[0])
    for found, expected in zip(gradients[1], gradients[0], strict=True):
        torch.testing.assert_close(found, expected)
    assert ours.decode(emissions, mask=mask) == theirs.decode(emissions, mask=mask)


def test_linear_chain_equals_enumeration():
    _, crf = chain_pair(n_tags=3)
    emissions, tags, _ = chain_batch(n_tags=3, length=6, n_windows=1)

    def score(path):
        total = crf.start_transitions[path[0]] + crf.end_transitions[path[-1]]
        total = total + sum(emissions[t, 0, tag] for t, tag in enumerate(path))
        return total + sum(crf.transitions[a, b] for a, b in itertools.pairwise(path))

    paths = list(itertools.product(range(3), repeat=6))
    scores = torch.stack([score(path) for path in paths])
    expected = score(tags[:, 0].tolist()) - scores.logsumexp(0)
    assert crf(emissions, tags).item() == pytest.approx(expected.item())
    assert crf.decode(emissions) == [list(paths[int(scores.argmax())])]


def test_linear_chain_gradcheck():
    _, crf = chain_pair(n_tags=3)
    emissions, tags, mask = chain_batch(n_tags=3, length=7)
    parameters = (emissions, crf.transitions, crf.start_transitions, crf.end_transitions)
    inputs = tuple(values.detach().requires_grad_() for values in parameters)
    names = ("transitions", "start_transitions", "end_transitions")

    def likelihood(emissions, *scores):
        named = dict(zip(names, scores, strict=True))
        arguments = (emissions, tags, mask, "none")
        return torch.func.functional_call(crf, named, arguments)

    assert torch.autograd.gradcheck(likelihood, inputs)


def test_linear_chain_takes_forbidden_transitions():
    _, crf = chain_pair(n_tags=3)
    with torch.no_grad():
        crf.transitions[0, 1] = crf.transitions[2, 2] = -math.inf
        crf.start_transitions[1] = crf.end_transitions[0] = -math.inf
    emissions, _, _ = chain_batch(n_tags=3, length=40, n_windows=2, masked=False)
    tags = torch.tensor([[0, 2] * 20, [2, 1] * 20]).T
    emissions.requires_grad_()
    value = crf(emissions, tags)
    value.backward()
    assert math.isfinite(value.item())
    for gradient in (emissions.grad, *(parameter.grad for parameter in crf.parameters())):
        assert torch.isfinite(gradient).all()
    assert crf.transitions.grad[0, 1] == crf.start_transitions.grad[1] == 0
    for path in crf.decode(emissions):
        steps = set(itertools.pairwise(path))
        assert not steps & {(0, 1), (2, 2)}
        assert path[0] != 1
        assert path[-1] != 0


def test_linear_chain_in_single_precision():
    theirs, ours = chain_pair(n_tags=9)
    theirs, ours = theirs.float(), ours.float()
    emissions, tags, _ = chain_batch(n_tags=9, length=300, masked=False)
    emissions = 5 * emissions.float()
    torch.testing.assert_close(ours(emissions, tags), theirs(emissions, tags), rtol=1e-5, atol=0.01)
    assert ours.decode(emissions) == theirs.decode(emissions)


def test_linear_chain_checks_its_input():
    _, crf = chain_pair()
    emissions, tags, mask = chain_batch()
    with pytest.raises(ValueError, match="invalid reduction"):
        crf(emissions, tags, reduction="other")
    with pytest.raises(ValueError, match="mask of the first timestep"):
        crf(emissions, tags, mask=~mask)
    with pytest.raises(ValueError, match="1 to 32 labels"):
        LinearChainCRF(33)
