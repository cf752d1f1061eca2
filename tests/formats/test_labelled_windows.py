from __future__ import annotations

import pytest

from dnaannot.errors import InputFormatError
from dnaannot.formats.labelled_windows import read_windows

EMP = (
    "chrom\tstart\tend\tstrand\tmismatches\tn_hits\tH3\tH4ac\tsequence\n"
    "chrI\t10\t510\t+\t0\t1\t.\t0:test\tACGT\n"
    "chrI\t20\t520\t-\t0\t2\t1:dev\t.\tACGT\n"
    "chrII\t5\t505\t+\t1\t1\t0:train\t1:train\tACGT\n"
)
BEND = (
    "chromosome\tstart\tend\tlabel\tsplit\n"
    "chr1\t0\t512\t0,2\ttrain\n"
    "chr1\t512\t1024\t\ttest\n"
    "chr2\t0\t512\t1\ttrain\n"
)


@pytest.fixture
def table(tmp_path):
    """A function that writes a table and returns its path."""

    def write(text: str):
        path = tmp_path / "windows.tsv"
        path.write_text(text)
        return path

    return write


def test_columns_of_labels_with_their_origin(table):
    read = read_windows(table(EMP))
    assert read.names == ("H3", "H4ac")
    assert read.of["chrI"].spans.tolist() == [[10, 510], [20, 520]]
    assert read.of["chrI"].labels.tolist() == [[-1, 0], [1, -1]]
    assert read.of["chrII"].labels.tolist() == [[0, 1]]


def test_columns_and_lines_can_be_chosen(table):
    read = read_windows(table(EMP), columns=["H4ac"], keep={"n_hits": "1", "mismatches": "0"})
    assert read.names == ("H4ac",)
    assert {name: each.labels.tolist() for name, each in read.of.items()} == {"chrI": [[0]]}
    with pytest.raises(InputFormatError, match=r"line 1: There is no column 'H5'; the columns"):
        read_windows(table(EMP), columns=["H5"])
    with pytest.raises(InputFormatError, match="No line has n_hits=9"):
        read_windows(table(EMP), keep={"n_hits": "9"})


def test_numbers_and_names_as_other_programs_write_them(table):
    """Of pandas, 0 and 1 where some are not known; of bedtools, six columns of BED."""
    text = (
        "chrom\tstart\tend\tname\tscore\tstrand\tH3\tH4\tempty\tcount\tnote\n"
        "chr1\t0\t9\t.\t0\t.\t1.0\t0\t.\t2\t1\n"
        "chr1\t9\t20\t.\t0\t.\t0.0\t1\t\t1\tx\n"
        "chr1\t20\t30\t.\t0\t.\t\t1\t.\t0\t0\n"
    )
    path = table(text)
    read = read_windows(path)
    assert read.names == ("H3", "H4")
    assert read.of["chr1"].labels.tolist() == [[1, 0], [0, 1], [-1, 1]]
    assert read.notes == (
        f"{path}: columns without labels are passed over: 'empty', 'count', 'note'.",
    )
    assert read_windows(table(BEND), keep={"split": "train"}).notes == ()


def test_lists_of_label_numbers(table):
    read = read_windows(table(BEND))
    assert read.names == ("0", "1", "2")
    assert read.of["chr1"].labels.tolist() == [[1, 0, 1], [0, 0, 0]]
    assert read.of["chr2"].labels.tolist() == [[0, 1, 0]]
    named = read_windows(table(BEND), names=["a", "b", "c", "d"], keep={"split": "train"})
    assert named.names == ("a", "b", "c", "d")
    assert named.of["chr1"].labels.tolist() == [[1, 0, 1, 0]]
    with pytest.raises(InputFormatError, match="Label 2 has no name: 2 names for 3 labels"):
        read_windows(table(BEND), names=["a", "b"])
    some = read_windows(table(BEND), columns=["2", "0"], names=["a", "b", "c"])
    assert some.names == ("c", "a")
    assert some.of["chr1"].labels.tolist() == [[1, 1], [0, 0]]
    for name in ("3", "x"):
        with pytest.raises(InputFormatError, match=f"no label '{name}'; the labels are 0 to 2"):
            read_windows(table(BEND), columns=[name])


@pytest.mark.parametrize(
    ("text", "columns", "message"),
    [
        (EMP + "chrI\t10\n", None, "line 5: The line has 2 columns, its header 9"),
        (EMP.replace("\t510", "\t5"), None, "line 2: The end, 5, is not beyond"),
        (EMP.replace("chrII\t5\t", "chrII\tx\t"), None, "line 4: Start 'x' and end '505'"),
        (EMP.replace("0:test", "yes"), ["H4ac"], "line 2: 'yes' is no label"),
        (BEND.replace("0,2", "0,b"), None, "line 2: '0,b' is no list of label numbers"),
        ("chr1\t0\t512\t1\n", None, "line 1: There is no column 'chrom'"),
        ("chrom\tstart\tend\tname\nchr1\t0\t512\tx\n", None, "No column holds labels"),
    ],
)
def test_faults_are_named_with_their_line(table, text, columns, message):
    with pytest.raises(InputFormatError, match=message):
        read_windows(table(text), columns)
