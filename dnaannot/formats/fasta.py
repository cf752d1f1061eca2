"""FASTA: sequences in, one at a time; proteins and coding sequences out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple, NoReturn

import numpy as np

from dnaannot.dna.sequence import N, decode, encode, translate
from dnaannot.dna.transcript import Transcript
from dnaannot.errors import InputFormatError
from dnaannot.formats.source import display_name, kind_of, read_chunks

_ILLEGAL = 255
_WHITE_SPACE = b" \t\r\n"
_IUPAC = b"ACGTUNRYSWKMBDHVX"  # X is a masked base
_PROTEIN_ONLY = b"EFILPQZJO*"
_MAX_HEADER = 1 << 20

OnCodes = Callable[[str, bytes], None]
"""Called with the name of a sequence and the codes that follow in it."""


def _translation_table() -> bytes:
    codes = np.full(256, _ILLEGAL, np.uint8)
    for letter in _IUPAC + _IUPAC.lower():
        codes[letter] = encode(bytes([letter]))[0]
    return codes.tobytes()


_CODE_OF_LETTER = _translation_table()


class Record(NamedTuple):
    """One sequence of a FASTA file.

    Attributes:
        name: first word of its header.
        description: the rest of its header.
        codes: (L,) uint8 base codes; L is 0 where the record holds no bases.
        line: 1-based line of its header.
    """

    name: str
    description: str
    codes: np.ndarray
    line: int = 0


class _Header(NamedTuple):
    name: str
    description: str
    line: int


def read_fasta(path: str | Path) -> Iterator[Record]:
    """Yield the sequences of a nucleotide FASTA file, holding one at a time in memory.

    The file may be plain, gzip or bgzip (told by content, not by name); `-` is standard input.
    Lower case, CRLF and lines of any length are fine; IUPAC letters and X are read as N.
    A record without bases is yielded with L = 0, for the caller to skip with a warning.

    Raises:
        InputFormatError: the file is missing, empty, damaged or not a nucleotide FASTA, or two
            sequences have one name. To find this before long work, see `sequence_sizes`.
    """
    header, codes = None, bytearray()
    for item in _parse(path):
        if isinstance(item, _Header):
            if header is not None:
                yield _record(header, codes)
            header, codes = item, bytearray()
        else:
            codes += item
    if header is not None:
        yield _record(header, codes)


def sequence_sizes(path: str | Path, on_codes: OnCodes = lambda *_: None) -> dict[str, int]:
    """Length of each sequence by name, in order, from a pass that checks the whole file.

    Args:
        on_codes: told of every sequence, part by part.

    Raises:
        InputFormatError: as `read_fasta` would.
    """
    sizes: dict[str, int] = {}
    name = ""
    for item in _parse(path):
        if isinstance(item, _Header):
            name = item.name
            sizes[name] = 0
        else:
            sizes[name] += len(item)
            on_codes(name, item)
    return sizes


def sequence_names(paths: Iterable[str | Path]) -> set[str]:
    """Names of the sequences of several files, empty ones too.

    Raises:
        InputFormatError: as `read_fasta` would.
    """
    return {name for path in paths for name in sequence_sizes(path)}


def codes_of(letters: bytes) -> np.ndarray | None:
    """Codes (L,) uint8 of bases as `read_fasta` reads them; None where a letter is no base."""
    codes = letters.translate(_CODE_OF_LETTER)
    found = np.frombuffer(codes, np.uint8)
    return None if (found == _ILLEGAL).any() else found


def coding_sequence(transcript: Transcript, codes: np.ndarray) -> np.ndarray:
    """Codes of its CDS from its first whole codon on, 5' to 3', stop codon included.

    Args:
        codes: (L,) of the whole sequence that `transcript` lies on.
    """
    return transcript.cds(codes)[transcript.first_exon.phase :]


def protein(transcript: Transcript, codes: np.ndarray) -> str:
    """Amino acids of `transcript`, as `gffread -y` writes them: no letter for the stop codon.

    A codon whose last base is N has the amino acid that all its readings share (GCN is A), X
    where they differ. A codon cut by the end of a partial gene is left out.

    Args:
        codes: (L,) of the whole sequence that `transcript` lies on.
    """
    cds = coding_sequence(transcript, codes)
    amino_acids = _translate_shared(cds[: len(cds) // 3 * 3])
    return amino_acids.removesuffix("*") if transcript.has_stop else amino_acids


def write_record(stream: IO[str], name: str, letters: str, description: str = "") -> None:
    """Write one FASTA record in lines of 60 letters."""
    stream.write(f">{name} {description}".rstrip() + "\n")
    stream.writelines(letters[start : start + 60] + "\n" for start in range(0, len(letters), 60))


def write_protein(stream: IO[str], transcript: Transcript, codes: np.ndarray) -> None:
    """Write the protein of `transcript`; `codes` (L,) are those of its whole sequence."""
    write_record(stream, transcript.name, protein(transcript, codes))


def write_cds(stream: IO[str], transcript: Transcript, codes: np.ndarray) -> None:
    """Write the CDS of `transcript`; `codes` (L,) are those of its whole sequence."""
    write_record(stream, transcript.name, decode(coding_sequence(transcript, codes)))


def _record(header: _Header, codes: bytearray) -> Record:
    return Record(header.name, header.description, np.frombuffer(codes, np.uint8), line=header.line)


def _translate_shared(codes: np.ndarray) -> str:
    is_unknown = codes[2::3] >= N
    if not is_unknown.any():
        return translate(codes)
    readings = []
    for base in range(4):
        reading = codes.copy()
        reading[2::3][is_unknown] = base
        readings.append(np.frombuffer(translate(reading).encode(), np.uint8))
    is_shared = np.all([reading == readings[0] for reading in readings], axis=0)
    return np.where(is_shared, readings[0], ord("X")).astype(np.uint8).tobytes().decode()


def _parse(path: str | Path) -> Iterator[_Header | bytes]:
    """Yield each header, followed by its bases as codes in pieces."""
    name = display_name(path)
    line = 1  # of the next byte
    header: bytearray | None = None  # that of the header line being read
    at_line_start = is_started = False
    seen: dict[str, int] = {}
    for chunk in read_chunks(path):
        if not is_started:
            lead = _lead(chunk, name)
            line += chunk.count(b"\n", 0, lead)
            chunk = chunk[lead:]
            is_started = at_line_start = bool(chunk)
        position = 0
        while position < len(chunk):
            if header is None and at_line_start and chunk[position] == ord(">"):
                header = bytearray()
                position += 1
            elif header is not None:
                end = chunk.find(b"\n", position)
                header += chunk[position : None if end < 0 else end]
                if len(header) > _MAX_HEADER:
                    raise InputFormatError("The header line does not end.", path=name, line=line)
                position = len(chunk) if end < 0 else end + 1
                if end >= 0:
                    yield _read_header(header, seen, name, line)
                    header, at_line_start, line = None, True, line + 1
            else:
                end = chunk.find(b">", position)
                piece = chunk[position : None if end < 0 else max(end, position + 1)]
                codes = piece.translate(_CODE_OF_LETTER, _WHITE_SPACE)
                if codes and np.frombuffer(codes, np.uint8).max() == _ILLEGAL:
                    _refuse_letters(piece, name, line)
                if codes:
                    yield codes
                line += piece.count(b"\n")
                position += len(piece)
                at_line_start = piece.endswith(b"\n")
    if header is not None:
        yield _read_header(header, seen, name, line)
    if not is_started:
        raise InputFormatError("The file is empty.", path=name)


def _lead(chunk: bytes, path: str) -> int:
    """Bytes before the first header: blank lines, nothing else.

    Raises:
        InputFormatError: something else stands there, so this is no FASTA.
    """
    body = chunk.lstrip()
    lead = len(chunk) - len(body)
    if not body or body.startswith(b">"):
        return lead
    kind, line = kind_of(body), chunk.count(b"\n", 0, lead) + 1
    remedy = "Give the genome as FASTA, plain or compressed with gzip or bgzip."
    first_line = body.split(b"\n", 1)[0].rstrip()
    if kind:
        problem = f"This is {kind}, not a FASTA file."
    elif body.startswith(b"@"):
        problem = "This is a FASTQ file (it begins with '@'), not a FASTA file."
        remedy = "Give an assembled genome as FASTA."
    elif len(first_line.split(b"\t")) >= 3:
        problem = "This is a table (GFF, BED or the like), not a FASTA file."
    elif first_line and not first_line.translate(None, _IUPAC + _IUPAC.lower()):
        problem, remedy = "The sequence has no header.", "Put a line such as '>name' before it."
    else:
        problem = "This is not a FASTA file: its first line does not begin with '>'."
    raise InputFormatError(problem, path=path, line=line, remedy=remedy)


def _read_header(header: bytearray, seen: dict[str, int], path: str, line: int) -> _Header:
    text = header.rstrip(_WHITE_SPACE).decode("utf-8", "replace")
    if "\r" in text:
        raise InputFormatError(
            "The lines end in a bare carriage return.",
            path=path,
            line=line,
            remedy="Convert them: tr '\\r' '\\n' < old.fa > new.fa",
        )
    if "\0" in text:
        raise InputFormatError("This is a binary file, not a FASTA file.", path=path, line=line)
    name, _, description = text.replace("\t", " ").partition(" ")
    if not name:
        raise InputFormatError(
            "The header has no name after '>'.",
            path=path,
            line=line,
            remedy="Write the name right after '>'.",
        )
    if name in seen:
        raise InputFormatError(
            f"The name '{name}' is that of line {seen[name]} too.",
            path=path,
            line=line,
            remedy="Give every sequence a name of its own (the first word of its header).",
        )
    seen[name] = line
    return _Header(name, description.strip(), line)


def _refuse_letters(piece: bytes, path: str, line: int) -> NoReturn:
    """Raise for the first letter in `piece` that is no base; `line` is where `piece` begins."""
    legal = bytes(code for code in range(256) if _CODE_OF_LETTER[code] != _ILLEGAL)
    letters = piece.translate(None, _WHITE_SPACE)
    protein_only = len(letters) - len(
        letters.translate(None, _PROTEIN_ONLY + _PROTEIN_ONLY.lower())
    )
    is_illegal = ~np.isin(
        np.frombuffer(piece, np.uint8), np.frombuffer(legal + _WHITE_SPACE, np.uint8)
    )
    first = int(np.argmax(is_illegal))
    line += piece.count(b"\n", 0, first)
    if protein_only > 0.05 * len(letters):
        raise InputFormatError(
            "This looks like protein, not DNA.",
            path=path,
            line=line,
            remedy="Give the genome's nucleotide sequence.",
        )
    letter = repr(chr(piece[first])) if 32 < piece[first] < 127 else f"byte {piece[first]}"
    remedy = "Bases are A, C, G, T, N and the IUPAC letters."
    if letter in ("'-'", "'.'"):
        remedy = "Remove the alignment's gaps."
    raise InputFormatError(f"{letter} is not a base.", path=path, line=line, remedy=remedy)
