from __future__ import annotations

import gzip

import pytest

from dnaannot.errors import InputFormatError
from dnaannot.formats.bed import read_bed
from dnaannot.formats.bedmethyl import read_bedmethyl
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation
from dnaannot.formats.label_files import LabelKind, label_kind
from dnaannot.formats.labelled_windows import read_windows

READERS = {
    ">chr1\nACGT\n": lambda path: [(r.name, r.codes.tolist()) for r in read_fasta(path)],
    "chr1\t1\t5\n": read_bed,
    "chr1\tx\tCDS\t1\t9\t.\t+\t0\tParent=a\n": lambda path: read_annotation(path).transcripts,
    "chr1\t9\t10\tm\t5\t+\t9\t10\t0,0,0\t5\t80\n": lambda path: str(read_bedmethyl(path)),
    "chrom\tstart\tend\tH3\nchr1\t0\t9\t1\n": lambda path: str(read_windows(path)),
}


@pytest.mark.parametrize("text", READERS)
@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_marks_of_byte_order(tmp_path, text, compress):
    path, read = tmp_path / "x", READERS[text]
    path.write_bytes(compress(text.encode()))
    expected = read(path)
    path.write_bytes(compress(text.encode("utf-8-sig")))
    assert read(path) == expected
    for encoding in ("utf-16-le", "utf-16-be"):
        path.write_bytes(compress(("\ufeff" + text).encode(encoding)))
        with pytest.raises(InputFormatError, match="text in UTF-16.*Save it as UTF-8"):
            read(path)
    path.write_bytes(compress("".encode("utf-8-sig")))
    with pytest.raises(InputFormatError, match="empty"):
        read(path)


COMMENTS = ("# text", "#a\t1\t2", "track", "track name=x", "track\tname=x", "browser hide all")
NAMES = ["tracking_1", "track1", "browser.2", "chr1"]
METHYLATED = "9\t10\tm\t5\t+\t9\t10\t0,0,0\t5\t80"
OF_SEQUENCES = {
    "9\t10": (lambda path: [each.sequence for each in read_bed(path)], LabelKind.PEAKS),
    METHYLATED: (lambda path: list(read_bedmethyl(path)), LabelKind.METHYLATION),
    "9\t10\t1": (lambda path: list(read_windows(path).of), LabelKind.WINDOWS),
}


@pytest.mark.parametrize("columns", OF_SEQUENCES)
def test_comments_are_passed_over_and_sequences_called_like_them_are_not(tmp_path, columns):
    path, (read, kind) = tmp_path / "x", OF_SEQUENCES[columns]
    head = ["#chrom\tstart\tend\tH3"] if kind is LabelKind.WINDOWS else []
    lines = [f"{name}\t{columns}" for name in NAMES]
    path.write_text("\n".join([*head, *lines]))
    assert (label_kind(path), read(path)) == (kind, NAMES)
    lines.insert(2, "\n".join(COMMENTS))
    path.write_text("\n".join([*COMMENTS[2:], *head, *COMMENTS, *lines]))
    assert (label_kind(path), read(path)) == (kind, NAMES)
