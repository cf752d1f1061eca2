"""Label posteriors of a run as bigWig files, gathered sequence by sequence."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from dnaannot.dna.grammar import LABEL_INDEX
from dnaannot.dna.sequence import runs
from dnaannot.formats.bigwig import Block, write_bigwig
from dnaannot.formats.output import make_folder
from dnaannot.formats.output_folder import atomic_folder
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

_HEAD = struct.Struct("<3I")
"""Before each run of values: number of its sequence, start, length, as bigWigs have them."""


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
        self._numbers: dict[str, int] = {}

    def add(self, sequence: str, start: int, posteriors: np.ndarray) -> None:
        """Take in posteriors (n, 17) float32 of the bases from `start` on, in order.

        Raises:
            OutputError: the disk is full.
        """
        number = self._numbers.setdefault(sequence, len(self._numbers))
        for name, labels in TRACKS.items():
            values = posteriors[:, [LABEL_INDEX[label] for label in labels]].sum(1)
            for low, high in runs(values >= LEAST):
                kept = np.minimum(values[low:high], 1).astype(np.float16)
                head = _HEAD.pack(number, start + int(low), len(kept))
                self._spools[name].write(head + kept.tobytes())

    def write(self, sizes: Mapping[str, int]) -> None:
        """Write the bigWig files, all or none.

        Args:
            sizes: length of every sequence by name, in the order in which they were added.

        Raises:
            OutputError: if a file cannot be written.
        """
        with atomic_folder(self.folder) as temporary:
            for name in TRACKS:
                write_bigwig(temporary / f"{name}.bw", sizes, self._blocks(name))

    def close(self, *, done: bool) -> None:
        """Free the disk; remove the folder where it was made in vain."""
        for spool in self._spools.values():
            spool.close()
        if self._is_new and not done:
            with contextlib.suppress(OSError):  # somebody else's files are in it
                self.folder.rmdir()

    def _blocks(self, name: str) -> Iterator[Block]:
        spool, names = self._spools[name], list(self._numbers)
        spool.rewind()
        while head := spool.read(_HEAD.size):
            number, start, length = _HEAD.unpack(head)
            values = np.frombuffer(spool.read(2 * length), np.float16).astype(np.float32)
            yield Block(names[number], start, values)
