"""From lines of an annotation to transcripts: which belong together, and whether they fit."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote

from dnaannot.dna.interval import Interval
from dnaannot.dna.transcript import Exon, Strand, Transcript, with_phases
from dnaannot.formats.gff_attributes import parse_attributes

NO_PARENT = "CDS without a transcript"
OVERLAP = "CDS that overlap within a transcript"
SCATTERED = "CDS on two strands"
NO_STRAND = "CDS without a strand"
BAD_COORDINATES = "coordinates below 1 or end before start"
BAD_PHASE = "phase other than 0, 1 or 2"
PSEUDOGENE = "of a pseudogene"

GENES = ("gene", "pseudogene")
_ID = re.compile(r"(?:^|;)\s*ID=([^;]+)")
_PSEUDO = re.compile(r'(?:^|;)\s*pseudo[= ]\s*"?true"?\s*(?:;|$)')


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


class Feature(NamedTuple):
    """A line that CDS lines can name as their parent."""

    type: str
    attributes: dict[str, str]
    line: int


class Part(NamedTuple):
    """A CDS or stop codon line, 0-based and half-open, not yet checked."""

    line: int
    sequence: str
    start: int
    end: int
    strand: str
    phase: str
    attributes: str


@dataclass
class Draft:
    """The lines of one transcript, as they come, all on one sequence."""

    cds: list[Part] = field(default_factory=list)
    stops: list[Part] = field(default_factory=list)


class UnusableError(Exception):
    """A transcript that cannot be read; the reason and the line."""


def transcripts_of(
    parent: str, draft: Draft, feature: Feature | None
) -> Iterator[tuple[str, Draft]]:
    """Yield (name, lines) of each transcript whose CDS lines name `parent`.

    Right under a gene the identifiers of the CDS tell its transcripts apart, unless every line
    has another one and none overlaps: then they are the exons of one. Of several transcripts each
    has the stop codon that touches it.
    """
    if feature is None or feature.type not in GENES:
        yield parent, draft
        return
    by_id: dict[str, list[Part]] = defaultdict(list)
    for part in draft.cds:
        found = _ID.search(part.attributes)
        by_id[unquote(found[1].strip()) if found else parent].append(part)
    is_one_each = all(len(parts) == 1 for parts in by_id.values())
    if len(by_id) == 1 or (is_one_each and _overlap(draft.cds) is None):
        yield parent, draft
        return
    for name, parts in by_id.items():
        start, end = min(part.start for part in parts), max(part.end for part in parts)
        yield name, Draft(parts, [x for x in draft.stops if x.end == start or x.start == end])


def annotated(parent: str, name: str, draft: Draft, feature: Feature | None) -> AnnotatedTranscript:
    """The transcript `name` that CDS lines of a draft make.

    Args:
        parent: what they name as their parent.
        feature: the parent's own line.

    Raises:
        UnusableError: they make none.
    """
    first = draft.cds[0]
    strand = _check(draft)
    cds_attributes = parse_attributes(first.attributes)
    if feature is None:
        feature = Feature("CDS", cds_attributes, first.line)
    gene = cds_attributes.get("gene_id") or parent
    if feature.type not in (*GENES, "CDS"):
        gene = feature.attributes.get("Parent") or feature.attributes.get("gene_id") or gene
    exons = _exons(draft, strand)
    transcript = Transcript(first.sequence, strand, exons, name=name, gene=gene)
    return AnnotatedTranscript(transcript, feature.attributes, feature.line)


def cover(parts: list[Part]) -> Interval:
    """The stretch from the first base of parts of one sequence to the last."""
    start, end = min(part.start for part in parts), max(part.end for part in parts)
    return Interval(parts[0].sequence, start, end)


def _check(draft: Draft) -> Strand:
    """The strand of a transcript's lines, once they are known to fit together; no pseudogene's."""
    first = draft.cds[0]
    if any(_PSEUDO.search(part.attributes) for part in draft.cds):
        raise UnusableError(PSEUDOGENE, first.line)
    for part in draft.cds + draft.stops:
        if part.start < 0 or part.end <= part.start:
            raise UnusableError(BAD_COORDINATES, part.line)
        if part.strand != first.strand:
            raise UnusableError(SCATTERED, part.line)
    if first.strand not in ("+", "-"):
        raise UnusableError(NO_STRAND, first.line)
    phases = {part.phase for part in draft.cds}
    if not phases <= {"0", "1", "2"} and phases != {"."}:
        bad = next(part for part in draft.cds if part.phase not in ("0", "1", "2"))
        raise UnusableError(BAD_PHASE, bad.line)
    if (line := _overlap(draft.cds)) is not None:
        raise UnusableError(OVERLAP, line)
    return Strand(first.strand)


def _overlap(parts: list[Part]) -> int | None:
    """Line of the later of two parts that overlap, None where none do."""
    ordered = sorted(parts, key=lambda part: part.start)
    for left, right in pairwise(ordered):
        if right.start < left.end:
            return max(left.line, right.line)
    return None


def _exons(draft: Draft, strand: Strand) -> tuple[Exon, ...]:
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
