from __future__ import annotations

import pytest

from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError
from dnaannot.training.told_regions import read_told_regions


def test_names_go_before_files_and_files_are_hashed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "g.fa").write_text(">a.bed\nACGT\n>b:1:02\nACGT\n")
    for name in ("a.bed", "c.bed"):
        (tmp_path / name).write_text("b:1:02\t1\t3\nb:1:02\t3\t4\n")
    told = read_told_regions(["a.bed", "b:1:02"], ["c.bed", "b:1:02:4"], ["g.fa"])
    assert [region[:3] for region in told.validation] == [("a.bed", 0, 2**62), ("b:1:02", 0, 2**62)]
    assert told.excluded[:2] == [Interval("b:1:02", *x) for x in ((1, 3, "", 1), (3, 4, "", 2))]
    assert told.excluded[2:] == [Interval("b:1:02", 3, 2**62)]
    hashes: dict[str, str] = {}
    told.add_hashes(hashes)
    assert list(hashes) == ["c.bed"]
    with pytest.raises(DataError, match="no genome has the sequence 'x'"):
        read_told_regions(["x:1-2"], [], ["g.fa"])


def test_no_genome_is_read_for_no_region():
    assert read_told_regions([], [], ["nowhere.fa"]) == ([], [], [])
