"""Names and numbers, as messages tell them."""

from __future__ import annotations

from collections.abc import Iterable

_SHOWN = 4


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are: `'1', '2', '3', '4' and 20 more`."""
    ordered = list(names)
    shown = ", ".join(f"'{name}'" for name in ordered[:_SHOWN])
    more = len(ordered) - _SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown or "none"


def counted(count: int, noun: str) -> str:
    """A number of things: `1 gene`, `1,200 genes`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def naming_remedy(ours: Iterable[str], theirs: Iterable[str], otherwise: str) -> str:
    """What to do where two files share no name of a sequence.

    Args:
        otherwise: the remedy where more than `chr` or case sets the names apart.
    """
    if {_plain(name) for name in ours} & {_plain(name) for name in theirs}:
        return "They differ by 'chr' or by case: rename the sequences of one of them."
    return otherwise


def same_name(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that differs from a name by `chr` or case alone, None if none does."""
    return next((other for other in names if _plain(other) == _plain(name)), None)


def _plain(name: str) -> str:
    return name.lower().removeprefix("chr")
