"""Regions as a user names them: a BED file, or one written as in samtools."""

from __future__ import annotations

import re
from collections.abc import Container
from pathlib import Path

from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError
from dnaannot.formats.bed import read_bed

WHOLE_SEQUENCE = 2**62
"""Where a region ends that is told by its sequence's name, or its first base, alone."""
_REGION = re.compile(r"(?P<name>.+):(?P<start>[\d,]+)(-(?P<end>[\d,]*))?")


def parse_region(text: str, names: Container[str] = ()) -> Interval:
    """The interval that `NAME:START-END`, `NAME:START` or a bare `NAME` stands for.

    The text is 1-based and inclusive, as in samtools and genome browsers; thousands may be
    set apart by commas. Without an end it is the rest of the sequence.

    Args:
        names: of the genome's sequences, where they are known: one that is the whole text goes
            before one of its parts, so that it may hold colons.

    Raises:
        DataError: the text is not a region.
    """
    text = text.strip()
    if text in names:
        return Interval(text, 0, WHOLE_SEQUENCE)
    match = _REGION.fullmatch(text)
    if match is None:
        if not text or ":" in text:
            raise DataError(
                f"'{text}' is not a region.",
                remedy="Write it as chr2L:9,000,001-13,000,000 (1-based, inclusive).",
            )
        return Interval(text, 0, WHOLE_SEQUENCE)
    start = int(match["start"].replace(",", "") or 0)
    end = int((match["end"] or "").replace(",", "") or WHOLE_SEQUENCE)
    if not 1 <= start <= end:
        raise DataError(
            f"region '{text}' holds no base.",
            remedy="The first base of a sequence is 1, and the start may not pass the end.",
        )
    return Interval(match["name"], start - 1, end)


def is_bed(text: str, names: Container[str] = ()) -> bool:
    """Whether a text stands for a file of regions: it looks like one and is no sequence's name."""
    looks_so = text == "-" or "/" in text or text.endswith((".bed", ".bed.gz"))
    return text not in names and (looks_so or Path(text).is_file())


def read_regions(text: str, names: Container[str] = ()) -> list[Interval]:
    """Regions of a BED file (`-` for standard input), or the one that the text spells.

    Args:
        names: as `parse_region` takes them.

    Raises:
        InputFormatError: the file is no BED, or there is none and the text looks like a path.
        DataError: it is neither a file nor a region.
    """
    return read_bed(text) if is_bed(text, names) else [parse_region(text, names)]
