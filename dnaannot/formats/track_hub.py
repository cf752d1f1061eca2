"""`hub.txt`: a folder of bigWigs as a UCSC track hub in one file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dnaannot.formats.output import atomic_output
from dnaannot.formats.source import read_lines
from dnaannot.formats.track_files import numbered
from dnaannot.formats.track_table import Row

HUB = "hub.txt"
_SHOWN = 12
"""So many tracks are drawn at first; UCSC is slow with more."""
COLOURS = {
    "accessibility": "0,114,178",
    "histone": "0,158,115",
    "ctcf": "213,94,0",
    "methylation": "86,60,140",
}
_NO_NAME = re.compile("[^A-Za-z0-9]")
_PROBABILITIES = (0.05, 0.1, 0.2, 0.5, 1.0)


def axis_top(unit: str, most: float) -> float:
    """Where a track's axis ends, if its greatest value is `most`: rare marks have small ones."""
    if unit == "percent":
        return 100.0
    if unit == "probability":
        return next((top for top in _PROBABILITIES if most <= top), 1.0)
    return max(most, 1e-6)


def write_hub(folder: str | Path, rows: Sequence[Row], assembly: str) -> None:
    """Write the hub of bigWig files into their folder.

    Source: https://genome.ucsc.edu/goldenPath/help/hgTracksHelp.html#UseOneFile

    Args:
        assembly: UCSC's name of it, such as hg38.

    Raises:
        OutputError: it cannot be written.
    """
    models = ", ".join(sorted({row.model for row in rows}))
    names = numbered((_NO_NAME.sub("_", row.file.removesuffix(".bw")) for row in rows), "_")
    hub = [
        ("hub", "dnaannot"),
        ("shortLabel", "dnaannot tracks"),
        ("longLabel", f"Tracks predicted from sequence by dnaannot, model {models}"),
        ("useOneFile", "on"),
        ("email", "not-given@example.org"),
    ]
    tracks = [_track(row, name, i) for i, (row, name) in enumerate(zip(rows, names, strict=True))]
    stanzas = [hub, [("genome", assembly)], *tracks]
    with atomic_output(Path(folder) / HUB) as stream:
        for stanza in stanzas:
            stream.writelines(f"{key} {value}\n" for key, value in stanza)
            stream.write("\n")


def read_assembly(folder: str | Path) -> str | None:
    """The assembly of the folder's hub, None where that names none.

    Raises:
        InputFormatError: it cannot be read.
    """
    for _, text in read_lines(Path(folder) / HUB):
        key, _, value = text.partition(" ")
        if key == "genome":
            return value
    return None


def _track(row: Row, name: str, index: int) -> list[tuple[str, str]]:
    top = axis_top(row.unit, float(row.most))
    scale = [("autoScale", "off"), ("viewLimits", f"0:{top:g}")]
    return [
        ("track", f"dnaannot_{name}"),
        ("type", f"bigWig 0 {top:g}"),
        ("shortLabel", row.label[:17]),
        ("longLabel", f"{row.label}: predicted {row.task}, {row.unit}, model {row.model}"[:76]),
        ("bigDataUrl", row.file),
        ("visibility", "full" if index < _SHOWN else "hide"),
        ("color", COLOURS.get(row.task, "80,80,80")),
        ("maxHeightPixels", "128:40:8"),
        ("windowingFunction", "mean"),
        *scale,
    ]
