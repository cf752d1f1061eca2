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
    (validation,), (excluded,) = told.validation, told.excluded
    assert [region[:3] for region in validation] == [("a.bed", 0, 2**62), ("b:1:02", 0, 2**62)]
    assert excluded[:2] == [Interval("b:1:02", *x) for x in ((1, 3, "", 1), (3, 4, "", 2))]
    assert excluded[2:] == [Interval("b:1:02", 3, 2**62)]
    hashes: dict[str, str] = {}
    told.add_hashes(hashes)
    assert list(hashes) == ["c.bed"]
    with pytest.raises(DataError, match="no genome has the sequence 'x'"):
        read_told_regions(["x:1-2"], [], ["g.fa"])


def test_no_genome_is_read_for_no_region():
    assert read_told_regions([], [], ["nowhere.fa"]) == ([[]], [[]], [])


def test_a_genome_is_said_where_several_have_the_sequence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, only in (("a.fa", "x"), ("b.fa", "y"), ("c.fa", "z")):
        (tmp_path / name).write_text(f">chr1\nACGT\n>{only}\nACGT\n")
    (tmp_path / "of.bed").write_text("chr1\t1\t3\ny\t0\t4\n")
    genomes = ["a.fa", "b.fa", "c.fa"]
    told = read_told_regions(["b.fa=chr1:2-3", "z"], ["y:2", "b.fa=of.bed"], genomes)
    assert told.validation == [[], [Interval("chr1", 1, 3)], [Interval("z", 0, 2**62)]]
    assert [[region[:3] for region in each] for each in told.excluded] == [
        [],
        [("y", 1, 2**62), ("chr1", 1, 3), ("y", 0, 4)],
        [],
    ]
    assert [path.name for path in told.files] == ["of.bed"]
    for text, line in (("chr1:1-2", None), ("of.bed", 1)):
        with pytest.raises(
            DataError, match="'chr1' is a sequence of 'a.fa', 'b.fa', 'c.fa'"
        ) as caught:
            read_told_regions([text], [], genomes)
        assert caught.value.line == line
        assert f"a.fa={text}" in caught.value.remedy
    with pytest.raises(DataError, match="'a.fa' has no sequence 'y'"):
        read_told_regions(["a.fa=y"], [], genomes)


def test_a_genome_is_said_by_its_path_or_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    genomes = []
    for folder, name in (("one", "a.fa"), ("two", "a.fa"), ("one", "b=c.fa.gz")):
        (tmp_path / folder).mkdir(exist_ok=True)
        genomes.append(f"{folder}/{name}")
        (tmp_path / folder / name).write_text(">chr1\nACGT\n")

    def numbers(text):
        told = read_told_regions([text], [], genomes)
        return [number for number, regions in enumerate(told.validation) if regions]

    assert numbers("two/a.fa=chr1:1-2") == [1]
    assert numbers(f"{tmp_path}/one/a.fa=chr1") == numbers("./one/../one/a.fa=chr1") == [0]
    assert numbers("one/b=c.fa.gz=chr1") == [2]
    with pytest.raises(
        DataError, match="'a.fa' is the name of several genomes: 'one/a.fa', 'two/a.fa'"
    ):
        numbers("a.fa=chr1")
    with pytest.raises(DataError, match="'x.fa' is none of the genomes") as caught:
        numbers("x.fa=chr1:2-3")
    assert "one/a.fa=chr1:2-3" in caught.value.remedy


def test_a_genome_given_twice_has_its_regions_twice(tmp_path):
    genome = tmp_path / "g.fa"
    genome.write_text(">chr1\nACGT\n")
    told = read_told_regions(["chr1:1-2"], ["g.fa=chr1:4"], [genome, genome])
    assert told.validation == 2 * [[Interval("chr1", 0, 2)]]
    assert told.excluded == 2 * [[Interval("chr1", 3, 2**62)]]


def test_parts_of_one_genome_are_told_together(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.fa").write_text(f">{name}=1\nACGT\n>both\nACGT\n")
    files = [tmp_path / "a.fa", tmp_path / "b.fa"]
    told = read_told_regions(["b=1:2-3", "both"], [], files, are_one=True)
    assert told.validation == [[Interval("b=1", 1, 3), Interval("both", 0, 2**62)]]
    assert told.excluded == [[]]
