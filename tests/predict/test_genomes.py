from __future__ import annotations

import pytest

from dnaannot.errors import DataError, InputFormatError
from dnaannot.predict.genomes import Genomes, is_organelle


@pytest.fixture
def paths(tmp_path):
    """Files that hold the sequences a, none and b, and c and b."""
    for name, text in {"x": ">a\nACGT\n>none\n>b\nAC\n", "y": ">c\nA\n\n>b\nGG\n"}.items():
        (tmp_path / f"{name}.fa").write_text(text)
    return [str(tmp_path / "x.fa"), str(tmp_path / "y.fa")]


def test_sequences_come_in_order_without_empty_ones(paths):
    empty = []
    genomes = Genomes(paths[:1], lambda *found: empty.append(found))
    assert genomes.survey()
    assert genomes.sizes == {"a": 4, "b": 2}
    assert [(name, len(codes)) for name, codes in genomes] == [("a", 4), ("b", 2)]
    assert empty == [(paths[0], "none")]


def test_a_name_in_two_files_is_refused_with_its_line(paths):
    with pytest.raises(InputFormatError, match=r"y.fa, line 4.*'b'.*x.fa"):
        Genomes(paths).survey()
    with pytest.raises(InputFormatError, match=r"y.fa, line 4.*'b'.*x.fa"):
        list(Genomes(paths))


def test_a_file_is_given_once(paths):
    with pytest.raises(ValueError, match="twice"):
        Genomes([paths[0], paths[1], paths[0]])


def test_sequences_are_left_out_by_name(paths):
    genomes = Genomes(paths[:1], excluded=["a", "none"])
    assert genomes.survey()
    assert genomes.sizes == {"b": 2}
    assert [name for name, _ in genomes] == ["b"]
    with pytest.raises(DataError, match="no sequence holds a base, but for those left out"):
        list(Genomes(paths[:1], excluded=["a", "b"]))
    with pytest.raises(DataError, match="no sequence is named 'chrM'"):
        Genomes(paths[:1], excluded=["chrM"]).survey()
    with pytest.raises(DataError, match="no sequence is named 'chrM'"):  # a pipe has no survey
        list(Genomes(paths[:1], excluded=["chrM"]))


def test_organelles_are_known_by_name_and_size():
    names = ("chrM", "MT", "Pt", "chrC", "ChrM", "mitochondrion_genome", "chloroplast", "Mito")
    assert all(is_organelle(name, 154_478) for name in names)
    others = ("chr1", "M", "C", "MTB_1", "chrMT2x", "ptg000001l", "scaffold_12", "mt1")
    assert not any(is_organelle(name, 154_478) for name in others)
    assert not is_organelle("chrM", 50_000_000)
