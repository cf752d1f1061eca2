"""Regions that a run is told to hold out or to leave out: texts and BED files to intervals."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from dnaannot.dna.interval import Interval
from dnaannot.dna.names import listed
from dnaannot.errors import DataError
from dnaannot.formats.fasta import sequence_names
from dnaannot.formats.regions import is_bed, read_regions
from dnaannot.formats.source import file_hash
from dnaannot.training.splits import check_sequences, unlike


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
    genome: str


def read_told_regions(
    validation: Sequence[str], excluded: Sequence[str], genomes: Sequence[str | Path]
) -> ToldRegions:
    """Regions as `read_regions` takes them, on sequences of genomes.

    A genome's path and an equals sign may go before the text: `human.fa=chr16:1-4,000,000`.

    Raises:
        InputFormatError: a genome is no FASTA, or a file no BED.
        DataError: one is neither a file nor a region, on no sequence, or on several and no
            genome is said.
    """
    paths = [str(genome) for genome in genomes]
    told = [[split_genome(text, paths) for text in texts] for texts in (validation, excluded)]
    names = {path: sequence_names([path]) for path in paths} if validation or excluded else {}
    files = [
        Path(each.text) for each in dict.fromkeys([*told[0], *told[1]]) if _is_file(each, names)
    ]
    held_out, left_out = (_read(each, paths, names) for each in told)
    return ToldRegions(held_out, left_out, files)


def split_genome(text: str, genomes: Collection[str]) -> _Told:
    """What a text says, and of which of the genomes (none where it does not tell)."""
    genome = next((each for each in genomes if text.startswith(f"{each}=")), "")
    return _Told(text[len(genome) + 1 :] if genome else text, genome)


def _is_file(told: _Told, names: dict[str, set[str]]) -> bool:
    return is_bed(told.text, _names(told, names))


def _names(told: _Told, names: dict[str, set[str]]) -> set[str]:
    """Sequences that a text may mean."""
    return names[told.genome] if told.genome else set().union(*names.values())


def _read(
    texts: Sequence[_Told], genomes: Sequence[str], names: dict[str, set[str]]
) -> list[list[Interval]]:
    found: list[list[Interval]] = [[] for _ in genomes]
    for told in texts:
        among = _names(told, names)
        path = told.text if _is_file(told, names) else None
        regions = read_regions(told.text, among)
        check_sequences(regions, among, path)
        for region in regions:
            found[_genome_of(region, told, genomes, names, path)].append(region)
    return found


def _genome_of(
    region: Interval,
    told: _Told,
    genomes: Sequence[str],
    names: dict[str, set[str]],
    path: str | None,
) -> int:
    """Which of the genomes a region is of."""
    if told.genome:
        return genomes.index(told.genome)
    having = [number for number, each in enumerate(genomes) if region.sequence in names[each]]
    if len(having) > 1:
        raise DataError(
            f"{region.sequence!r} is a sequence of {listed(genomes[number] for number in having)}.",
            path=path,
            line=region.line or None,
            remedy=f"Say which: {genomes[having[0]]}={told.text}.",
        )
    return having[0]
