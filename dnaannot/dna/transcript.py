"""Transcripts as values: the coding exons of one gene model, in 0-based half-open coordinates."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

import numpy as np

from dnaannot.dna.grammar import (
    ACCEPTOR,
    CDS0,
    DONOR,
    INTERGENIC,
    INTRON,
    IS_CODING,
    MINUS,
    START,
    STOP,
)
from dnaannot.dna.sequence import GAP, T, reverse_complement, runs


class Strand(str, Enum):
    """The strand that a gene lies on."""

    PLUS = "+"
    MINUS = "-"


class Exon(NamedTuple):
    """Coding part of an exon.

    Attributes:
        start, end: 0-based, half-open, on the plus strand whatever the gene's strand.
        phase: bases to skip at the exon's 5' end (in the gene's direction) to reach a codon's
            first base: 0, 1 or 2, as in GFF3.
        score: posterior probability of exactly this exon, NaN where unknown.
    """

    start: int
    end: int
    phase: int
    score: float = math.nan


@dataclass(frozen=True)
class Transcript:
    """The CDS of one gene model, stop codon included.

    Attributes:
        sequence: name of the sequence it lies on.
        strand: `Strand.PLUS` or `Strand.MINUS`.
        exons: coding exons by ascending coordinate, at least one.
        has_start: begins with its start codon (False: cut by a sequence end or a gap).
        has_stop: ends with its stop codon (False: cut by a sequence end or a gap).
        score: posterior probability of exactly this gene model, NaN where unknown.
        name: transcript identifier, empty before one is given.
        gene: identifier of its gene, empty before one is given.
    """

    sequence: str
    strand: Strand
    exons: tuple[Exon, ...]
    has_start: bool = True
    has_stop: bool = True
    score: float = math.nan
    name: str = ""
    gene: str = ""

    @property
    def start(self) -> int:
        """0-based first base of the CDS on the plus strand."""
        return self.exons[0].start

    @property
    def end(self) -> int:
        """End (exclusive) of the CDS on the plus strand."""
        return self.exons[-1].end

    @property
    def is_partial(self) -> bool:
        """Whether a sequence end or a gap cuts it."""
        return not (self.has_start and self.has_stop)

    @property
    def cut_ends(self) -> tuple[bool, bool]:
        """Whether a sequence end or a gap cuts it at its low and at its high coordinate."""
        if self.strand is Strand.PLUS:
            return not self.has_start, not self.has_stop
        return not self.has_stop, not self.has_start

    @property
    def first_exon(self) -> Exon:
        """The exon at its 5' end."""
        return self.exons[0 if self.strand is Strand.PLUS else -1]

    @property
    def coding_bases(self) -> int:
        """Length of its CDS, stop codon included."""
        return sum(exon.end - exon.start for exon in self.exons)

    @property
    def introns(self) -> tuple[tuple[int, int], ...]:
        """Half-open intervals between consecutive exons, ascending."""
        return tuple(
            (left.end, right.start) for left, right in zip(self.exons, self.exons[1:], strict=False)
        )

    def moved(self, offset: int, sequence: str | None = None) -> Transcript:
        """The same transcript `offset` bases further right, on another sequence if one is named."""
        exons = tuple(e._replace(start=e.start + offset, end=e.end + offset) for e in self.exons)
        return replace(self, exons=exons, sequence=sequence or self.sequence)

    def cds(self, codes: np.ndarray) -> np.ndarray:
        """Codes of its coding sequence, 5' to 3', from the codes (L,) of its whole sequence."""
        spliced = np.concatenate([codes[exon.start : exon.end] for exon in self.exons])
        return reverse_complement(spliced) if self.strand is Strand.MINUS else spliced


def has_whole_codon(transcript: Transcript, codes: np.ndarray) -> bool:
    """Whether an amino acid can be read in it: a codon of known bases, not cut, no stop codon.

    Args:
        codes: (L,) of its whole sequence.
    """
    if not transcript.is_partial:
        return True
    cds = transcript.cds(codes)[transcript.first_exon.phase :]
    codons = cds[: len(cds) // 3 * 3].reshape(-1, 3)
    return bool((codons[: len(codons) - transcript.has_stop] <= T).all(axis=1).any())


def exon_bounds(transcript: Transcript) -> tuple[tuple[int, int], ...]:
    """Half-open coding exons, ascending."""
    return tuple((exon.start, exon.end) for exon in transcript.exons)


def is_cut_short(transcript: Transcript, codes: np.ndarray, goes_on: tuple[bool, bool]) -> bool:
    """Whether the stretch that a transcript was found on cuts it, and no gap does.

    An end of the stretch may lie in an intron, so what it cuts need not touch it.

    Args:
        transcript: with coordinates on the stretch.
        codes: (L,) of the stretch, gaps marked.
        goes_on: whether the sequence goes on beyond the low and the high end of the stretch.
    """
    beyond = codes[: transcript.start], codes[transcript.end :]
    return any(
        is_cut and is_inner and not (bases == GAP).any()
        for is_cut, is_inner, bases in zip(transcript.cut_ends, goes_on, beyond, strict=True)
    )


def representative(gene: Iterable[Transcript], marked: Collection[str] = ()) -> Transcript:
    """The transcript that stands for a gene.

    A transcript whose name is in `marked` goes first, then complete ones (start and stop, a
    whole number of codons), then the longest CDS, then the leftmost.
    """

    def rank(transcript: Transcript) -> tuple[bool, bool, int, tuple[tuple[int, int], ...]]:
        length = transcript.coding_bases
        complete = not transcript.is_partial and length % 3 == 0
        return transcript.name not in marked, not complete, -length, exon_bounds(transcript)

    return min(gene, key=rank)


def with_phases(
    intervals: list[tuple[int, int]], strand: Strand, first_phase: int = 0
) -> tuple[Exon, ...]:
    """Exons of ascending half-open intervals, phases counted from the 5' end.

    Args:
        first_phase: phase of the exon at the 5' end, other than 0 only in a partial gene.
    """
    ordered = intervals if strand is Strand.PLUS else intervals[::-1]
    exons, phase = [], first_phase
    for start, end in ordered:
        exons.append(Exon(start, end, phase))
        phase = (phase - (end - start)) % 3
    return tuple(exons if strand is Strand.PLUS else exons[::-1])


def write_labels(transcript: Transcript, labels: np.ndarray) -> None:
    """Set the labels of `transcript` in `labels` (L,) of its whole sequence."""
    minus = MINUS if transcript.strand is Strand.MINUS else 0
    for exon in transcript.exons:
        offset = (-exon.phase) % 3
        positions = (np.arange(exon.end - exon.start) + offset) % 3
        if minus:
            positions = positions[::-1]
        labels[exon.start : exon.end] = CDS0 + positions + minus
    five_prime, three_prime = transcript.start, transcript.end - 1
    if minus:
        five_prime, three_prime = three_prime, five_prime
    if transcript.has_start:
        labels[five_prime] = START + minus
    if transcript.has_stop:
        labels[three_prime] = STOP + minus
    for start, end in transcript.introns:
        labels[start:end] = INTRON + minus
        labels[start], labels[end - 1] = (
            (ACCEPTOR + minus, DONOR + minus) if minus else (DONOR, ACCEPTOR)
        )


def read_transcript(labels: np.ndarray, sequence: str, offset: int = 0) -> Transcript | None:
    """The transcript spelled by labels (L,) that hold one gene and nothing intergenic.

    Args:
        labels: consecutive labels of one gene, `offset` being the coordinate of the first.
        sequence: name of the sequence.
        offset: 0-based coordinate of `labels[0]`.

    Returns:
        The transcript, None where the gene has no coding base (an intron cut at both ends).
    """
    strand = Strand.MINUS if labels[0] > MINUS else Strand.PLUS
    minus = MINUS if strand is Strand.MINUS else 0
    intervals = runs(IS_CODING[labels])
    if not len(intervals):
        return None
    exons = [(int(start) + offset, int(end) + offset) for start, end in intervals]
    first, last = int(intervals[0, 0]), int(intervals[-1, 1]) - 1
    five_prime, three_prime = (last, first) if minus else (first, last)
    has_start = bool(labels[five_prime] == START + minus)
    position = 0 if has_start else int(labels[five_prime]) - minus - CDS0
    return Transcript(
        sequence,
        strand,
        with_phases(exons, strand, first_phase=(-position) % 3),
        has_start=has_start,
        has_stop=bool(labels[three_prime] == STOP + minus),
    )


def read_transcripts(chunks: Iterable[np.ndarray], sequence: str) -> Iterator[Transcript]:
    """Transcripts spelled by consecutive chunks of a sequence's label path, in order.

    Args:
        chunks: labels (L_i,) uint8 that together are the path of one sequence.
    """
    pending: list[np.ndarray] = []
    gene_start = position = 0
    for chunk in chunks:
        cursor = 0
        for start, end in (*runs(chunk != INTERGENIC), (len(chunk), len(chunk))):
            if pending and start > cursor:
                yield from _read_pending(pending, sequence, gene_start)
                pending = []
            if end > start:
                if not pending:
                    gene_start = position + int(start)
                pending.append(chunk[start:end])
            cursor = end
        position += len(chunk)
    if pending:
        yield from _read_pending(pending, sequence, gene_start)


def _read_pending(pending: list[np.ndarray], sequence: str, start: int) -> Iterator[Transcript]:
    transcript = read_transcript(np.concatenate(pending), sequence, start)
    if transcript is not None:
        yield transcript
