"""Files of one call that must not be the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from dnaannot.formats.output import STDOUT


def refuse_shared_files(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None]
) -> None:
    """Refuse to write two outputs to one file, or one over an input.

    Args:
        outputs: by option; None where it is not given, `-` for standard output.
        inputs: None where there is none, `-` for standard input.

    Raises:
        UsageError: so it is.
    """
    given = {option: str(path) for option, path in outputs.items() if path is not None}
    if list(given.values()).count(STDOUT) > 1:
        raise click.UsageError(f"only one of {_listed(given)} can be '-'.")
    files = [Path(path).resolve() for path in given.values() if path != STDOUT]
    if len(set(files)) < len(files):
        raise click.UsageError(f"{_listed(given)} need different files.")
    for path in map(str, filter(None, inputs)):
        if path != STDOUT and Path(path).resolve() in files:
            raise click.UsageError(f"{path} is an input, it would be overwritten.")


def _listed(options: Iterable[str]) -> str:
    *others, last = options
    return f"{', '.join(others)} and {last}"
