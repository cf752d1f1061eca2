"""Genomes and label files to training and validation regions of tracks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dnaannot.datasets.genes import SPLIT_MARGIN
from dnaannot.datasets.tracks import (
    TrackRegion,
    TrackSequence,
    gc_matched,
    gc_shares,
    is_known,
    is_positive,
)
from dnaannot.dna.interval import Interval
from dnaannot.dna.names import listed
from dnaannot.errors import DataError
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.label_checks import check_counts
from dnaannot.formats.label_names import label_name
from dnaannot.formats.source import file_hash
from dnaannot.nn.tracks import TrackLabel
from dnaannot.training.signatures import Signatures
from dnaannot.training.splits import check_held_out, check_sequences, last_tenth, split, unlike
from dnaannot.training.track_labels import (
    LabelRules,
    LabelSource,
    open_source,
    positions_of,
    sites_of,
    targets_of,
)

_CPG_SPAN = 2


@dataclass(frozen=True)
class Assembly:
    """Genome files of one assembly and the labels on them.

    Attributes:
        genomes: FASTA files, each with sequences of its own.
        labels: label files.
    """

    genomes: Sequence[Path]
    labels: Sequence[Path]


@dataclass
class TrackData:
    """What a run trains and validates on.

    Attributes:
        labels: the K labels, as columns of the targets.
        sites: "grid" or "cpg", as a model says it.
        is_dense: positions are all those of a grid, not some that the label files have.
        train, validation: regions.
        counts: by label, positives and known positions to train on and to validate on.
        hashes: SHA-256 of each file by name.
        rates: base rate of each binary label in the training regions, mean of each quantity.
        variances: of each quantity's known targets there; 0 for a binary label.
        signatures: of what is trained on.
        notes: what a user should know of the label files.
    """

    labels: tuple[TrackLabel, ...] = ()
    sites: str = "grid"
    is_dense: bool = True
    train: list[TrackRegion] = field(default_factory=list)
    validation: list[TrackRegion] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    variances: list[float] = field(default_factory=list)
    signatures: Signatures = field(default_factory=Signatures)
    notes: list[str] = field(default_factory=list)


def read_track_data(
    assembly: Assembly,
    rules: LabelRules,
    validation: Sequence[Interval] = (),
    excluded: Sequence[Interval] = (),
    held_out: Assembly | None = None,
    negatives: int = 0,
    seed: int = 1,
) -> TrackData:
    """Labelled regions of genomes, split for training and validation.

    Training regions keep `SPLIT_MARGIN` bases off the others. Without validation regions or a
    held-out assembly, the last tenth of the longest sequence is held out.

    Args:
        validation, excluded: regions of the assembly.
        held_out: another assembly to validate on, whole, with label files of the same names;
            a label that it does not have is not validated there.
        negatives: train on so many negatives a positive, matched for GC in each region; 0 for
            all. Validation keeps all.
        seed: of the choice of negatives.

    Raises:
        DataError: labels and genome do not belong together, a region is on no sequence, nothing
            is held out, a genome of `held_out` is trained on, or a label has no positive, or no
            value, to learn from.
    """
    sources = [open_source(path, rules) for path in assembly.labels]
    sites = sites_of(sources)
    data = TrackData(_labels(sources), "cpg" if sites == "cpg" else "grid", sites is None)
    data.notes = [note for source in sources for note in source.notes]
    genome, file_of = _genome(assembly.genomes)
    sequences = _sequences(assembly, genome, sources, rules.window, data)
    lengths = {sequence.name: len(sequence.codes) for sequence in sequences}
    check_sequences((*validation, *excluded), genome)
    if not validation and held_out is None:
        validation = [last_tenth(lengths, excluded)]
    for sequence in sequences:
        _split(data, sequence, validation, excluded)
    _sign(data, assembly.genomes, file_of)
    if held_out is not None:
        _refuse_trained_on(held_out.genomes, data)
        like = _like(sources, held_out, rules)
        others = _sequences(held_out, _genome(held_out.genomes)[0], like, rules.window, data)
        data.validation += [TrackRegion(each, 0, len(each.codes)) for each in others]
    check_held_out(data.validation)
    if negatives:
        data.train = _match_negatives(data.train, rules.window, negatives, seed)
    _count(data)
    counts = {label: data.counts[label.name] for label in data.labels}
    positives = {x.name: n["positives"] for x, n in counts.items() if x.kind == "binary"}
    check_counts(positives, "positive in the training regions")
    values = {x.name: n["known"] for x, n in counts.items() if x.kind == "quantity"}
    check_counts(values, "value in the training regions")
    _measure(data)
    return data


def _refuse_trained_on(genomes: Sequence[Path], data: TrackData) -> None:
    """Refuse to validate on a genome that is trained on."""
    for path in genomes:
        if file_hash(path) in data.hashes.values():
            raise DataError(
                "is a genome to train on.",
                path=path,
                remedy="Validate on another one, or on regions of it with --validation.",
            )


def _labels(sources: Sequence[LabelSource]) -> tuple[TrackLabel, ...]:
    labels = [label for source in sources for label in source.labels]
    names = [label.name for label in labels]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two labels are called {name!r}.", remedy="Rename one of the files.")
    return tuple(labels)


class _Absent(LabelSource):
    """Labels that an assembly has nothing of: all unknown."""

    def __init__(self, source: LabelSource) -> None:
        self.path, self.labels, self.names = source.path, source.labels, ()
        self.sites, self.dtype = source.sites, source.dtype

    def check(self, genome: object) -> None:
        pass

    def centres(self, name: str, codes: np.ndarray) -> np.ndarray:
        return np.zeros(0, np.int64)

    def targets(self, name: str, codes: np.ndarray, centres: np.ndarray) -> np.ndarray:
        return self.nothing(centres)


def _like(
    sources: Sequence[LabelSource], held_out: Assembly, rules: LabelRules
) -> list[LabelSource]:
    """For each source its counterpart in another assembly, in the same order."""
    there: dict[str, Path] = {}
    for path in held_out.labels:
        if there.setdefault(label_name(path), path) != path:
            raise DataError(
                f"two files hold the label {label_name(path)!r}.",
                path=path,
                remedy="Rename one, or put it elsewhere.",
            )
    found: list[LabelSource] = []
    for source in sources:
        namesake = there.get(label_name(source.path))
        other = _Absent(source) if namesake is None else open_source(namesake, rules)
        if other.labels != source.labels or other.sites != source.sites:
            raise DataError(
                "holds other labels than its namesake of the training genome.",
                path=namesake,
                remedy="Give a file of the same kind, with the same labels.",
            )
        found.append(other)
    if all(isinstance(each, _Absent) for each in found):
        raise DataError(
            "no validation label has the name of a training label.",
            remedy="Give files of the same names.",
        )
    return found


def _genome(paths: Sequence[Path]) -> tuple[dict[str, np.ndarray], dict[str, Path]]:
    """Codes (L,) of all sequences and the file of each, by name."""
    genome: dict[str, np.ndarray] = {}
    holder: dict[str, Path] = {}
    for path in paths:
        for record in read_fasta(path):
            if record.name in holder:
                raise DataError(
                    f"sequence {record.name!r} is also in {holder[record.name]}.",
                    path=path,
                    remedy="Give each sequence once.",
                )
            holder[record.name] = path
            genome[record.name] = record.codes
    return genome, holder


def _sequences(
    assembly: Assembly,
    genome: Mapping[str, np.ndarray],
    sources: Sequence[LabelSource],
    window: int,
    data: TrackData,
) -> list[TrackSequence]:
    """The sequences of an assembly of which something is known."""
    for path in assembly.genomes:
        data.hashes[unlike(path, data.hashes)] = file_hash(path)
    for source in sources:
        source.check(genome)
        if source.names:
            data.hashes[unlike(source.path, data.hashes)] = file_hash(source.path)
    data.notes += _unshared(sources, genome)
    span = _CPG_SPAN if data.sites == "cpg" else 0
    sequences = []
    for name, codes in genome.items():
        centres = positions_of(sources, name, codes, window)
        targets = targets_of(sources, name, codes, centres)
        if is_known(targets).any():
            sequences.append(TrackSequence(name, codes, centres, targets, span))
    if not sequences:
        remedy = "Lower --min-reads, or try --soft." if data.sites == "cpg" else None
        raise DataError(
            "no position of the genome is labelled.", path=assembly.genomes[0], remedy=remedy
        )
    return sequences


def _unshared(sources: Sequence[LabelSource], genome: Mapping[str, np.ndarray]) -> list[str]:
    """What to tell of sequences that only the labels or only the genome have."""
    named = dict.fromkeys(name for source in sources for name in source.names)
    absent = [name for name in named if name not in genome]
    silent = [name for name in genome if name not in named]
    notes = [f"labels are also of sequences that are in no genome: {listed(absent)}"] * bool(absent)
    if silent:
        notes.append(f"no label file speaks of {listed(silent)}, left out")
    return notes


def _split(
    data: TrackData,
    sequence: TrackSequence,
    validation: Sequence[Interval],
    excluded: Sequence[Interval],
) -> None:
    length = len(sequence.codes)
    parts = split(sequence.name, length, validation, excluded)
    data.validation += [TrackRegion(sequence, *span) for span in parts.held_out]
    for start, end in parts.train:
        low = start + SPLIT_MARGIN if start else 0
        high = end - SPLIT_MARGIN if end < length else end
        if low < high:
            data.train.append(TrackRegion(sequence, low, high))


def _sign(data: TrackData, genomes: Sequence[Path], file_of: Mapping[str, Path]) -> None:
    """Note the signatures of the genomes, as far as they are trained on."""
    for path in genomes:
        regions = [each for each in data.train if file_of[each.sequence.name] == path]
        stretches = [each.sequence.codes[each.start : each.end] for each in regions]
        data.signatures.add(path, stretches)


def _match_negatives(
    regions: Sequence[TrackRegion], window: int, per_positive: int, seed: int
) -> list[TrackRegion]:
    """The regions with GC-matched negatives alone, region by region."""
    random = np.random.default_rng(seed)
    matched = []
    for region in regions:
        sequence, rows = region.sequence, region.rows
        if sequence.targets.dtype != np.uint8:
            raise DataError(
                "only labels of 0 and 1 can have matched negatives.",
                remedy="Leave out --matched-negatives, or --soft and signals.",
            )
        centres = sequence.centres[rows]
        gc = gc_shares(sequence.codes, centres, window)
        columns = [gc_matched(c, gc, per_positive, random) for c in sequence.targets[rows].T]
        of_region = replace(sequence, centres=centres, targets=np.stack(columns, axis=1))
        matched.append(replace(region, sequence=of_region))
    return matched


def _count(data: TrackData) -> None:
    for k, label in enumerate(data.labels):
        counts = {}
        for where, regions in (("", data.train), ("validation_", data.validation)):
            columns = [region.sequence.targets[region.rows, k] for region in regions]
            counts[f"{where}positives"] = sum(int(is_positive(each).sum()) for each in columns)
            counts[f"{where}known"] = sum(int(is_known(each).sum()) for each in columns)
        data.counts[label.name] = counts


def _measure(data: TrackData) -> None:
    for k, label in enumerate(data.labels):
        mean = _moment(data.train, k, 1)
        data.rates.append(mean)
        is_quantity = label.kind == "quantity"
        data.variances.append(_moment(data.train, k, 2, mean) if is_quantity else 0.0)


def _moment(regions: Sequence[TrackRegion], k: int, power: int, about: float = 0.0) -> float:
    """Mean power of the known targets of a label less `about`; 0 where none is known."""
    total = count = 0.0
    for region in regions:
        column = region.sequence.targets[region.rows, k]
        known = column[is_known(column)].astype(np.float64)
        total += float(((known - about) ** power).sum())
        count += len(known)
    return total / max(count, 1.0)
