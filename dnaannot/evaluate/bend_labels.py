"""The nine labels of BEND (Marin et al. 2024) of gene models, and their multiclass MCC."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from dnaannot.dna.nine_labels import ACCEPTOR, CDS, DONOR, INTRON, MINUS, NINE, OTHER
from dnaannot.dna.sequence import runs
from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.errors import DataError
from dnaannot.evaluate.gene_sets import by_sequence
from dnaannot.evaluate.intervals import Regions

_BLOCK_BASES = 1 << 20


def bend_labels(transcripts: Iterable[Transcript], length: int) -> np.ndarray:
    """Labels (length,) uint8 of a sequence that holds `transcripts`.

    A coding base is CDS, the first base of an intron (the G of GT) donor, its last (the G of
    AG) acceptor, the others intron; the stop codon, UTRs and all else are OTHER. Where
    transcripts overlap, a base takes the first of CDS or stop codon, splice site, intron that
    one of them gives it; between two of the same kind the longer CDS wins, then the leftmost
    transcript. Pass one transcript per gene.

    Raises:
        DataError: a transcript lies beyond the sequence.
    """
    labels = np.full(length, OTHER, np.uint8)
    winners_last = sorted(transcripts, key=_importance)
    for transcript in winners_last:
        if transcript.end > length:
            raise DataError(
                f"transcript '{transcript.name}' ends at base {transcript.end:,} of "
                f"'{transcript.sequence}', which has {length:,}.",
                remedy="Are the annotation and the genome of the same assembly?",
            )
    for write in (_write_introns, _write_splice_sites, _write_exons):
        for transcript in winners_last:
            write(transcript, labels, MINUS if transcript.strand is Strand.MINUS else 0)
    return labels


def _importance(transcript: Transcript) -> tuple[int, int]:
    return transcript.coding_bases, -transcript.start


def _write_introns(transcript: Transcript, labels: np.ndarray, minus: int) -> None:
    for start, end in transcript.introns:
        labels[start:end] = INTRON + minus


def _write_splice_sites(transcript: Transcript, labels: np.ndarray, minus: int) -> None:
    left, right = (ACCEPTOR, DONOR) if minus else (DONOR, ACCEPTOR)
    for start, end in transcript.introns:
        labels[start], labels[end - 1] = left + minus, right + minus


def _write_exons(transcript: Transcript, labels: np.ndarray, minus: int) -> None:
    for exon in transcript.exons:
        labels[exon.start : exon.end] = CDS + minus
    left_of_stop = 3 if transcript.has_stop else 0
    for exon in transcript.exons if minus else transcript.exons[::-1]:
        taken = min(left_of_stop, exon.end - exon.start)
        stop = slice(exon.start, exon.start + taken) if minus else slice(exon.end - taken, exon.end)
        labels[stop] = OTHER
        left_of_stop -= taken


def from_bend_labels(labels: np.ndarray, sequence: str) -> list[Transcript]:
    """Transcripts that labels (L,) spell, by ascending start; the inverse of `bend_labels`.

    A gene is a run of labels of one strand that are not OTHER; its coding exons are the runs of
    CDS in it. BEND counts the stop codon as OTHER: the three bases past the 3' end are taken to
    be it where they lie in the sequence and belong to no gene. A gene is complete if it has
    that stop codon and a whole number of codons. An intron that no CDS follows is dropped.
    """
    is_minus = (labels >= MINUS) & (labels != OTHER)
    found = []
    for strand, mask in ((Strand.PLUS, ~is_minus & (labels != OTHER)), (Strand.MINUS, is_minus)):
        for start, end in runs(mask):
            exons = [
                (int(low + start), int(high + start))
                for low, high in runs(labels[start:end] % MINUS == CDS)
            ]
            if exons:
                found.append(_with_stop_codon(labels, sequence, strand, exons))
    return sorted(found, key=lambda transcript: transcript.start)


def _with_stop_codon(
    labels: np.ndarray, sequence: str, strand: Strand, exons: list[tuple[int, int]]
) -> Transcript:
    first, last = exons[0][0], exons[-1][1]
    low, high = (last, last + 3) if strand is Strand.PLUS else (first - 3, first)
    has_stop = low >= 0 and high <= len(labels) and bool((labels[low:high] == OTHER).all())
    if has_stop:
        exons[0] = (min(low, first), exons[0][1])
        exons[-1] = (exons[-1][0], max(high, last))
    complete = has_stop and sum(end - start for start, end in exons) % 3 == 0
    placed = with_phases(exons, strand)
    return Transcript(sequence, strand, placed, has_start=complete, has_stop=has_stop)


def confusion(
    predicted: Iterable[Transcript],
    reference: Iterable[Transcript],
    lengths: Mapping[str, int],
    regions: Regions | None = None,
) -> np.ndarray:
    """Bases (9, 9) int64 by label in the reference (row) and in the prediction (column).

    Args:
        predicted, reference: one transcript per gene.
        lengths: bases of every sequence that counts; those without genes count too.
        regions: the bases that count, all by default.

    Raises:
        DataError: a transcript lies beyond its sequence or on one that `lengths` lacks.
    """
    ours, theirs = by_sequence(predicted), by_sequence(reference)
    for sequence in (ours.keys() | theirs.keys()) - lengths.keys():
        raise DataError(
            f"genes lie on '{sequence}', which the genome does not hold.",
            remedy="Give the genome that both annotations were made on.",
        )
    counts = np.zeros((NINE, NINE), np.int64)
    for sequence, length in lengths.items():
        spans = np.array([[0, length]], np.int64)
        if regions is not None:
            spans = regions.clip(sequence, spans)
        if sequence not in ours and sequence not in theirs:
            counts[OTHER, OTHER] += int((spans[:, 1] - spans[:, 0]).sum())
        elif len(spans):
            columns = bend_labels(ours.get(sequence, ()), length)
            rows = bend_labels(theirs.get(sequence, ()), length)
            counts += _count(rows, columns, spans)
    return counts


def _count(rows: np.ndarray, columns: np.ndarray, spans: np.ndarray) -> np.ndarray:
    counts = np.zeros(NINE**2, np.int64)
    for first, last in spans.tolist():
        for start in range(first, last, _BLOCK_BASES):
            block = slice(start, min(start + _BLOCK_BASES, last))
            counts += np.bincount(rows[block] * np.uint8(NINE) + columns[block], minlength=NINE**2)
    return counts.reshape(NINE, NINE)


def matthews(counts: np.ndarray) -> float:
    """Multiclass Matthews correlation (Gorodkin 2004) of a confusion matrix (K, K).

    Equals `sklearn.metrics.matthews_corrcoef` of the labels counted, 0 where one side has a
    single label.
    """
    # Python integers: the squares of the bases of a large genome pass 64 bits
    total, correct = int(counts.sum()), int(np.trace(counts))
    rows, columns = counts.sum(axis=1).tolist(), counts.sum(axis=0).tolist()
    covariance = correct * total - sum(r * c for r, c in zip(rows, columns, strict=True))
    spread = (total**2 - sum(r * r for r in rows)) * (total**2 - sum(c * c for c in columns))
    return covariance / math.sqrt(spread) if spread else 0.0
