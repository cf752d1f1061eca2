from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dnaannot.catalog import Entry, find
from dnaannot.dna.sequence import N
from dnaannot.dna.signature import signature
from dnaannot.dna.transcript import Exon, Strand, Transcript
from dnaannot.errors import ModelError
from dnaannot.nn.checkpoint import model_bytes
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.model import GeneModel
from dnaannot.predict.choice import (
    choose,
    confidence,
    is_poor,
    mean_exon_posterior,
    usual_confidence,
)
from dnaannot.predict.samples import sample
from dnaannot.predict.scorer import Compute


def test_confidence_is_weighted_by_length():
    exons = (Exon(0, 30, 0, 1.0), Exon(100, 110, 0, 0.2))
    transcript = Transcript("chr", Strand.PLUS, exons)
    assert mean_exon_posterior([transcript]) == pytest.approx((30 + 2) / 40)
    assert mean_exon_posterior([]) == 0


def model_file(path, card):
    torch.manual_seed(1)
    path.write_bytes(model_bytes(GeneModel(PRESETS["tiny"]), card))
    return find(str(path))


def test_the_model_of_the_nearest_genome_is_chosen(tmp_path, fly_codes):
    far = {"signatures": {"far": signature([np.arange(9000, dtype=np.uint8) % 4]).tolist()}}
    near = {"signatures": {**far["signatures"], "fly": signature([fly_codes[:50_000]]).tolist()}}
    entries = [
        model_file(tmp_path / f"{name}.safetensors", card)
        for name, card in (("untold", {}), ("far", far), ("near", near))
    ]
    choices = choose(entries, [fly_codes[50_000:100_000]])
    assert [choice.entry.name for choice in choices] == ["near", "far", "untold"]
    assert choices[0].distance < 0.3 < choices[1].distance
    assert choices[2].distance == math.inf
    assert choose(entries[:1], [])[0].entry.name == "untold"
    with pytest.raises(ModelError, match="no bundled model"):
        choose([], [fly_codes])


def test_confidence_of_a_model_on_a_sample(tiny_model_file, fly_codes):
    entry = find(str(tiny_model_file))
    assert 0 < confidence(entry, [fly_codes[:5_000]], Compute()) <= 1
    assert confidence(entry, [], Compute()) == 0


def test_judging_a_model_leaves_the_genome_as_it_is(tiny_model_file, fly_codes):
    genome = fly_codes[:5_000].copy()
    genome[2_000:2_100] = N
    before = genome.copy()
    confidence(find(str(tiny_model_file)), sample([genome]), Compute())
    assert np.array_equal(genome, before)


def test_a_poor_fit_is_told_by_the_card():
    sure, untold = (
        Entry("m", None, {"card": card}) for card in ({"metrics": {"confidence": 0.9}}, {})
    )
    assert is_poor(sure, 0.3)
    assert not is_poor(sure, 0.8)
    assert not is_poor(untold, 0.0)
    assert usual_confidence(sure) == 0.9
