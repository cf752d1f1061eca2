"""BEND's own files (Marin et al. 2024): a BED table, its labels in a column or in an HDF5 file.

The table is tab-separated under a line of column names; coordinates are 0-based, half-open.
The first three columns are sequence, start and end, the last is the split (train, valid,
test). Tasks on whole sequences have a column `label` with the numbers of the labels that hold,
joined by commas, and a column `strand`: a sequence on the minus strand is read as its reverse
complement. Gene finding has neither: its labels are dataset `labels` of the HDF5 file of the
same name, one array for each row in the same order, base by base along the plus strand.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from dnaannot.errors import InputFormatError
from dnaannot.formats.source import display_name, read_lines

SPLITS = ("train", "valid", "test")
_STRAND_COLUMN, _LABEL_COLUMN = 3, 6  # where a table without these names has them


class BendRow(NamedTuple):
    """One sample.

    Attributes:
        sequence: name of its chromosome.
        start, end: 0-based, half-open.
        split: "train", "valid" or "test", or what else the file says.
        strand: "+" or "-"; gene finding reads every sample from the plus strand.
        labels: numbers of the labels that hold for the whole sequence; None where the table
            has no column of labels.
        line: 1-based line of the table.
    """

    sequence: str
    start: int
    end: int
    split: str
    strand: str = "+"
    labels: tuple[int, ...] | None = None
    line: int = 0


class _Columns(NamedTuple):
    """Where a table has what; None for what it lacks."""

    width: int
    split: int
    strand: int | None
    label: int | None


def read_bend(path: str | Path) -> list[BendRow]:
    """Rows of a BEND table, in its order.

    Raises:
        InputFormatError: the file is missing, empty or no such table; a row has other columns
            than the first line, coordinates that are no stretch, a strand other than + and -,
            or labels that are no numbers.
    """
    rows: list[BendRow] = []
    columns: _Columns | None = None
    for line, text in read_lines(path):
        cells = text.rstrip("\r\n").split("\t")
        if not text.strip() or text.startswith("#"):
            continue
        if columns is None:
            named = len(cells) > 1 and not cells[1].strip().isdigit()
            columns = _columns([cell.strip().lower() for cell in cells], named, path, line)
            if named:
                continue
        rows.append(_row([cell.strip() for cell in cells], columns, path, line))
    if not rows:
        raise _error(path, None, "The table has no rows.")
    return rows


def _columns(cells: list[str], named: bool, path: str | Path, line: int) -> _Columns:
    count = len(cells)
    if count < 4:
        raise _error(path, line, f"The table has {count} columns, not four or more.")
    if named:
        by_name = {name: index for index, name in enumerate(cells)}
        return _Columns(
            count, by_name.get("split", count - 1), by_name.get("strand"), by_name.get("label")
        )
    strand = _STRAND_COLUMN if cells[_STRAND_COLUMN] in ("+", "-") else None
    label = _LABEL_COLUMN if count > _LABEL_COLUMN + 1 else None
    return _Columns(count, count - 1, strand, label)


def _row(cells: list[str], columns: _Columns, path: str | Path, line: int) -> BendRow:
    if len(cells) != columns.width:
        raise _error(path, line, f"The row has {len(cells)} columns, not {columns.width}.")
    start, end = (_integer(cell) for cell in cells[1:3])
    if start is None or end is None:
        raise _error(path, line, f"Start '{cells[1]}' and end '{cells[2]}' are not both integers.")
    if not 0 <= start < end:
        raise _error(path, line, f"From {start} to {end} is no stretch of a sequence.")
    strand = "+" if columns.strand is None else cells[columns.strand]
    if strand not in ("+", "-"):
        raise _error(path, line, f"The strand is '{strand}', not '+' or '-'.")
    labels = None if columns.label is None else _labels(cells[columns.label], path, line)
    return BendRow(cells[0], start, end, cells[columns.split], strand, labels, line)


def _integer(cell: str) -> int | None:
    """What a cell says, also as pandas writes integers beside missing values: 17.0."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return int(number) if number.is_integer() else None


def _labels(cell: str, path: str | Path, line: int) -> tuple[int, ...]:
    """Labels of a cell; an empty one or NaN, as pandas writes it, holds none."""
    if cell.lower() in ("", "nan", "."):
        return ()
    parts = cell.strip('"').split(",")
    if not all(part.strip().isdigit() for part in parts):
        raise _error(path, line, f"The label '{cell}' is no list of numbers joined by commas.")
    return tuple(int(part) for part in parts)


def _error(path: str | Path, line: int | None, problem: str) -> InputFormatError:
    return InputFormatError(
        problem,
        path=display_name(path),
        line=line,
        remedy="A BEND table has columns chromosome, start, end, ..., split, separated by tabs.",
    )
