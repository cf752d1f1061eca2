from __future__ import annotations

import pytest

from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError, InputFormatError
from dnaannot.formats.regions import parse_region, read_regions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("chr2L:9,000,001-13,000,000", Interval("chr2L", 9_000_000, 13_000_000)),
        ("HLA:A*01:1-5", Interval("HLA:A*01", 0, 5)),
        ("chr4", Interval("chr4", 0, 2**62)),
        ("chr4:1,000", Interval("chr4", 999, 2**62)),
        ("chr4:1,000-", Interval("chr4", 999, 2**62)),
    ],
)
def test_regions_are_written_as_in_samtools(text, expected):
    assert parse_region(text) == expected


@pytest.mark.parametrize(
    "text", ["", "chr1:", "chr1:-5", "chr1:0", "chr1:0-5", "chr1:9-5", "chr1:a-b"]
)
def test_what_is_no_region_is_refused(text):
    with pytest.raises(DataError):
        parse_region(text)


def test_a_name_that_is_known_may_hold_colons():
    names = {"HLA-A*01:01", "chr1:5", "HLA:A"}
    for name in names:
        assert parse_region(name, names) == Interval(name, 0, 2**62)
        assert parse_region(f"{name}:3-9", names) == Interval(name, 2, 9)
    assert parse_region("HLA-A*02:01", names) == Interval("HLA-A*02", 0, 2**62)
    with pytest.raises(DataError, match="'HLA:B' is not a region"):
        parse_region("HLA:B", names)


def test_a_file_goes_before_a_region_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_regions("chr4:11-20") == [Interval("chr4", 10, 20)]
    (tmp_path / "chr4:11-20").write_text("a\t0\t5\nb\t2\t3\n")
    assert [region[:3] for region in read_regions("chr4:11-20")] == [("a", 0, 5), ("b", 2, 3)]
    assert read_regions("chr4:11-20", {"chr4:11-20"}) == [Interval("chr4:11-20", 0, 2**62)]
    (tmp_path / "chr4").mkdir()
    assert read_regions("chr4") == [Interval("chr4", 0, 2**62)]


@pytest.mark.parametrize("path", ["loci.bed", "loci.bed.gz", "folder/loci.txt"])
def test_what_looks_like_a_path_is_one(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputFormatError, match="no such file"):
        read_regions(path)
