"""Regions as a user names them: a BED file, or one written as in samtools."""

from __future__ import annotations

import re
from pathlib import Path

from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError
from dnaannot.formats.bed import read_bed

WHOLE_SEQUENCE = 2**62
"""Where a region ends that is told by its sequence's name alone."""
_REGION = re.compile(r"(?P<name>.+):(?P<start>[\d,]+)-(?P<end>[\d,]+)")


def parse_region(text: str) -> Interval:
    """The interval that `NAME:START-END` or a bare `NAME`, the whole sequence, stands for.

    The text is 1-based and inclusive, as in samtools and genome browsers; thousands may be
    set apart by commas.

    Raises:
        DataError: the text is not a region.
    """
    match = _REGION.fullmatch(text.strip())
    if match is None:
        if not text.strip() or ":" in text:
            raise DataError(
                f"'{text}' is not a region.",
                remedy="Write it as chr2L:9,000,001-13,000,000 (1-based, inclusive).",
            )
        return Interval(text.strip(), 0, WHOLE_SEQUENCE)
    start, end = (int(match[key].replace(",", "") or 0) for key in ("start", "end"))
    if not 1 <= start <= end:
        raise DataError(
            f"region '{text}' holds no base.",
            remedy="The first base of a sequence is 1, and the start may not pass the end.",
        )
    return Interval(match["name"], start - 1, end)


def read_regions(text: str | Path) -> list[Interval]:
    """Regions of a BED file (`-` for standard input), or the one that the text spells.

    Raises:
        InputFormatError: the file is no BED, or there is none and the text looks like a path.
        DataError: it is neither a file nor a region.
    """
    name = str(text)
    if name == "-" or "/" in name or name.endswith((".bed", ".bed.gz")) or Path(name).exists():
        return read_bed(name)
    return [parse_region(name)]
