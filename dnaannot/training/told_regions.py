"""Regions that a run is told to hold out or to leave out: texts and BED files to intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dnaannot.dna.interval import Interval
from dnaannot.dna.names import listed
from dnaannot.errors import DataError
from dnaannot.formats.fasta import sequence_names
from dnaannot.formats.regions import is_bed, read_regions
from dnaannot.formats.source import file_hash
from dnaannot.training.splits import check_sequences, unlike

_FASTA = (".fa", ".fasta", ".fna", ".fas", ".gz", ".bgz")


class ToldRegions(NamedTuple):
    """What `--validation` and `--exclude` say.

    Attributes:
        validation, excluded: regions of each genome.
        files: those of them that are from files.
    """

    validation: list[list[Interval]]
    excluded: list[list[Interval]]
    files: list[Path]

    def add_hashes(self, hashes: dict[str, str]) -> None:
        """Add the SHA-256 of each file by its name."""
        for path in self.files:
            hashes[unlike(path, hashes)] = file_hash(path)


class _Told(NamedTuple):
    """A text as `read_regions` takes it, and the genome that was said before it, if one was."""

    text: str
    genome: str | None


def read_told_regions(
    validation: Sequence[str],
    excluded: Sequence[str],
    genomes: Sequence[str | Path],
    are_one: bool = False,
) -> ToldRegions:
    """Regions as `read_regions` takes them, on sequences of genomes.

    A genome may be said before the text, by its path or, where that tells it, its file's name
    alone: `human.fa=chr16:1-4,000,000`. One that is given twice has its regions twice.

    Args:
        are_one: the files are parts of one genome, of which all regions are.

    Raises:
        InputFormatError: a genome is no FASTA, or a file no BED.
        DataError: one is neither a file nor a region, on no sequence, or on those of several
            genomes and none is said.
    """
    paths = [str(genome) for genome in genomes]
    files_of = {"": paths} if are_one else {path: [path] for path in paths}
    told = [
        [_Told(text, None) if are_one else _split(text, paths) for text in texts]
        for texts in (validation, excluded)
    ]
    reader = _Reader({name: sequence_names(each) for name, each in files_of.items() if any(told)})
    held_out, left_out = ([reader.regions(each) for each in texts] for texts in told)
    files = dict.fromkeys(each.text for texts in told for each in texts if reader.is_file(each))
    names = [""] if are_one else paths
    return ToldRegions(
        [_of(name, held_out) for name in names],
        [_of(name, left_out) for name in names],
        [Path(text) for text in files],
    )


def region_text(text: str, genomes: Iterable[str]) -> str:
    """What a text says of regions, without the genome before it."""
    return _split(text, list(genomes)).text


def _of(genome: str, found: Iterable[Mapping[str, list[Interval]]]) -> list[Interval]:
    return [region for regions in found for region in regions.get(genome, [])]


def _split(text: str, genomes: Sequence[str]) -> _Told:
    """The genome that a text begins with, and the rest."""
    for genome in genomes:
        if text.startswith(f"{genome}="):
            return _Told(text[len(genome) + 1 :], genome)
    said, equals, rest = text.partition("=")
    if not equals:
        return _Told(text, None)
    like = [each for each in dict.fromkeys(genomes) if _is_said(said, Path(each))]
    if len(like) == 1:
        return _Told(rest, like[0])
    if like or said.endswith(_FASTA):
        raise DataError(
            f"'{said}' is {'the name of several genomes' if like else 'none of the genomes'}: "
            f"{listed(like or dict.fromkeys(genomes))}.",
            remedy=f"Write the genome as it was given: {(like or genomes)[0]}={rest}.",
        )
    return _Told(text, None)


def _is_said(said: str, genome: Path) -> bool:
    return said == genome.name or Path(said).resolve() == genome.resolve()


class _Reader:
    """Reads regions on sequences of genomes, whose names it knows."""

    def __init__(self, names: Mapping[str, set[str]]) -> None:
        self._names = names
        self._all: set[str] = set().union(*names.values())

    def is_file(self, told: _Told) -> bool:
        """Whether what was told is in a file."""
        return is_bed(told.text, self._meant(told))

    def regions(self, told: _Told) -> dict[str, list[Interval]]:
        """The regions by the path of their genome."""
        names, path = self._meant(told), told.text if self.is_file(told) else None
        regions = read_regions(told.text, names)
        check_sequences(regions, names, path, told.genome)
        found: dict[str, list[Interval]] = {}
        for region in regions:
            genome = told.genome or self._genome_of(region, told, path)
            found.setdefault(genome, []).append(region)
        return found

    def _meant(self, told: _Told) -> set[str]:
        return self._all if told.genome is None else self._names[told.genome]

    def _genome_of(self, region: Interval, told: _Told, path: str | None) -> str:
        having = [genome for genome, names in self._names.items() if region.sequence in names]
        if len(having) == 1:
            return having[0]
        remedy = f"Say which: {having[0]}={told.text}."
        if path is not None:
            remedy = f"Give each genome a file of its own, as {having[0]}={path}."
        raise DataError(
            f"{region.sequence!r} is a sequence of {listed(having)}.",
            path=path,
            line=region.line or None,
            remedy=remedy,
        )
