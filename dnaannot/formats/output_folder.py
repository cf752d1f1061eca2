"""Folders of outputs that appear whole or not at all, and leave what is not theirs alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from dnaannot.errors import OutputError
from dnaannot.formats.output import output_error


def check_folder(path: str | Path) -> None:
    """Make sure, by trying, that `atomic_folder` can put files into `path`, there or not yet.

    Raises:
        OutputError: it cannot; nothing is left behind.
    """
    _make_temporary(path).rmdir()


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder to fill; what it holds appears in `path` when the block ends.

    Where `path` is there already, files of the same names are replaced, each as a whole, and
    others stay. On any exception in the block, Ctrl-C included, what was written is deleted and
    `path` is left as it was.

    Raises:
        OutputError: the folder or its files cannot be put in their place.
    """
    temporary = _make_temporary(path)
    try:
        yield temporary
        try:
            _place(temporary, Path(os.path.realpath(path)))
        except OSError as error:
            raise output_error(path, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _make_temporary(path: str | Path) -> Path:
    """An empty folder on the disk of `path`: hidden inside where that is there, else beside it.

    What is there may be a disk of its own, or its parent may be closed to writing.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_dir():
        raise OutputError("is a file, not a folder.", path=path, remedy="Give a folder.")
    name = f".{target.name[:200]}.{secrets.token_hex(4)}.tmp"
    temporary = target / name if target.is_dir() else target.with_name(name)
    try:
        temporary.mkdir()
    except OSError as error:
        raise output_error(path, error) from error
    return temporary


def _place(temporary: Path, target: Path) -> None:
    if not target.exists():
        temporary.rename(target)
        return
    for file in sorted(temporary.iterdir()):
        os.replace(file, target / file.name)
