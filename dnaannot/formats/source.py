"""Inputs as streams of bytes or lines: plain, gzip or bgzip, from a file or standard input."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from dnaannot.errors import InputFormatError

STDIN = "-"

_CHUNK = 1 << 22
_GZIP_CHUNK = 1 << 17
_GZIP_MAGIC = b"\x1f\x8b"
_BGZIP_MAGIC = b"\x1f\x8b\x08\x04"
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")

_UTF8_MARK, _UTF16_MARKS = b"\xef\xbb\xbf", (b"\xff\xfe", b"\xfe\xff")

BIGWIG_MAGIC = (b"\x26\xfc\x8f\x88", b"\x88\x8f\xfc\x26")
"""What a bigWig begins with, by byte order."""

_KINDS = (
    (b"BAM\x01", "a BAM file"),
    (b"CRAM", "a CRAM file"),
    (b"BCF\x02", "a BCF file"),
    (b"TBI\x01", "a tabix index"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a PNG picture"),
    (b"PK\x03\x04", "a zip archive or an office document"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
    (b"\x43\x27\x41\x1a", "a 2bit file"),
    (b"\x1a\x41\x27\x43", "a 2bit file"),
    *((magic, "a bigWig file") for magic in BIGWIG_MAGIC),
    (b"\xeb\xf2\x89\x87", "a bigBed file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x7fELF", "a program"),
    *((mark, "text in UTF-16") for mark in _UTF16_MARKS),
    (b"##fileformat=VCF", "a VCF file"),
    (b"##gff", "a GFF file"),
    (b"@HD\t", "a SAM file"),
    (b"@SQ\t", "a SAM file"),
    (b"LOCUS ", "a GenBank file"),
    (b"ID   ", "an EMBL file"),
    (b"{", "a JSON file"),
)


COMMENT = r"#|(?:track|browser)(?!\S)"
"""How a line begins that says nothing of the data; a sequence may be called track1."""
_COMMENT = re.compile(COMMENT)


def display_name(path: str | Path) -> str:
    """How messages call `path`."""
    return "standard input" if os.fspath(path) == STDIN else os.fspath(path)


def read_chunks(path: str | Path) -> Iterator[bytes]:
    """Yield the decompressed bytes of `path` in chunks, none of them empty.

    Compression is told by the first bytes, not by the name; the mark that some programs put
    before UTF-8 is left out.

    Args:
        path: a file, or `-` for standard input.

    Raises:
        InputFormatError: the file is missing, a folder, unreadable, empty or in UTF-16, or its
            compressed data are damaged or cut short.
    """
    name = display_name(path)
    if os.fspath(path) == STDIN:
        yield from _unmarked(_decompressed(sys.stdin.buffer, name), name)
        return
    try:
        with open(path, "rb") as stream:
            if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                _check_bgzip_end(stream, name)
            yield from _unmarked(_decompressed(stream, name), name)
    except OSError as error:
        raise _unreadable(name, error) from error


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (1-based line number, line without its end) of a text file, as `read_chunks` reads it.

    Raises:
        InputFormatError: as `read_chunks`; or the file is binary.
    """
    number, rest = 0, b""
    for index, chunk in enumerate(read_chunks(path)):
        if index == 0 and not looks_like_text(chunk):
            kind = kind_of(chunk) or "a binary file"
            raise InputFormatError(
                f"This is {kind}, not text.",
                path=display_name(path),
                remedy="Give text, plain or compressed with gzip or bgzip.",
            )
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            yield number, line.rstrip(b"\r").decode("utf-8", "replace")
    if rest:
        yield number + 1, rest.rstrip(b"\r").decode("utf-8", "replace")


def is_comment(line: str) -> bool:
    """Whether a line of BED or a table is a comment, or tells a genome browser how to draw."""
    return _COMMENT.match(line) is not None


def is_stream(path: str | Path) -> bool:
    """Whether a path is standard input, a pipe or the like, which can be read only once."""
    path = Path(path)
    return os.fspath(path) == STDIN or (path.exists() and not path.is_file() and not path.is_dir())


def refuse_stream(path: str | Path) -> None:
    """Refuse what can be read only once.

    Raises:
        InputFormatError: it is standard input or a pipe.
    """
    if is_stream(path):
        raise InputFormatError(
            "This can be read only once, and is needed twice.",
            path=display_name(path),
            remedy="Write it to a file, and give that.",
        )


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def kind_of(head: bytes) -> str | None:
    """What a file that begins with `head` is ("a BAM file"), None where that is not known."""
    for magic, kind in _KINDS:
        if head.startswith(magic):
            return kind
    if head[:200].lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "a web page"
    return None if looks_like_text(head) else "a binary file"


def looks_like_text(head: bytes) -> bool:
    """Whether the first bytes of a file hold no control characters but white space."""
    controls = bytes(set(range(32)) - set(b"\t\n\r\f\v"))
    sample = head[:4096]
    return len(sample.translate(None, controls)) == len(sample)


def _unmarked(chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The chunks of a file without a byte order mark at its begin."""
    first = next(chunks, b"")
    if first.startswith(_UTF16_MARKS):
        raise InputFormatError(
            "This is text in UTF-16, which Windows programs write.",
            path=name,
            remedy="Save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8 OLD > NEW",
        )
    text = first.removeprefix(_UTF8_MARK)
    if not text:
        raise InputFormatError("The file is empty.", path=name)
    yield text
    yield from chunks


def _decompressed(stream: BinaryIO, name: str) -> Iterator[bytes]:
    head = stream.read(4)
    if head.startswith(_GZIP_MAGIC):
        yield from _gunzip(_chunks(head, stream, _GZIP_CHUNK), name)
    elif head:
        yield from _chunks(head, stream, _CHUNK)


def _chunks(head: bytes, stream: BinaryIO, size: int) -> Iterator[bytes]:
    yield head + stream.read(size - len(head))
    while chunk := stream.read(size):
        yield chunk


def _gunzip(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Decompress the concatenated gzip members in `chunks`."""
    member, in_member = zlib.decompressobj(wbits=31), False
    try:
        for chunk in chunks:
            pieces = []
            while chunk:
                if not in_member and not (chunk := chunk.lstrip(b"\0")):
                    break  # zero padding after a member
                pieces.append(member.decompress(chunk))
                chunk, in_member = member.unused_data, not member.eof
                if member.eof:
                    member = zlib.decompressobj(wbits=31)
            if data := b"".join(pieces):
                yield data
    except zlib.error as error:
        raise InputFormatError(
            f"The compressed data are damaged ({error}).",
            path=name,
            remedy="Copy or download the file again.",
        ) from error
    if in_member:
        raise _cut_short(name)


def _check_bgzip_end(stream: BinaryIO, name: str) -> None:
    """Find at once what a truncated bgzip file lacks: its closing block."""
    if stream.read(len(_BGZIP_MAGIC)) == _BGZIP_MAGIC and stream.read(12)[8:10] == b"BC":
        stream.seek(-len(_BGZIP_END), os.SEEK_END)
        if stream.read() != _BGZIP_END:
            raise _cut_short(name)
    stream.seek(0)


def _cut_short(name: str) -> InputFormatError:
    return InputFormatError(
        "The compressed file is cut short.",
        path=name,
        remedy="Copy or download it again.",
    )


def _unreadable(name: str, error: OSError) -> InputFormatError:
    if isinstance(error, FileNotFoundError):
        problem, remedy = "There is no such file.", "Check the path."
    elif isinstance(error, IsADirectoryError):
        problem, remedy = "This is a folder.", "Give a file in it."
    elif isinstance(error, PermissionError):
        problem, remedy = "You may not read this file.", "Change its permissions."
    else:
        problem, remedy = f"The file cannot be read: {error.strerror or error}.", None
    return InputFormatError(problem, path=name, remedy=remedy)
