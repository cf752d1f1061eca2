"""What kind of labels a file holds, told by its content."""

from __future__ import annotations

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

    bedMethyl has eleven columns or more and intervals of one or two bases; a table of windows
    begins with a line of column names, some of which BED does not have.

    Raises:
        InputFormatError: the file is missing, empty, a pipe, binary but no bigWig, or holds
            nothing but comments.
    """
    refuse_stream(path)
    if next(read_chunks(path)).startswith(BIGWIG_MAGIC):
        return LabelKind.QUANTITY
    for _, text in read_lines(path):
        columns = text.lstrip("#").split("\t" if "\t" in text else None)
        if len(columns) >= 3 and {name.lower() for name in columns[:3]} <= _BED_NAMES:
            is_bed = all(name.lower() in _BED_NAMES for name in columns)
            if is_bed:
                continue
            return LabelKind.WINDOWS
        if text.strip() and not is_comment(text):
            return LabelKind.METHYLATION if _is_bedmethyl(text) else LabelKind.PEAKS
    raise InputFormatError(
        "The file holds no labels.",
        path=display_name(path),
        remedy="Give peaks (BED, narrowPeak), bedMethyl, a bigWig or a table of windows.",
    )


def _is_bedmethyl(text: str) -> bool:
    columns = text.split()
    if len(columns) < ENCODE_COLUMNS or columns[5] not in ("+", "-", "."):
        return False
    numbers = columns[1], columns[2], columns[9]
    return all(each.isdigit() for each in numbers) and int(columns[2]) - int(columns[1]) <= 2
