from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dnaannot.datasets.genes import Batch, WindowSampler, window_arrays
from dnaannot.dna.grammar import gene_grammar
from dnaannot.nn.model import GeneModel
from dnaannot.training.gene_data import Pair, read_gene_data
from dnaannot.training.gene_run import GeneRun
from dnaannot.training.genes import GeneLosses, GeneObjective

OBJECTIVE = GeneObjective(window=1_800, batch=3, crf_start=0)
EDGES = 2 / OBJECTIVE.window
"""Two nats a window: codons and introns that its ends cut count a little otherwise at either."""


@pytest.fixture(scope="module")
def region(test_data):
    files = (test_data / f"yeast_chrII_120kb.{kind}" for kind in ("fa.gz", "gff3.gz"))
    return read_gene_data([Pair(*files)], gene_grammar()).train[0]


@pytest.fixture
def losses(region):
    """Makes the losses of an objective."""

    def make(**changes):
        objective = replace(OBJECTIVE, **changes)
        return GeneLosses(objective, WindowSampler([region], objective.window, 1.0), steps=10)

    return make


@pytest.fixture
def model(tiny_model):
    """The tiny model, its weights of label pairs alike on both strands."""
    copy = GeneModel(tiny_model.encoder.config)
    copy.load_state_dict(tiny_model.state_dict())
    with torch.no_grad():
        copy.pair_weights.zero_()
    return copy


@pytest.fixture(scope="module")
def strands(region):
    """A window with genes, as each strand reads it."""
    return [
        Batch(*(part[None] for part in window_arrays(region, 20_000, OBJECTIVE.window, flip)))
        for flip in (False, True)
    ]


def test_both_strands_are_learned_from(losses, model, strands):
    apart = losses(strand_share=1e-9)._loss_of_strands(model, strands[0], 0).item()
    alone = [losses()._loss(model, row, True).item() for row in strands]
    assert apart == pytest.approx(sum(alone) / 2, abs=EDGES)
    assert abs(alone[0] - alone[1]) > 2 * EDGES


def test_strands_are_drawn_to_their_mean(losses, model, strands):
    values = [
        losses(strand_share=share)._loss_of_strands(model, strands[0], 0).item()
        for share in (0.0, 1.0, 3.0)
    ]
    assert values[1] > values[0] + 1e-3
    assert values[2] - values[0] == pytest.approx(3 * (values[1] - values[0]), rel=1e-3)

    torch.nn.init.zeros_(model.head.linear.weight)  # every base alike, on both strands
    torch.nn.init.zeros_(model.head.linear.bias)
    same = [losses(strand_share=s)._loss_of_strands(model, strands[0], 0) for s in (0.0, 5.0)]
    assert same[0].item() == pytest.approx(same[1].item(), abs=1e-6)


def test_it_does_not_matter_which_strand_comes_first(losses, model, strands):
    one, other = (
        losses(strand_share=2.0)._loss_of_strands(model, row, 0).item() for row in strands
    )
    assert one == pytest.approx(other, abs=EDGES)


@pytest.mark.parametrize("shift", [1, 5])
def test_the_other_strand_may_begin_inside_a_cell(losses, model, region, shift):
    """Shifted, a window's strands are those of the sequence from `shift` on, cells apart."""
    row = Batch(*(part[None] for part in window_arrays(region, 20_000, OBJECTIVE.window, False)))
    seen = {}

    def spy(tokens):
        seen["tokens"] = tokens
        return model.forward(tokens)

    wrapped = type("Spy", (), {"__call__": lambda _, tokens: spy(tokens)})()
    wrapped.pair_weights, wrapped.grammar = model.pair_weights, model.grammar
    value = losses(strand_share=1.0)._loss_of_strands(wrapped, row, shift)
    assert np.isfinite(value.item())
    own, other = seen["tokens"].numpy()
    assert np.array_equal(own, row.tokens[0])
    assert np.array_equal(3 - other[shift:][::-1], own[shift:])
    assert (other[:shift] == 4).all()


def test_a_step_is_a_function_of_its_number(losses, model):
    def values(step):
        return [loss().item() for loss in losses(strand_share=1.0)(model, step)]

    assert len(values(3)) == OBJECTIVE.batch
    assert values(3) == values(3)
    assert values(3) != values(4)


@pytest.mark.parametrize(
    ("given", "start"),
    [({}, 0.2), ({"init": "fly"}, 0.0), ({"init": "fly", "crf_start": 0.3}, 0.3)],
)
def test_a_gene_model_to_start_from_knows_its_labels(model, given, start):
    def silent(message):
        pass

    run = GeneRun(files=(), output="", note=silent, warn=silent, **given)
    assert run._objective(model, False).crf_start == start


def test_gradients_reach_every_weight(losses, model):
    sum(loss() for loss in losses(strand_share=1.0)(model, 0)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
