"""Which parts of a sequence are held out and which are left to train on."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnaannot.dna.interval import Interval, union
from dnaannot.dna.names import listed
from dnaannot.errors import DataError


class Split(NamedTuple):
    """Half-open stretches of one sequence.

    Attributes:
        train: what is neither held out nor excluded.
        held_out: validation regions, without what is excluded.
    """

    train: list[tuple[int, int]]
    held_out: list[tuple[int, int]]


def split(
    name: str, length: int, validation: Sequence[Interval], excluded: Sequence[Interval]
) -> Split:
    """The split of one sequence by the regions that lie on it; regions are cut at its end.

    Raises:
        DataError: a region begins past the sequence's end.
    """
    left_out = sorted(_on(name, length, excluded))
    wanted = union(np.array(_on(name, length, validation), np.int64).reshape(-1, 2)).tolist()
    held_out = [
        (max(start, low), min(end, high))
        for start, end in wanted
        for low, high in _between(left_out, length)
        if max(start, low) < min(end, high)
    ]
    return Split(_between(sorted([*map(tuple, wanted), *left_out]), length), held_out)


def check_sequences(
    regions: Iterable[Interval],
    names: Collection[str],
    path: str | None = None,
    genome: str | None = None,
) -> None:
    """Refuse regions on sequences that the genomes do not have.

    Args:
        path: of the file that they are from, if there is one.
        genome: that they are said to be of, if one is said.

    Raises:
        DataError: one is; the message names some that there are.
    """
    for region in regions:
        if region.sequence not in names:
            raise DataError(
                f"no genome has the sequence {region.sequence!r} of a region."
                if genome is None
                else f"'{genome}' has no sequence {region.sequence!r}.",
                path=path,
                line=region.line or None,
                remedy=f"Name it as the genome does: {listed(names)}.",
            )


def _on(name: str, length: int, regions: Iterable[Interval]) -> list[tuple[int, int]]:
    mine = [region for region in regions if region.sequence == name]
    for region in mine:
        if region.start >= length:
            raise DataError(
                f"the region from {region.start + 1:,} on begins past the end of "
                f"{name!r} ({length:,} bases).",
                remedy="Bases are counted from 1: NAME:START-END.",
            )
    return [(region.start, min(region.end, length)) for region in mine]


def last_tenth(lengths: dict[str, int], excluded: Sequence[Interval] = ()) -> Interval:
    """The last tenth of the longest sequence, to be held out where nothing else is said.

    Of a sequence with excluded regions it is the last tenth of what is left, and the region
    returned holds what is excluded after it.

    Args:
        lengths: of each sequence by name.
        excluded: the longest of the sequences without such a region is taken, if there is one,
            else the one with the most bases outside.
    """
    touched = {region.sequence for region in excluded}
    free = {
        name: _between(sorted(_on(name, length, excluded)), length)
        for name, length in lengths.items()
    }
    bases = {name: sum(end - start for start, end in spans) for name, spans in free.items()}
    name = max([name for name in lengths if name not in touched] or bases, key=bases.__getitem__)
    wanted = bases[name] // 10
    for start, end in reversed(free[name]):
        if wanted <= end - start:
            return Interval(name, end - wanted, lengths[name])
        wanted -= end - start
    return Interval(name, lengths[name] - lengths[name] // 10, lengths[name])


def check_held_out(regions: Collection[object]) -> None:
    """Refuse a split that holds nothing out.

    Raises:
        DataError: there is no region to validate on.
    """
    if not regions:
        raise DataError(
            "nothing is held out to validate on.",
            remedy="Give regions with --validation that --exclude does not cover.",
        )


def _between(taken: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    free, at = [], 0
    for start, end in taken:
        if start > at:
            free.append((at, start))
        at = max(at, end)
    return [*free, (at, length)] if at < length else free


def unlike(path: Path, names: Container[str]) -> str:
    """The file's name, with that of its folder where the name alone is there already."""
    return f"{path.parent.name}/{path.name}" if path.name in names else path.name
