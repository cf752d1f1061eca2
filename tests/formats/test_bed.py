from __future__ import annotations

import gzip

import pytest

from dnaannot.dna.interval import Interval
from dnaannot.errors import InputFormatError
from dnaannot.formats.bed import read_bed

TEXT = (
    b'# a comment\ntrack name="x"\nbrowser position chr1:1-2\nchrom\tstart\tend\n'
    b"chr1\t0\t10\r\n\nchr2\t5\t9\tpeak 1\t0\t+\nchr3 7 8\nchr1\t0\t4\t.\n"
)
INTERVALS = [
    Interval("chr1", 0, 10, "", 5),
    Interval("chr2", 5, 9, "peak 1", 7),
    Interval("chr3", 7, 8, "", 8),
    Interval("chr1", 0, 4, "", 9),
]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_reads_intervals_in_order(tmp_path, compress):
    path = tmp_path / "a.bed"
    path.write_bytes(compress(TEXT))
    assert read_bed(path) == INTERVALS


BAD_FILES = {
    "empty": (b"", None, "empty"),
    "comments only": (b"# x\n", None, "no intervals"),
    "two columns": (b"chr1\t0\t9\nchr1\t5\n", 2, "2 columns"),
    "reversed": (b"chr1\t9\t5\n", 1, "not beyond"),
    "of length 0": (b"chr1\t9\t9\n", 1, "not beyond"),
    "negative": (b"chr1\t-1\t5\n", 1, "below 0"),
    "words": (b"chr1\t1\t5\nchr1\ta\t5\n", 2, "not both integers"),
    "names twice": (b"chrom\tstart\tend\nchrom\tstart\tend\n", 2, "not both integers"),
    "binary": (b"\x00\x01\x02\x03", None, "not text"),
    "BAM": (gzip.compress(b"BAM\x01\0\0"), None, "a BAM file"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files(tmp_path, kind):
    content, line, message = BAD_FILES[kind]
    path = tmp_path / "a.bed"
    path.write_bytes(content)
    with pytest.raises(InputFormatError, match=message) as caught:
        read_bed(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.line == line
