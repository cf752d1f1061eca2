from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from dnaannot.datasets.tracks import UNKNOWN, StretchSampler, TrackRegion, TrackSequence
from dnaannot.dna.sequence import cpg_sites, reverse_complement
from dnaannot.errors import DataError
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.tracks import TrackLabel, TrackModel, WindowScores
from dnaannot.predict.scorer import Compute
from dnaannot.training.tracks import (
    TrackLosses,
    TrackObjective,
    TrackValidation,
    calibrated,
    label_weights,
    platt,
    track_metrics,
)

WINDOW = 90
LABELS = (TrackLabel("accessibility", "dnase__a"), TrackLabel("accessibility", "dnase__b"))


@pytest.fixture
def random():
    return np.random.default_rng(2)


@pytest.fixture
def sequence(random):
    codes = random.integers(0, 4, 4000).astype(np.uint8)
    centres = cpg_sites(codes)
    targets = random.integers(0, 2, (len(centres), 2)).astype(np.uint8)
    targets[random.random(targets.shape) < 0.2] = UNKNOWN
    return TrackSequence("s", codes, centres, targets, span=2)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return TrackModel(PRESETS["tiny"], 2, WINDOW, "cpg").eval()


def plain_logits(model, codes, centres):
    with torch.no_grad():
        cells = model(torch.from_numpy(codes[: len(codes) // 9 * 9][None]))[0].numpy()
    return WindowScores.of(model)(cells, centres)


def losses(sequence, weights=(1.0, 1.0), kinds=("binary", "binary"), length=4500):
    objective = TrackObjective(length, 90, 3, 0.5, weights)
    region = TrackRegion(sequence, 0, len(sequence.codes))
    return TrackLosses(objective, kinds, StretchSampler([region], length, 90, 9, 0.5, 1))


class TestLoss:
    def test_is_the_mean_cross_entropy_of_what_is_known(self, sequence, model):
        of = losses(sequence, weights=(0.5, 1.5))
        found = [micro().item() for micro in of(model, 0)]
        expected = set()
        for flip in (False, True):
            codes, centres = sequence.codes, sequence.centres
            if flip:
                codes, centres = reverse_complement(codes), len(codes) - centres - 2
            padded = np.concatenate((codes, np.full(500, 6, np.uint8)))
            with torch.no_grad():
                cells = model(torch.from_numpy(padded[None]))[0].numpy()[: -(-4000 // 9)]
            logits = WindowScores.of(model)(cells, centres).astype(float)
            known = sequence.targets != UNKNOWN
            entropy = np.logaddexp(0, logits) - sequence.targets * logits
            weights = known * np.array([0.5, 1.5])
            expected.add(round(float((entropy * weights)[known].sum() / weights.sum()), 4))
        assert {round(value, 4) for value in found} <= expected

    def test_quantities_are_squares(self, sequence, model):
        codes, centres = sequence.codes[:3600], sequence.centres
        centres = centres[centres < 3500]
        values = np.linspace(0, 3, 2 * len(centres)).reshape(-1, 2).astype(np.float32)
        values[3] = np.nan
        piece = TrackSequence("s", codes, centres, values, span=2)
        found = {round(m().item(), 3) for m in losses(piece, kinds=["quantity"] * 2)(model, 0)}
        expected = set()
        for strand, at in (
            (codes, centres),
            (reverse_complement(codes), len(codes) - centres - 2),
        ):
            squares = (plain_logits(model, strand, at) - values) ** 2
            expected.add(round(float(np.nanmean(squares)), 3))
        assert found <= expected

    def test_a_label_of_any_base_rate_counts_alike(self):
        weights = np.array(label_weights([0.5, 0.01], [0.25, 0.01], ["binary", "binary"]))
        assert weights.mean() == pytest.approx(1)
        entropies = [-p * np.log(p) - (1 - p) * np.log(1 - p) for p in (0.5, 0.01)]
        assert weights[0] * entropies[0] == pytest.approx(weights[1] * entropies[1])

    def test_a_quantity_of_any_scale_counts_alike(self, random):
        """The loss of knowing the mean alone is that of every other label."""
        values = random.normal(size=(500, 3)) * [0.1, 3.0, 0.0]
        variances, kinds = values.var(axis=0), ["quantity"] * 3 + ["binary"]
        weights = np.array(label_weights([0.0] * 3 + [0.2], [*variances, 0.16], kinds))
        entropy = -0.2 * np.log(0.2) - 0.8 * np.log(0.8)
        losses = weights * [*variances, entropy]
        assert losses[:2] == pytest.approx(losses[3])
        assert losses[2] == 0
        assert weights[2] == pytest.approx(losses[3])


class TestValidation:
    def test_pieces_give_the_logits_of_the_whole_sequence(self, sequence, model):
        region = TrackRegion(sequence, 1000, 3500)
        validation = TrackValidation([region], LABELS, model, Compute(threads=2))
        rows = region.rows
        whole = plain_logits(model, sequence.codes, sequence.centres[rows])
        np.testing.assert_allclose(validation.logits(model), whole, atol=1e-5)
        np.testing.assert_array_equal(validation.targets, sequence.targets[rows])

    def test_a_sample_is_spread_over_the_regions(self, model, random):
        codes = random.integers(0, 4, 400_000).astype(np.uint8)
        centres = np.arange(64, 400_000, 128)
        targets = random.integers(0, 2, (len(centres), 2)).astype(np.uint8)
        region = TrackRegion(TrackSequence("s", codes, centres, targets), 0, 400_000)
        validation = TrackValidation([region], LABELS, model, Compute(), bases=100_000)
        assert len(validation.targets) * 128 == pytest.approx(100_000, rel=0.15)
        assert len(validation.pieces) == 6

    def test_regions_without_labels_are_refused(self, sequence, model):
        bare = replace(sequence, centres=sequence.centres[:0], targets=sequence.targets[:0])
        with pytest.raises(DataError, match="no labelled position"):
            TrackValidation([TrackRegion(bare, 0, 4000)], LABELS, model, Compute())

    @pytest.mark.parametrize(
        ("kind", "values", "is_enough"),
        [
            ("binary", [0, 0, UNKNOWN], False),
            ("binary", [1, 1, UNKNOWN], False),
            ("binary", [1, 0, UNKNOWN], True),
            ("binary", [0.6, 0.9, np.nan], False),
            ("binary", [0.4, 0.6, np.nan], True),
            ("quantity", [0.2, 0.2, np.nan], False),
            ("quantity", [0.2, 0.3, np.nan], True),
        ],
    )
    def test_regions_where_no_label_varies_are_refused(
        self, sequence, model, kind, values, is_enough
    ):
        labels = (TrackLabel("a", "constant", kind), TrackLabel("a", "x", kind))
        dtype = np.uint8 if UNKNOWN in values else np.float32
        targets = np.zeros((len(sequence.centres), 2), dtype)
        targets[:, 1] = np.resize(values, len(targets))
        region = TrackRegion(replace(sequence, targets=targets), 0, 4000)
        if is_enough:
            assert TrackValidation([region], labels, model, Compute())(model)["score"] != 0
        else:
            with pytest.raises(DataError, match="no label varies"):
                TrackValidation([region], labels, model, Compute())

    def test_a_signal_that_does_not_vary_leaves_the_score_a_number(self, random):
        labels = (TrackLabel("signal", "a", "quantity"), TrackLabel("signal", "b", "quantity"))
        logits = random.normal(size=(50, 2)).astype(np.float32)
        targets = np.stack((np.zeros(50), logits[:, 1]), axis=1).astype(np.float32)
        assert track_metrics(labels, logits, targets)["score"] == pytest.approx(1)

    def test_a_signal_for_which_all_logits_are_alike_counts_as_zero(self, random):
        labels = (TrackLabel("signal", "a", "quantity"), TrackLabel("signal", "b", "quantity"))
        targets = random.normal(size=(50, 2)).astype(np.float32)
        logits = np.stack((np.ones(50), targets[:, 1]), axis=1).astype(np.float32)
        found = track_metrics(labels, logits, targets)
        assert found["a.pearson"] == 0
        assert found["score"] == pytest.approx(0.5)

    def test_the_model_learns_its_calibration(self, sequence, model):
        validation = TrackValidation([TrackRegion(sequence, 0, 4000)], LABELS, model, Compute())
        metrics = validation(model)
        assert model.tracks == tuple(
            calibrated(label, validation.logits(model)[:, k], validation.targets[:, k])
            for k, label in enumerate(LABELS)
        )
        assert 0 < metrics["score"] < 1

    def test_metrics_are_those_of_scikit_learn(self, random):
        targets = (random.random((500, 2)) < 0.3).astype(np.uint8)
        logits = (random.normal(size=(500, 2)) + targets).astype(np.float32)
        targets[:50, 1] = UNKNOWN
        found = track_metrics(LABELS, logits, targets)
        auroc = roc_auc_score(targets[:, 0], logits[:, 0])
        auprc = average_precision_score(targets[50:, 1], logits[50:, 1])
        assert found["dnase__a.auroc"] == pytest.approx(auroc)
        assert found["dnase__b.auprc"] == pytest.approx(auprc)
        mean = (found["dnase__a.auroc"] + found["dnase__b.auroc"]) / 2
        assert found["dnase.auroc"] == pytest.approx(mean)

    def test_a_label_nothing_is_known_of_is_left_out(self, random):
        targets = np.full((20, 2), UNKNOWN, np.uint8)
        targets[:, 0] = np.arange(20) % 2
        found = track_metrics(LABELS, random.normal(size=(20, 2)), targets)
        assert not any(name.startswith("dnase__b") for name in found)


class TestCalibration:
    def test_is_a_logistic_regression(self, random):
        logits = random.normal(-4, 2, 5000).astype(np.float32)
        truth = 1 / (1 + np.exp(-(1.7 * logits + 2.0)))
        targets = (random.random(5000) < truth).astype(float)
        peer = LogisticRegression(C=1e9).fit(logits[:, None], targets)
        scale, shift = platt(logits, targets)
        assert scale == pytest.approx(peer.coef_[0, 0], rel=0.02)
        assert shift == pytest.approx(peer.intercept_[0], rel=0.02)
        fitted = 1 / (1 + np.exp(-(scale * logits + shift)))
        assert fitted.mean() == pytest.approx(targets.mean(), abs=0.002)

    @pytest.mark.parametrize("positives", [0, 1, 50, 100])
    def test_is_finite_where_logits_tell_all(self, positives):
        targets = (np.arange(100) >= 100 - positives).astype(float)
        scale, shift = platt(np.linspace(-50, 80, 100).astype(np.float32), targets)
        assert np.isfinite([scale, shift]).all()

    def test_never_turns_a_label_round(self):
        label = LABELS[0]
        targets = np.array([1, 1, 1, 0, 0, 0], np.uint8)
        assert calibrated(label, np.arange(6.0), targets) == label

    @pytest.mark.parametrize("target", [0, 1])
    def test_leaves_a_label_alone_where_all_is_alike(self, random, target):
        label = TrackLabel("accessibility", "dnase__a")
        logits = random.normal(size=50).astype(np.float32)
        assert calibrated(label, logits, np.full(50, target, np.uint8)) == label
