"""What kind of labels a file holds, told by its content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path

from dnaannot.errors import InputFormatError
from dnaannot.formats.bedmethyl import ENCODE_COLUMNS
from dnaannot.formats.source import (
    BIGWIG_MAGIC,
    display_name,
    is_comment,
    read_chunks,
    read_lines,
    refuse_stream,
)

_BED_NAMES = {
    *("chrom", "chr", "chromosome", "seqname", "start", "end", "chromstart", "chromend"),
    *("name", "score", "strand", "thickstart", "thickend", "itemrgb", "blockcount"),
    *("blocksizes", "blockstarts", "signalvalue", "pvalue", "qvalue", "peak", "summit"),
}

_BEDGRAPH_ENDINGS = (".bedgraph", ".bdg", ".bg")
_BEDGRAPH_TRACK = re.compile(r"track\s.*type=\W?bedgraph", re.IGNORECASE)
_FRACTION = re.compile(r"-?(\d*\.\d+|\d+(?=e))(e[+-]?\d+)?", re.IGNORECASE)
_INDICES = (".tbi", ".csi")


class LabelKind(Enum):
    """How the file is read."""

    PEAKS = "peaks"  # formats.peaks
    METHYLATION = "bedMethyl"  # formats.bedmethyl
    QUANTITY = "bigWig"  # formats.bigwig_reader
    WINDOWS = "table of windows"  # formats.labelled_windows


def label_files(path: str | Path) -> list[Path]:
    """The files of a folder by name, without hidden ones and indices, or a file itself.

    Raises:
        InputFormatError: the folder holds none.
    """
    if not Path(path).is_dir():
        return [Path(path)]
    files = [
        each
        for each in sorted(Path(path).iterdir())
        if each.is_file() and not each.name.startswith(".") and each.suffix not in _INDICES
    ]
    if not files:
        raise InputFormatError(
            "The folder holds no label file.", path=path, remedy="Give files, or a folder of them."
        )
    return files


def label_kind(path: str | Path) -> LabelKind:
    """The kind of a label file.

    bedMethyl has eleven columns or more and intervals of one or two bases, and may begin with a
    line of column names; a table of windows does, and has some that BED does not have.

    Raises:
        InputFormatError: the file is missing, empty, a pipe, binary but no bigWig, holds nothing
            but comments, or is a bedGraph, whose lines would all be taken for peaks.
    """
    refuse_stream(path)
    if next(read_chunks(path)).startswith(BIGWIG_MAGIC):
        return LabelKind.QUANTITY
    otherwise = LabelKind.PEAKS
    for line, text in read_lines(path):
        columns = text.lstrip("#").split("\t" if "\t" in text else None)
        is_table = otherwise is LabelKind.WINDOWS
        if _BEDGRAPH_TRACK.match(text) or (not is_table and _is_bedgraph(path, columns)):
            raise InputFormatError(
                "This is a bedGraph: is each line a peak, or a value?",
                path=display_name(path),
                line=line,
                remedy="Make a bigWig of values (bedGraphToBigWig of UCSC), or keep the first "
                "three columns of peaks, in a .bed.",
            )
        if len(columns) >= 3 and {name.lower() for name in columns[:3]} <= _BED_NAMES:
            if not all(name.lower() in _BED_NAMES for name in columns):
                otherwise = LabelKind.WINDOWS
        elif text.strip() and not is_comment(text):
            return LabelKind.METHYLATION if _is_bedmethyl(text) else otherwise
    if otherwise is LabelKind.WINDOWS:
        return otherwise
    raise InputFormatError(
        "The file holds no labels.",
        path=display_name(path),
        remedy="Give peaks (BED, narrowPeak), bedMethyl, a bigWig or a table of windows.",
    )


def _is_bedgraph(path: str | Path, columns: Sequence[str]) -> bool:
    """Whether a line is of a bedGraph, by the file's name or a fourth column of fractions."""
    name = Path(path).name.lower().removesuffix(".gz")
    if len(columns) != 4 or not columns[1].isdigit():
        return False
    return name.endswith(_BEDGRAPH_ENDINGS) or _FRACTION.fullmatch(columns[3]) is not None


def _is_bedmethyl(text: str) -> bool:
    columns = text.split()
    if len(columns) < ENCODE_COLUMNS or columns[5] not in ("+", "-", "."):
        return False
    numbers = columns[1], columns[2], columns[9]
    return all(each.isdigit() for each in numbers) and int(columns[2]) - int(columns[1]) <= 2
