"""Label posteriors of a run as bigWig files, gathered sequence by sequence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dnaannot.dna.grammar import LABEL_INDEX
from dnaannot.dna.sequence import runs
from dnaannot.formats.bigwig import Block, write_bigwig
from dnaannot.formats.output import make_folder
from dnaannot.formats.spool import Spool

TRACKS: dict[str, tuple[str, ...]] = {
    f"{kind}.{side}": tuple(name + sign for name in names)
    for sign, side in (("+", "plus"), ("-", "minus"))
    for kind, names in {
        "cds": ("cds0", "cds1", "cds2", "start", "stop"),
        "start": ("start",),
        "stop": ("stop",),
        "donor": ("donor",),
        "intron": ("intron",),
        "acceptor": ("acceptor",),
    }.items()
}
"""Labels that are summed in each track."""
LEAST = 0.001
"""Posteriors below this are left out: no value stands for about 0."""


class ScoreTracks:
    """Collects posteriors on disk and writes one bigWig a track at the end.

    Args:
        folder: where to; it is made.

    Raises:
        OutputError: if the folder cannot be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self._is_new = not Path(folder).exists()
        self.folder = make_folder(folder)
        self._spools = {name: Spool() for name in TRACKS}
        self._index: dict[str, list[tuple[str, int, int]]] = {name: [] for name in TRACKS}

    def add(self, sequence: str, start: int, posteriors: np.ndarray) -> None:
        """Take in posteriors (n, 17) float32 of the bases from `start` on, in order.

        Raises:
            OutputError: the disk is full.
        """
        for name, labels in TRACKS.items():
            values = posteriors[:, [LABEL_INDEX[label] for label in labels]].sum(1)
            for low, high in runs(values >= LEAST):
                kept = np.minimum(values[low:high], 1).astype(np.float16)
                self._spools[name].write(kept.tobytes())
                self._index[name].append((sequence, start + int(low), len(kept)))

    def write(self, sizes: Mapping[str, int]) -> list[Path]:
        """Write the bigWig files, all or none; returns their paths.

        Args:
            sizes: length of every sequence by name, in the order in which they were added.

        Raises:
            OutputError: if a file cannot be written.
        """
        paths: list[Path] = []
        try:
            for name in TRACKS:
                path = self.folder / f"{name}.bw"
                write_bigwig(path, sizes, self._blocks(name))
                paths.append(path)
        except BaseException:
            for path in paths:
                path.unlink(missing_ok=True)
            raise
        return paths

    def close(self, *, done: bool) -> None:
        """Free the disk; remove the folder where it was made in vain."""
        for spool in self._spools.values():
            spool.close()
        if self._is_new and not done:
            with contextlib.suppress(OSError):  # somebody else's files are in it
                self.folder.rmdir()

    def _blocks(self, name: str) -> Iterator[Block]:
        spool = self._spools[name]
        spool.rewind()
        for sequence, start, length in self._index[name]:
            values = np.frombuffer(spool.read(2 * length), np.float16).astype(np.float32)
            yield Block(sequence, start, values)
