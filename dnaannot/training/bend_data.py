"""Samples of BEND's gene finding: read from its files, or cut from an annotated genome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnaannot.dna.transcript import Transcript
from dnaannot.errors import DataError
from dnaannot.evaluate.bend_labels import bend_labels
from dnaannot.evaluate.gene_sets import ends_with_stop, representatives, starts_with_atg
from dnaannot.formats.bend import SPLITS, BendRow, read_bend
from dnaannot.formats.bend_genome import check_assembly, read_bend_sequences
from dnaannot.formats.bend_labels import labels_beside, read_bend_labels

LEAST_BASES, MOST_BASES = 1_433, 14_000
"""Lengths of BEND's samples."""
LEAST_FLANK, MOST_FLANK = 500, 2_500


class Sample(NamedTuple):
    """A sequence and its labels, both on the plus strand.

    Attributes:
        codes: (L,) uint8 bases.
        labels: (L,) uint8, the nine labels.
    """

    codes: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class BendData:
    """The samples of a benchmark by split."""

    train: list[Sample]
    valid: list[Sample]
    test: list[Sample]


def read_bend_data(
    table: str | Path, genomes: Sequence[str | Path], labels: str | Path | None = None
) -> BendData:
    """Samples of a gene-finding table, its labels and its genome.

    Args:
        genomes: FASTA files that together hold the table's sequences.
        labels: the HDF5 file; the one beside the table by default.

    Raises:
        InputFormatError, DataError: a file is not what it should be, the files do not belong
            together (see `check_assembly`), or nothing is there to train or validate on.
    """
    rows = read_bend(table)
    each = read_bend_labels(labels or labels_beside(table), rows)
    sequences = read_bend_sequences(genomes, rows)
    check_assembly(each, sequences, ", ".join(map(str, genomes)))
    splits: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    for row, codes, row_labels in zip(rows, sequences, each, strict=True):
        if row.split not in splits:
            raise DataError(
                f"line {row.line}: split '{row.split}' is none of {', '.join(SPLITS)}.", path=table
            )
        splits[row.split].append(Sample(codes, row_labels))
    for name in SPLITS[:2]:
        if not splits[name]:
            raise DataError(
                f"no row is of the split '{name}'.",
                path=table,
                remedy=f"The last column says {', '.join(SPLITS)}; the first two must be there.",
            )
    return BendData(*(splits[name] for name in SPLITS))


def some_of(samples: Sequence[Sample], share: float, seed: int) -> list[Sample]:
    """A random share of the samples, at least one; smaller shares lie in larger ones."""
    order = np.random.Generator(np.random.Philox(key=seed)).permutation(len(samples))
    return [samples[index] for index in order[: max(1, round(share * len(samples)))]]


def cut_genes(
    name: str,
    codes: np.ndarray,
    transcripts: Iterable[Transcript],
    split_of: Callable[[int, int], str | None],
    marked: Collection[str] = (),
    seed: int = 1,
) -> tuple[list[BendRow], list[np.ndarray]]:
    """Rows and labels of the genes of one sequence, cut as BEND cuts them.

    A sample is the CDS of one complete gene, introns included, with flanks of random length, and
    has `LEAST_BASES` to `MOST_BASES`; genes that do not fit are left out. Labels are those of
    one transcript of every gene that the sample touches.

    Args:
        codes: (L,) of the whole sequence.
        transcripts: those on this sequence.
        split_of: (start, end) of a sample -> its split, None to leave it out.
        marked: names of transcripts to prefer as a gene's representative.
        seed: of the flanks.
    """
    chosen = sorted(representatives(transcripts, marked), key=lambda each: (each.start, each.end))
    labels = bend_labels(chosen, len(codes))
    random = np.random.Generator(np.random.Philox(key=seed))
    rows, cut = [], []
    for transcript in chosen:
        flanks = random.integers(LEAST_FLANK, MOST_FLANK + 1, 2)
        if not (starts_with_atg(transcript, codes) and ends_with_stop(transcript, codes)):
            continue
        start, end = _window(transcript, flanks, len(codes))
        split = split_of(start, end)
        if split is not None and LEAST_BASES <= end - start <= MOST_BASES:
            rows.append(BendRow(name, start, end, split, transcript.strand.value))
            cut.append(labels[start:end])
    return rows, cut


def _window(transcript: Transcript, flanks: np.ndarray, length: int) -> tuple[int, int]:
    span = transcript.end - transcript.start
    left, right = flanks.tolist()
    room = MOST_BASES - span
    if left + right > room >= 2 * LEAST_FLANK:
        left = min(left, room - LEAST_FLANK)
        right = min(right, room - left)
    missing = max(0, LEAST_BASES - span - left - right)
    return max(0, transcript.start - left), min(length, transcript.end + right + missing)
