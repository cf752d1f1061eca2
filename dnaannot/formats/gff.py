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
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from dnaannot.dna.interval import Interval
from dnaannot.dna.transcript import Exon, Strand, Transcript, with_phases
from dnaannot.errors import InputFormatError
from dnaannot.formats.gff_attributes import (
    Attributes,
    Dialect,
    format_attributes,
    parse_attributes,
)
from dnaannot.formats.source import display_name, read_lines

NO_PARENT = "CDS without a transcript"
OVERLAP = "CDS that overlap within a transcript"
SCATTERED = "CDS on two strands or sequences"
NO_STRAND = "CDS without a strand"
BAD_COORDINATES = "coordinates below 1 or end before start"
BAD_PHASE = "phase other than 0, 1 or 2"

_GENES = ("gene", "pseudogene")
_NEVER_PARENTS = re.compile(
    "CDS|(start|stop)_codon|exon|intron|initial|internal|terminal|single|t[st]s|region|.*UTR"
    "|(five|three)_prime_utr|Selenocysteine|(.*_)?match(_part)?"
)
_PARENT = re.compile(r"(?:^|;)\s*Parent=([^;]+)")
_ID = re.compile(r"(?:^|;)\s*ID=([^;]+)")
_TRANSCRIPT_ID = re.compile(r'(?:^|;)\s*transcript_id\s+"?([^";]+)')
_NAME_ESCAPES = {code: f"%{code:02X}" for code in (*range(32), 127, *b"%")}


@dataclass(frozen=True)
class AnnotatedTranscript:
    """A transcript as an annotation file gives it.

    Attributes:
        transcript: its CDS; `has_start` and `has_stop` are True whatever the bases say.
        attributes: those of the transcript's own line, or of its first CDS line where it has
            none; percent-encoding undone.
        line: 1-based line that the attributes come from.
    """

    transcript: Transcript
    attributes: dict[str, str]
    line: int


@dataclass(frozen=True)
class Annotation:
    """The coding transcripts of a file.

    Attributes:
        transcripts: in the order in which their first CDS lines stand in the file.
        skipped: for each reason, a line for every transcript left out for it.
        unusable: the stretches that these transcripts cover.
        names: what genes are called (`Name`, `gene_name`), by identifier; some have no name.
    """

    transcripts: list[AnnotatedTranscript]
    skipped: dict[str, list[int]]
    unusable: list[Interval] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)


# --- annotation in ---------------------------------------------------------------------------


class _Feature(NamedTuple):
    type: str
    attributes: dict[str, str]
    line: int


class _Part(NamedTuple):
    """A CDS or stop codon line, not yet checked."""

    line: int
    sequence: str
    start: int
    end: int
    strand: str
    phase: str
    attributes: str


@dataclass
class _Draft:
    """The lines of one transcript, as they come."""

    cds: list[_Part] = field(default_factory=list)
    stops: list[_Part] = field(default_factory=list)


class _Lines(NamedTuple):
    """What the lines of a file say, by identifier."""

    features: dict[str, _Feature]
    drafts: dict[str, _Draft]
    skipped: dict[str, list[int]]
    orphans: list[_Part]


class _UnusableError(Exception):
    """A transcript that cannot be read; the reason and the line."""


def read_annotation(path: str | Path) -> Annotation:
    """Read the coding transcripts of a GFF3 or GTF file, plain or compressed, or `-` (stdin).

    CDS lines are joined by their transcript: `Parent` in GFF3, `transcript_id` in GTF. Stop
    codons on lines of their own become part of the CDS. The dialect is told line by line, so
    that AUGUSTUS's mixture of bare identifiers and GTF attributes is read too. A phase of '.'
    on all CDS lines of a transcript means that it begins in frame.

    Raises:
        InputFormatError: a line has not nine columns or its coordinates are no integers.
    """
    lines = _read_lines_of(path)
    transcripts, left_out = [], [each for part in lines.orphans for each in _cover([part])]
    for parent, whole in lines.drafts.items():
        feature = lines.features.get(parent)
        for name, draft in _transcripts_of(parent, whole, feature):
            if not draft.cds:
                continue
            try:
                transcripts.append(_annotated(parent, name, draft, feature))
            except _UnusableError as unusable:
                reason, line = unusable.args
                lines.skipped[reason].append(line)
                left_out += _cover(draft.cds)
    return Annotation(transcripts, dict(lines.skipped), left_out, _names(lines))


def _names(lines: _Lines) -> dict[str, str]:
    named = {}
    for identifier, feature in lines.features.items():
        name = feature.attributes.get("Name") or feature.attributes.get("gene_name")
        if name and feature.type in _GENES:
            named[identifier] = name
    return named


def _read_lines_of(path: str | Path) -> _Lines:
    lines = _Lines({}, defaultdict(_Draft), defaultdict(list), [])
    for number, columns in _rows(path):
        kind = columns[2]
        if kind == "CDS" or kind == "stop_codon":
            part = _part(columns, number, path)
            parents = _parents(part.attributes)
            if not parents and kind == "CDS":
                lines.skipped[NO_PARENT].append(number)
                lines.orphans.append(part)
            for parent in parents:
                draft = lines.drafts[parent]
                (draft.cds if kind == "CDS" else draft.stops).append(part)
        elif not _NEVER_PARENTS.fullmatch(kind):
            attributes = parse_attributes(columns[8])
            name = attributes.get("ID") or attributes.get("transcript_id")
            if name:
                lines.features.setdefault(name, _Feature(kind, attributes, number))
    return lines


def _rows(path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, its nine columns) of each feature of a file."""
    is_empty = True
    for number, line in read_lines(path):
        if line.startswith("#") or not line.strip():
            if line.startswith("##FASTA"):
                return
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
                problem = f"The line has {len(columns)} columns, not 9."
                remedy = "Give a GFF3 or GTF file."
            raise InputFormatError(problem, path=display_name(path), line=number, remedy=remedy)
        is_empty = False
        yield number, columns


def _span(columns: list[str]) -> tuple[int, int]:
    """0-based half-open span of a row; GFF3 is 1-based, inclusive."""
    return int(columns[3]) - 1, int(columns[4])


def _part(columns: list[str], line: int, path: str | Path) -> _Part:
    try:
        start, end = _span(columns)
    except ValueError as error:
        raise InputFormatError(
            f"Start '{columns[3]}' and end '{columns[4]}' are not both integers.",
            path=display_name(path),
            line=line,
            remedy="Columns 4 and 5 of GFF3 and GTF, with tabs between them, are coordinates.",
        ) from error
    sequence = unquote(columns[0]) if "%" in columns[0] else columns[0]
    return _Part(line, sequence, start, end, columns[6], columns[7], columns[8])


def _parents(text: str) -> list[str]:
    """Identifiers of the transcripts (or genes) that a CDS line names as its own."""
    if found := _PARENT.search(text):
        return [unquote(parent.strip()) for parent in found[1].split(",") if parent.strip()]
    found = _TRANSCRIPT_ID.search(text)
    return [found[1].strip()] if found else []


def _transcripts_of(
    parent: str, draft: _Draft, feature: _Feature | None
) -> Iterator[tuple[str, _Draft]]:
    """Yield (name, lines) of each transcript whose CDS lines name `parent`.

    Right under a gene the identifiers of the CDS tell its transcripts apart, unless every line
    has another one and none overlaps: then they are the exons of one.
    """
    if feature is None or feature.type not in _GENES:
        yield parent, draft
        return
    by_id: dict[str, list[_Part]] = defaultdict(list)
    for part in draft.cds:
        found = _ID.search(part.attributes)
        by_id[unquote(found[1].strip()) if found else parent].append(part)
    is_one_each = all(len(parts) == 1 for parts in by_id.values())
    if len(by_id) == 1 or (is_one_each and _overlap(draft.cds) is None):
        yield parent, draft
        return
    for name, parts in by_id.items():
        yield name, _Draft(parts, draft.stops if len(by_id) == 1 else [])


def _annotated(
    parent: str, name: str, draft: _Draft, feature: _Feature | None
) -> AnnotatedTranscript:
    first = draft.cds[0]
    strand = _check(draft)
    cds_attributes = parse_attributes(first.attributes)
    if feature is None:
        feature = _Feature("CDS", cds_attributes, first.line)
    gene = cds_attributes.get("gene_id") or parent
    if feature.type not in (*_GENES, "CDS"):
        gene = feature.attributes.get("Parent") or feature.attributes.get("gene_id") or gene
    exons = _exons(draft, strand)
    transcript = Transcript(first.sequence, strand, exons, name=name, gene=gene)
    return AnnotatedTranscript(transcript, feature.attributes, feature.line)


def _check(draft: _Draft) -> Strand:
    """The strand of a transcript's lines, once they are known to fit together."""
    first = draft.cds[0]
    for part in draft.cds + draft.stops:
        if part.start < 0 or part.end <= part.start:
            raise _UnusableError(BAD_COORDINATES, part.line)
        if (part.sequence, part.strand) != (first.sequence, first.strand):
            raise _UnusableError(SCATTERED, part.line)
    if first.strand not in ("+", "-"):
        raise _UnusableError(NO_STRAND, first.line)
    phases = {part.phase for part in draft.cds}
    if not phases <= {"0", "1", "2"} and phases != {"."}:
        bad = next(part for part in draft.cds if part.phase not in ("0", "1", "2"))
        raise _UnusableError(BAD_PHASE, bad.line)
    if (line := _overlap(draft.cds)) is not None:
        raise _UnusableError(OVERLAP, line)
    return Strand(first.strand)


def _cover(parts: list[_Part]) -> Iterator[Interval]:
    """For each sequence, the stretch from the first base of parts to the last."""
    for name in dict.fromkeys(part.sequence for part in parts):
        mine = [part for part in parts if part.sequence == name]
        yield Interval(name, min(part.start for part in mine), max(part.end for part in mine))


def _overlap(parts: list[_Part]) -> int | None:
    """Line of the later of two parts that overlap, None where none do."""
    ordered = sorted(parts, key=lambda part: part.start)
    for left, right in pairwise(ordered):
        if right.start < left.end:
            return max(left.line, right.line)
    return None


def _exons(draft: _Draft, strand: Strand) -> tuple[Exon, ...]:
    """Exons by ascending coordinate, stop codons included."""
    parts = sorted(draft.cds, key=lambda part: part.start)
    if parts[0].phase == ".":
        exons = list(with_phases([(part.start, part.end) for part in parts], strand))
    else:
        exons = [Exon(part.start, part.end, int(part.phase)) for part in parts]
    stops = sorted(((stop.start, stop.end) for stop in draft.stops), reverse=strand is Strand.MINUS)
    for start, end in stops:
        exons = _with_stop(exons, start, end, strand)
    return tuple(exons)


def _with_stop(exons: list[Exon], start: int, end: int, strand: Strand) -> list[Exon]:
    """`exons` with the bases start to end of a stop codon, if they lie behind the last base."""
    if strand is Strand.PLUS:
        last = exons[-1]
        if end <= last.end:
            return exons
        if start <= last.end:
            return [*exons[:-1], last._replace(end=end)]
        phase = (last.phase - (last.end - last.start)) % 3
        return [*exons, Exon(start, end, phase)]
    last = exons[0]
    if start >= last.start:
        return exons
    if end >= last.start:
        return [last._replace(start=start), *exons[1:]]
    phase = (last.phase - (last.end - last.start)) % 3
    return [Exon(start, end, phase), *exons]


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
        f"{format_name(sequence)}\tdnaannot\t{row.type}\t{row.start + 1}\t{row.end}\t{score}\t"
        f"{strand.value}\t{row.phase}\t{attributes}\n"
    )


def format_name(sequence: str) -> str:
    """Column 1. Only what would break the line is percent-encoded: `gffread` and others look
    names up in the FASTA as they stand, so a ';' or '/' must stay.
    """
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
