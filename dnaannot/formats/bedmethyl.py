"""bedMethyl: methylation measured at CpGs in, as arrays."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from dnaannot.errors import InputFormatError
from dnaannot.formats.source import COMMENT, display_name, looks_like_text, read_chunks, read_lines

MODKIT_COLUMNS, ENCODE_COLUMNS = 18, 11
_CODES = ("m", "C")
_NEWLINE = ord("\n")
_SKIPPED = re.compile(rb"(?m)^(?:[ \t]*|(?:%b|chrom[ \t]).*)\n" % COMMENT.encode())
_METHYLATED, _UNMETHYLATED = 0.9, 0.1
_REMEDY = "Give bedMethyl: modkit's 18 columns or the 11 of ENCODE."


class Methylation(NamedTuple):
    """CpGs of one sequence, both strands together.

    Attributes:
        positions: (n,) int64, ascending: the C of each CG.
        coverage: (n,) int64 reads.
        percent: (n,) float32 of the reads that are methylated, 0 to 100.
    """

    positions: np.ndarray
    coverage: np.ndarray
    percent: np.ndarray


def read_bedmethyl(
    path: str | Path, min_coverage: int = 1, codes: Collection[str] = _CODES
) -> dict[str, Methylation]:
    """Methylation by sequence, from modkit's 18 columns or the 11 of ENCODE.

    A line on the minus strand that is one base wide stands at the G of CG and is moved onto its
    C; reads of both strands are added up. ENCODE gives coverage and percent, modkit the reads
    themselves (valid coverage and modified calls).

    Args:
        min_coverage: fewest reads, both strands together, for a CpG to be kept.
        codes: modifications that count, of those in modkit's fourth column (`m`, or `m,CG,0`);
            `m` is 5mC, `C` any modified cytosine. ENCODE's files hold 5mC only.

    Raises:
        InputFormatError: the file is missing, empty, binary or not bedMethyl; a line has other
            columns than the first one, or coordinates, coverage or percent that cannot be; no
            line is of these codes.
    """
    gathered: dict[str, list[np.ndarray]] = {}
    foreign: set[str] = set()
    has_lines = False
    for block in _line_blocks(path):
        table = _Table.of(block)
        if table is None or not table.is_sound():
            _refuse(path)
        has_lines = True
        is_kept, others = table.of_codes(codes)
        foreign |= others
        for name, rows in table.runs(is_kept):
            gathered.setdefault(name, []).append(table.reads(rows))
    if not has_lines:
        raise InputFormatError("The file holds no sites.", path=display_name(path), remedy=_REMEDY)
    if not gathered:
        raise InputFormatError(
            f"No line is of modification {' or '.join(codes)}; there are {_listed(foreign)}.",
            path=display_name(path),
            remedy="Run modkit pileup with 5mC calls, or with --combine-mods.",
        )
    return {name: _sites(np.concatenate(gathered.pop(name)), min_coverage) for name in [*gathered]}


def methylation_states(shares: np.ndarray) -> np.ndarray:
    """States (n,) float32 of CpGs with these shares (n,) of methylated reads, 0 to 1.

    1 where more than 0.9 are methylated, 0 where fewer than 0.1 are, NaN between and where the
    share is NaN.
    """
    states = np.full(len(shares), np.nan, np.float32)
    states[shares > _METHYLATED], states[shares < _UNMETHYLATED] = 1, 0
    return states


def _sites(reads: np.ndarray, min_coverage: int) -> Methylation:
    """Add up reads (n, 3): position, coverage, methylated, of one sequence."""
    positions, which = np.unique(reads[:, 0].astype(np.int64), return_inverse=True)
    coverage = np.bincount(which, reads[:, 1]).round().astype(np.int64)
    methylated = np.bincount(which, reads[:, 2])
    kept = coverage >= max(min_coverage, 1)
    percent = 100 * methylated[kept] / coverage[kept]
    return Methylation(positions[kept], coverage[kept], percent.astype(np.float32))


class _Table(NamedTuple):
    """Some lines of the file as columns of byte strings, (n,) each."""

    names: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    codes: np.ndarray | None  # None in ENCODE's format
    on_minus: np.ndarray
    coverage: np.ndarray
    methylated: np.ndarray

    @classmethod
    def of(cls, block: bytes) -> _Table | None:
        """Read whole lines; None where they are no table of the columns expected."""
        data = np.frombuffer(block, np.uint8)
        breaks = np.flatnonzero((data == 9) | (data == 32) | (data == _NEWLINE))
        n_lines = int((data[breaks] == _NEWLINE).sum())
        n_columns, rest = divmod(len(breaks), n_lines)
        if rest or n_columns < ENCODE_COLUMNS:
            return None
        stops = breaks.reshape(n_lines, n_columns)
        if (data[stops[:, -1]] != _NEWLINE).any():
            return None
        starts = np.append(0, breaks[:-1] + 1).reshape(n_lines, n_columns)

        def column(index: int) -> np.ndarray:
            return _strings(data, starts[:, index], stops[:, index])

        is_modkit = n_columns >= MODKIT_COLUMNS
        try:
            coverage = column(9).astype(np.float64)
            if is_modkit:
                methylated = column(11).astype(np.float64)
            else:
                methylated = coverage * column(10).astype(np.float64) / 100
            return cls(
                column(0),
                column(1).astype(np.int64),
                column(2).astype(np.int64),
                column(3) if is_modkit else None,
                column(5) == b"-",
                coverage,
                np.where(coverage > 0, methylated, 0),
            )
        except ValueError:
            return None

    def is_sound(self) -> bool:
        """Whether coordinates and reads can be."""
        return bool(
            (self.starts >= 0).all()
            and (self.ends > self.starts).all()
            and (self.coverage >= 0).all()
            and ((self.methylated >= 0) & (self.methylated <= self.coverage)).all()
        )

    def of_codes(self, codes: Collection[str]) -> tuple[np.ndarray, set[str]]:
        """(n,) bool: the line's modification counts; and those found that do not."""
        if self.codes is None:
            return np.ones(len(self.names), bool), set()
        found, which = np.unique(self.codes, return_inverse=True)
        kinds = [code.decode().partition(",")[0] for code in found]
        is_kept = np.array([kind in codes for kind in kinds])[which]
        return is_kept, set(kinds) - set(codes)

    def runs(self, is_kept: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Each sequence's name with the indices of its kept lines."""
        kept = np.flatnonzero(is_kept)
        names = self.names[kept]
        bounds = [0, *(np.flatnonzero(names[1:] != names[:-1]) + 1).tolist(), len(kept)]
        for low, high in zip(bounds[:-1], bounds[1:], strict=True):
            if high > low:
                yield names[low].decode("utf-8", "replace"), kept[low:high]

    def reads(self, rows: np.ndarray) -> np.ndarray:
        """(r, 3) float64: position of the C of CG, coverage, methylated reads."""
        starts, ends = self.starts[rows], self.ends[rows]
        positions = starts - (self.on_minus[rows] & (ends - starts == 1))
        return np.stack((positions, self.coverage[rows], self.methylated[rows]), axis=1)


def _strings(data: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """Byte strings (n,) of the stretches of `data` between positions (n,) and (n,)."""
    width = max(int((stops - starts).max()), 1)
    at = starts[:, None] + np.arange(width)
    letters = data[np.minimum(at, len(data) - 1)]
    letters[at >= stops[:, None]] = 0
    return letters.view(f"S{width}")[:, 0]


def _line_blocks(path: str | Path) -> Iterator[bytes]:
    """Blocks of whole lines without comments and headers, LF at each end, none empty."""
    rest, is_first = b"", True
    for chunk in read_chunks(path):
        if is_first and not looks_like_text(chunk):
            next(read_lines(path))  # tells what it is
        is_first = False
        whole, newline, tail = (rest + chunk).rpartition(b"\n")
        rest = tail
        if block := _data_lines(whole + newline):
            yield block
    if rest and (block := _data_lines(rest + b"\n")):
        yield block


def _data_lines(block: bytes) -> bytes:
    return _SKIPPED.sub(b"", block.replace(b"\r\n", b"\n") if b"\r" in block else block)


def _refuse(path: str | Path) -> NoReturn:
    """Raise for the first line that is at fault, found by reading line by line.

    Raises:
        InputFormatError: always.
    """
    expected = 0
    for number, text in read_lines(path):
        if not _data_lines(text.encode() + b"\n"):
            continue
        columns = re.split("[\t ]", text)
        expected = expected or len(columns)
        problem = _problem(columns, expected)
        if problem:
            raise InputFormatError(problem, path=display_name(path), line=number, remedy=_REMEDY)
    raise InputFormatError("This is not bedMethyl.", path=display_name(path), remedy=_REMEDY)


def _problem(columns: list[str], expected: int) -> str | None:
    """What is wrong with a line, None if nothing."""
    n_columns = len(columns)
    if n_columns < ENCODE_COLUMNS:
        return f"The line has {n_columns} columns, where bedMethyl has {ENCODE_COLUMNS} or more."
    if n_columns != expected:
        return f"The line has {n_columns} columns, the first one {expected}."
    if not (columns[1].isdigit() and columns[2].isdigit()):
        return f"Start '{columns[1]}' and end '{columns[2]}' are not both whole numbers."
    if int(columns[2]) <= int(columns[1]):
        return f"The end, {columns[2]}, is not beyond the start, {columns[1]}."
    is_modkit = n_columns >= MODKIT_COLUMNS
    try:
        coverage, value = float(columns[9]), float(columns[11 if is_modkit else 10])
    except ValueError:
        return f"Coverage '{columns[9]}' and methylation '{columns[10]}' are not both numbers."
    if coverage < 0 or not 0 <= value <= (coverage if is_modkit else 100):
        return f"The values of coverage, {columns[9]}, and methylation, {columns[10]}, cannot be."
    return None


def _listed(codes: Collection[str]) -> str:
    return ", ".join(sorted(codes)) or "none"
