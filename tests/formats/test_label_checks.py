from __future__ import annotations

import numpy as np
import pytest

from dnaannot.dna.sequence import encode
from dnaannot.errors import DataError
from dnaannot.formats.label_checks import (
    at_cpgs,
    check_counts,
    check_cpg_share,
    check_names,
    check_sizes,
    check_within,
)
from dnaannot.formats.peaks import read_peaks

SIZES = {"chr1": 100, "chr2": 50}


def test_names_that_the_genome_lacks_are_told_and_none_at_all_refused():
    assert check_names(["chr2", "chrM", "chr2", "chrU"], SIZES, "x.bed") == ["chrM", "chrU"]
    with pytest.raises(DataError, match=r"x\.bed: None of .* '1', '2' here, 'chr1', .*'chr'"):
        check_names(["1", "2"], SIZES, "x.bed")
    with pytest.raises(DataError, match="Give the genome that the file was made on"):
        check_names(["scaffold_1"], SIZES, "x.bed")


def test_interval_beyond_the_end_is_refused_with_its_line(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("chr2\t1\t50\nchr9\t1\t5000\n")
    check_within(read_peaks(path), SIZES, path)
    path.write_text("# peaks\nchr2\t1\t50\nchr1\t90\t101\n")
    with pytest.raises(DataError, match=r"x\.bed, line 3: An interval ends at 101 of 'chr1'"):
        check_within(read_peaks(path), SIZES, path)


def test_track_of_another_assembly_is_refused():
    check_sizes({"chr1": 100, "chrM": 16}, SIZES, "x.bw")
    with pytest.raises(DataError, match="'chr2' has 49 bases here and 50 in the genome"):
        check_sizes({"chr1": 100, "chr2": 49}, SIZES, "x.bw")


def test_sites_are_cgs_where_the_letters_say():
    letters = "CGACGTNCG"
    positions = np.array([-1, 0, 1, 3, 7, 8, 90])
    expected = [letters[at : at + 2] == "CG" if 0 <= at < 8 else False for at in positions]
    assert at_cpgs(positions, encode(letters.encode())).tolist() == expected
    assert at_cpgs(np.array([0]), encode(b"")).tolist() == [False]


def test_methylation_of_another_assembly_is_refused():
    check_cpg_share(97, 100, "x.bed")
    check_cpg_share(0, 0, "x.bed")
    with pytest.raises(DataError, match=r"Only 4 of 100 sites \(4\.0 %\) are CGs"):
        check_cpg_share(4, 100, "x.bed")


def test_labels_without_positives_are_named():
    check_counts({"a": 3}, "positive in the training regions")
    with pytest.raises(DataError, match="'b', 'c' have no positive in the training regions"):
        check_counts({"a": 3, "b": 0, "c": 0}, "positive in the training regions")
