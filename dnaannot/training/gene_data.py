"""Genomes and annotations to training, validation and excluded regions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from dnaannot.datasets.genes import (
    LabelledSequence,
    LabelReport,
    Region,
    genes_within,
    label_sequence,
    split_region,
)
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.interval import Interval
from dnaannot.dna.names import listed
from dnaannot.dna.sequence import mark_gaps
from dnaannot.dna.transcript import Transcript
from dnaannot.errors import DataError
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation
from dnaannot.formats.gff_transcripts import AnnotatedTranscript
from dnaannot.formats.source import file_hash
from dnaannot.predict.genes import least_gap
from dnaannot.training.signatures import Signatures
from dnaannot.training.splits import check_held_out, check_sequences, last_tenth, split, unlike

T = TypeVar("T")

LEAST_SEQUENCE = 1_000
_PREFERRED_TAGS = {"Ensembl_canonical", "MANE_Select"}


@dataclass(frozen=True)
class Pair:
    """A genome and its annotation.

    Attributes:
        genome, annotation: files.
        share: share of the training windows that come from it, relative to other pairs';
            None for its share of the bases.
        validation, excluded: regions of the genome.
    """

    genome: Path
    annotation: Path
    share: float | None = None
    validation: Sequence[Interval] = ()
    excluded: Sequence[Interval] = ()


@dataclass
class PairReport:
    """What became of a pair's annotation.

    Attributes:
        name: of the annotation file, with the genome where another pair has that name.
        labels: the fates of its genes.
        skipped: numbers of the lines left out, by reason.
        absent: genes on sequences that the genome lacks, by sequence.
        to_validate_on: usable genes that lie whole in the validation regions.
    """

    name: str
    labels: LabelReport
    skipped: dict[str, list[int]]
    absent: dict[str, int]
    to_validate_on: int = 0


@dataclass
class GeneData:
    """What a run trains and validates on.

    Attributes:
        train, validation: regions.
        references: all annotated transcripts of the validation regions' sequences, by pair.
        reports: one of each pair.
        hashes: SHA-256 of each file by name.
        signatures: of what is trained on.
    """

    train: list[Region] = field(default_factory=list)
    validation: list[list[Region]] = field(default_factory=list)
    references: list[list[Transcript]] = field(default_factory=list)
    reports: list[PairReport] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    signatures: Signatures = field(default_factory=Signatures)


def read_gene_data(pairs: Sequence[Pair], grammar: Grammar, min_gap: int | None = None) -> GeneData:
    """Labelled regions of genomes, split for training and validation.

    Training regions keep `SPLIT_MARGIN` bases off the others, and a gene that straddles a
    border belongs to neither side. Where no pair has validation regions, the last tenth of each
    one's longest sequence is held out.

    Args:
        min_gap: runs of at least this many N are gaps; `least_gap` by default.

    Raises:
        DataError: if a pair's files share no sequence, a region is on no sequence or past the
            end of one, nothing is held out, or no gene is left to learn from or to validate on.
    """
    min_gap = min_gap or least_gap(grammar)
    data = GeneData()
    by_default = not any(pair.validation for pair in pairs)
    for number, pair in enumerate(pairs):
        sequences, transcripts = _labelled(pair, grammar, min_gap, data)
        lengths = {each.name: len(each.codes) for each in sequences}
        check_sequences((*pair.validation, *pair.excluded), lengths)
        if by_default:
            pair = replace(pair, validation=[last_tenth(lengths, pair.excluded)])
        before = len(data.train)
        _split(data, pair, number, sequences, transcripts)
        own = [region.sequence.codes[region.start : region.end] for region in data.train[before:]]
        data.signatures.add(pair.genome, own)
    _count_absent(pairs, data.reports)
    check_held_out(data.validation)
    _check_trainable(data)
    _check_validated(data)
    return data


def _check_trainable(data: GeneData) -> None:
    """Refuse data without a single gene to learn from, and say what became of all."""
    if any(len(genes_within(region)) for region in data.train):
        return
    for report in data.reports:
        reasons = [f"{count} {reason}" for reason, count in report.labels.rejected.items()]
        reasons += [f"{len(at)} {reason}" for reason, at in report.skipped.items()]
        fates = [f"left out: {', '.join(reasons)}"] if reasons else []
        if report.labels.used:
            fates.append(f"{report.labels.used} in or near what is held out")
        remedy = "Check that genome and annotation belong together."
        if report.labels.used:
            remedy = "Hold out less, by --validation NAME:START-END."
        elif not report.labels.genes:
            remedy = "Give an annotation of coding genes, with CDS features."
        raise DataError(
            "no gene can be learned from" + (f" ({'; '.join(fates)})." if fates else "."),
            path=report.name,
            remedy=remedy,
        )


def _check_validated(data: GeneData) -> None:
    """Refuse validation regions without a gene: every score there is 0, whatever is learned."""
    if any(report.to_validate_on for report in data.reports):
        return
    regions = [region for held_out in data.validation for region in held_out]
    raise DataError(
        "no usable gene lies whole in what is held out to validate on: "
        f"{listed(f'{r.sequence.name}:{r.start + 1:,}-{r.end:,}' for r in regions)}.",
        remedy="Hold out regions with genes: --validation NAME:START-END.",
    )


def _labelled(
    pair: Pair, grammar: Grammar, min_gap: int, data: GeneData
) -> tuple[list[LabelledSequence], list[Transcript]]:
    annotation = read_annotation(pair.annotation)
    annotated = _grouped(annotation.transcripts, lambda each: each.transcript.sequence)
    unusable = _grouped(annotation.unusable, lambda each: each.sequence)
    report = LabelReport()
    sequences: list[LabelledSequence] = []
    kept: list[Transcript] = []
    names = []
    for record in read_fasta(pair.genome):
        names.append(record.name)
        mine = annotated.pop(record.name, [])
        transcripts = [each.transcript for each in mine]
        kept += transcripts
        if len(record.codes) < LEAST_SEQUENCE:
            report.rejected[f"on a sequence under {LEAST_SEQUENCE:,} bases"] += _genes(mine)
            continue
        codes = mark_gaps(record.codes, min_gap)
        preferred = [each.transcript.name for each in mine if _is_preferred(each)]
        spans = [(each.start, each.end) for each in unusable.get(record.name, ())]
        sequences.append(
            label_sequence(record.name, codes, transcripts, grammar, preferred, report, spans)
        )
    if annotated and not kept:
        raise DataError(
            f"none of its sequences ({listed(annotated)}) is in {pair.genome}, "
            f"which has {listed(names)}.",
            path=pair.annotation,
            remedy="Names must be the same in both files, for example with 'chr' or without.",
        )
    if not sequences:
        raise DataError(
            f"no sequence has {LEAST_SEQUENCE:,} bases.",
            path=pair.genome,
            remedy="Genes are learned with the sequence around them: give longer ones.",
        )
    report.rejected = +report.rejected
    absent = {name: _genes(rest) for name, rest in annotated.items()}
    name = str(pair.annotation)
    if any(name == other.name for other in data.reports):
        name += f" on {pair.genome}"
    data.reports.append(PairReport(name, report, annotation.skipped, absent))
    for path in (pair.genome, pair.annotation):
        data.hashes[unlike(path, data.hashes)] = file_hash(path)
    return sequences, kept


def _count_absent(pairs: Sequence[Pair], reports: Sequence[PairReport]) -> None:
    """Count the genes on sequences that no genome given with their annotation has."""
    for pair, report in zip(pairs, reports, strict=True):
        others = [
            theirs
            for other, theirs in zip(pairs, reports, strict=True)
            if other.annotation == pair.annotation and theirs is not report
        ]
        for name, genes in report.absent.items():
            if genes and all(name in other.absent for other in others):
                report.labels.rejected[f"on {name!r}, which is not in the genome"] += genes


def _grouped(items: Iterable[T], name_of: Callable[[T], str]) -> dict[str, list[T]]:
    """Items by the name of their sequence."""
    groups: dict[str, list[T]] = defaultdict(list)
    for item in items:
        groups[name_of(item)].append(item)
    return groups


def _genes(annotated: Iterable[AnnotatedTranscript]) -> int:
    """How many genes transcripts are of."""
    return len({each.transcript.gene or each.transcript.name for each in annotated})


def _is_preferred(annotated: AnnotatedTranscript) -> bool:
    tags = annotated.attributes.get("tag", "").split(",")
    return annotated.attributes.get("representative") == "1" or bool(
        _PREFERRED_TAGS.intersection(tags)
    )


def _split(
    data: GeneData,
    pair: Pair,
    number: int,
    sequences: Sequence[LabelledSequence],
    transcripts: Sequence[Transcript],
) -> None:
    train: list[Region] = []
    held_out: list[Region] = []
    for sequence in sequences:
        parts = split(sequence.name, len(sequence.codes), pair.validation, pair.excluded)
        held_out += [split_region(sequence, *span, margin=0) for span in parts.held_out]
        for span in parts.train:
            region = split_region(sequence, *span)
            if region.end - region.start >= LEAST_SEQUENCE:
                train.append(region)
    bases = sum(region.end - region.start for region in train)
    weight = 1.0 if pair.share is None else pair.share / max(1, bases)
    data.train += [replace(region, weight=weight, genome=number) for region in train]
    genes = sum(len(genes_within(region)) for region in held_out)
    data.reports[-1].to_validate_on = genes
    if held_out:
        names = {region.sequence.name for region in held_out}
        data.validation.append(held_out)
        data.references.append([t for t in transcripts if t.sequence in names])
