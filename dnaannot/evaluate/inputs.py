"""Two annotation files, and a genome if there is one, made ready to be compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dnaannot.dna.interval import Interval
from dnaannot.dna.names import counted, listed, naming_remedy
from dnaannot.dna.transcript import Transcript
from dnaannot.errors import DataError
from dnaannot.evaluate.gene_sets import (
    by_sequence,
    ends_with_stop,
    starts_with_atg,
    with_stop,
)
from dnaannot.evaluate.genes import last_bases
from dnaannot.evaluate.intervals import Regions
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import Annotation, read_annotation
from dnaannot.formats.gff_transcripts import AnnotatedTranscript
from dnaannot.formats.wanted_regions import WantedRegions

PREDICTION, REFERENCE = "pred", "ref"


@dataclass(frozen=True)
class GeneInputs:
    """What is compared.

    Attributes:
        predicted, reference: all coding transcripts that lie on a sequence that counts.
        marked: names of the transcripts with the attribute `representative=1`.
        lengths: bases by sequence.
        regions: the part that counts, None for all.
        notes: what the user should know before reading the scores.
    """

    predicted: list[Transcript]
    reference: list[Transcript]
    marked: frozenset[str]
    lengths: Mapping[str, int]
    regions: Regions | None
    notes: list[str]


def read_gene_inputs(
    prediction: str | Path,
    reference: str | Path,
    genome: str | Path | None = None,
    add_stop: Collection[str] = (),
    regions: str | None = None,
) -> GeneInputs:
    """Read a prediction and its reference.

    With a genome, its sequences are those that count, and whether a CDS has its start and its
    stop codon is read from the bases. Without one it has both, but where an attribute says
    otherwise (`partial=true` with `start_range` or `end_range`, `cds_complete=0`), and a
    sequence is as long as its `##sequence-region` says or else ends with its last gene.

    Args:
        prediction, reference: GFF3 or GTF files, each read once; one may be `-`.
        genome: FASTA file.
        add_stop: sides, PREDICTION or REFERENCE, whose CDS leave the stop codon out.
        regions: that will be compared, as `read_regions` takes them; all by default.

    Raises:
        InputFormatError: a file is not what it should be.
        DataError: the reference has no CDS, the files do not belong together, or a region lies
            outside the genome.
    """
    paths = {PREDICTION: prediction, REFERENCE: reference}
    read = {side: read_annotation(path) for side, path in paths.items()}
    _require_genes(read[REFERENCE], reference)
    notes = [note for side, path in paths.items() for note in _peculiar(path, read[side])]
    sides = {
        side: [_with_declared_ends(each) for each in annotation.transcripts]
        for side, annotation in read.items()
    }
    _require_shared_sequences(sides[PREDICTION], sides[REFERENCE])
    if genome is None:
        lengths = _lengths_without_genome(read.values(), sides.values())
        for side in add_stop:
            sides[side] = [with_stop(each) for each in sides[side]]
    else:
        lengths = _read_ends(sides, paths, genome, add_stop, notes)
    part = None if regions is None else _part(regions, lengths, genome is not None)
    notes += _absences(sides, part)
    marked = frozenset(
        each.transcript.name
        for annotation in read.values()
        for each in annotation.transcripts
        if each.attributes.get("representative") == "1"
    )
    return GeneInputs(sides[PREDICTION], sides[REFERENCE], marked, lengths, part, notes)


def _part(text: str, lengths: Mapping[str, int], has_genome: bool) -> Regions:
    """The regions that count; of a genome, all have to lie on its sequences."""
    wanted = WantedRegions(text, lengths)
    if has_genome:
        return Regions.of_intervals(wanted.within(lengths))
    _require_known_regions(wanted.regions, lengths)
    return Regions.of_intervals(wanted.regions)


def _require_genes(annotation: Annotation, path: str | Path) -> None:
    if annotation.transcripts:
        return
    reasons = ", ".join(annotation.skipped)
    raise DataError(
        "the reference holds no CDS to compare with" + (f" ({reasons})." if reasons else "."),
        path=path,
        remedy="Give an annotation of coding genes, with CDS features.",
    )


def _require_shared_sequences(
    predicted: Iterable[Transcript], reference: Iterable[Transcript]
) -> None:
    """Refuse two annotations that both hold genes, none of them on the same sequence.

    Raises:
        DataError: they share no sequence name; the message names those of each.
    """
    ours, theirs = ({each.sequence for each in side} for side in (predicted, reference))
    if not ours or not theirs or ours & theirs:
        return
    raise DataError(
        "the prediction and the reference share no sequence name: "
        f"{listed(sorted(ours))} against {listed(sorted(theirs))}.",
        remedy=naming_remedy(ours, theirs, "Are they of the same genome?"),
    )


def _require_known_regions(regions: Iterable[Interval], lengths: Mapping[str, int]) -> None:
    """Refuse regions of which none lies on a sequence that counts.

    Raises:
        DataError: so it is; the message names the sequences of both.
    """
    names = dict.fromkeys(region.sequence for region in regions)
    if not names.keys() & lengths.keys():
        raise DataError(
            f"the regions lie on {listed(names)}, the genes on {listed(lengths)}.",
            remedy="Name the regions' sequences as the annotations do.",
        )


def _peculiar(path: str | Path, annotation: Annotation) -> list[str]:
    """Notes on what was left out of an annotation, or taken for something else."""
    notes = [
        f"{path}: left out {counted(len(lines), 'transcript')}: {reason} "
        f"(first at line {min(lines)})."
        for reason, lines in annotation.skipped.items()
    ]
    if lines := annotation.parentless:
        notes.append(
            f"{path}: {counted(len(lines), 'transcript')} that CDS name as parent have no line "
            f"(first at line {min(lines)}): each stands for a gene of its own."
        )
    return notes


def _with_declared_ends(annotated: AnnotatedTranscript) -> Transcript:
    """The transcript with the ends that its attributes say are cut."""
    attributes, transcript = annotated.attributes, annotated.transcript
    is_cut = attributes.get("partial") == "true" or attributes.get("cds_complete") == "0"
    if not is_cut:
        return transcript
    low, high = "start_range" in attributes, "end_range" in attributes
    if not low and not high:
        low = high = True
    start, stop = (low, high) if transcript.strand.value == "+" else (high, low)
    return replace(transcript, has_start=not start, has_stop=not stop)


def _lengths_without_genome(
    annotations: Iterable[Annotation], sides: Iterable[list[Transcript]]
) -> dict[str, int]:
    lengths = last_bases(*sides)
    for annotation in annotations:
        for name, length in annotation.lengths.items():
            lengths[name] = max(lengths.get(name, 0), length)
    return lengths


def _read_ends(
    sides: dict[str, list[Transcript]],
    paths: Mapping[str, str | Path],
    genome: str | Path,
    add_stop: Collection[str],
    notes: list[str],
) -> dict[str, int]:
    """Lengths of the genome's sequences; the transcripts in `sides` get the ends they have."""
    lengths: dict[str, int] = {}
    settled: dict[str, list[Transcript]] = {side: [] for side in sides}
    waiting = {side: by_sequence(transcripts) for side, transcripts in sides.items()}
    stops_left_out: Counter[str] = Counter()
    for record in read_fasta(genome):
        lengths[record.name] = len(record.codes)
        for side, path in paths.items():
            for transcript in waiting[side].pop(record.name, ()):
                _require_inside(transcript, len(record.codes), path)
                extended = with_stop(transcript, record.codes)
                stops_left_out[side] += extended is not transcript
                chosen = extended if side in add_stop else transcript
                settled[side].append(_with_ends_of_bases(chosen, record.codes))
    for side, path in paths.items():
        notes += _outside(path, waiting[side], genome)
        n_without, n_all = stops_left_out[side], len(settled[side])
        if side in add_stop:
            notes.append(f"{path}: added the stop codon to {n_without:,} of {n_all:,} CDS.")
        elif 2 * n_without > n_all:
            notes.append(
                f"{path}: {n_without:,} of {n_all:,} CDS end right before a stop codon, as if "
                f"they left it out: such genes cannot match. Add --add-stop {side}."
            )
    if not any(settled.values()):
        raise DataError(
            f"no gene lies on a sequence of the genome, which has {listed(lengths)}.",
            path=genome,
            remedy="Give the genome that both annotations were made on.",
        )
    sides.update(settled)
    return lengths


def _require_inside(transcript: Transcript, length: int, path: str | Path) -> None:
    if transcript.end > length:
        raise DataError(
            f"transcript '{transcript.name}' ends at base {transcript.end:,} of "
            f"'{transcript.sequence}', which has {length:,} in the genome.",
            path=path,
            remedy="Give the genome of the same assembly.",
        )


def _with_ends_of_bases(transcript: Transcript, codes: np.ndarray) -> Transcript:
    return replace(
        transcript,
        has_start=starts_with_atg(transcript, codes),
        has_stop=ends_with_stop(transcript, codes),
    )


def _outside(
    path: str | Path, left: Mapping[str, list[Transcript]], genome: str | Path
) -> list[str]:
    if not left:
        return []
    count = sum(map(len, left.values()))
    return [
        f"{path}: left out {counted(count, 'transcript')} on {counted(len(left), 'sequence')} "
        f"that {genome} does not hold: {listed(sorted(left))}."
    ]


def _absences(sides: Mapping[str, list[Transcript]], regions: Regions | None) -> list[str]:
    """What is missing as a whole, so that low scores are understood."""
    if not sides[PREDICTION]:
        return ["The prediction holds no gene: every score is 0."]
    bare = {each.sequence for each in sides[REFERENCE]}
    bare -= {each.sequence for each in sides[PREDICTION]}
    if regions is not None:
        bare &= regions.of.keys()
    if not bare:
        return []
    return [
        f"The prediction has no gene on {counted(len(bare), 'sequence')} of the reference, "
        f"{listed(sorted(bare))}: their genes count as missed. If it was not made on them, give "
        "--regions or the --genome that it was made on."
    ]
