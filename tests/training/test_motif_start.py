from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.datasets.tracks import UNKNOWN, TrackRegion, TrackSequence
from dnaannot.dna.sequence import reverse_complement
from dnaannot.nn.motifs import MotifScores
from dnaannot.training import motif_start
from dnaannot.training.motif_start import learn_motifs

SITE = np.array([2, 2, 0, 1, 1, 0, 1, 3, 0, 2, 2, 3, 2, 2], np.uint8)
LENGTH = 300_000


@pytest.fixture(scope="module")
def sequence():
    """Peaks around sites on either strand; a mark of long stretches; a label without positives."""
    random = np.random.default_rng(3)
    codes = random.integers(0, 4, LENGTH).astype(np.uint8)
    places = np.arange(1500, LENGTH - 1500, 2500) + random.integers(0, 1000, 119)
    for place in places:
        strand = SITE if random.random() < 0.5 else reverse_complement(SITE)
        codes[place : place + len(SITE)] = strand
    centres = np.arange(64, LENGTH, 128)
    near = np.abs(centres[:, None] - places).min(1) < 300
    targets = np.zeros((len(centres), 3), np.uint8)
    targets[near, 0] = 1
    targets[centres % 40_000 < 20_000, 1] = 1
    return TrackSequence("s", codes, centres, targets)


def margin(motifs):
    """How much better the best motif fits the site than what chance gives, in deviations."""
    chance = np.random.default_rng(0).integers(0, 4, (300, 96)).astype(np.uint8)
    with_site = chance.copy()
    with_site[:, 40 : 40 + len(SITE)] = SITE
    with torch.no_grad():
        one, other = (motifs(torch.from_numpy(x), None).amax(1) for x in (with_site, chance))
    return float(((one.mean(0) - other.mean(0)) / other.std(0)).max())


def learned(sequence, columns=(0, 1, 2), steps=120, seed=1, start=0):
    torch.manual_seed(0)
    motifs = MotifScores(3, 8, 16)
    region = TrackRegion(sequence, start, LENGTH)
    return motifs, learn_motifs(motifs, [region], columns, steps, seed)


def test_motifs_fit_what_stands_at_peaks(sequence, monkeypatch):
    monkeypatch.setattr(motif_start, "BATCH", 128)
    motifs, labels = learned(sequence, steps=0)
    before = margin(motifs)
    assert labels == 0
    motifs, labels = learned(sequence)
    assert labels == 1
    assert margin(motifs) > max(6, 3 * before)
    assert not motifs.of_best.weight.any()
    assert motifs.scan.weight.grad is None


def test_wide_peaks_and_none_leave_motifs_as_they_are(sequence):
    motifs, labels = learned(sequence, columns=(1, 2), steps=2)
    assert labels == 0
    torch.manual_seed(0)
    assert torch.equal(motifs.scan.weight, MotifScores(3, 8, 16).scan.weight)


def test_the_same_seed_gives_the_same(sequence):
    one, other, third = (learned(sequence, steps=2, seed=n)[0].scan.weight for n in (1, 1, 2))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)


def test_pieces_lie_around_the_middles_of_peaks_in_the_region(sequence):
    region = TrackRegion(sequence, 100_000, LENGTH)
    pieces = motif_start._Pieces([region], [0], 1)
    rows = pieces.middles[0][:, 1] + region.rows.start
    assert sequence.targets[rows, 0].all()
    assert sequence.centres[rows].min() >= 100_000
    runs = np.flatnonzero(np.diff(sequence.targets[region.rows, 0].astype(int)) == 1)
    assert abs(len(rows) - len(runs)) <= 1
    codes, targets = pieces.batch()
    assert codes.shape == (motif_start.BATCH, motif_start.PIECE)
    assert targets[: motif_start.BATCH // 2].all()
    assert 0 < targets[motif_start.BATCH // 2 :].mean() < 0.6


def test_unknown_targets_and_ends_of_sequences_do_no_harm(sequence):
    targets = sequence.targets.copy()
    targets[::3] = UNKNOWN
    targets[[0, -1], 0] = 1
    short = TrackSequence("s", sequence.codes, sequence.centres, targets)
    motifs, labels = learned(short, columns=(0,), steps=3)
    assert labels == 1
    assert torch.isfinite(motifs.scan.weight).all()
