from __future__ import annotations

import numpy as np
import pytest

from dnaannot.datasets.unlabelled import (
    LEAST_BASES,
    MaskedSampler,
    Stretch,
    hide_bases,
    hold_out,
    stretches,
    tiles,
)
from dnaannot.dna.grammar import UNKNOWN
from dnaannot.dna.sequence import N, reverse_complement
from dnaannot.nn.encoder import MASK, PAD


def bases(length, seed=1):
    return np.random.default_rng(seed).integers(0, 4, length).astype(np.uint8)


def test_shares_of_what_is_hidden_and_shown():
    codes = bases(400_000)
    tokens, targets = hide_bases(codes, np.random.default_rng(2))
    hidden = targets != UNKNOWN
    count = hidden.sum()
    assert hidden.mean() == pytest.approx(0.15, abs=4 * np.sqrt(0.15 * 0.85 / len(codes)))
    assert (targets[hidden] == codes[hidden]).all()
    assert (tokens[~hidden] == codes[~hidden]).all()
    masked = (tokens == MASK) & hidden
    changed = hidden & ~masked & (tokens != codes)
    same = hidden & ~masked & (tokens == codes)
    for part, share in ((masked, 0.8), (changed, 0.075), (same, 0.125)):
        assert part.sum() / count == pytest.approx(share, abs=4 * np.sqrt(share / count))
    drawn = np.bincount(tokens[changed], minlength=7)
    assert drawn[4:].sum() == 0
    assert (drawn[:4] > 0.23 * changed.sum()).all()


def test_every_base_is_as_likely_to_be_hidden_whatever_its_neighbours():
    random = np.random.default_rng(3)
    codes = bases(50)
    times = sum((hide_bases(codes, random).targets != UNKNOWN).astype(int) for _ in range(4_000))
    assert abs(times / 4_000 - 0.15).max() < 5 * np.sqrt(0.15 * 0.85 / 4_000)


def test_wholly_hidden_bases_all_stand_behind_the_mask():
    codes = bases(10_000)
    tokens, targets = hide_bases(codes, np.random.default_rng(2), wholly=True)
    assert ((tokens == MASK) == (targets != UNKNOWN)).all()


def test_unknown_bases_are_never_hidden():
    codes = bases(5_000)
    codes[1_000:2_000] = N
    codes[2_000:2_100] = 5  # a base in a gap
    tokens, targets = hide_bases(codes, np.random.default_rng(4))
    assert (targets[1_000:2_100] == UNKNOWN).all()
    assert (tokens[1_000:2_100] == N).all()
    assert PAD not in tokens
    assert set(np.unique(targets)) == {0, 1, 2, 3, UNKNOWN}


def test_windows_are_pieces_of_the_strand_that_was_drawn():
    sequences = [bases(n, seed) for seed, n in enumerate((1_000, 90, 350))]
    sampler = MaskedSampler(sequences, 300, seed=7)
    strands = set()
    for number, row in enumerate(sampler.draw(0, 3 * sampler.windows)):
        window, flip = sampler.place(number)
        piece = sequences[window.stretch][window.start : window.end]
        expected = reverse_complement(piece) if flip else piece
        hidden = row.targets != UNKNOWN
        assert (row.targets[hidden] == expected[hidden]).all()
        assert (row.tokens[~hidden] == expected[~hidden]).all()
        strands.add(flip)
    assert strands == {True, False}


def test_an_epoch_sees_all_of_every_stretch_about_once():
    lengths = (1_000, 90, 350, 300)
    sampler = MaskedSampler([bases(n) for n in lengths], 300, seed=7)
    assert sampler.windows == 4 + 1 + 2 + 1
    for epoch in range(3):
        seen = [np.zeros(n, int) for n in lengths]
        for number in range(epoch * sampler.windows, (epoch + 1) * sampler.windows):
            window, _ = sampler.place(number)
            assert 0 <= window.start < window.end <= lengths[window.stretch]
            seen[window.stretch][window.start : window.end] += 1
        assert (seen[1] == 1).all()
        assert (seen[3] == 1).all()
        assert seen[0].max() <= 2
        assert (seen[0] > 0).mean() > 0.75
    orders = [[sampler.place(e * 8 + i)[0].stretch for i in range(8)] for e in range(4)]
    assert len({tuple(order) for order in orders}) > 1


def test_no_part_of_a_long_stretch_is_seen_much_less_than_others():
    length, window, epochs = 20_000, 6_912, 600
    sampler = MaskedSampler([bases(length)], window, seed=7)
    seen = np.zeros(length + 1)
    for number in range(epochs * sampler.windows):
        (_, start, end), _ = sampler.place(number)
        seen[start] += 1
        seen[end] -= 1
    times = np.cumsum(seen)[:-1] / epochs
    assert times.min() > 0.4  # an end, of half of the windows beside it
    assert times.max() < 1.7
    assert abs(times[length // 2] - 1) < 0.15


def test_an_epochs_order_is_made_once(monkeypatch):
    sampler = MaskedSampler([bases(2_000)] * 5, 300, seed=7)
    places = [sampler.place(number) for number in range(2 * sampler.windows)]
    made, order = [], sampler._order
    monkeypatch.setattr(sampler, "_order", lambda epoch: made.append(epoch) or order(epoch))
    assert [sampler.place(number) for number in range(2 * sampler.windows)] == places
    assert made == [0, 1]


def test_draws_are_a_function_of_seed_and_number():
    sequences = [bases(2_000)]
    one, other = (MaskedSampler(sequences, 300, seed=7) for _ in range(2))
    other.draw(3, 5)
    for row, again in zip(one.draw(5, 4), other.draw(5, 4), strict=True):
        assert (row.tokens == again.tokens).all()
        assert (row.targets == again.targets).all()
    different = MaskedSampler(sequences, 300, seed=8).draw(5, 4)
    assert any(
        (a.targets != b.targets).any() for a, b in zip(one.draw(5, 4), different, strict=True)
    )


def test_stretches_lie_between_long_gaps():
    codes = bases(5_000)
    codes[1_000:1_500] = N
    codes[2_000:2_400] = N  # too short to part
    codes[2_960:4_000] = N
    codes[4_000 + LEAST_BASES - 1 :] = N
    found = stretches("chr1", codes, offset=70)
    assert [(each.record, each.start, len(each.codes)) for each in found] == [
        ("chr1", 70, 1_000),
        ("chr1", 1_570, 1_460),
    ]
    for each in found:
        assert (each.codes == codes[each.start - 70 :][: len(each.codes)]).all()
    assert stretches("chr1", np.full(9_000, N, np.uint8)) == []
    assert stretches("chr1", bases(LEAST_BASES - 1)) == []


def named(*lengths):
    return [Stretch(f"r{i}", 0, bases(n, i)) for i, n in enumerate(lengths)]


def test_whole_records_are_held_out():
    found = named(*[500] * 40)
    train, held_out = hold_out(found, 0.1)
    assert len(held_out) == 4
    assert {s.record for s in train} | {s.record for s in held_out} == {s.record for s in found}
    assert not {s.record for s in train} & {s.record for s in held_out}
    again = hold_out(found, 0.1)[1]
    assert [s.record for s in again] == [s.record for s in held_out]


def test_the_end_of_the_longest_stretch_is_held_out_where_records_are_few():
    (one,) = named(10_000)
    (train,), (held_out,) = hold_out([one], 0.1)
    assert (train.start, len(train.codes)) == (0, 9_000)
    assert (held_out.start, len(held_out.codes)) == (9_000, 1_000)
    assert (np.concatenate((train.codes, held_out.codes)) == one.codes).all()
    train, held_out = hold_out(named(4_000, 6_000), 0.1)
    assert [(s.record, s.start, len(s.codes)) for s in held_out] == [("r1", 5_000, 1_000)]
    assert sum(len(s.codes) for s in train) == 9_000


def test_organelles_alone_are_not_what_is_held_out():
    found = named(30_000, 20_000, 400, 150)
    train, held_out = hold_out(found, 0.1)
    assert {(s.record, s.start) for s in held_out} == {("r0", 25_495), ("r2", 0), ("r3", 0)}
    assert sum(len(s.codes) for s in held_out) == 5_055
    assert sum(len(s.codes) for s in (*train, *held_out)) == 50_550


def test_tiles_lie_side_by_side():
    sequences = [bases(1_000), bases(250)]
    found = tiles(sequences, 300, 10_000)
    assert [(w.stretch, w.start, w.end) for w in found] == [
        (0, 0, 300), (0, 300, 600), (0, 600, 900), (0, 900, 1_000), (1, 0, 250),
    ]  # fmt: skip
    fewer = tiles([bases(100_000)], 300, 10_000)
    assert 8_000 < sum(w.end - w.start for w in fewer) < 12_000
