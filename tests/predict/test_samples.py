from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaannot.predict.samples import StreamSample, mostly_known, sample, spread_stretches

BASES = 10
SIZES = st.lists(st.integers(1, 120), min_size=1, max_size=12)


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
    half = np.array([4, 4, 0, 1], np.uint8)
    assert [len(codes) for codes in mostly_known([half, half[1:]])] == [3]


@given(SIZES, st.integers(1, 8))
def test_stretches_of_a_genome_are_evenly_spread(lengths, pieces):
    sizes = {f"s{i}": length for i, length in enumerate(lengths)}
    every = spread_stretches(sizes, pieces=1000, bases=BASES)
    covered = dict.fromkeys(sizes, 0)
    for name, start, end, *_ in every:
        assert start == covered[name]
        covered[name] = end
    assert all(0 <= sizes[name] - end <= BASES // 2 for name, end in covered.items())
    taken = spread_stretches(sizes, pieces, BASES)
    at = [every.index(each) for each in taken]
    step = at[0] + 1 if at else len(every)
    assert at == list(range(step - 1, len(every), step)) or not at
    assert sum(each.end - each.start for each in taken) <= pieces * BASES
    if step > 1 and at:
        more = every[step // 2 - 1 :: step // 2]
        assert sum(each.end - each.start for each in more) > pieces * BASES


@given(SIZES, st.integers(1, 8), st.integers(1, 50))
def test_a_stream_gives_the_same_stretches(lengths, pieces, chunk):
    random = np.random.default_rng(1)
    genome = {f"s{i}": random.integers(0, 5, n).astype(np.uint8) for i, n in enumerate(lengths)}
    stream = StreamSample(pieces, BASES)
    for name, codes in genome.items():
        for at in range(0, len(codes), chunk):
            stream.add(name, codes[at : at + chunk].tobytes())
    sizes = {name: len(codes) for name, codes in genome.items()}
    expected = [genome[x.sequence][x.start : x.end] for x in spread_stretches(sizes, pieces, BASES)]
    found = stream.stretches()
    assert [codes.tolist() for codes in found] == [codes.tolist() for codes in expected]
