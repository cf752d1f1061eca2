from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.datasets.tracks import UNKNOWN, TrackRegion, TrackSequence
from dnaannot.dna.sequence import reverse_complement
from dnaannot.nn.motifs import MotifScores
from dnaannot.training import motif_start
from dnaannot.training.motif_start import PeakMiddles, enriched, learn_motifs, renew_motifs

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


def peaks_of(sequence, columns=(0, 1, 2), start=0):
    return PeakMiddles.of([TrackRegion(sequence, start, LENGTH)], columns)


def learned(sequence, steps=2, seed=1, threads=1):
    torch.manual_seed(0)
    motifs = MotifScores(3, 8, 16)
    learn_motifs(motifs, peaks_of(sequence), steps, seed, threads)
    return motifs


def test_only_narrow_peaks_count(sequence):
    assert peaks_of(sequence).columns == [0]
    assert not peaks_of(sequence, columns=(1, 2))


def test_the_words_of_the_site_are_enriched(sequence):
    words = enriched(peaks_of(sequence))
    strands = ["".join(map(str, codes)) for codes in (SITE, reverse_complement(SITE))]
    assert 1 <= len(words) <= 8
    assert any("".join(map(str, words[0])) in strand for strand in strands)


def test_no_word_is_enriched_where_peaks_are_anywhere(sequence):
    targets = np.zeros_like(sequence.targets)
    targets[::20, 0] = 1
    assert enriched(peaks_of(TrackSequence("s", sequence.codes, sequence.centres, targets))) == []


def test_motifs_fit_what_stands_at_peaks(sequence, monkeypatch):
    monkeypatch.setattr(motif_start, "BATCH", 128)
    torch.manual_seed(0)
    before = margin(MotifScores(3, 8, 16))
    motifs = learned(sequence, steps=60)
    assert margin(motifs) > max(6, 3 * before)
    assert not motifs.of_best.weight.any()
    assert motifs.scan.weight.grad is None


def test_without_words_they_are_found_too(sequence, monkeypatch):
    monkeypatch.setattr(motif_start, "BATCH", 128)
    monkeypatch.setattr(motif_start, "_LEAST_SCORE", np.inf)
    assert margin(learned(sequence, steps=100)) > 6


def test_the_same_seed_gives_the_same_on_any_number_of_threads(sequence):
    one, other = (learned(sequence, threads=n).scan.weight for n in (1, 3))
    assert torch.equal(one, other)
    assert not torch.equal(one, learned(sequence, seed=2).scan.weight)


def test_motifs_that_count_are_not_learned_anew(sequence):
    torch.manual_seed(0)
    motifs = MotifScores(3, 8, 16)
    with torch.no_grad():
        motifs.of_best.weight[1, 5], motifs.of_best.weight[0, 7] = -2.0, 0.1
    before = motifs.scan.weight.detach().clone()
    assert renew_motifs(motifs, peaks_of(sequence), 2, 1) == 15
    same = (motifs.scan.weight == before).all(2).all(1)
    assert same.nonzero().tolist() == [[5]]
    assert motifs.of_best.weight.nonzero().tolist() == [[1, 5]]


def test_pieces_lie_around_the_middles_of_peaks_in_the_region(sequence):
    peaks = peaks_of(sequence, [0], start=100_000)
    region = peaks.regions[0]
    rows = peaks.middles[0][:, 1] + region.rows.start
    assert sequence.targets[rows, 0].all()
    assert sequence.centres[rows].min() >= 100_000
    runs = np.flatnonzero(np.diff(sequence.targets[region.rows, 0].astype(int)) == 1)
    assert abs(len(rows) - len(runs)) <= 1
    codes, targets = peaks.batch(1, 0)
    assert codes.shape == (motif_start.BATCH, motif_start.PIECE)
    assert targets[: motif_start.BATCH // 2].all()
    assert 0 < targets[motif_start.BATCH // 2 :].mean() < 0.6


def test_unknown_targets_and_ends_of_sequences_do_no_harm(sequence):
    targets = sequence.targets.copy()
    targets[::3] = UNKNOWN
    targets[[0, -1], 0] = 1
    motifs = learned(TrackSequence("s", sequence.codes, sequence.centres, targets), steps=3)
    assert torch.isfinite(motifs.scan.weight).all()
