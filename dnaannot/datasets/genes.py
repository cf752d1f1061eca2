"""Genomes labelled with genes, and the regions of them that are trained on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dnaannot.dna.grammar import (
    INTERGENIC,
    INTRON,
    MINUS,
    UNKNOWN,
    Grammar,
)
from dnaannot.dna.sequence import GAP, A, C, G, T, reverse_complement, translate
from dnaannot.dna.transcript import (
    Strand,
    Transcript,
    representative,
    with_phases,
    write_labels,
)

SPLIT_MARGIN = 10_000


@dataclass(frozen=True)
class LabelledSequence:
    """A sequence with the label of each base.

    Attributes:
        name: its name.
        codes: (L,) uint8 bases, gaps marked.
        labels: (L,) uint8, `UNKNOWN` where a base takes no part in the loss.
        genes: (R, 2) int64 half-open spans of the genes that gave the labels.
    """

    name: str
    codes: np.ndarray
    labels: np.ndarray
    genes: np.ndarray


@dataclass
class LabelReport:
    """What became of the genes of an annotation.

    Attributes:
        genes: genes seen.
        used: genes whose representative transcript became labels.
        rejected: genes left out of the loss, by reason.
    """

    genes: int = 0
    used: int = 0
    rejected: Counter[str] = field(default_factory=Counter)


def refusal(transcript: Transcript, codes: np.ndarray, grammar: Grammar) -> str | None:
    """Why the grammar cannot spell a complete transcript, None if it can.

    Args:
        codes: (L,) codes of its whole sequence, gaps marked.
    """
    if transcript.start < 0 or transcript.end > len(codes):
        return "outside the sequence"
    lengths = [exon.end - exon.start for exon in transcript.exons]
    if sum(lengths) % 3:
        return "CDS length not a multiple of 3"
    if min(b - a for a, b in transcript.introns or [(0, 1 << 30)]) < grammar.min_intron:
        return f"intron under {grammar.min_intron} bases"
    cds = transcript.cds(codes)
    if (cds == GAP).any():
        return "CDS in a gap"
    protein = translate(cds)
    if len(protein) < 2 or protein[0] != "M":
        return "no start codon"
    if protein[-1] != "*":
        return "no stop codon"
    if "*" in protein[:-1]:
        return "in-frame stop codon"
    ends = lengths if transcript.strand is Strand.PLUS else lengths[::-1]
    if ends[0] < 3 or ends[-1] < 3:
        return "intron in the start or stop codon"
    for start, end in transcript.introns:
        first, last = codes[start : start + 2], codes[end - 2 : end]
        if transcript.strand is Strand.MINUS:
            first, last = reverse_complement(last), reverse_complement(first)
        if first[0] != G or first[1] not in (T, C) or tuple(last) != (A, G):
            return "splice sites other than GT-AG and GC-AG"
    return None


def label_sequence(
    name: str,
    codes: np.ndarray,
    transcripts: Sequence[Transcript],
    grammar: Grammar,
    preferred: Iterable[str] = (),
    report: LabelReport | None = None,
    unusable: Iterable[tuple[int, int]] = (),
) -> LabelledSequence:
    """Labels of one sequence from its annotated coding transcripts.

    One transcript represents each gene: the `representative` among those that the grammar can
    spell. Left out of the loss (`UNKNOWN`) are the spans of genes with no such transcript, bases
    where another transcript of the gene has more (an exon in an intron of the representative, or
    anything outside it), and bases where the spans of two representatives overlap. Phases are
    counted anew, as the start codon tells them.

    Args:
        codes: (L,) codes, gaps marked.
        transcripts: the sequence's transcripts, `gene` and `name` set.
        preferred: names of transcripts to prefer as representatives.
        report: updated with what became of each gene.
        unusable: half-open spans of genes that could not even be read, left out of the loss.
    """
    report = report if report is not None else LabelReport()
    preferred = set(preferred)
    genes: dict[str, list[Transcript]] = defaultdict(list)
    for transcript in transcripts:
        genes[transcript.gene or transcript.name].append(transcript)
    labels = np.full(len(codes), INTERGENIC, np.uint8)
    unknown = np.zeros(len(codes), bool)
    for start, end in unusable:
        unknown[max(0, start) : max(0, end)] = True
    spans: list[tuple[int, int]] = []
    depth = np.zeros(len(codes) + 1, np.int32)
    for isoforms in genes.values():
        report.genes += 1
        reasons = [refusal(transcript, codes, grammar) for transcript in isoforms]
        isoforms = [
            transcript if reason else _in_frame(transcript)
            for transcript, reason in zip(isoforms, reasons, strict=True)
        ]
        usable = [t for t, reason in zip(isoforms, reasons, strict=True) if reason is None]
        start = max(0, min(t.start for t in isoforms))
        end = min(len(codes), max(t.end for t in isoforms))
        if not usable:
            rejected = isoforms.index(representative(isoforms, preferred))
            report.rejected[reasons[rejected] or ""] += 1
            unknown[start:end] = True
            continue
        report.used += 1
        chosen = representative(usable, preferred)
        write_labels(chosen, labels)
        unknown[start:end] |= _surpassed(chosen, isoforms, start, end)
        spans.append((chosen.start, chosen.end))
        depth[chosen.start] += 1
        depth[chosen.end] -= 1
    overlap = np.cumsum(depth[:-1]) > 1
    labels[unknown | overlap] = UNKNOWN
    array = np.array(sorted(spans), np.int64).reshape(-1, 2)
    return LabelledSequence(name, codes, labels, array)


def _in_frame(transcript: Transcript) -> Transcript:
    """A complete transcript with the phases that its start codon gives."""
    intervals = [(exon.start, exon.end) for exon in transcript.exons]
    return replace(transcript, exons=with_phases(intervals, transcript.strand))


def _surpassed(
    chosen: Transcript, isoforms: Sequence[Transcript], start: int, end: int
) -> np.ndarray:
    """(end - start,) bool: some isoform has more there than the chosen one.

    That is an exon in an intron of the chosen one, or anything outside it. Exons and splice sites
    of the chosen one are known, and so are its introns where another isoform has nothing: many
    isoforms of well annotated genomes are fragments of others.
    """
    own = _local_labels(chosen, start, end)
    is_intron = np.isin(own, (INTRON, INTRON + MINUS))
    differs = np.zeros(end - start, bool)
    for other in isoforms:
        if other.exons != chosen.exons:
            labels = _local_labels(other, start, end)
            has_more = (own == INTERGENIC) | (is_intron & (labels != INTERGENIC))
            differs |= (labels != own) & has_more
    return differs


def _local_labels(transcript: Transcript, start: int, end: int) -> np.ndarray:
    labels = np.full(end - start, INTERGENIC, np.uint8)
    exons = tuple(
        exon._replace(start=exon.start - start, end=min(exon.end, end) - start)
        for exon in transcript.exons
        if exon.start < end
    )
    if exons:
        write_labels(replace(transcript, exons=exons), labels)
    return labels


@dataclass(frozen=True)
class Region:
    """A stretch of a labelled sequence that training may draw from, half-open.

    Attributes:
        weight: how often it is drawn from, for its length.
        genome: number of the genome that a training region is of.
    """

    sequence: LabelledSequence
    start: int
    end: int
    weight: float = 1.0
    genome: int = 0


def mass(regions: Iterable[Region]) -> float:
    """How often regions are drawn from, beside others: the sum of weight times length."""
    return sum(region.weight * (region.end - region.start) for region in regions)


def genes_within(region: Region) -> np.ndarray:
    """Half-open spans (R, 2) of the genes that lie in a region."""
    genes = region.sequence.genes
    kept = (genes[:, 0] >= region.start) & (genes[:, 1] <= region.end)
    return genes[kept]


def split_region(
    sequence: LabelledSequence, start: int, end: int, margin: int = SPLIT_MARGIN
) -> Region:
    """Split off the region [start, end) of a sequence, kept `margin` bases off an inner border.

    In the sequence's own labels, genes that straddle the border become unknown, so that they
    belong to neither side. The region may come out empty, with its end at its start.
    """
    low = start + margin if start > 0 else 0
    high = max(low, end - margin if end < len(sequence.codes) else end)
    for gene_start, gene_end in sequence.genes:
        if gene_start < low < gene_end or gene_start < high < gene_end:
            sequence.labels[gene_start:gene_end] = UNKNOWN
    return Region(sequence, low, high)
