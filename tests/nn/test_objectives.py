from __future__ import annotations

import pytest
import torch

from dnaannot.dna.grammar import LABEL_INDEX, LABELS, UNKNOWN
from dnaannot.nn.objectives import label_cross_entropy, label_weights


def test_sites_weigh_more():
    weights = label_weights(7.0)
    heavy = {name for name, weight in zip(LABELS, weights.tolist(), strict=True) if weight == 7}
    sites = ("start", "stop", "donor", "acceptor")
    assert heavy == {name + strand for name in sites for strand in "+-"}
    assert set(weights.tolist()) == {1.0, 7.0}


def test_loss_is_the_weighted_mean_over_known_bases():
    torch.manual_seed(0)
    emissions = torch.randn(2, 5, 17)
    labels = torch.randint(0, 17, (2, 5)).to(torch.uint8)
    labels[0, 0] = LABEL_INDEX["donor+"]
    labels[0, 3] = labels[1, 4] = UNKNOWN
    weights = label_weights(3.0)
    terms = [
        -weights[label] * emissions[row, base].log_softmax(-1)[label]
        for row in range(2)
        for base in range(5)
        if (label := int(labels[row, base])) != UNKNOWN
    ]
    expected = sum(terms) / 8
    assert torch.isclose(label_cross_entropy(emissions, labels, weights), expected)


def test_unknown_bases_have_no_gradient():
    emissions = torch.randn(1, 4, 17, requires_grad=True)
    labels = torch.tensor([[0, UNKNOWN, 3, UNKNOWN]], dtype=torch.uint8)
    label_cross_entropy(emissions, labels, torch.ones(17)).backward()
    assert emissions.grad[0].abs().sum(-1).ne(0).tolist() == [True, False, True, False]


def test_nothing_known_is_no_loss():
    emissions = torch.randn(1, 4, 17, requires_grad=True)
    labels = torch.full((1, 4), UNKNOWN, dtype=torch.uint8)
    loss = label_cross_entropy(emissions, labels, torch.ones(17))
    loss.backward()
    assert loss.item() == 0
    assert not emissions.grad.any()


@pytest.mark.parametrize("weight", [1.0, 10.0])
def test_right_scores_cost_less(weight):
    labels = torch.arange(17).to(torch.uint8)[None]
    right = 5 * torch.eye(17)[None]
    weights = label_weights(weight)
    assert label_cross_entropy(right, labels, weights) < label_cross_entropy(
        torch.zeros(1, 17, 17), labels, weights
    )
