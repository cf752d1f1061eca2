"""Windows with labels in: BED with a list of labels, or a table with a column a label."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnaannot.dna.names import listed
from dnaannot.errors import InputFormatError
from dnaannot.formats.source import display_name, is_comment, read_lines

NOT_KNOWN = -1

_CHROM = ("chrom", "chr", "chromosome", "seqname", "sequence_name")
_START, _END = ("start", "chromstart"), ("end", "chromend", "stop")
_LIST = ("label", "labels")
_NEVER_LABELS = {
    *("name", "score", "strand", "split", "fold"),
    *("cov", "coverage", "mismatches", "n_hits"),
}
_CELL = re.compile(r"(?:([01])(?:\.0+)?|\.|na|nan|)(?::.*)?", re.IGNORECASE)
_REMEDY = "The first line names the columns: chrom, start, end and the labels, tabs between them."


class LabelledWindows(NamedTuple):
    """Windows of one sequence.

    Attributes:
        spans: (n, 2) int64, half-open, in the file's order.
        labels: (n, K) int8: 1, 0 or `NOT_KNOWN`.
    """

    spans: np.ndarray
    labels: np.ndarray


class WindowTable(NamedTuple):
    """All windows of a file.

    Attributes:
        names: the K labels.
        of: windows by sequence.
        notes: what a user should know: which columns were passed over.
    """

    names: tuple[str, ...]
    of: dict[str, LabelledWindows]
    notes: tuple[str, ...] = ()


class _Row(NamedTuple):
    line: int
    sequence: str
    start: int
    end: int
    cells: list[str]


def read_windows(
    path: str | Path,
    columns: Sequence[str] | None = None,
    keep: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> WindowTable:
    """Labelled windows from a table whose first line names its columns.

    The table has the columns chrom (or chromosome), start and end (0-based, half-open), in any
    order, and either columns of 0, 1 (or 0.0, 1.0) and `.` (or NA, or nothing: not known), where
    what follows a colon is ignored (`1:train`), or one column `label` with a list of numbers
    (`0,3,7`, as BEND writes it; nothing or `.` for none of them).

    Args:
        columns: labels to take, by the names of their columns; by default all that hold such
            cells alone, one of them 0 or 1. Of a list, the numbers to take; by default all.
        keep: take only lines with these values in these columns, for example
            `{"split": "train"}`.
        names: of the numbers of a list, from 0 on; by default they are called 0, 1, 2, ...

    Raises:
        InputFormatError: the file is missing, empty, binary or no such table; a line is at
            fault; it has none of the columns asked for; a number has no name; no line is kept.
    """
    lines = _lines(path)
    number, text = next(lines, (0, ""))
    header = [name.lstrip("#") for name in text.split("\t")]
    where = [_find(header, names, path, number) for names in (_CHROM, _START, _END)]
    kept = {_find(header, (name,), path, number): value for name, value in (keep or {}).items()}
    rows = [
        row
        for row in _rows(lines, where, len(header), path)
        if all(row.cells[column] == value for column, value in kept.items())
    ]
    if not rows:
        wanted = " and ".join(f"{name}={value}" for name, value in (keep or {}).items())
        raise InputFormatError(
            f"No line has {wanted}." if wanted else "The file holds no windows.",
            path=display_name(path),
            remedy="See which values the column has." if wanted else _REMEDY,
        )
    taken = [i for i, name in enumerate(header) if name.lower() in _LIST][:1]
    if any(_CELL.fullmatch(row.cells[column]) is None for column in taken for row in rows):
        found, matrix = _from_lists(rows, taken[0], columns, names, path)
    else:
        taken = _label_columns(rows, header, where, columns, path, number)
        found = tuple(header[column] for column in taken)
        matrix = np.array(
            [[_label(row, column, path) for column in taken] for row in rows], np.int8
        )
    notes = _notes(header, {*where, *kept, *taken}, path) + _ambiguous(rows, header, taken, path)
    return WindowTable(found, _by_sequence(rows, matrix), notes)


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Lines that are no comments; the first, of column names, may begin with one #."""
    is_first = True
    for number, text in read_lines(path):
        names_columns = is_first and "\t" in text and re.match("#[^#]", text)
        if text.strip() and (names_columns or not is_comment(text)):
            yield number, text
            is_first = False


def _find(header: Sequence[str], names: Sequence[str], path: str | Path, line: int) -> int:
    for index, name in enumerate(header):
        if name.lower() in names or name in names:
            return index
    raise InputFormatError(
        f"There is no column '{names[0]}'; the columns are {', '.join(header)}.",
        path=display_name(path),
        line=line,
        remedy=_REMEDY,
    )


def _rows(
    lines: Iterator[tuple[int, str]], where: Sequence[int], width: int, path: str | Path
) -> Iterator[_Row]:
    chrom, start, end = where
    for number, text in lines:
        cells = text.split("\t")
        cells += [""] * (width - len(cells)) if len(cells) == width - 1 else []
        problem = None
        if len(cells) != width:
            problem = f"The line has {len(cells)} columns, its header {width}."
        elif not (cells[start].isdigit() and cells[end].isdigit()):
            problem = f"Start '{cells[start]}' and end '{cells[end]}' are not whole numbers."
        elif int(cells[end]) <= int(cells[start]):
            problem = f"The end, {cells[end]}, is not beyond the start, {cells[start]}."
        if problem:
            raise InputFormatError(problem, path=display_name(path), line=number, remedy=_REMEDY)
        yield _Row(number, cells[chrom], int(cells[start]), int(cells[end]), cells)


def _label_columns(
    rows: Sequence[_Row],
    header: Sequence[str],
    where: Sequence[int],
    asked: Sequence[str] | None,
    path: str | Path,
    line: int,
) -> list[int]:
    """The columns asked for, or those that hold only labels."""
    if asked is not None:
        return [_find(header, (name,), path, line) for name in asked]
    columns = [
        index
        for index, name in enumerate(header)
        if index not in where
        and name.lower() not in _NEVER_LABELS
        and _holds_labels([row.cells[index] for row in rows])
    ]
    if not columns:
        raise InputFormatError(
            f"No column holds labels, 0, 1 and '.'; the columns are {', '.join(header)}.",
            path=display_name(path),
            remedy=_REMEDY,
        )
    return columns


def _holds_labels(cells: Iterable[str]) -> bool:
    matches = [_CELL.fullmatch(cell) for cell in cells]
    return all(matches) and any(match[1] for match in matches if match)


def _notes(header: Sequence[str], used: Collection[int], path: str | Path) -> tuple[str, ...]:
    passed = [
        name
        for index, name in enumerate(header)
        if index not in used and name.lower() not in _NEVER_LABELS
    ]
    if not passed:
        return ()
    return (f"{display_name(path)}: columns without labels are passed over: {listed(passed)}.",)


def _ambiguous(
    rows: Sequence[_Row], header: Sequence[str], taken: Sequence[int], path: str | Path
) -> tuple[str, ...]:
    """A note where a column of 0, 1 and empty cells might have been meant as lists of numbers."""
    column = next((k for k in taken if header[k].lower() in _LIST), None)
    cells = {row.cells[column] for row in rows} if column is not None else set()
    if column is None or "" not in cells or not cells <= {"", "0", "1"}:
        return ()
    return (
        f"{display_name(path)}: column '{header[column]}' is read as one label, 0 or 1, and empty "
        "as not known; as lists of numbers it would need one above 1.",
    )


def _label(row: _Row, column: int, path: str | Path) -> int:
    match = _CELL.fullmatch(row.cells[column])
    if match is None:
        raise InputFormatError(
            f"'{row.cells[column]}' is no label.",
            path=display_name(path),
            line=row.line,
            remedy="Labels are 1, 0 and '.', where not known.",
        )
    return int(match[1]) if match[1] else NOT_KNOWN


def _from_lists(
    rows: Sequence[_Row],
    column: int,
    asked: Sequence[str] | None,
    names: Sequence[str] | None,
    path: str | Path,
) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and labels (n, K) of the numbers asked for, of a column with commas between them."""
    sets = [_numbers(row, column, path) for row in rows]
    n_labels = 1 + max((number for each in sets for number in each), default=-1)
    if names is None:
        names = [str(number) for number in range(n_labels)]
    if len(names) < n_labels:
        raise InputFormatError(
            f"Label {n_labels - 1} has no name: {len(names)} names for {n_labels} labels.",
            path=display_name(path),
            remedy="Name every label, in the order of their numbers from 0 on.",
        )
    matrix = np.zeros((len(rows), len(names)), np.int8)
    for index, numbers in enumerate(sets):
        matrix[index, numbers] = 1
    if asked is None:
        return tuple(names), matrix
    taken = [_number(text, len(names), path) for text in asked]
    return tuple(names[number] for number in taken), matrix[:, taken]


def _number(text: str, n_labels: int, path: str | Path) -> int:
    """The number of a label that is asked for, below `n_labels`."""
    if not text.isdecimal() or int(text) >= n_labels:
        raise InputFormatError(
            f"There is no label '{text}'; the labels are 0 to {n_labels - 1}.",
            path=display_name(path),
            remedy="Ask for one by its number.",
        )
    return int(text)


def _numbers(row: _Row, column: int, path: str | Path) -> list[int]:
    cell = row.cells[column].strip().strip('"[]')
    if cell.lower() in ("", ".", "na", "nan"):
        return []
    parts = [part.strip() for part in cell.split(",")]
    if not all(part.isdigit() for part in parts):
        raise InputFormatError(
            f"'{row.cells[column]}' is no list of label numbers.",
            path=display_name(path),
            line=row.line,
            remedy="Write them as 0,3,7.",
        )
    return [int(part) for part in parts]


def _by_sequence(rows: Sequence[_Row], matrix: np.ndarray) -> dict[str, LabelledWindows]:
    order: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        order.setdefault(row.sequence, []).append(index)
    spans = np.array([(row.start, row.end) for row in rows], np.int64)
    return {name: LabelledWindows(spans[of], matrix[of]) for name, of in order.items()}
