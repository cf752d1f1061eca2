from __future__ import annotations

import gzip
import io
import random
import sys

import numpy as np
import pysam
import pytest

from dnaannot.dna.sequence import decode, encode
from dnaannot.dna.transcript import Exon, Strand, Transcript
from dnaannot.errors import InputFormatError
from dnaannot.formats import source
from dnaannot.formats.fasta import protein, read_fasta, sequence_sizes, write_record

LETTERS = "ACGTNacgtnURYSWKMBDHVX"


def random_records(seed: int) -> dict[str, str]:
    rng = random.Random(seed)
    sizes = [0, 1, 59, 60, 61, 1000, 0, 12_345]
    return {f"s{i}": "".join(rng.choices(LETTERS, k=n)) for i, n in enumerate(sizes)}


def as_fasta(records: dict[str, str], width: int, end: str) -> bytes:
    stream = io.StringIO()
    for name, letters in records.items():
        stream.write(f">{name} the > one{end}")
        for start in range(0, len(letters), width):
            stream.write(letters[start : start + width] + end)
    return stream.getvalue().encode()


@pytest.mark.parametrize("chunk", [7, 64, 1 << 22])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [60, 100_000])
def test_reads_what_is_there_whatever_the_chunks_lines_and_case(
    tmp_path, monkeypatch, chunk, end, width
):
    monkeypatch.setattr(source, "_CHUNK", chunk)
    monkeypatch.setattr(source, "_GZIP_CHUNK", chunk)
    records = random_records(chunk)
    plain = as_fasta(records, width, end)
    (tmp_path / "plain").write_bytes(plain)
    (tmp_path / "gzip").write_bytes(gzip.compress(plain[:99]) + gzip.compress(plain[99:]))
    with pysam.BGZFile(str(tmp_path / "bgzip"), "w") as stream:
        stream.write(plain)
    for name in ("plain", "gzip", "bgzip"):
        found = list(read_fasta(tmp_path / name))
        assert [record.name for record in found] == list(records)
        assert {record.description for record in found} == {"the > one"}
        for record, letters in zip(found, records.values(), strict=True):
            np.testing.assert_array_equal(record.codes, encode(letters.encode()))
            assert plain.split(b"\n")[record.line - 1].startswith(f">{record.name} ".encode())
        sizes = {name: len(letters) for name, letters in records.items()}
        seen = {name: b"" for name, letters in records.items() if letters}

        def keep(sequence, codes, seen=seen):
            seen[sequence] += codes

        assert sequence_sizes(tmp_path / name, keep) == sizes
        assert seen == {name: encode(x.encode()).tobytes() for name, x in records.items() if x}


def test_reads_as_pysam_does(test_data):
    path = test_data / "yeast_chrII_120kb.fa.gz"
    with pysam.FastaFile(str(path)) as oracle:
        for record in read_fasta(path):
            assert decode(record.codes) == oracle.fetch(record.name).upper()
            assert len(record.codes) == oracle.get_reference_length(record.name)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input(monkeypatch, compress):
    stdin = io.TextIOWrapper(io.BytesIO(compress(b">a\nACGT\n")))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert [decode(record.codes) for record in read_fasta("-")] == ["ACGT"]


PROTEIN = b">p\nMKWVTFISLLFLFSSAYSRGVFRRDAHKSEVAHRFKDLGEENFKALVLIAFAQYLQQ\n"
BAD_FILES = {
    "empty": (b"", None, "empty"),
    "blank": (b"\n\n \n", None, "empty"),
    "empty gzip": (gzip.compress(b""), None, "empty"),
    "BAM": (gzip.compress(b"BAM\x01\0\0\0\0"), 1, "a BAM file"),
    "PDF": (b"%PDF-1.4\n%\xe2\xe3", 1, "a PDF"),
    "FASTQ": (b"@r1\nACGT\n+\nIIII\n", 1, "FASTQ"),
    "GFF": (b"##gff-version 3\n", 1, "a GFF file"),
    "BED": (b"chr1\t10\t20\n", 1, "a table"),
    "web page": (b"<!DOCTYPE html><html></html>", 1, "a web page"),
    "binary": (b"\x00\x01\x02\x03" * 99, 1, "a binary file"),
    "bare": (b"\nACGTACGT\n", 2, "no header"),
    "prose": (b"Hello\n", 1, "does not begin with '>'"),
    "protein": (PROTEIN, 2, "looks like protein"),
    "letter": (b">a\nACGT\nAC\nAC!T\n", 4, "'!' is not a base"),
    "alignment": (b">a\nAC-T\n", 2, "alignment's gaps"),
    "twice": (b">a x\nA\n>b\nC\n>a y\nG\n", 5, "'a' is that of line 1 too"),
    "nameless": (b">a\nA\n>\nC\n", 3, "no name"),
    "blank name": (b"> a\nA\n", 1, "no name"),
    "old Mac": (b">a\rACGT\r", 1, "carriage return"),
    "damaged": (gzip.compress(b">a\n" + b"ACGT" * 999)[:-8] + b"12345678", None, "damaged"),
    "garbled start": (b">a\0\0\nACGT\n", 1, "binary"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("reader", [lambda path: list(read_fasta(path)), sequence_sizes])
def test_bad_files(tmp_path, kind, reader):
    content, line, message = BAD_FILES[kind]
    path = tmp_path / "genome.fa"
    path.write_bytes(content)
    with pytest.raises(InputFormatError, match=message) as caught:
        reader(path)
    assert str(caught.value).startswith(str(path))
    assert caught.value.line == line


def test_cut_short(tmp_path):
    path = tmp_path / "genome.fa.gz"
    plain = b">a\n" + "".join(random.Random(0).choices("ACGT", k=200_000)).encode()
    path.write_bytes(gzip.compress(plain)[:-2000])
    with pytest.raises(InputFormatError, match="cut short"):
        list(read_fasta(path))


def test_a_bgzip_file_cut_between_blocks_is_refused_before_a_base_is_read(tmp_path):
    path = tmp_path / "genome.fa.gz"
    with pysam.BGZFile(str(path), "w") as stream:
        stream.write(b">a\n" + b"ACGT" * 50_000)
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(InputFormatError, match="cut short"):
        next(read_fasta(path))


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(InputFormatError, match="no such file"):
        list(read_fasta(tmp_path / "missing.fa"))
    with pytest.raises(InputFormatError, match="a folder"):
        list(read_fasta(tmp_path))


def test_records_are_read_one_at_a_time(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">a\nACGT\n>b\n" + b"ACGT\n" * (1 << 20) + b"!!!!\n")
    records = read_fasta(path)
    assert next(records).name == "a"
    with pytest.raises(InputFormatError, match=f"line {(1 << 20) + 4}"):
        next(records)


def test_codes_can_be_written_to(tmp_path):
    path = tmp_path / "genome.fa"
    path.write_bytes(b">a\nACGT\n")
    (record,) = read_fasta(path)
    record.codes[0] = 3
    assert decode(record.codes) == "TCGT"


def test_protein_of_codons_with_n():
    codes = encode(b"ATGGCNNNAGGNTGTTANTAA")
    whole = Transcript("s", Strand.PLUS, (Exon(0, len(codes), 0),))
    assert protein(whole, codes) == "MAXGCX"


def test_written_lines_hold_60_letters():
    stream = io.StringIO()
    write_record(stream, "a", "A" * 121, "b")
    assert stream.getvalue() == f">a b\n{'A' * 60}\n{'A' * 60}\nA\n"
