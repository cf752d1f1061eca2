"""BED: regions and peaks in."""

from __future__ import annotations

from pathlib import Path

from dnaannot.dna.interval import Interval
from dnaannot.errors import InputFormatError
from dnaannot.formats.source import display_name, is_comment, read_lines

_REMEDY = "BED lines are: sequence, start (from 0), end (exclusive)."


def read_bed(path: str | Path) -> list[Interval]:
    """Intervals of a BED file (or narrowPeak, bedMethyl: the first four columns), in its order.

    The file may be plain, gzip or bgzip, or `-` for standard input. Comments, `track` and
    `browser` lines and one line of column names are passed over; columns are separated by
    tabs, or by blanks in a line without tabs.

    Raises:
        InputFormatError: the file is missing, empty, binary or holds no interval; a line has
            fewer than three columns, coordinates that are no integers, a start below 0 or an
            end that is not beyond its start.
    """
    intervals: list[Interval] = []
    may_be_names = True
    for line, text in read_lines(path):
        if not text.strip() or is_comment(text):
            continue
        columns = text.split("\t") if "\t" in text else text.split()
        if may_be_names and len(columns) >= 3 and _are_names(columns):
            may_be_names = False
            continue
        may_be_names = False
        intervals.append(_interval(columns, line, path))
    if not intervals:
        raise InputFormatError(
            "The file holds no intervals.", path=display_name(path), remedy=_REMEDY
        )
    return intervals


def _interval(columns: list[str], line: int, path: str | Path) -> Interval:
    if len(columns) < 3:
        raise _error(path, line, f"The line has {len(columns)} columns, not three or more.")
    try:
        start, end = int(columns[1]), int(columns[2])
    except ValueError as error:
        raise _error(
            path, line, f"Start '{columns[1]}' and end '{columns[2]}' are not both integers."
        ) from error
    if start < 0:
        raise _error(path, line, f"The start, {start}, is below 0.")
    if end <= start:
        raise _error(path, line, f"The end, {end}, is not beyond the start, {start}.")
    name = columns[3] if len(columns) > 3 and columns[3] != "." else ""
    return Interval(columns[0], start, end, name, line)


def _are_names(columns: list[str]) -> bool:
    """Whether a line names columns (chrom, start, end) rather than an interval."""
    return columns[0].lower() in ("chrom", "chr", "chromosome", "seqname", "sequence") and not (
        columns[1].isdigit() or columns[2].isdigit()
    )


def _error(path: str | Path, line: int, problem: str) -> InputFormatError:
    return InputFormatError(
        problem,
        path=display_name(path),
        line=line,
        remedy=_REMEDY,
    )
