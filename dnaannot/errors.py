"""What a user can fix: every error of this package says what failed, where, and the remedy."""

from __future__ import annotations

from pathlib import Path

_NO_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory")


class DnaannotError(Exception):
    """Base of all errors that a user can mend; the command line prints them and exits with 1
    (2 for `SettingsError`).

    Args:
        problem: what failed, in one sentence.
        path: the file at fault, if there is one.
        line: 1-based line in that file.
        remedy: what to do about it.
    """

    def __init__(
        self,
        problem: str,
        *,
        path: str | Path | None = None,
        line: int | None = None,
        remedy: str | None = None,
    ) -> None:
        self.problem, self.path, self.line, self.remedy = problem, path, line, remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = "" if self.path is None else f"{self.path}: "
        if self.path is not None and self.line is not None:
            place = f"{self.path}, line {self.line}: "
        remedy = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.problem}{remedy}"


class InputFormatError(DnaannotError):
    """A file is not what it should be."""


class OutputError(DnaannotError):
    """An output cannot be written."""


class ModelError(DnaannotError):
    """A model file cannot be used."""


class SettingsError(DnaannotError):
    """What the command line asks for does not go together; the command line exits with 2."""


class DataError(DnaannotError):
    """Inputs are well formed but do not fit together or hold nothing to work on."""


def lacks_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of a GPU.

    torch and the libraries that it calls raise a RuntimeError, which tells so in words alone or
    is an OutOfMemoryError of torch.
    """
    if not isinstance(error, RuntimeError):
        return isinstance(error, MemoryError)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return "OutOfMemoryError" in kinds or any(words in str(error) for words in _NO_MEMORY)
