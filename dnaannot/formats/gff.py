"""GFF3 and GTF: annotation in, rows out.

GFF3 is 1-based, inclusive; everything else here is 0-based, half-open. Both meet in `_span`,
`format_row` and `cut_attributes`, nowhere else.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from dnaannot.dna.interval import Interval
from dnaannot.dna.names import counted
from dnaannot.dna.transcript import Strand
from dnaannot.errors import InputFormatError
from dnaannot.formats.gff_attributes import (
    Attributes,
    Dialect,
    format_attributes,
    is_gtf,
    parse_attributes,
)
from dnaannot.formats.gff_transcripts import (
    GENES,
    NO_PARENT,
    AnnotatedTranscript,
    Draft,
    Feature,
    Part,
    UnusableError,
    annotated,
    cover,
    transcripts_of,
)
from dnaannot.formats.source import display_name, read_lines

_NEVER_PARENTS = re.compile(
    "CDS|(start|stop)_codon|exon|intron|initial|internal|terminal|single|t[st]s|region|.*UTR"
    "|(five|three)_prime_utr|Selenocysteine|(.*_)?match(_part)?"
)
_PARENT = re.compile(r"(?:^|;)\s*Parent=([^;]+)")
_TRANSCRIPT_ID = re.compile(r'(?:^|;)\s*transcript_id\s+"?([^";]+)')
_NAME_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 127, *b"%")}

Key = tuple[str, str]
"""A sequence and an identifier on it: joined files may use one identifier on several."""


@dataclass(frozen=True)
class Annotation:
    """The coding transcripts of a file.

    Attributes:
        transcripts: in the order in which their first CDS lines stand in the file.
        skipped: for each reason, a line for every transcript left out for it.
        unusable: the stretches that these transcripts cover.
        names: what genes are called (`Name`, `gene_name`), by sequence and identifier; some
            have no name.
        lengths: bases of the sequences that `##sequence-region` lines declare.
        parentless: a CDS line of each transcript whose `Parent` has no line, so that it stands
            for a gene of its own.
    """

    transcripts: list[AnnotatedTranscript]
    skipped: dict[str, list[int]]
    unusable: list[Interval] = field(default_factory=list)
    names: dict[Key, str] = field(default_factory=dict)
    lengths: dict[str, int] = field(default_factory=dict)
    parentless: list[int] = field(default_factory=list)


# --- annotation in ---------------------------------------------------------------------------


class _Lines(NamedTuple):
    """What the lines of a file say, by sequence and identifier."""

    features: dict[Key, Feature]
    drafts: dict[Key, Draft]
    names: dict[Key, str]
    skipped: dict[str, list[int]]
    orphans: list[Part]
    lengths: dict[str, int]


def read_annotation(path: str | Path) -> Annotation:
    """Read the coding transcripts of a GFF3 or GTF file, plain or compressed, or `-` (stdin).

    The CDS lines of a sequence are joined by their transcript: `Parent` in GFF3,
    `transcript_id` in GTF; the same identifier on another sequence is another transcript. Stop
    codons on lines of their own become part of the CDS. The dialect is told line by line, so
    that AUGUSTUS's mixture of bare identifiers and GTF attributes is read too. A phase of '.'
    on all CDS lines of a transcript means that it begins in frame.

    Raises:
        InputFormatError: a line has not nine columns or its coordinates are no integers.
    """
    lines = _read_lines_of(path)
    transcripts, left_out = [], [cover([part]) for part in lines.orphans]
    parentless = []
    for (sequence, parent), whole in lines.drafts.items():
        feature = lines.features.get((sequence, parent))
        for name, draft in transcripts_of(parent, whole, feature):
            if not draft.cds:
                continue
            try:
                transcripts.append(annotated(parent, name, draft, feature))
                if feature is None and _PARENT.search(draft.cds[0].attributes):
                    parentless.append(draft.cds[0].line)
            except UnusableError as unusable:
                reason, line = unusable.args
                lines.skipped[reason].append(line)
                left_out.append(cover(draft.cds))
    names = _names(lines, transcripts)
    return Annotation(transcripts, dict(lines.skipped), left_out, names, lines.lengths, parentless)


def _names(lines: _Lines, transcripts: list[AnnotatedTranscript]) -> dict[Key, str]:
    """What genes are called on their own lines, or else on those of their transcripts."""
    named = dict(lines.names)
    for each in transcripts:
        if name := each.attributes.get("gene_name"):
            named.setdefault((each.transcript.sequence, each.transcript.gene), name)
    return named


def _read_lines_of(path: str | Path) -> _Lines:
    lines = _Lines({}, defaultdict(Draft), {}, defaultdict(list), [], {})
    for number, columns in _rows(path, lines.lengths):
        kind = columns[2]
        if kind == "CDS" or kind == "stop_codon":
            part = _part(columns, number, path)
            parents = _parents(part.attributes)
            if not parents and kind == "CDS":
                lines.skipped[NO_PARENT].append(number)
                lines.orphans.append(part)
            for parent in parents:
                draft = lines.drafts[part.sequence, parent]
                (draft.cds if kind == "CDS" else draft.stops).append(part)
        elif not _NEVER_PARENTS.fullmatch(kind):
            sequence, attributes = _sequence(columns), parse_attributes(columns[8])
            if identifier := attributes.get("ID") or attributes.get("transcript_id"):
                feature = Feature(kind, attributes, number)
                lines.features.setdefault((sequence, identifier), feature)
            gene = attributes.get("ID") or attributes.get("gene_id")
            name = attributes.get("Name") or attributes.get("gene_name")
            if kind in GENES and gene and name:
                lines.names.setdefault((sequence, gene), name)
    return lines


def _rows(path: str | Path, lengths: dict[str, int]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, its nine columns) of each feature of a file; note what lengths it declares."""
    is_empty = True
    for number, line in read_lines(path):
        if line.startswith("#") or not line.strip():
            if line.startswith("##FASTA"):
                return
            _note_length(line, lengths)
            continue
        columns = line.split("\t")
        if len(columns) != 9:
            if line.startswith(">"):
                if not is_empty:
                    return  # sequences at the end of a GFF3, without their directive
                problem, remedy = "This is a FASTA file, not GFF3 or GTF.", "Swap the two files?"
            elif len(columns) == 1 and len(line.split()) >= 8:
                problem, remedy = "The columns are not separated by tabs.", "Use tabs."
            else:
                problem = f"The line has {counted(len(columns), 'column')}, not 9."
                remedy = "Give a GFF3 or GTF file."
            raise InputFormatError(problem, path=display_name(path), line=number, remedy=remedy)
        is_empty = False
        yield number, columns


def _note_length(line: str, lengths: dict[str, int]) -> None:
    words = line.split()
    if len(words) == 4 and words[0] == "##sequence-region" and words[3].isdigit():
        name = unquote(words[1])
        lengths[name] = max(lengths.get(name, 0), int(words[3]))


def _span(columns: list[str]) -> tuple[int, int]:
    """0-based half-open span of a row; GFF3 is 1-based, inclusive."""
    return int(columns[3]) - 1, int(columns[4])


def _part(columns: list[str], line: int, path: str | Path) -> Part:
    try:
        start, end = _span(columns)
    except ValueError as error:
        raise InputFormatError(
            f"Start '{columns[3]}' and end '{columns[4]}' are not both integers.",
            path=display_name(path),
            line=line,
            remedy="Columns 4 and 5 of GFF3 and GTF, with tabs between them, are coordinates.",
        ) from error
    return Part(line, _sequence(columns), start, end, columns[6], columns[7], columns[8])


def _sequence(columns: list[str]) -> str:
    if "%" in columns[0] and not is_gtf(columns[8].strip()):
        return unquote(columns[0])
    return columns[0]


def _parents(text: str) -> list[str]:
    """Identifiers of the transcripts (or genes) that a CDS line names as its own."""
    if found := _PARENT.search(text):
        return [unquote(parent.strip()) for parent in found[1].split(",") if parent.strip()]
    found = _TRANSCRIPT_ID.search(text)
    return [found[1].strip()] if found else []


# --- rows out -------------------------------------------------------------------------------


class Row(NamedTuple):
    """One feature line, 0-based and half-open; the score is NaN and the phase '.' if unknown."""

    type: str
    start: int
    end: int
    score: float
    phase: str
    attributes: Attributes


def format_row(dialect: Dialect, sequence: str, strand: Strand, row: Row) -> str:
    """The line of `row`; GFF3 is 1-based, inclusive."""
    score = "." if math.isnan(row.score) else f"{row.score:.4f}"
    attributes = format_attributes(dialect, row.attributes)
    return (
        f"{format_name(dialect, sequence)}\tdnaannot\t{row.type}\t{row.start + 1}\t{row.end}\t"
        f"{score}\t{strand.value}\t{row.phase}\t{attributes}\n"
    )


def format_name(dialect: Dialect, sequence: str) -> str:
    """Column 1. Only what would break the line is percent-encoded, in GFF3 alone: `gffread` and
    others look names up in the FASTA as they stand, so a ';' or '/' must stay.
    """
    if dialect == "gtf":
        return sequence
    if sequence.startswith(("#", ">")):  # a comment, a sequence
        return f"%{ord(sequence[0]):02X}" + sequence[1:].translate(_NAME_ESCAPES)
    return sequence.translate(_NAME_ESCAPES)


def cut_attributes(
    start: int, end: int, *, low: bool, high: bool
) -> dict[str, str | tuple[str, ...]]:
    """NCBI's attributes of a feature cut at its low or high end; GFF3 is 1-based, inclusive."""
    attributes: dict[str, str | tuple[str, ...]] = {}
    if low or high:
        attributes["partial"] = "true"
    if low:
        attributes["start_range"] = (".", str(start + 1))
    if high:
        attributes["end_range"] = (str(end), ".")
    return attributes
