"""The stretches that a preview shows, gathered while tracks are predicted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from dnaannot.dna.interval import NOTHING, Interval, union
from dnaannot.dna.transcript import Transcript
from dnaannot.formats.track_files import safe_name
from dnaannot.formats.track_plot import View
from dnaannot.predict.tracks import Values

PICTURES = 3
_LEAST, _MOST = 20_000, 200_000
"""A picture shows at least and at most so many bases."""


class Preview:
    """Stretches around regions, and the values in them.

    Args:
        regions: of which the first ones are shown; without any, a stretch of the longest
            sequence is.
        sizes: length of each sequence by name.
        title: what the pictures' names hold.

    Attributes:
        names: of the pictures, one a stretch.
    """

    def __init__(self, regions: Sequence[Interval], sizes: Mapping[str, int], title: str) -> None:
        self._regions = list(regions)
        self._stretches: list[Interval] = []
        for region in self._regions or [third(sizes)]:
            stretch = _around(region, sizes[region.sequence])
            if not any(_holds(shown, region) for shown in self._stretches):
                self._stretches.append(stretch)
            if len(self._stretches) == PICTURES:
                break
        self._values: list[list[Values]] = [[] for _ in self._stretches]
        self.names = [
            f"preview.{safe_name(title)}.{n}.png" for n in range(1, len(self._stretches) + 1)
        ]

    def spans(self, sequence: str) -> np.ndarray:
        """The `union` (m, 2) of what is shown of a sequence."""
        return union(_pairs(s for s in self._stretches if s.sequence == sequence))

    def take(self, values: Values) -> None:
        """Keep the values that are shown."""
        for stretch, kept in zip(self._stretches, self._values, strict=True):
            if stretch.sequence == values.sequence:
                seen = (values.starts < stretch.end) & (values.ends > stretch.start)
                if seen.any():
                    kept.append(
                        values._replace(
                            starts=values.starts[seen],
                            ends=values.ends[seen],
                            values=values.values[seen],
                        )
                    )

    def views(self, tracks: int, genes: Sequence[Transcript] | None) -> list[View]:
        """What is to be drawn.

        Args:
            tracks: K, how many there are.
            genes: of the whole genome, None for none to be drawn.
        """
        none = [Values("", np.empty(0), np.empty(0), np.empty((0, tracks)), 0)]
        views = []
        for stretch, kept in zip(self._stretches, self._values, strict=True):
            parts = kept or none
            shaded = _pairs(r for r in self._regions if _overlap(stretch, r))
            views.append(
                View(
                    *stretch[:3],
                    regions=union(shaded),
                    starts=np.concatenate([part.starts for part in parts]),
                    ends=np.concatenate([part.ends for part in parts]),
                    values=np.concatenate([part.values for part in parts]),
                    genes=genes,
                )
            )
        return views


def third(sizes: Mapping[str, int]) -> Interval:
    """Where the longest sequence is shown if nothing was asked for: at a third of it."""
    name = max(sizes, key=lambda name: sizes[name])
    at = sizes[name] // 3
    return Interval(name, at, min(at + _MOST, sizes[name]))


def _around(region: Interval, size: int) -> Interval:
    """A region with some of its surroundings, or as much of it as a picture shows."""
    shown = min(max((region.end - region.start) * 6 // 5, _LEAST), _MOST, size)
    middle = (region.start + region.end) // 2
    start = middle - shown // 2
    if region.end - region.start > shown:
        start = region.start
    start = max(0, min(start, size - shown))
    return Interval(region.sequence, start, start + shown)


def _holds(stretch: Interval, region: Interval) -> bool:
    return (
        stretch.sequence == region.sequence
        and stretch.start <= region.start
        and region.end <= stretch.end
    )


def _overlap(stretch: Interval, region: Interval) -> bool:
    return (
        stretch.sequence == region.sequence
        and region.start < stretch.end
        and region.end > stretch.start
    )


def _pairs(intervals: Iterable[Interval]) -> np.ndarray:
    pairs = [(interval.start, interval.end) for interval in intervals]
    return np.array(pairs, np.int64) if pairs else NOTHING
