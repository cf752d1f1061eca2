"""A folder of tracks: their files, `tracks.tsv` that says what each is, and `hub.txt`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dnaannot.errors import OutputError
from dnaannot.formats.output_folder import atomic_folder, check_folder
from dnaannot.formats.track_files import Add, Track, TrackFormat, file_names, track_files
from dnaannot.formats.track_hub import HUB, read_assembly, write_hub
from dnaannot.formats.track_table import TABLE, Row, check_table, read_table, write_table

_INDEX_ENDINGS = (".tbi", ".csi")


@dataclass(frozen=True)
class TrackFolder:
    """What a run writes.

    Attributes:
        path: the folder, there or not yet.
        tracks: in the order of the values.
        form: of the files.
        sizes: length of every sequence by name, in the genome's order.
        sites: where the values stand, in words.
        assembly: UCSC's name of the genome for the hub; None for that of the hub which is there,
            or no hub.
        pictures: names of pictures that will be put beside the tracks, in place of those of an
            earlier run whose names differ in their number alone.
    """

    path: Path
    tracks: Sequence[Track]
    form: TrackFormat
    sizes: Mapping[str, int]
    sites: str
    assembly: str | None = None
    pictures: Sequence[str] = ()

    @property
    def genome_bases(self) -> str:
        """Length of the genome, as the table has it."""
        return str(sum(self.sizes.values()))

    @property
    def names(self) -> set[str]:
        """Every file that is or may be written."""
        files = file_names(self.tracks, self.form)
        indexed = {f"{name}{end}" for name in files for end in _INDEX_ENDINGS}
        hub = {HUB} if self.has_hub else set()
        return {*files, *indexed, *self.pictures, TABLE, *hub}

    @property
    def has_hub(self) -> bool:
        """Whether a hub is written: of bigWigs, where the assembly is known."""
        return self._assembly() is not None

    @property
    def earlier_tracks(self) -> int:
        """How many tracks of earlier runs are in the folder and will stay."""
        return sum(bool(row.label) for row in self._kept())

    def check(self) -> None:
        """Make sure, before the work, that the files can be put there.

        Raises:
            OutputError: the folder cannot be written to, holds tracks of another genome, or
                holds a file of the same name that is not of an earlier run.
        """
        check_folder(self.path)
        check_table(self.path)
        rows = read_table(self.path)
        for row in rows:
            if row.genome_bases not in ("", self.genome_bases):
                raise OutputError(
                    "holds tracks of another genome.",
                    path=self.path,
                    remedy="Choose another folder with --output.",
                )
        ours = {row.file + end for row in rows for end in ("", *_INDEX_ENDINGS)}
        ours |= {TABLE} if rows else set()
        for name in sorted(self.names - ours):
            if (self.path / name).exists():
                raise OutputError(
                    "was not written by this program and would be replaced.",
                    path=self.path / name,
                    remedy="Choose another folder with --output, or move the file away.",
                )

    @contextlib.contextmanager
    def open(self) -> Iterator[FolderWriter]:
        """What takes the values; the folder is complete when the block ends.

        Raises:
            OutputError: as `check`; or a file cannot be written.
            ValueError: sites are out of order or place, or a value is no number.
        """
        self.check()
        assembly, stale = self._assembly(), self._stale_pictures()
        with atomic_folder(self.path) as temporary:
            with track_files(temporary, self.tracks, self.sizes, self.form) as add:
                writer = FolderWriter(temporary, add, len(self.tracks))
                yield writer
            rows = self._rows(writer)
            if assembly:
                bigwigs = [row for row in rows if row.what == "bigwig"]
                write_hub(temporary, bigwigs, assembly)
                rows.append(Row(HUB, "hub"))
            write_table(temporary, rows)
        for name in stale:
            (self.path / name).unlink(missing_ok=True)

    def _rows(self, writer: FolderWriter) -> list[Row]:
        """Rows of what is written now, and of what stands in the folder and stays."""
        names = file_names(self.tracks, self.form)
        written = [
            Row(name, self.form, *track, self.sites, str(writer.count), *summary, self.genome_bases)
            for name, track, summary in zip(names, self.tracks, writer.summaries(), strict=True)
        ]
        written += [Row(name, "picture") for name in self.pictures]
        return self._kept() + written

    def _kept(self) -> list[Row]:
        """Rows of what stands in the folder and stays."""
        gone = {*self.names, *self._stale_pictures()}
        return [row for row in read_table(self.path) if row.file not in gone]

    def _stale_pictures(self) -> set[str]:
        """Pictures of an earlier run in the place of which others are drawn."""
        drawn = {_without_number(name) for name in self.pictures}
        earlier = [row.file for row in read_table(self.path) if row.what == "picture"]
        return {name for name in earlier if _without_number(name) in drawn} - {*self.pictures}

    def _assembly(self) -> str | None:
        """The assembly that the hub tells, None where none is written."""
        if self.form != "bigwig":
            return None
        is_there = any(row.what == "hub" for row in read_table(self.path))
        return self.assembly or (read_assembly(self.path) if is_there else None)


def _without_number(picture: str) -> str:
    return picture.rsplit(".", 2)[0]


class FolderWriter:
    """Takes the values of tracks in the order of the genome; made by `TrackFolder.open`.

    Attributes:
        folder: where other files of the run go.
        count: values taken of each track.
    """

    def __init__(self, folder: Path, add: Add, tracks: int) -> None:
        self.folder, self.count = folder, 0
        self._add = add
        self._sum = np.zeros(tracks)
        self._least, self._most = np.full(tracks, np.inf), np.full(tracks, -np.inf)

    def add(self, sequence: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
        """Add values (n, K) of intervals starts, ends (n,), ascending and disjoint.

        Raises:
            OutputError: a file cannot be written.
            ValueError: sites are out of order or place, or a value is no number.
        """
        if len(starts):
            self._add(sequence, starts, ends, values)
            self.count += len(starts)
            self._sum += values.sum(axis=0, dtype=np.float64)
            self._least = np.minimum(self._least, values.min(axis=0))
            self._most = np.maximum(self._most, values.max(axis=0))

    def summaries(self) -> list[tuple[str, str, str]]:
        """Mean, least and greatest value of each track."""
        rows = np.stack((self._sum / max(1, self.count), self._least, self._most), axis=1)
        return [(f"{mean:.4g}", f"{least:.4g}", f"{most:.4g}") for mean, least, most in rows]
