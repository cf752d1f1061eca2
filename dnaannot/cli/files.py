"""The files of one call: what it writes must be writable and nothing that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import click

from dnaannot.formats.output import STDOUT, check_writable


def check_files(
    outputs: Mapping[str, str | Path | None], inputs: Iterable[str | Path | None]
) -> None:
    """Refuse to write two outputs to one file, one over an input, or where nothing can be written.

    Args:
        outputs: by option; None where it is not given, `-` for standard output.
        inputs: None where there is none, `-` for standard input; a folder stands for its files.

    Raises:
        UsageError: two files are one.
        OutputError: an output cannot be written.
    """
    given = {option: str(path) for option, path in outputs.items() if path is not None}
    if list(given.values()).count(STDOUT) > 1:
        raise click.UsageError(f"only one of {_listed(given)} can be '-'.")
    files = [Path(path).resolve() for path in given.values() if path != STDOUT]
    if len(set(files)) < len(files):
        raise click.UsageError(f"{_listed(given)} need different files.")
    for path in _files_of(inputs):
        if path.resolve() in files:
            raise click.UsageError(f"{path} is an input, it would be overwritten.")
    for output in given.values():
        check_writable(output)


def _files_of(inputs: Iterable[str | Path | None]) -> Iterator[Path]:
    for path in (Path(given) for given in inputs if given):
        if path.is_dir():
            yield from path.iterdir()
        elif str(path) != STDOUT:
            yield path


def _listed(options: Iterable[str]) -> str:
    *others, last = options
    return f"{', '.join(others)} and {last}"
