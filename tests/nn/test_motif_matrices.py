from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.motif_matrices import NEAR_BEST, Motif, gains_of, matrices_of, motifs_of
from dnaannot.nn.motifs import MOTIF_WIDTH, MotifScores
from dnaannot.nn.tracks import TrackLabel, TrackModel

SITE = "TGACTCA"


@pytest.fixture
def model():
    """Two labels and three motifs, of which the second fits `SITE` and counts for the first."""
    torch.manual_seed(1)
    model = TrackModel(PRESETS["tiny"], 2, motifs=3).eval()
    model.tracks = (TrackLabel("accessibility", "a"), TrackLabel("accessibility", "b"))
    with torch.no_grad():
        model.motifs.scan.weight[1] = 0
        for at, base in enumerate(SITE, 5):
            model.motifs.scan.weight[1, :, at] = -1.0
            model.motifs.scan.weight[1, "ACGT".index(base), at] = 1.0
        model.motifs.of_best.weight[:, 1] = torch.tensor([0.5, -0.25])
        model.motifs.of_best.weight[1, 0] = -0.1
    return model


def test_the_weightiest_comes_first_with_its_site(model):
    first, second, third = motifs_of(model)
    assert (first.name, first.label, second.name, second.label) == ("2", "a", "1", "b")
    assert first.consensus == "N" * 5 + SITE + "N" * (MOTIF_WIDTH - 5 - len(SITE))
    assert first.gain > 0 > second.gain
    assert third.gain == 0


def test_frequencies_are_those_of_sites_that_fit_so_well():
    torch.manual_seed(2)
    motifs = MotifScores(1, 8, 5)
    matrices = matrices_of(motifs)
    assert matrices.shape == (5, MOTIF_WIDTH, 4)
    assert matrices.sum(2) == pytest.approx(np.ones((5, MOTIF_WIDTH)))
    weights = motifs.scan.weight.detach().double().numpy().transpose(0, 2, 1)
    best, mean = weights.max(2).sum(1), weights.mean(2).sum(1)
    fit = (matrices * weights).sum((1, 2))
    assert (fit - mean) / (best - mean) == pytest.approx(np.full(5, NEAR_BEST))
    # as random as can be: the log-odds against a place's first base are proportional to weights
    odds = np.log(matrices / matrices[:, :, :1])
    apart = weights - weights[:, :, :1]
    for ours, theirs in zip(odds, apart, strict=True):
        ratio = ours[:, 1:] / theirs[:, 1:]
        assert ratio == pytest.approx(np.full_like(ratio, ratio.mean()), rel=1e-6)


def test_a_gain_is_what_the_site_adds_to_the_logit(model):
    gain = gains_of(model.motifs, model.window)[:, 1]
    random = np.random.default_rng(3).integers(0, 4, (50, model.window)).astype(np.uint8)
    with_site = random.copy()
    with_site[:, 200 : 200 + len(SITE)] = ["ACGT".index(base) for base in SITE]
    with torch.no_grad():
        found = [model.motifs(torch.from_numpy(x), None).amax(1) for x in (with_site, random)]
        added = ((found[0] - found[1])[:, 1].mean() * model.motifs.of_best.weight[:, 1]).numpy()
    assert gain == pytest.approx(added, rel=0.2)


def test_bits_and_letters():
    sure, even = np.tile([0.0, 0.0, 1.0, 0.0], (3, 1)), np.full((2, 4), 0.25)
    assert Motif("1", sure, "x", 1.0).bits == pytest.approx(6)
    assert Motif("1", even, "x", 1.0).bits == pytest.approx(0)
    pair = np.array([[0.45, 0.0, 0.45, 0.1]])
    assert Motif("1", np.concatenate((sure, even, pair)), "x", 1.0).consensus == "GGGNNR"


def test_a_model_without_motifs_has_none():
    assert motifs_of(TrackModel(PRESETS["tiny"], 1, motifs=0)) == []
