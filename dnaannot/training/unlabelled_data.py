"""FASTA files, or regions of them, to stretches of sequence for self-pretraining."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dnaannot.datasets.unlabelled import LEAST_BASES, Stretch, hold_out, stretches
from dnaannot.dna.interval import union
from dnaannot.dna.sequence import reverse_complement
from dnaannot.errors import DataError
from dnaannot.formats.fasta import read_fasta, sequence_names
from dnaannot.formats.regions import is_bed
from dnaannot.formats.source import file_hash
from dnaannot.formats.wanted_regions import WantedRegions
from dnaannot.training.splits import unlike


@dataclass
class UnlabelledData:
    """What a run pretrains and validates on.

    Attributes:
        train, validation: stretches of sequence.
        counts: by file name, its records, those left out and why, and the bases used.
        hashes: SHA-256 of each file by name; regions that are no file, as they are written.
    """

    train: list[Stretch] = field(default_factory=list)
    validation: list[Stretch] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


def read_unlabelled(
    files: Sequence[Path], regions: Path | None = None, validation_share: float = 0.1
) -> UnlabelledData:
    """Stretches of the records of FASTA files, or of regions on them.

    Regions are as `read_regions` takes them.

    A record (or region) is left out where it holds fewer than `LEAST_BASES` known bases, or is
    the same as an earlier one, on either strand: it could be learned by heart in training and
    asked for in validation.

    Raises:
        InputFormatError: a file is no FASTA or BED.
        DataError: a region is on no record or past the end of one, or too little is left.
    """
    data = UnlabelledData()
    names = sequence_names(files) if regions else set()
    wanted = WantedRegions(str(regions), names) if regions else None
    sizes: dict[str, int] = {}
    found: list[Stretch] = []
    seen: set[bytes] = set()
    for path in files:
        counts = {"records": 0, "short": 0, "repeated": 0, "bases": 0}
        name = unlike(path, data.hashes)
        for record in read_fasta(path):
            if wanted and record.name in sizes:
                raise DataError(
                    f"{record.name!r} is in an earlier file too, so regions on it are not clear.",
                    path=path,
                    remedy="Rename one of them.",
                )
            sizes[record.name] = len(record.codes)
            for piece in _pieces(record.name, record.codes, wanted):
                counts["records"] += 1
                mine = stretches(f"{name} {piece.record}", piece.codes, piece.start)
                is_new = _digest(piece.codes) not in seen
                seen.add(_digest(piece.codes))
                counts["short"] += not mine
                counts["repeated"] += bool(mine) and not is_new
                if is_new:
                    found += mine
                    counts["bases"] += sum(len(each.codes) for each in mine)
        data.counts[name] = counts
        data.hashes[name] = file_hash(path)
    if wanted and regions:
        wanted.check(sizes)
        told = file_hash(regions) if is_bed(str(regions), names) else str(regions)
        data.hashes[unlike(regions, data.hashes)] = told
    _check(found, files)
    data.train, data.validation = hold_out(found, validation_share)
    if not data.train or not data.validation:
        bases = sum(len(stretch.codes) for stretch in found)
        raise DataError(
            f"its {bases:,} bases are too few to hold some out for validation.",
            path=files[0],
            remedy=f"Give more sequence: {LEAST_BASES / validation_share:,.0f} bases of one record "
            "are the least.",
        )
    return data


def _pieces(name: str, codes: np.ndarray, wanted: WantedRegions | None) -> Iterator[Stretch]:
    """A record, or its regions; those that overlap are one."""
    if wanted is None:
        yield Stretch(name, 0, codes)
        return
    spans = wanted.on(name, len(codes))
    for start, end in union(np.array(spans, np.int64).reshape(-1, 2)):
        yield Stretch(f"{name}:{start + 1}-{end}", int(start), codes[start:end])


def _digest(codes: np.ndarray) -> bytes:
    """The same for both strands."""
    return min(
        hashlib.blake2b(strand.tobytes()).digest() for strand in (codes, reverse_complement(codes))
    )


def _check(found: Sequence[Stretch], files: Sequence[Path]) -> None:
    if not found:
        raise DataError(
            f"no record has {LEAST_BASES} known bases (A, C, G, T).",
            path=files[0],
            remedy="Give longer sequences, and not all N.",
        )
