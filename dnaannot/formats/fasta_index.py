"""Single sequences of a FASTA file that has an index (`samtools faidx`)."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dnaannot.dna.interval import Interval
from dnaannot.errors import InputFormatError
from dnaannot.formats.fasta import codes_of

if TYPE_CHECKING:
    import pysam


class IndexedFasta:
    """Sequences by name, read alone, their letters as `read_fasta` reads them.

    Args:
        path: plain or bgzipped, with `path`.fai (and .gzi).
        wanted: names of the sequences that are iterated.

    Attributes:
        sizes: length of each sequence by name, without those of length 0.
    """

    def __init__(self, path: str | Path, sizes: dict[str, int], wanted: Container[str]) -> None:
        self.path, self.sizes, self._wanted = path, sizes, wanted

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, codes (L,) uint8) of each wanted sequence, in the file's order.

        Raises:
            InputFormatError: the file and its index do not fit together.
        """
        wanted = [name for name in self.sizes if name in self._wanted]
        whole = (Interval(name, 0, self.sizes[name]) for name in wanted)
        yield from zip(wanted, self.read(whole), strict=True)

    def read(self, stretches: Iterable[Interval]) -> Iterator[np.ndarray]:
        """Codes (L,) uint8 of each stretch, of any of the file's sequences.

        Raises:
            InputFormatError: the file and its index do not fit together.
        """
        with _opened(self.path) as fasta:
            for name, start, end, *_ in stretches:
                codes = codes_of(fasta.fetch(name, start, end).encode("ascii", "replace"))
                if codes is None or len(codes) != end - start:
                    raise _stale(self.path)
                yield codes


def indexed_sizes(path: str | Path) -> dict[str, int] | None:
    """Length of each sequence by name, from the index; None if there is none that can be used.

    An index older than its file is none, nor is that of a file compressed with plain gzip.
    """
    fasta, index = Path(path), Path(f"{path}.fai")
    try:
        if index.stat().st_mtime < fasta.stat().st_mtime:
            return None
        with fasta.open("rb") as stream:
            if stream.read(2) == b"\x1f\x8b" and not Path(f"{path}.gzi").exists():
                return None
        rows = [line.split("\t") for line in index.read_text("utf-8").splitlines()]
        sizes = {row[0]: int(row[1]) for row in rows if int(row[1])}
    except (OSError, ValueError, IndexError):
        return None
    return sizes if sizes and len({row[0] for row in rows}) == len(rows) else None


@contextmanager
def _opened(path: str | Path) -> Iterator[pysam.FastaFile]:
    """The file, whose errors are those of an index that does not fit."""
    import pysam

    verbosity = pysam.set_verbosity(0)
    try:
        with pysam.FastaFile(os.fspath(path)) as fasta:
            yield fasta
    except (OSError, ValueError, KeyError) as error:
        raise _stale(path) from error
    finally:
        pysam.set_verbosity(verbosity)


def _stale(path: str | Path) -> InputFormatError:
    return InputFormatError(
        "The file and its index do not fit together.",
        path=path,
        remedy=f"Delete {path}.fai, or make it again with `samtools faidx`.",
    )
