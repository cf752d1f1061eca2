"""Transcripts as sets of genes: their genes, one transcript for each, what one path can hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import numpy as np

from dnaannot.dna.sequence import translate
from dnaannot.dna.transcript import Strand, Transcript, exon_bounds, representative
from dnaannot.evaluate.intervals import Regions

GeneKey = tuple[str, Strand, str]


def gene_key(transcript: Transcript) -> GeneKey:
    """What the transcripts of one gene share; a transcript that names no gene is its own."""
    own_name = transcript.name or repr(exon_bounds(transcript))
    return transcript.sequence, transcript.strand, transcript.gene or own_name


def by_sequence(transcripts: Iterable[Transcript]) -> dict[str, list[Transcript]]:
    """Transcripts by the sequence that they lie on."""
    groups: dict[str, list[Transcript]] = defaultdict(list)
    for each in transcripts:
        groups[each.sequence].append(each)
    return dict(groups)


def genes_of(transcripts: Iterable[Transcript]) -> dict[GeneKey, list[Transcript]]:
    """Transcripts by gene, genes in order of first appearance."""
    genes: dict[GeneKey, list[Transcript]] = defaultdict(list)
    for transcript in transcripts:
        genes[gene_key(transcript)].append(transcript)
    return dict(genes)


def whole_genes(
    transcripts: Iterable[Transcript], regions: Regions | None
) -> dict[GeneKey, list[Transcript]]:
    """Genes that one region each holds whole, all their transcripts together; all by default."""
    genes = genes_of(transcripts)
    if regions is None:
        return genes
    return {
        key: group
        for key, group in genes.items()
        if regions.hold(key[0], min(t.start for t in group), max(t.end for t in group))
    }


def representatives(
    transcripts: Iterable[Transcript], marked: Collection[str] = ()
) -> list[Transcript]:
    """One `representative` for each gene."""
    return [representative(gene, marked) for gene in genes_of(transcripts).values()]


@dataclass(frozen=True)
class Reachable:
    """What a single path over both strands, such as dnaannot's, can find of a reference.

    Attributes:
        genes: all genes.
        overlapping: genes whose representative's CDS span overlaps that of another gene.
        by_one_path: the most genes of which a transcript each fits side by side, as `reachable`
            counts it: the cap on `found`.
    """

    genes: int
    overlapping: int
    by_one_path: int


def reachable(
    reference: Iterable[Transcript], marked: Collection[str] = (), regions: Regions | None = None
) -> Reachable:
    """How many genes of a reference one path can hold, genes on both strands together.

    A path leaves at least one base between two genes. The choice of most intervals that do
    not overlap is the one that takes the earliest end each time. Where two transcripts of one
    gene lie side by side it may count a gene too few.
    """
    genes = whole_genes(reference, regions)
    chosen = [representative(gene, marked) for gene in genes.values()]
    everything = [
        (transcript.sequence, transcript.end, transcript.start, key)
        for key, gene in genes.items()
        for transcript in gene
    ]
    held: set[GeneKey] = set()
    sequence, reach = "", -1
    for name, end, start, key in sorted(everything):
        if name != sequence:
            sequence, reach = name, -1
        if start > reach and key not in held:
            held.add(key)
            reach = end
    return Reachable(len(genes), _count_overlapping(chosen), len(held))


def _count_overlapping(transcripts: Iterable[Transcript]) -> int:
    ordered = sorted(transcripts, key=lambda each: (each.sequence, each.start, each.end))
    overlapping: set[int] = set()
    farthest = 0
    for index in range(1, len(ordered)):
        before, here = ordered[farthest], ordered[index]
        if before.sequence == here.sequence and here.start < before.end:
            overlapping |= {farthest, index}
        if before.sequence != here.sequence or here.end > before.end:
            farthest = index
    return len(overlapping)


# --- ends of a CDS ---------------------------------------------------------------------------


def with_stop(transcript: Transcript, codes: np.ndarray | None = None) -> Transcript:
    """The transcript with 3 bases more at its 3' end, for a CDS that leaves its stop codon out.

    Args:
        codes: (L,) of its whole sequence. With them it is extended only if the bases behind it
            are a stop codon and its own last codon is none; without them wherever it is not
            marked as cut there.
    """
    is_plus = transcript.strand is Strand.PLUS
    outermost = -1 if is_plus else 0
    last = transcript.exons[outermost]
    longer = last._replace(end=last.end + 3) if is_plus else last._replace(start=last.start - 3)
    if longer.start < 0 or (codes is not None and longer.end > len(codes)):
        return transcript
    exons = list(transcript.exons)
    exons[outermost] = longer
    extended = replace(transcript, exons=tuple(exons))
    if codes is None:
        return extended if transcript.has_stop else transcript
    ends_early = not ends_with_stop(transcript, codes) and ends_with_stop(extended, codes)
    return replace(extended, has_stop=True) if ends_early else transcript


def starts_with_atg(transcript: Transcript, codes: np.ndarray) -> bool:
    """Whether the CDS begins in frame with ATG, by the codes (L,) of its whole sequence."""
    return transcript.first_exon.phase == 0 and translate(transcript.cds(codes)[:3]) == "M"


def ends_with_stop(transcript: Transcript, codes: np.ndarray) -> bool:
    """Whether the CDS ends in frame with a stop codon, by the codes (L,) of its whole sequence."""
    cds = transcript.cds(codes)
    return (len(cds) - transcript.first_exon.phase) % 3 == 0 and translate(cds[-3:]) == "*"
