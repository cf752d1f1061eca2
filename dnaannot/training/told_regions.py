"""Regions that a run is told to hold out or to leave out: texts and BED files to intervals."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dnaannot.dna.interval import Interval
from dnaannot.formats.fasta import sequence_names
from dnaannot.formats.regions import is_bed, read_regions
from dnaannot.formats.source import file_hash
from dnaannot.training.splits import check_sequences, unlike


class ToldRegions(NamedTuple):
    """What `--validation` and `--exclude` say.

    Attributes:
        validation, excluded: regions.
        files: those of them that are from files.
    """

    validation: list[Interval]
    excluded: list[Interval]
    files: list[Path]

    def add_hashes(self, hashes: dict[str, str]) -> None:
        """Add the SHA-256 of each file by its name."""
        for path in self.files:
            hashes[unlike(path, hashes)] = file_hash(path)


def read_told_regions(
    validation: Sequence[str], excluded: Sequence[str], genomes: Iterable[str | Path]
) -> ToldRegions:
    """Regions as `read_regions` takes them, on sequences of genomes.

    Raises:
        InputFormatError: a genome is no FASTA, or a file no BED.
        DataError: one is neither a file nor a region, or on no sequence.
    """
    texts = [*validation, *excluded]
    names = sequence_names(genomes) if texts else set()
    return ToldRegions(
        _read(validation, names),
        _read(excluded, names),
        [Path(text) for text in dict.fromkeys(texts) if is_bed(text, names)],
    )


def _read(texts: Sequence[str], names: Collection[str]) -> list[Interval]:
    found: list[Interval] = []
    for text in texts:
        regions = read_regions(text, names)
        check_sequences(regions, names, text if is_bed(text, names) else None)
        found += regions
    return found
