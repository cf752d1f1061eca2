"""The sequences of a run's genomes: checked before the work where that can be, then read."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np

from dnaannot.errors import DataError, InputFormatError
from dnaannot.formats.fasta import OnCodes, read_fasta, sequence_sizes
from dnaannot.formats.source import display_name, is_stream

_ORGANELLE = re.compile(
    r"(chr|chromosome_)(m|c)"  # M and C alone may be anything
    r"|(chr|chromosome_)?(mt|mtdna|pt|cp|cpdna|mito\w*|chloro\w*|plastid|apico\w*)",
    re.IGNORECASE,
)
_LONGEST_ORGANELLE = 1_000_000


def is_organelle(name: str, length: int) -> bool:
    """Whether a sequence's name says that it is a mitochondrion's or a plastid's."""
    return length <= _LONGEST_ORGANELLE and _ORGANELLE.fullmatch(name) is not None


class Genomes:
    """The sequences of FASTA files, in order; every name is there once.

    Args:
        paths: the files, all different; `-` is standard input.
        on_empty: called with (path, name) of a sequence without bases, which is left out.
        excluded: names of sequences that are left out too.

    Attributes:
        sizes: length of each sequence known so far, by name, without those left out.

    Raises:
        ValueError: if a file is there twice.
    """

    def __init__(
        self,
        paths: Sequence[str],
        on_empty: Callable[[str, str], None] = lambda *_: None,
        excluded: Collection[str] = (),
    ) -> None:
        if len(set(paths)) < len(paths):
            raise ValueError("a file is given twice")
        self.paths, self.on_empty, self.excluded = list(paths), on_empty, frozenset(excluded)
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
            DataError: if a sequence to leave out is in none of the files.
        """
        is_complete = True
        for path in self.paths:
            if is_stream(path):
                is_complete = False
                continue
            for name, length in sequence_sizes(path, on_codes).items():
                self._register(name, length, path)
        if is_complete:
            self._check_excluded()
        return is_complete

    def __iter__(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, codes (L,) uint8) of each sequence, L >= 1.

        Raises:
            InputFormatError: as `survey`.
            DataError: at the end, if no sequence has a base, or one to leave out is in none of
                the files.
        """
        for path in self.paths:
            for record in read_fasta(path):
                self._register(record.name, len(record.codes), path, record.line)
                if not len(record.codes):
                    self.on_empty(path, record.name)
                elif record.name not in self.excluded:
                    yield record.name, record.codes
        self._check_excluded()
        if not self.sizes:
            others = ", but for those left out" if self.excluded else ""
            raise DataError(
                f"no sequence holds a base{others}.",
                path=", ".join(map(display_name, self.paths)),
                remedy="Give a genome.",
            )

    def _check_excluded(self) -> None:
        if unknown := self.excluded - self._origin.keys():
            raise DataError(
                f"no sequence is named '{min(unknown)}', which was to be left out.",
                remedy="The names are the first words of the FASTA headers.",
            )

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
        if length and name not in self.excluded:
            self.sizes[name] = length
