"""Genomes and annotations to training, validation and excluded regions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dnaannot.datasets import (
    SPLIT_MARGIN,
    LabelledSequence,
    LabelReport,
    Region,
    label_sequence,
    split_region,
)
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.interval import Interval
from dnaannot.dna.sequence import mark_gaps
from dnaannot.dna.transcript import Transcript
from dnaannot.errors import DataError
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import AnnotatedTranscript, read_annotation

LEAST_SEQUENCE = 1_000
_PREFERRED_TAGS = {"Ensembl_canonical", "MANE_Select"}


@dataclass(frozen=True)
class Pair:
    """A genome and its annotation.

    Attributes:
        genome, annotation: files.
        share: share of the training windows that come from it, relative to other pairs';
            None for its share of the bases.
    """

    genome: Path
    annotation: Path
    share: float | None = None


@dataclass
class GeneData:
    """What a run trains and validates on.

    Attributes:
        train, validation: regions.
        references: all annotated transcripts of the validation regions' sequences, by pair.
        reports: what became of each pair's genes, by annotation file name.
        skipped: annotation lines left out, by file name and reason.
        hashes: SHA-256 of each file by name.
    """

    train: list[Region] = field(default_factory=list)
    validation: list[list[Region]] = field(default_factory=list)
    references: list[list[Transcript]] = field(default_factory=list)
    reports: dict[str, LabelReport] = field(default_factory=dict)
    skipped: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


def read_gene_data(
    pairs: Sequence[Pair],
    grammar: Grammar,
    validation: Sequence[Interval] = (),
    excluded: Sequence[Interval] = (),
    min_gap: int = 50,
) -> GeneData:
    """Labelled regions of genomes, split for training and validation.

    Regions keep `SPLIT_MARGIN` bases off one another, and a gene that straddles a border
    belongs to neither side. Without validation regions, the last tenth of each pair's longest
    sequence is held out.

    Args:
        validation, excluded: regions; sequence names that several pairs share are refused.

    Raises:
        DataError: if a pair's files share no sequence, a region's sequence is unknown, or no
            gene is left to learn from.
    """
    data = GeneData()
    seen: dict[str, Path] = {}
    for pair in pairs:
        sequences, transcripts = _labelled(pair, grammar, min_gap, data)
        for sequence in sequences:
            if sequence.name in seen and (validation or excluded):
                raise DataError(
                    f"sequence {sequence.name!r} is also in {seen[sequence.name]}.",
                    path=pair.genome,
                    remedy="Rename one, so that regions mean one sequence.",
                )
            seen[sequence.name] = pair.genome
        _split(data, pair, sequences, transcripts, validation, excluded)
    for interval in (*validation, *excluded):
        if interval.sequence not in seen:
            raise DataError(f"no genome has the sequence {interval.sequence!r} of a region.")
    if not any(len(region.sequence.genes) for region in data.train):
        raise DataError(
            "no gene of the annotation can be learned from: "
            + "; ".join(
                f"{count} {reason}"
                for report in data.reports.values()
                for reason, count in report.rejected.items()
            ),
            remedy="Check that genome and annotation belong together.",
        )
    return data


def _labelled(
    pair: Pair, grammar: Grammar, min_gap: int, data: GeneData
) -> tuple[list[LabelledSequence], list[Transcript]]:
    annotation = read_annotation(pair.annotation)
    by_sequence: dict[str, list[AnnotatedTranscript]] = defaultdict(list)
    for annotated in annotation.transcripts:
        by_sequence[annotated.transcript.sequence].append(annotated)
    report = LabelReport()
    sequences, kept = [], []
    for record in read_fasta(pair.genome):
        codes = mark_gaps(record.codes, min_gap)
        annotated = by_sequence.pop(record.name, [])
        inside = [a for a in annotated if a.transcript.end <= len(codes)]
        report.rejected["outside the sequence"] += len(annotated) - len(inside)
        transcripts = [a.transcript for a in inside]
        preferred = [a.transcript.name for a in inside if _is_preferred(a)]
        if len(codes) >= LEAST_SEQUENCE:
            sequences.append(
                label_sequence(record.name, codes, transcripts, grammar, preferred, report)
            )
        kept += transcripts
    if by_sequence and not kept:
        there = ", ".join(sequence.name for sequence in sequences[:3])
        raise DataError(
            f"none of its sequences ({', '.join(list(by_sequence)[:3])} ...) is in "
            f"{pair.genome}, which has {there} ...",
            path=pair.annotation,
            remedy="Names must be the same in both files, for example with 'chr' or without.",
        )
    for name, rest in by_sequence.items():
        report.rejected[f"sequence {name!r} not in the genome"] += len(rest)
    report.rejected += type(report.rejected)()
    data.reports[str(pair.annotation)] = report
    data.skipped[str(pair.annotation)] = annotation.skipped
    for path in (pair.genome, pair.annotation):
        data.hashes[path.name] = _sha256(path)
    return sequences, kept


def _is_preferred(annotated: AnnotatedTranscript) -> bool:
    tags = annotated.attributes.get("tag", "").split(",")
    return annotated.attributes.get("representative") == "1" or bool(
        _PREFERRED_TAGS.intersection(tags)
    )


def _split(
    data: GeneData,
    pair: Pair,
    sequences: Sequence[LabelledSequence],
    transcripts: Sequence[Transcript],
    validation: Sequence[Interval],
    excluded: Sequence[Interval],
) -> None:
    if not validation:
        longest = max(sequences, key=lambda sequence: len(sequence.codes))
        length = len(longest.codes)
        validation = [Interval(longest.name, length - length // 10, length)]
    train: list[Region] = []
    held_out: list[Region] = []
    for sequence in sequences:
        length = len(sequence.codes)
        mine = [v for v in validation if v.sequence == sequence.name]
        held_out += [split_region(sequence, v.start, min(v.end, length)) for v in mine]
        taken = [(v.start, min(v.end, length)) for v in mine]
        taken += [(e.start, min(e.end, length)) for e in excluded if e.sequence == sequence.name]
        for start, end in _complement(sorted(taken), length):
            if end - start >= LEAST_SEQUENCE + 2 * SPLIT_MARGIN * (len(taken) > 0):
                train.append(split_region(sequence, start, end))
    bases = sum(region.end - region.start for region in train)
    weight = 1.0 if pair.share is None else pair.share / max(1, bases)
    data.train += [Region(r.sequence, r.start, r.end, weight) for r in train]
    if held_out:
        names = {region.sequence.name for region in held_out}
        data.validation.append(held_out)
        data.references.append([t for t in transcripts if t.sequence in names])


def _complement(taken: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    free, at = [], 0
    for start, end in taken:
        if start > at:
            free.append((at, start))
        at = max(at, end)
    return [*free, (at, length)] if at < length else free


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
