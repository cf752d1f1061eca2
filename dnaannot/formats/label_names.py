"""What the names of label files tell."""

from __future__ import annotations

import re
from pathlib import Path

_SUFFIXES = (
    ".gz",
    ".bgz",
    ".bed",
    ".narrowpeak",
    ".broadpeak",
    ".bedmethyl",
    ".bw",
    ".bigwig",
    ".tsv",
    ".txt",
)
_TASKS = {
    "accessibility": re.compile(r"(dnase|atac|faire)([-_]?seq)?|dhs", re.IGNORECASE),
    "histone": re.compile(r"h(1|2a|2b|3|4)([krst]\d+.*|ac|me)|h(2az?|2b|3|4)", re.IGNORECASE),
    "ctcf": re.compile("ctcf", re.IGNORECASE),
}


def label_name(path: str | Path) -> str:
    """What a label file is called by default: its name without .bed.gz, .narrowPeak and so on."""
    name = Path(path).name
    while any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in _SUFFIXES):
        name = name[: name.rindex(".")]
    return name


def named_task(label: str) -> str | None:
    """The task that a label's name tells, as a word of it, None where it tells none or several.

    For example accessibility by `atac__liver`, histone by `liver_H3K27ac.rep1`.
    """
    words = re.split(r"[\W_]+", label)
    found = {task for task, word in _TASKS.items() if any(map(word.fullmatch, words))}
    return found.pop() if len(found) == 1 else None
