"""Intervals on named sequences, 0-based and half-open."""

from __future__ import annotations

from typing import NamedTuple


class Interval(NamedTuple):
    """A stretch of a named sequence.

    Attributes:
        sequence: name of the sequence.
        start, end: 0-based, half-open.
        name: label that its file gives it, empty where there is none.
        line: 1-based line of the file it was read from, 0 where there is none.
    """

    sequence: str
    start: int
    end: int
    name: str = ""
    line: int = 0
