"""`tracks.tsv`: what each file in a folder of tracks is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from dnaannot.errors import DnaannotError, OutputError
from dnaannot.formats.output import atomic_output
from dnaannot.formats.source import read_lines

TABLE = "tracks.tsv"
_NOTHING = "."


class Row(NamedTuple):
    """One file, or one column of a file that holds several tracks.

    Attributes:
        file: its name in the folder.
        what: "bigwig", "bedgraph", "tsv", "npz", "hub" or "picture".
        task, label, model: of the track; empty where the file is none.
        unit: "probability", "percent" or "signal".
        sites: "every N bp" or "CpG".
        values: how many.
        mean, least, most: of the values.
        genome_bases: length of the genome that it is of.
    """

    file: str
    what: str
    task: str = ""
    label: str = ""
    model: str = ""
    unit: str = ""
    sites: str = ""
    values: str = ""
    mean: str = ""
    least: str = ""
    most: str = ""
    genome_bases: str = ""


def read_table(folder: str | Path) -> list[Row]:
    """The rows of the folder's table whose files are there; none where there is no such table."""
    return [row for row in _rows(Path(folder)) if (Path(folder) / row.file).exists()]


def check_table(folder: str | Path) -> None:
    """Refuse to replace what is called `tracks.tsv` and was not written by this program.

    Raises:
        OutputError: there is such a file in the folder.
    """
    path = Path(folder) / TABLE
    if path.exists() and not _rows(Path(folder)):
        raise OutputError(
            "was not written by this program and would be replaced.",
            path=path,
            remedy="Choose another folder, or move it away.",
        )


def _rows(folder: Path) -> list[Row]:
    with contextlib.suppress(DnaannotError, IndexError):
        lines = [text.split("\t") for _, text in read_lines(folder / TABLE)]
        if lines[0] == list(Row._fields) and all(len(x) == len(Row._fields) for x in lines):
            return [Row(*("" if x == _NOTHING else x for x in line)) for line in lines[1:]]
    return []


def write_table(folder: str | Path, rows: Iterable[Row]) -> None:
    """Write the table into the folder.

    Raises:
        OutputError: it cannot be written.
    """
    with atomic_output(Path(folder) / TABLE) as stream:
        stream.write("\t".join(Row._fields) + "\n")
        stream.writelines("\t".join(cell or _NOTHING for cell in row) + "\n" for row in rows)
