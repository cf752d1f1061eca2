from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from dnaannot.catalog import Entry, find
from dnaannot.dna.transcript import Exon, Strand, Transcript
from dnaannot.errors import ModelError
from dnaannot.nn.checkpoint import model_bytes
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.model import GeneModel
from dnaannot.predict.choice import Choice, choose, mean_exon_posterior, sample
from dnaannot.predict.scorer import Compute


def test_sample_is_spread_over_all_sequences():
    codes = np.arange(100_000) // 1000 % 4
    pieces = sample([codes.astype(np.uint8)], pieces=5, bases=1000)
    assert [len(piece) for piece in pieces] == [1000] * 5
    small = sample([np.full(10, i % 4, np.uint8) for i in range(10_000)], pieces=4, bases=500)
    assert sum(map(len, small)) == pytest.approx(2000, rel=0.02)
    one = np.zeros(700, np.uint8)
    assert [len(piece) for piece in sample([one], pieces=5, bases=1000)] == [700]


def test_sample_leaves_out_what_is_unknown():
    assert sample([np.full(5000, 4, np.uint8)], bases=1000) == []


def test_confidence_is_weighted_by_length():
    exons = (Exon(0, 30, 0, 1.0), Exon(100, 110, 0, 0.2))
    transcript = Transcript("chr", Strand.PLUS, exons)
    assert mean_exon_posterior([transcript]) == pytest.approx((30 + 2) / 40)
    assert mean_exon_posterior([]) == 0


def test_the_surer_model_is_chosen(tiny_model_file, tmp_path, fly_codes):
    torch.manual_seed(1)
    path = tmp_path / "dull.safetensors"
    path.write_bytes(model_bytes(GeneModel(PRESETS["tiny"], min_intron=60), {}))
    dull, other = find(str(path)), find(str(tiny_model_file))
    choices = choose([dull, other], [fly_codes[:5_000]], Compute())
    assert [choice.entry.name for choice in choices] == ["tiny", "dull"]
    assert choices[0].confidence > choices[1].confidence
    nothing_known = choose([dull, other], [], Compute())
    assert [choice.entry.name for choice in nothing_known] == ["dull", "tiny"]
    with pytest.raises(ModelError, match="no bundled model"):
        choose([], [fly_codes], Compute())


def test_a_poor_fit_is_told_by_the_card():
    def choice(card, confidence):
        return Choice(Entry("m", None, {"card": card}), confidence)

    assert choice({"metrics": {"confidence": 0.9}}, 0.3).is_poor
    assert not choice({"metrics": {"confidence": 0.9}}, 0.8).is_poor
    assert not choice({}, 0.0).is_poor
    assert not math.isnan(choice({"metrics": {"confidence": 0.9}}, 0.8).usual_confidence)
