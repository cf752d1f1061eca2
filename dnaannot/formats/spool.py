"""Temporary files for values that wait to be written elsewhere."""

from __future__ import annotations

import contextlib
import errno
import tempfile
from collections.abc import Iterator

from dnaannot.errors import OutputError
from dnaannot.formats.output import output_error

_REMEDY = "Free space there, or set TMPDIR to a folder that has some."


class Spool:
    """Bytes on disk, in the folder for temporary files, until `close`.

    Raises:
        OutputError: the file cannot be made (no such folder, too many open files).
    """

    def __init__(self) -> None:
        with _telling():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the object lives

    def write(self, data: bytes) -> None:
        """Add bytes at the end.

        Raises:
            OutputError: the disk is full.
        """
        with _telling():
            self._file.write(data)

    def rewind(self) -> int:
        """Read from the first byte on; returns how many there are.

        Raises:
            OutputError: the disk is full.
        """
        with _telling():
            size = self._file.seek(0, 2)
            self._file.seek(0)
        return size

    def read(self, count: int) -> bytes:
        """The next `count` bytes, fewer at the end."""
        with _telling():
            return self._file.read(count)

    def close(self) -> None:
        """Free the disk."""
        with contextlib.suppress(OSError):  # what could not be written is not wanted any more
            self._file.close()


@contextlib.contextmanager
def _telling() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        told = output_error(tempfile.tempdir or "a temporary file", error)
        remedy = told.remedy if error.errno == errno.EMFILE else _REMEDY
        raise OutputError(told.problem, path=told.path, remedy=remedy) from error
