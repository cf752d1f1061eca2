"""The sequences of a run's genomes: checked before the work where that can be, then read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from dnaannot.errors import InputFormatError
from dnaannot.formats.fasta import OnCodes, read_fasta, sequence_sizes


class Genomes:
    """The sequences of FASTA files, in order; every name is there once.

    Args:
        paths: the files, all different; `-` is standard input.
        on_empty: called with (path, name) of a sequence without bases, which is left out.

    Attributes:
        sizes: length of each sequence known so far, by name, without those of length 0.

    Raises:
        ValueError: if a file is there twice.
    """

    def __init__(
        self, paths: Sequence[str], on_empty: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        if len(set(paths)) < len(paths):
            raise ValueError("a file is given twice")
        self.paths, self.on_empty = list(paths), on_empty
        self.sizes: dict[str, int] = {}
        self._origin: dict[str, str] = {}

    def survey(self, on_codes: OnCodes = lambda *_: None) -> bool:
        """Read every file that can be read twice, so that it fails now and not after hours.

        Args:
            on_codes: told of every sequence, part by part.

        Returns:
            Whether `sizes` is complete: pipes and standard input can be read only once.

        Raises:
            InputFormatError: if a file is no FASTA, or a name is there twice.
        """
        is_complete = True
        for path in self.paths:
            if not _is_regular(path):
                is_complete = False
                continue
            for name, length in sequence_sizes(path, on_codes).items():
                self._register(name, length, path)
        return is_complete

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, codes (L,) uint8) of each sequence, L >= 1."""
        for path in self.paths:
            for record in read_fasta(path):
                self._register(record.name, len(record.codes), path, record.line)
                if len(record.codes):
                    yield record.name, record.codes
                else:
                    self.on_empty(path, record.name)

    def _register(self, name: str, length: int, path: str, line: int | None = None) -> None:
        if self._origin.setdefault(name, path) != path:
            if line is None:
                line = next(record.line for record in read_fasta(path) if record.name == name)
            raise InputFormatError(
                f"The name '{name}' is also that of a sequence in {self._origin[name]}.",
                path=path,
                line=line,
                remedy="Rename one, or annotate the files in separate calls.",
            )
        if length:
            self.sizes[name] = length


def _is_regular(path: str) -> bool:
    """Whether a file can be read twice; one that is not there is tried, so that it is refused."""
    return path != "-" and (Path(path).is_file() or not Path(path).exists())
