"""Zoom levels as browsers read them, beside sums over the values themselves."""

from __future__ import annotations

import numpy as np
import pybigtools
import pyBigWig
import pytest

from dnaannot.formats.bigwig import open_bigwig

SIZES = {"a": 700_000, "b": 300_000, "empty": 50_000}


def random_sites(kind):
    random = np.random.default_rng(3)
    for name in ("a", "b"):
        if kind == "grid":
            starts = np.arange(0, SIZES[name], 128)
            ends = np.minimum(starts + 128, SIZES[name])
        else:
            starts = np.flatnonzero(random.random(SIZES[name] // 10) < 0.2) * 10
            ends = starts + 2
        yield name, starts, ends, random.random(len(starts), np.float32)


@pytest.fixture(params=["grid", "cpg"])
def written(request, tmp_path):
    path = str(tmp_path / "out.bw")
    per_base = {}
    with open_bigwig(path, SIZES) as track:
        for name, starts, ends, values in random_sites(request.param):
            track.add_sites(name, starts, ends, values)
            per_base[name] = np.full(SIZES[name], np.nan)
            for start, end, value in zip(starts, ends, values, strict=True):
                per_base[name][start:end] = value
    return path, per_base


def test_every_summary_of_every_level_is_right(written):
    path, per_base = written
    track = pybigtools.open(path)
    levels = track.zooms()
    assert len(levels) >= 2
    for level in levels:
        for name, values in per_base.items():
            records = list(track.zoom_records(level, name))
            assert len(records) > 1
            for start, end, summary in records:
                here = values[start:end][~np.isnan(values[start:end])]
                assert summary["bases_covered"] == len(here)
                assert summary["sum"] == pytest.approx(here.sum(), rel=1e-4)
                assert summary["sum_squares"] == pytest.approx((here**2).sum(), rel=1e-4)
                assert summary["min_val"] == pytest.approx(here.min())
                assert summary["max_val"] == pytest.approx(here.max())


def test_pybigwig_reads_them_too(written):
    path, per_base = written
    with pyBigWig.open(path) as track:
        assert track.stats("empty") == [None]
        for name, values in per_base.items():
            assert track.stats(name)[0] == pytest.approx(np.nanmean(values), rel=1e-3)
            assert track.stats(name, exact=True)[0] == pytest.approx(np.nanmean(values), rel=1e-4)
            thirds = [np.nanmean(part) for part in np.array_split(values, 3)]
            assert track.stats(name, nBins=3) == pytest.approx(thirds, rel=0.03)
            found = track.values(name, 0, len(values), numpy=True)
            np.testing.assert_array_equal(found, values.astype(np.float32))


@pytest.mark.parametrize("apart", [512, 100_000, 200_000_000])
def test_many_sequences_have_no_level_longer_than_they_are(tmp_path, apart):
    sizes = {f"c{n}": apart + 4_000 for n in range(40)}
    path = str(tmp_path / "out.bw")
    starts = np.arange(0, 4_000, 512) if apart == 512 else np.array([0, apart])
    values = np.linspace(0.1, 0.9, len(starts), dtype=np.float32)
    with open_bigwig(path, sizes) as track:
        for name in sizes:
            track.add_sites(name, starts, starts + 512, values)
    levels = pybigtools.open(path).zooms()
    assert 1 <= len(levels) <= 10
    assert all(level < 2**31 for level in levels)
    with pyBigWig.open(path) as track:
        assert len(track.intervals("c39")) == len(starts)
        assert track.stats("c7")[0] == pytest.approx(values.mean(), rel=1e-3)


def test_a_track_of_one_value(tmp_path):
    path = str(tmp_path / "out.bw")
    with open_bigwig(path, SIZES) as track:
        track.add_sites("b", np.array([7]), np.array([9]), np.array([0.5], np.float32))
    with pyBigWig.open(path) as track:
        assert track.intervals("b") == ((7, 9, 0.5),)
        assert track.stats("b", 0, 300_000) == [0.5]
