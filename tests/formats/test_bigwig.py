from __future__ import annotations

import os
import shutil
from collections import namedtuple

import numpy as np
import pyBigWig
import pytest

from dnaannot.errors import OutputError
from dnaannot.formats.bigwig import Block, write_bigwig

SIZES = {"b": 50_003, "empty": 10, "a": 1003}


def test_values_come_back(tmp_path):
    values = np.random.default_rng(0).random(50_003, np.float32)
    values[500:600] = np.nan
    blocks = [Block("b", 0, values[:20_000]), Block("b", 20_000, values[20_000:])]
    coarse = np.arange(126, dtype=np.float32)
    path = tmp_path / "out.bw"
    write_bigwig(path, SIZES, [*blocks, Block("a", 0, coarse, step=8)])
    with pyBigWig.open(str(path)) as track:
        assert track.chroms() == SIZES
        found = track.values("b", 0, 50_003, numpy=True)
        np.testing.assert_array_equal(found, values)
        np.testing.assert_array_equal(
            track.values("a", 0, 1003, numpy=True), np.repeat(coarse, 8)[:1003]
        )
        assert track.header()["nLevels"] > 0
        assert track.header()["nBasesCovered"] == 50_003 - 100 + 1003
    assert os.listdir(tmp_path) == ["out.bw"]


def test_no_values(tmp_path):
    write_bigwig(tmp_path / "out.bw", SIZES, [])
    with pyBigWig.open(str(tmp_path / "out.bw")) as track:
        assert track.header()["nBasesCovered"] == 0


@pytest.mark.parametrize(
    "blocks",
    [
        [Block("a", 0, np.ones(9)), Block("b", 0, np.ones(9))],
        [Block("b", 9, np.ones(9)), Block("b", 17, np.ones(9))],
        [Block("b", -1, np.ones(9))],
        [Block("empty", 0, np.ones(11))],
        [Block("empty", 0, np.ones(3), 5)],
        [Block("unknown", 0, np.ones(1))],
    ],
)
def test_blocks_out_of_place_are_refused(tmp_path, blocks):
    with pytest.raises(ValueError, match="out of order|beyond|no sequence"):
        write_bigwig(tmp_path / "out.bw", SIZES, blocks)
    assert os.listdir(tmp_path) == []


def test_errors_of_the_blocks_are_not_blamed_on_the_output(tmp_path):
    def failing():
        yield Block("b", 0, np.ones(9))
        raise RuntimeError("no memory on the device")

    with pytest.raises(RuntimeError, match="on the device"):
        write_bigwig(tmp_path / "out.bw", SIZES, failing())
    assert os.listdir(tmp_path) == []


def test_full_disk_is_seen_before_pybigwig_meets_it(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1 << 40, 1 << 40, 1 << 20))
    with pytest.raises(OutputError, match="No space left"):
        write_bigwig(tmp_path / "out.bw", SIZES, [Block("b", 0, np.ones(9))])
    assert os.listdir(tmp_path) == []


def test_missing_folder(tmp_path):
    with pytest.raises(OutputError):
        write_bigwig(tmp_path / "missing" / "out.bw", SIZES, [])
