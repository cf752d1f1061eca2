from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dnaannot.datasets.genes import (
    LabelledSequence,
    Region,
)
from dnaannot.datasets.windows import Batch, WindowSampler, window_arrays
from dnaannot.dna.grammar import GENE_BEGINS, gene_grammar
from dnaannot.dna.sequence import GAP
from dnaannot.dna.transcript import Strand, Transcript, exon_bounds, with_phases
from dnaannot.nn.model import GeneModel
from dnaannot.predict.scorer import Compute
from dnaannot.training import genes
from dnaannot.training.gene_data import Pair, read_gene_data
from dnaannot.training.gene_run import GeneRun
from dnaannot.training.genes import GeneLosses, GeneObjective, GeneValidation
from dnaannot.training.run import Job

OBJECTIVE = GeneObjective(window=1_800, batch=3, crf_start=0)
NOT_ENRICHED = np.zeros(1, np.float32)
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
        return GeneLosses(
            objective, WindowSampler([region], objective.window, genic_share=1.0), steps=10
        )

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
        Batch(
            *(part[None] for part in window_arrays(region, 20_000, OBJECTIVE.window, flip)),
            NOT_ENRICHED,
        )
        for flip in (False, True)
    ]


def test_both_strands_are_learned_from(losses, model, strands):
    apart = losses(strand_share=1e-9)._loss_of_strands(model, strands[0], 0).item()
    alone = [losses()._loss(model, row, True).item() for row in strands]
    assert apart == pytest.approx(sum(alone) / 2, abs=EDGES)
    assert abs(alone[0] - alone[1]) > 2 * EDGES


def test_labels_take_their_share_on_both_strands(losses, model, strands):
    def value(**shares):
        return losses(**shares)._loss_of_strands(model, strands[0], 0).item()

    labels = [losses(crf_start=1)._loss(model, row, False).item() for row in strands]
    added = value(strand_share=1.0, label_share=0.7) - value(strand_share=1.0)
    assert added == pytest.approx(0.7 * sum(labels) / 2, abs=EDGES)


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


@pytest.mark.parametrize("strand_share", [0.0, 1.0])
def test_the_loss_knows_that_genes_are_more_frequent_in_windows(
    losses, model, strands, strand_share
):
    """As if the genome's weight of a gene's start were so much higher."""
    extra = 1.5

    def value(row):
        made = losses(strand_share=strand_share)
        if strand_share:
            return made._loss_of_strands(model, row, 0).item()
        return made._loss(model, row, True).item()

    plain, enriched = (
        value(strands[0]._replace(enrichment=np.float32([log]))) for log in (0, extra)
    )
    with torch.no_grad():
        model.pair_weights[model.grammar.pairs.index(GENE_BEGINS)] += extra
    assert enriched == pytest.approx(value(strands[0]), abs=1e-6)
    assert abs(enriched - plain) > 1e-5


@pytest.mark.parametrize("shift", [1, 5])
def test_the_other_strand_may_begin_inside_a_cell(losses, model, region, shift):
    """Shifted, a window's strands are those of the sequence from `shift` on, cells apart."""
    row = Batch(
        *(part[None] for part in window_arrays(region, 20_000, OBJECTIVE.window, False)),
        NOT_ENRICHED,
    )
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


@pytest.mark.parametrize(
    ("given", "rate"),
    [
        ({}, 3e-3),
        ({"optimizer": "adamw"}, 1e-3),
        ({"init": "fly"}, 1e-3),
        ({"init": "fly", "learning_rate": 2e-4}, 2e-4),
    ],
)
def test_the_rate_follows_from_the_optimizer_and_the_start(given, rate):
    run = GeneRun(files=(), output="", note=print, warn=print, **given)
    assert run.schedule(100).learning_rate == pytest.approx(rate)
    assert run.settings()["learning_rate"] == pytest.approx(rate)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_the_optimizer_asked_for_moves_the_hidden_matrices(model, optimizer):
    run = GeneRun(files=(), output="", note=print, warn=print, optimizer=optimizer)
    job = Job(model, lambda _: lambda *_: [], lambda _: {}, {})
    trainer = run._trainer(job, Compute(), run.schedule(10), lambda *_: None)
    moved = trainer.optimizers.muon
    if optimizer == "adamw":
        assert moved is None
    else:
        parameters = dict(model.named_parameters())
        expected = [parameters[name] for name in model.hidden_matrices()]
        assert {id(p) for p in moved.param_groups[0]["params"]} == {id(p) for p in expected}


@pytest.mark.parametrize(
    ("given", "desert", "share"),
    [(None, 0, 0.0), (None, 400_000, 0.5), (0.2, 0, 0.2), (0.0, 400_000, 0.0)],
)
def test_windows_are_condensed_where_genes_are_sparse(region, given, desert, share):
    codes, labels = (
        np.concatenate([part, np.zeros(desert, np.uint8)])
        for part in (region.sequence.codes, region.sequence.labels)
    )
    sequence = replace(region.sequence, codes=codes, labels=labels)
    told = []
    run = GeneRun(files=(), output="", note=told.append, warn=None, condensed_share=given)
    twins, found = run._twins([replace(region, sequence=sequence, end=region.end + desert)])
    assert (found, len(twins)) == (share, int(share > 0))
    assert bool(told) == (given is None and share > 0)


def test_gradients_reach_every_weight(losses, model):
    sum(loss() for loss in losses(strand_share=1.0)(model, 0)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


class TestValidation:
    GAPS = slice(1400, 1460)

    @pytest.fixture
    def regions(self):
        codes = np.zeros(3_000, np.uint8)
        codes[self.GAPS] = GAP
        labels, genes = np.zeros(3_000, np.uint8), np.zeros((0, 2), np.int64)
        sequence = LabelledSequence("s", codes, labels, genes)
        return [Region(sequence, *span) for span in ((0, 500), (1000, 2000), (2500, 3000))]

    @staticmethod
    def gene(strand, *spans, **more):
        return Transcript("s", strand, with_phases(list(spans), strand), name=str(spans), **more)

    @pytest.fixture
    def reference(self):
        plus, minus = Strand.PLUS, Strand.MINUS
        return [
            self.gene(plus, (0, 90), has_start=False),  # the sequence's end cuts it
            self.gene(plus, (200, 290)),
            self.gene(minus, (450, 540)),
            self.gene(plus, (900, 960), (980, 1070)),
            self.gene(minus, (1100, 1190), (1250, 1310)),
            self.gene(plus, (1460, 1520), has_start=False),  # a gap does
            self.gene(minus, (1850, 1910), (2100, 2130)),
            self.gene(plus, (2400, 2460), (2600, 2690)),  # in an intron
            self.gene(minus, (2900, 3000), has_start=False),
        ]

    def test_genes_that_a_border_cuts_count_on_neither_side(self, monkeypatch, regions, reference):
        """A predictor that finds all of them, as far as a region holds them, is right."""

        def predict(pieces):
            ((name, _),) = pieces
            region = regions[int(name.split("/")[1])]
            yield SimpleNamespace(
                transcripts=[t for each in reference if (t := clipped(each, region, name))]
            )

        monkeypatch.setattr(
            genes, "GenePredictor", lambda model, compute: SimpleNamespace(predict=predict)
        )
        metrics = GeneValidation([regions], [reference], Compute())(None)
        assert metrics["score"] == 1
        predictor = genes.GenePredictor(None, None)
        predicted, expected, _ = genes._side_by_side(predictor, regions, reference)
        assert [exon_bounds(t) for t in predicted] == [exon_bounds(t) for t in expected]
        assert len(expected) == 5


def clipped(transcript, region, name):
    """What a region holds of a transcript, in its coordinates; None where that is nothing."""
    exons = tuple(
        exon._replace(start=max(exon.start, region.start), end=min(exon.end, region.end))
        for exon in transcript.exons
        if exon.start < region.end and exon.end > region.start
    )
    if not exons:
        return None
    ends = [transcript.start >= region.start, transcript.end <= region.end]
    has_start, has_stop = ends if transcript.strand is Strand.PLUS else ends[::-1]
    return replace(
        transcript,
        exons=exons,
        has_start=transcript.has_start and has_start,
        has_stop=transcript.has_stop and has_stop,
    ).moved(-region.start, name)
