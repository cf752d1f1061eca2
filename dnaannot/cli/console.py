"""What the user sees while a command works: notes, warnings, progress and a closing summary.

All of it goes to stderr, so that results can be piped from stdout. The progress bar appears
on a terminal only; notes and the summary fall silent with `-q`; warnings never do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

OnProgress = Callable[[int, int], None]
"""Called with (done, total), in the unit of the bar."""

_UNKNOWN = "-:--"


class Console:
    """The messages of one command.

    Args:
        quiet: keep warnings, drop the rest.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.quiet = quiet
        self._rich = RichConsole(
            stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False
        )

    def note(self, message: str) -> None:
        """Tell what was chosen or found."""
        if not self.quiet:
            self._rich.print(message)

    def warn(self, message: str) -> None:
        """Tell what the user should look at, `-q` or not."""
        self._rich.print(Text.assemble(("warning: ", "yellow"), message))

    @contextmanager
    def progress(self, description: str, unit: str = "b") -> Iterator[OnProgress]:
        """A bar with the amount done, rate and time left, for as long as the block runs.

        Args:
            description: what is being done, in one or two words.
            unit: of the amounts that the yielded function takes: `b` for bases, or a word.

        Yields:
            A function of (done, total); a total of 0 means that it is not known.
        """
        if self.quiet or not self._rich.is_terminal:
            yield _ignore
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            _Amount(unit),
            _Rate(unit),
            _Eta(),
        )
        with Progress(*columns, console=self._rich, transient=True) as bar:
            task = bar.add_task(description, total=None)

            def on_progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total or None)

            yield on_progress


def amount(value: float, unit: str = "b") -> str:
    """An amount in three digits: `950 b`, `1.2 kb`, `34.5 Mb`, `12,000 steps`."""
    prefix = ""
    if unit == "b":
        for larger in ("k", "M", "G"):
            if value < 999.5:
                break
            value, prefix = value / 1000, larger
    whole = value >= 99.95 or value == int(value)
    return f"{value:,.0f} {prefix}{unit}" if whole else f"{value:.3g} {prefix}{unit}"


def duration(seconds: float) -> str:
    """A time as a clock would show it: `0:07`, `12:30`, `3:05:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _ignore(done: int, total: int) -> None:
    """Take the place of a bar that nobody sees."""


class _Amount(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        done = amount(task.completed, self.unit)
        return Text(done if task.total is None else f"{done} of {amount(task.total, self.unit)}")


class _Rate(ProgressColumn):
    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{amount(speed, self.unit)}/s" if speed else "")


class _Eta(ProgressColumn):
    def render(self, task: Task) -> Text:
        left = task.time_remaining
        return Text(f"{_UNKNOWN if left is None else duration(left)} left", style="cyan")
