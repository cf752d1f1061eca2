from __future__ import annotations

import numpy as np
import pytest

from dnaannot.errors import InputFormatError
from dnaannot.formats import bigwig_reader
from dnaannot.formats.bigwig import Block, write_bigwig
from dnaannot.formats.bigwig_reader import BigWig

LENGTH = 1003


@pytest.fixture
def track(tmp_path):
    """A file with values on part of one sequence, and those values."""
    values = np.random.default_rng(4).normal(size=LENGTH).astype(np.float32)
    values[100:350] = np.nan
    path = tmp_path / "x.bw"
    write_bigwig(path, {"one": 50, "two": LENGTH}, [Block("two", 0, values)])
    return path, values


@pytest.mark.parametrize("stretch", [64, 1 << 20])
def test_values_come_back_by_base_and_bin(track, monkeypatch, stretch):
    monkeypatch.setattr(bigwig_reader, "_STRETCH", stretch)
    path, values = track
    with BigWig(path) as opened:
        assert opened.sizes == {"one": 50, "two": LENGTH}
        assert opened.has_values("two")
        assert not opened.has_values("one")
        np.testing.assert_array_equal(opened.values("two", 90, 400), values[90:400])
        assert np.isnan(opened.means("one", 16)).all()
        means, filled = opened.means("two", 32), opened.means("two", 32, missing=0)
    for index, start in enumerate(range(0, LENGTH, 32)):
        piece = values[start : start + 32]
        known = piece[~np.isnan(piece)]
        assert filled[index] == pytest.approx(known.sum() / len(piece), abs=1e-6)
        if len(known):
            assert means[index] == pytest.approx(known.mean(), abs=1e-6)
        else:
            assert np.isnan(means[index])
    assert len(means) == len(filled) == 32


@pytest.mark.parametrize("stretch", [64, 1 << 20])
def test_means_of_windows_in_any_order_equal_those_one_by_one(track, monkeypatch, stretch):
    monkeypatch.setattr(bigwig_reader, "_STRETCH", stretch)
    path, values = track
    starts = np.random.default_rng(5).integers(0, LENGTH - 1, 60)
    ends = np.minimum(starts + np.random.default_rng(6).integers(1, 200, 60), LENGTH)
    with BigWig(path) as opened:
        means = opened.window_means("two", starts, ends)
    for mean, start, end in zip(means, starts, ends, strict=True):
        known = values[start:end][~np.isnan(values[start:end])]
        if len(known):
            assert mean == pytest.approx(known.mean(), abs=1e-6)
        else:
            assert np.isnan(mean)


def test_a_stretch_outside_is_a_mistake_of_the_caller(track):
    with BigWig(track[0]) as opened:
        for sequence, start, end in (("two", 0, LENGTH + 1), ("three", 0, 1), ("two", -1, 5)):
            with pytest.raises(ValueError, match="not within"):
                opened.values(sequence, start, end)


def test_what_is_no_bigwig_is_refused(tmp_path, track):
    bed = tmp_path / "x.bed"
    bed.write_text("chr1\t1\t2\n")
    with pytest.raises(InputFormatError, match="This is text, not a bigWig"):
        BigWig(bed)
    with pytest.raises(InputFormatError, match="No such file"):
        BigWig(tmp_path / "absent.bw")
    cut = tmp_path / "cut.bw"
    cut.write_bytes(track[0].read_bytes()[:40])
    with pytest.raises(InputFormatError, match="damaged"):
        BigWig(cut)
