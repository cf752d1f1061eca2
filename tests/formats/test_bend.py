from __future__ import annotations

import h5py
import numpy as np
import pytest

from dnaannot.dna.nine_labels import ACCEPTOR, CDS, DONOR, INTRON, OTHER
from dnaannot.dna.sequence import decode, encode
from dnaannot.errors import DataError, InputFormatError
from dnaannot.formats.bend import BendRow, read_bend
from dnaannot.formats.bend_genome import check_assembly, read_bend_sequences
from dnaannot.formats.bend_labels import labels_beside, read_bend_labels, write_bend

SEQUENCE_TASK = (
    "chromosome\tstart\tend\tstrand\tname\tscore\tlabel\tsplit\n"
    "chr1\t2\t6\t+\ta\t0\t0,3\ttrain\n"
    "chr1\t2\t6\t-\tb\t0\t\tvalid\n"
    "chr2\t0\t4\t+\tc\t0\t1\ttest\n"
)


def write(path, text):
    path.write_text(text)
    return path


def test_rows_of_a_task_on_whole_sequences(tmp_path):
    rows = read_bend(write(tmp_path / "histone.bed", SEQUENCE_TASK))
    assert rows[0] == BendRow("chr1", 2, 6, "train", "+", (0, 3), 2)
    assert [row.split for row in rows] == ["train", "valid", "test"]
    assert [row.labels for row in rows] == [(0, 3), (), (1,)]


def test_a_table_without_names_has_strand_and_label_where_bend_looks_for_them(tmp_path):
    rows = read_bend(write(tmp_path / "x.bed", SEQUENCE_TASK.partition("\n")[2]))
    assert [row[:-1] for row in rows] == [
        row[:-1] for row in read_bend(write(tmp_path / "y.bed", SEQUENCE_TASK))
    ]


def test_split_is_found_by_name_or_as_the_last_column(tmp_path):
    text = "chromosome\tstart\tend\tsplit\tlabel\nchr1\t1\t2\ttrain\t1\n"
    (row,) = read_bend(write(tmp_path / "a.bed", text))
    assert (row.split, row.labels) == ("train", (1,))
    (row,) = read_bend(write(tmp_path / "b.bed", "chrom\tstart\tend\tpart\nchr1\t1\t2\tvalid\n"))
    assert (row.split, row.labels) == ("valid", None)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1\t9\t9\t+\ttrain", "line 2: From 9 to 9"),
        ("chr1\tx\t9\t+\ttrain", "not both integers"),
        ("chr1\t1\tinf\t+\ttrain", "not both integers"),
        ("chr1\tnan\t9\t+\ttrain", "not both integers"),
        ("chr1\t1.5\t9\t+\ttrain", "not both integers"),
        ("chr1\t1\t9\t*\ttrain", "strand is"),
        ("chr1\t1\t9\ttrain", "has 4 columns, not 5"),
    ],
)
def test_bad_rows_are_refused_by_line(tmp_path, row, message):
    path = write(tmp_path / "x.bed", f"chromosome\tstart\tend\tstrand\tsplit\n{row}\n")
    with pytest.raises(InputFormatError, match=message):
        read_bend(path)


def test_rows_are_read_on_the_plus_strand_whatever_chromosomes_are_called(tmp_path):
    genome = write(tmp_path / "g.fa", ">1 no chr\nAACCGGTTNA\n>2\nACGT\n")
    rows = [BendRow("chr1", 2, 6, ""), BendRow("1", 0, 3, "", "-"), BendRow("chr2", 0, 4, "")]
    assert [decode(each) for each in read_bend_sequences([genome], rows)] == ["CCGG", "AAC", "ACGT"]


def test_rows_that_the_genome_does_not_hold_are_refused(tmp_path):
    genome = write(tmp_path / "g.fa", ">chr1\nAACC\n")
    with pytest.raises(DataError, match="has 4 bases; line 7 .* ends at 5.*GRCh37"):
        read_bend_sequences([genome], [BendRow("chr1", 0, 5, "train", line=7)])
    with pytest.raises(DataError, match="no sequence 'chr2', which line 3"):
        read_bend_sequences([genome], [BendRow("chr2", 0, 5, "train", line=3)])


# --- labels base by base --------------------------------------------------------------------


ROWS = [BendRow("chr1", 0, 3, "train", line=2), BendRow("chr1", 5, 10, "test", line=3)]
LABELS = [np.array([0, 8, 4], np.uint8), np.array([8, 8, 1, 2, 3], np.uint8)]


@pytest.mark.parametrize("name", ["gene_finding.bed", "genes.v1.bed", "gene_finding.bed.gz"])
def test_what_is_written_is_read(tmp_path, name):
    beside = write_bend(tmp_path / name, ROWS, LABELS)
    assert labels_beside(tmp_path / name) == beside
    rows = read_bend(tmp_path / name)
    assert rows == ROWS
    for read, written in zip(read_bend_labels(beside, rows), LABELS, strict=True):
        assert read.dtype == np.uint8
        assert (read == written).all()


def test_labels_may_be_a_padded_matrix(tmp_path):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["labels"] = np.array([[0, 8, 4, -100, -100], [8, 8, 1, 2, 3]], np.int64)
    for read, written in zip(read_bend_labels(tmp_path / "x.hdf5", ROWS), LABELS, strict=True):
        assert (read == written).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[0, 8, 4, 8, 8]], "labels of 1 samples, the table has 2 rows"),
        ([[0, 8, 4], [8, 8, 8]], r"record 1 \(chr1:5-10, line 3 of the table\) has 3 labels for 5"),
        ([[0, 8, 4, 3, 8], [8, 8, 8, 8, 8]], "record 0 .* has 5 labels for 3"),
        ([[0, 9, 4, 8, 8], [8, 8, 8, 8, 8]], "labels other than 0 to 8"),
    ],
)
def test_labels_that_do_not_fit_the_table_are_refused(tmp_path, labels, message):
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        file["labels"] = np.array(labels)
    with pytest.raises(InputFormatError, match=message):
        read_bend_labels(tmp_path / "x.hdf5", ROWS)


def test_what_is_no_label_file_is_refused(tmp_path):
    with pytest.raises(InputFormatError, match="is no HDF5"):
        read_bend_labels(write(tmp_path / "x.hdf5", "text"), ROWS)
    with h5py.File(tmp_path / "y.hdf5", "w") as file:
        file["values"] = [1]
    with pytest.raises(InputFormatError, match="no dataset 'labels'"):
        read_bend_labels(tmp_path / "y.hdf5", ROWS)
    with pytest.raises(InputFormatError, match="has no labels beside it"):
        labels_beside(tmp_path / "gene_finding.bed")


# --- the assembly ---------------------------------------------------------------------------


def spliced(n_introns: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and codes of a gene with random exons and introns of its own."""
    random = np.random.default_rng(2)
    labels, codes = [], []
    for _ in range(n_introns):
        exon, inner = random.integers(0, 4, 30), random.integers(0, 4, 60)
        labels += [CDS] * 30 + [DONOR] + [INTRON] * 62 + [ACCEPTOR]
        codes += [*exon, *encode(b"GT"), *inner, *encode(b"AG")]
    return np.array([OTHER, *labels, OTHER], np.uint8), np.array([0, *codes, 0], np.uint8)


def test_splice_labels_tell_another_assembly_and_shifted_coordinates():
    labels, codes = spliced(20)
    assert check_assembly([labels], [codes], "g.fa") == (40, 40)
    other = np.random.default_rng(3).integers(0, 4, len(codes)).astype(np.uint8)
    with pytest.raises(DataError, match=r"g.fa: only \d+ of 40 .*GRCh38.*GRCh37"):
        check_assembly([labels], [other], "g.fa")
    with pytest.raises(DataError, match="one base further to the left.*count from 0"):
        check_assembly([labels], [np.roll(codes, -1)], "g.fa")


def test_few_splice_labels_prove_nothing():
    labels, _ = spliced(9)
    support = check_assembly([labels], [np.zeros_like(labels)], "g.fa")
    assert support == (18, 0)
