import numpy as np
import pytest

from dnaannot.datasets.tracks import (
    UNKNOWN,
    StretchSampler,
    TrackRegion,
    TrackSequence,
    cut_stretch,
    gc_matched,
    gc_shares,
    grid_centres,
    peak_targets,
)
from dnaannot.dna.sequence import C, G, N, reverse_complement
from dnaannot.nn.encoder import PAD

LENGTH, WINDOW = 3000, 64


@pytest.fixture
def random():
    return np.random.default_rng(1)


@pytest.fixture
def codes(random):
    return random.integers(0, 4, LENGTH).astype(np.uint8)


@pytest.fixture
def sequence(codes, random):
    centres = np.flatnonzero((codes[:-1] == C) & (codes[1:] == G)).astype(np.int64)
    targets = random.integers(0, 2, (len(centres), 2)).astype(np.uint8)
    targets[::5, 1] = UNKNOWN
    return TrackSequence("s", codes, centres, targets, span=2)


def test_a_window_is_positive_from_the_least_coverage_on():
    # windows of 64 bases: 45-109 holds 9 of the peak's, 46-110 all 10
    targets = peak_targets(np.array([[100, 110]]), np.array([0, 77, 78, 132, 133]), WINDOW, 10)
    assert targets.tolist() == [0, 0, 1, 1, 0]


def test_windows_of_unknown_sequence_are_not_labelled(codes):
    codes[1000:2000] = N
    centres = grid_centres(codes, WINDOW, step=10)
    assert centres[0] == 5
    for p in range(5, LENGTH, 10):
        window = codes[max(0, p - 32) : p + 32]
        assert (p in centres) == ((window < N).sum() >= 32)


def test_matched_negatives_have_the_gc_of_the_positives(random):
    codes = np.where(random.random(200_000) < np.repeat(random.random(200), 1000), G, N - 1)
    centres = np.arange(50, 200_000, 20)
    gc = gc_shares(codes, centres, 100)
    assert gc[0] == pytest.approx((codes[:100] == G).mean())
    targets = (random.random(len(gc)) < 0.05 * gc**2).astype(np.uint8)
    matched = gc_matched(targets, gc, 2, random)
    np.testing.assert_array_equal(matched == 1, targets == 1)
    assert (matched == 0).sum() == pytest.approx(2 * targets.sum(), rel=0.05)
    assert gc[matched == 0].mean() == pytest.approx(gc[targets == 1].mean(), abs=0.02)
    assert (targets[matched == 0] == 0).all()


class TestStretch:
    @pytest.mark.parametrize("flip", [False, True])
    @pytest.mark.parametrize("start", [0, 200, 2600])
    def test_positions_stand_at_their_sites_on_either_strand(self, sequence, start, flip):
        piece = cut_stretch(sequence, start, 500, 20, slice(0, len(sequence.centres)), flip)
        found = piece.tokens[: piece.bases]
        expected = sequence.codes[start : start + 500]
        np.testing.assert_array_equal(found, reverse_complement(expected) if flip else expected)
        assert (piece.tokens[piece.bases :] == PAD).all()
        assert len(piece.centres) > 5
        assert (found[piece.centres] == C).all()
        assert (found[piece.centres + 1] == G).all()

    def test_positions_keep_their_margin_but_at_the_ends(self, sequence):
        rows = slice(0, len(sequence.centres))
        inner = cut_stretch(sequence, 200, 500, 50, rows)
        assert inner.centres.min() >= 50
        assert inner.centres.max() < 450
        at = sequence.centres
        assert len(inner.centres) == ((at >= 250) & (at < 650)).sum()
        whole = cut_stretch(sequence, 0, LENGTH, 50, rows)
        np.testing.assert_array_equal(whole.centres, sequence.centres)

    def test_targets_follow_their_positions(self, sequence):
        rows = slice(3, 40)
        piece = cut_stretch(sequence, 64, 2000, 0, rows, flip=True)
        back = len(piece.tokens) - piece.centres - 2 + 64
        for centre, target in zip(back, piece.targets, strict=True):
            row = int(np.flatnonzero(sequence.centres == centre)[0])
            assert 3 <= row < 40
            np.testing.assert_array_equal(sequence.targets[row], target)


def place_of(piece, sequence):
    """Where a piece begins in its sequence, and whether it is of the other strand."""
    tokens = piece.tokens[: piece.bases]
    for is_flipped in (False, True):
        strand = reverse_complement(tokens) if is_flipped else tokens
        start = sequence.codes.tobytes().find(strand.astype(np.uint8).tobytes())
        if start >= 0:
            return start, is_flipped
    raise AssertionError("it is no piece of the sequence")


class TestSampler:
    @pytest.fixture
    def sampler(self, sequence):
        regions = [TrackRegion(sequence, 0, 1000), TrackRegion(sequence, 2000, LENGTH)]
        return StretchSampler(regions, 400, 32, 8, positive_share=0.5, seed=3)

    def test_positions_outside_the_regions_never_appear(self, sampler, sequence):
        seen = set()
        for piece in sampler.batch(0, 200):
            start, is_flipped = place_of(piece, sequence)
            local = piece.bases - piece.centres - 2 if is_flipped else piece.centres
            seen.update((local + start).tolist())
        at = sequence.centres
        allowed = set(at[(at < 1000) | (at >= 2000)].tolist())
        assert seen <= allowed
        assert len(seen) > 0.9 * len(allowed)

    def test_both_strands_are_drawn(self, sampler, sequence):
        flips = [place_of(piece, sequence)[1] for piece in sampler.batch(0, 200)]
        assert np.mean(flips) == pytest.approx(0.5, abs=0.15)

    def test_stretches_begin_at_multiples_of_the_stride(self, sampler, sequence):
        starts = [place_of(piece, sequence)[0] for piece in sampler.batch(0, 100)]
        assert len(set(starts)) > 50
        assert all(start % 8 == 0 for start in starts)

    def test_every_step_draws_anew(self, sampler, sequence):
        places = [
            tuple(place_of(piece, sequence) for piece in sampler.batch(step, 4))
            for step in range(20)
        ]
        assert len(set(places)) == 20

    @pytest.mark.parametrize("rare", [0, 1, 2])
    def test_what_is_drawn_lies_anywhere_between_the_margins(self, codes, rare):
        """And is of any label, in whatever region the positives of that label are."""
        centres = np.arange(32, LENGTH, 16)
        targets = np.zeros((len(centres), 3), np.uint8)
        row = [30, 90, 170][rare]
        targets[row, rare] = 1
        targets[[5, 100], (rare + 1) % 3] = 1
        sequence = TrackSequence("s", codes, centres, targets)
        regions = [TrackRegion(sequence, *span) for span in ((0, 1000), (1300, 2000), (2200, 3000))]
        sampler = StretchSampler(regions, 256, 32, 8, positive_share=1.0, seed=3)
        found = []
        for piece in sampler.batch(0, 200):
            start, _ = place_of(piece, sequence)
            if (piece.targets[:, rare] == 1).any():
                found.append(centres[row] - start)
        assert len(found) > 60  # of the two labels that have positives, half
        assert 32 <= min(found) < 64
        assert 192 < max(found) <= 224
        assert np.std(found) == pytest.approx(192 / np.sqrt(12), rel=0.15)

    def test_a_step_is_the_same_whenever_it_is_asked_for(self, sampler):
        first = sampler.batch(7, 3)
        sampler.batch(8, 5)
        for one, other in zip(first, sampler.batch(7, 3), strict=True):
            for a, b in zip(one, other, strict=True):
                np.testing.assert_array_equal(a, b)

    def test_a_sequence_shorter_than_a_stretch_is_used_whole(self, sequence):
        sampler = StretchSampler([TrackRegion(sequence, 0, LENGTH)], 4096, 32, 8, seed=3)
        piece = sampler.batch(0, 1)[0]
        assert piece.bases == LENGTH
        assert len(piece.centres) == len(sequence.centres)

    def test_a_rare_label_is_drawn_often(self, codes):
        centres = np.arange(32, LENGTH, 16)
        targets = np.zeros((len(centres), 1), np.uint8)
        targets[100] = 1
        region = TrackRegion(TrackSequence("s", codes, centres, targets), 0, LENGTH)
        sampler = StretchSampler([region], 128, 16, 8, positive_share=0.8, seed=3)
        shares = [float(piece.targets.any()) for piece in sampler.batch(0, 200)]
        assert np.mean(shares) == pytest.approx(0.8, abs=0.1)
