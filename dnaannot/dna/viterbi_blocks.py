"""Back pointers of a Viterbi recursion, kept until the path through them is final."""

from __future__ import annotations

import io
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import numpy as np

from dnaannot.dna.viterbi_kernels import Plans, Pointers, Tables, trace
from dnaannot.errors import OutputError


@dataclass
class Block:
    """Back pointers of consecutive bases.

    Attributes:
        end: 0-based coordinate after the last base.
        bases: number of bases n.
        origin: (codes,) int32, for each path at the last base (see `Front`) its code at the
            last base of the block before.
        plans: of all kinds among them.
        pointers: back pointers, none while they are in the file.
        stored: file and offset of them then, and the length of each array.
    """

    end: int
    bases: int
    origin: np.ndarray
    plans: Plans
    pointers: Pointers
    stored: tuple[IO[bytes], int, tuple[int, ...]] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of back pointers in memory."""
        return sum(part.nbytes for part in self.pointers)


class Blocks:
    """The blocks whose path is not final yet, oldest first; beyond `memory`, in a file."""

    def __init__(self, tables: Tables, slots: int, memory: int) -> None:
        self._tables, self._slots, self._memory = tables, slots, memory
        self._waiting: deque[Block] = deque()
        self._file: IO[bytes] | None = None
        self._spilled = self._held = 0
        self._first = np.zeros(0, np.int32)  # code at the end of the oldest block, by code now

    def __enter__(self) -> Blocks:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def append(self, block: Block) -> None:
        codes = np.arange(len(block.origin), dtype=np.int32)
        self._first = self._first[block.origin] if self._waiting else codes
        self._waiting.append(block)
        self._held += block.nbytes
        while self._held > self._memory:
            self._spill(self._waiting[self._spilled])

    def settle(self, alive: np.ndarray) -> Iterator[np.ndarray]:
        """States of the blocks at whose end all paths that are `alive` (codes,) bool agree."""
        codes = np.flatnonzero(alive)
        if not len(codes) or (self._first[codes] != self._first[codes[0]]).any():
            return
        final = len(self._waiting)
        while (codes != codes[0]).any():
            final -= 1
            codes = np.unique(self._waiting[final].origin[codes])
        yield from self.finish(int(codes[0]), final)
        self._first = np.arange(len(alive), dtype=np.int32)
        for block in list(self._waiting)[:0:-1]:
            self._first = block.origin[self._first]

    def finish(self, code: int, final: int | None = None) -> Iterator[np.ndarray]:
        """States of the `final` oldest blocks (all by default), whose path ends at `code`."""
        blocks, codes = list(self._waiting)[:final], [code]
        for block in blocks[:0:-1]:
            codes.append(int(block.origin[codes[-1]]))
        for block in blocks:
            self._waiting.popleft()
            pointers = self._take(block)
            path = np.empty(block.bases, np.uint8)
            trace(self._tables, block.plans, self._slots, codes.pop(), block.end, pointers, path)
            yield path

    def _spill(self, block: Block) -> None:
        """Move the oldest block in memory to the file."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="dnaannot-")  # noqa: SIM115
            lengths = tuple(map(len, block.pointers))
            block.stored = self._file, self._file.seek(0, io.SEEK_END), lengths
            for part in block.pointers:
                self._file.write(part.data)
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"back pointers cannot be written: {error.strerror}.",
                path=tempfile.gettempdir(),
                remedy="Free space there, or set TMPDIR to a folder that has some.",
            ) from error
        self._held -= block.nbytes
        self._spilled += 1
        block.pointers = Pointers(*(part[:0].copy() for part in block.pointers))

    def _take(self, block: Block) -> Pointers:
        """Back pointers of the oldest block, which count no longer."""
        if block.stored is None:
            self._held -= block.nbytes
            return block.pointers
        file, offset, lengths = block.stored
        file.seek(offset)
        pointers = [
            np.frombuffer(bytearray(file.read(length * part.itemsize)), part.dtype)
            for part, length in zip(block.pointers, lengths, strict=True)
        ]
        self._spilled -= 1
        if not self._spilled:
            file.truncate(0)
        return Pointers(*pointers)
