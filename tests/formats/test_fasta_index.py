from __future__ import annotations

import os

import numpy as np
import pysam
import pytest

from dnaannot.dna.interval import Interval
from dnaannot.errors import InputFormatError
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.fasta_index import IndexedFasta, indexed_sizes

TEXT = ">a one\nACGTacgt\nNNRy\n>empty\n>b\nGGGTTT\nAC\n>c\nT\n"


@pytest.fixture(params=["plain", "bgzip"])
def genome(request, tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)
    if request.param == "bgzip":
        pysam.tabix_compress(str(path), f"{path}.gz")
        path = tmp_path / "genome.fa.gz"
    pysam.faidx(str(path))
    return path


@pytest.mark.parametrize("wanted", [["a", "b", "c"], ["c"], ["b", "unknown"], []])
def test_sequences_are_those_of_the_whole_file(genome, wanted):
    every = {record.name: record.codes for record in read_fasta(genome)}
    sizes = indexed_sizes(genome)
    assert sizes == {name: len(codes) for name, codes in every.items() if len(codes)}
    found = dict(IndexedFasta(genome, sizes, wanted))
    assert list(found) == [name for name in every if name in wanted]
    for name, codes in found.items():
        np.testing.assert_array_equal(codes, every[name])


def test_stretches_are_read_alone(genome):
    every = {record.name: record.codes for record in read_fasta(genome)}
    stretches = [Interval("b", 2, 7), Interval("a", 0, 12), Interval("a", 8, 9)]
    found = IndexedFasta(genome, indexed_sizes(genome), []).read(stretches)
    for (name, start, end, *_), codes in zip(stretches, found, strict=True):
        np.testing.assert_array_equal(codes, every[name][start:end])


def test_an_index_that_cannot_be_used_is_none(tmp_path, genome):
    index = f"{genome}.fai"
    os.utime(index, (1, 1))
    assert indexed_sizes(genome) is None
    os.utime(index)
    assert indexed_sizes(genome)
    for text in ("", "a\n", "a\tx\n", "a\t1\t1\t1\t1\na\t1\t1\t1\t1\n"):
        (tmp_path / os.path.basename(index)).write_text(text)
        assert indexed_sizes(genome) is None
    os.unlink(index)
    assert indexed_sizes(genome) is None
    assert indexed_sizes(tmp_path / "missing.fa") is None


def test_a_wrong_index_is_noticed(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_text(TEXT)
    for row in ("a\t40\t7\t8\t9\n", "b\t12\t2\t8\t9\n"):
        (tmp_path / "genome.fa.fai").write_text(row)
        with pytest.raises(InputFormatError, match="do not fit together"):
            list(IndexedFasta(path, indexed_sizes(path), ["a", "b"]))
