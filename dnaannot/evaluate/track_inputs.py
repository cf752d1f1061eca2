"""Predicted tracks and files of measured labels, paired by the label's name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnaannot.dna.names import listed
from dnaannot.dna.sequence import cpg_sites, unknown_runs
from dnaannot.errors import DataError
from dnaannot.formats.bigwig_reader import BigWig
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.label_files import LabelKind, label_files, label_kind
from dnaannot.formats.label_names import label_name, named_task
from dnaannot.formats.labelled_windows import WindowTable, read_windows
from dnaannot.formats.track_table import TABLE, read_table

METHYLATION, HISTONE = "methylation", "histone"


@dataclass(frozen=True)
class Predicted:
    """One predicted track.

    Attributes:
        path: its bigWig.
        label: such as `dnase__k562`.
        task: such as "accessibility"; "" where nothing says.
        unit: "probability", "percent" or "signal"; "" where nothing says.
        model: that predicts it; "" where nothing says.
        is_centred: a value is about the window around it, so that a window's value is that at
            its middle; else it is the mean over the window.
    """

    path: Path
    label: str
    task: str = ""
    unit: str = ""
    model: str = ""
    is_centred: bool = False

    @property
    def is_histone(self) -> bool:
        """Whether the label is a histone mark, by its task or else by its name."""
        return (self.task or named_task(self.label)) == HISTONE


class Measured(NamedTuple):
    """One label that was measured.

    Attributes:
        path: the file that holds it.
        kind: of the file.
        name: of the label.
        table: the windows of a table, which all labels of the file share.
        column: which of the table's labels it is.
    """

    path: Path
    kind: LabelKind
    name: str
    table: WindowTable | None = None
    column: int = 0


class Pair(NamedTuple):
    """A predicted track and what was measured."""

    predicted: Predicted
    measured: Measured


class SequenceFacts(NamedTuple):
    """What is asked of a sequence of the genome.

    Attributes:
        length: its bases.
        unknown: (m, 2) int64 runs of N.
        cpgs: (n,) int64 positions of the C of each CG.
    """

    length: int
    unknown: np.ndarray
    cpgs: np.ndarray


def read_genome_facts(path: str | Path) -> dict[str, SequenceFacts]:
    """Facts on each sequence of a FASTA file, in its order.

    Raises:
        InputFormatError: it is no FASTA.
    """
    return {
        record.name: SequenceFacts(
            len(record.codes), unknown_runs(record.codes, 10), cpg_sites(record.codes)
        )
        for record in read_fasta(path)
    }


def read_predictions(path: str | Path) -> list[Predicted]:
    """The tracks of a folder that `dnaannot tracks` wrote, or the single track of a bigWig.

    Raises:
        DataError: the folder holds no bigWig.
    """
    path = Path(path)
    if not path.is_dir():
        rows = [row for row in _table(path.parent) if row.path.name == path.name]
        return rows or [Predicted(path, label_name(path))]
    tracks = _table(path) or [
        Predicted(each, label_name(each)) for each in sorted(path.glob("*.bw"))
    ]
    if not tracks:
        raise DataError(
            "The folder holds no bigWig.",
            path=path,
            remedy="Give the folder that dnaannot tracks wrote, or a bigWig file.",
        )
    return tracks


def sequence_sizes(pairs: Iterable[Pair]) -> dict[str, int]:
    """Lengths of the sequences of predicted tracks, by name.

    Raises:
        InputFormatError: one is no bigWig.
    """
    sizes: dict[str, int] = {}
    for pair in pairs:
        with BigWig(pair.predicted.path) as track:
            sizes.update(track.sizes)
    return sizes


def _table(folder: Path) -> list[Predicted]:
    if not (folder / TABLE).exists():
        return []
    return [
        Predicted(folder / row.file, row.label, row.task, row.unit, row.model, is_centred=True)
        for row in read_table(folder)
        if row.what == "bigwig"
    ]


def pair_up(
    tracks: Sequence[Predicted], labels: Iterable[str], keep: Mapping[str, str] | None = None
) -> tuple[list[Pair], list[str]]:
    """Pair each measured label with the track of the same name; case does not matter.

    A single track and a single label are a pair whatever their names.

    Args:
        labels: files, `NAME=FILE`, or folders of files, of which those that fit are taken.
        keep: as `read_windows` takes it.

    Returns:
        The pairs in the order of the tracks, and notes on what was passed over.

    Raises:
        DataError: there is no pair, or two files hold the same label.
    """
    measured: dict[str, Measured] = {}
    notes: list[str] = []
    wanted = {track.label.lower() for track in tracks}
    for each in _measured(labels, wanted, keep or {}, notes):
        other = measured.setdefault(each.name.lower(), each)
        if other is not each:
            raise DataError(
                f"Label '{each.name}' is in two files, {other.path} too.",
                path=each.path,
                remedy="Give each label once.",
            )
    if len(tracks) == 1 and len(measured) == 1:
        return [Pair(tracks[0], *measured.values())], notes
    pairs = [
        Pair(track, measured[track.label.lower()])
        for track in tracks
        if track.label.lower() in measured
    ]
    if not pairs:
        ours, theirs = (track.label for track in tracks), (each.name for each in measured.values())
        raise DataError(
            f"No label has the name of a track: {listed(theirs)} against {listed(ours)}.",
            remedy="Write NAME=FILE for each label, NAME as tracks.tsv has it.",
        )
    alone = [each.name for name, each in measured.items() if name not in wanted]
    without = [track.label for track in tracks if track.label.lower() not in measured]
    notes += [f"Labels without a track: {listed(alone)}."] if alone else []
    return pairs, notes + ([f"Tracks without labels: {listed(without)}."] if without else [])


def _measured(
    labels: Iterable[str], wanted: set[str], keep: Mapping[str, str], notes: list[str]
) -> Iterator[Measured]:
    for text in labels:
        name, equals, rest = text.partition("=")
        if Path(text).is_dir():
            for path in label_files(text):
                if label_name(path).lower() in wanted:
                    yield from _of_file(path, label_name(path), keep, notes)
        elif equals and not Path(text).exists():
            yield from _of_file(Path(rest), name, keep, notes)
        else:
            yield from _of_file(Path(text), None, keep, notes)


def _of_file(
    path: Path, name: str | None, keep: Mapping[str, str], notes: list[str]
) -> Iterator[Measured]:
    """The labels of a file; `name` is for a single one."""
    kind = label_kind(path)
    if kind is not LabelKind.WINDOWS:
        yield Measured(path, kind, label_name(path) if name is None else name)
        return
    table = read_windows(path, keep=keep)
    notes += table.notes
    is_single = len(table.names) == 1
    for number, column in enumerate(table.names):
        label = name if is_single and name is not None else column
        yield Measured(path, kind, label, table, number)
