"""Options that several commands share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from dnaannot.machine import available_cpus

Command = TypeVar("Command", bound=Callable[..., Any])

_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmg]?)(?:bp?)?", re.IGNORECASE)
_COVERAGE = re.compile(r"(\d+(?:\.\d+)?)(%?)")
_FACTOR = {"": 1, "k": 1_000, "m": 1_000_000, "g": 1_000_000_000}


class BasePairs(click.ParamType):
    """A length in bases, as a number or with a suffix: 20000, 20k, 20kb, 1.5M.

    Args:
        least, most: bounds, both allowed.
    """

    name = "BP"

    def __init__(self, least: int = 1, most: float = math.inf) -> None:
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = _SIZE.fullmatch(value.strip())
        bases = Decimal(match[1]) * _FACTOR[match[2].lower()] if match else Decimal(0)
        if bases < 1 or bases != int(bases):
            self.fail(
                f"'{value}' is no length in bases; write for example 20000 or 20k.", param, ctx
            )
        if not self.least <= bases <= self.most:
            self.fail(f"'{value}' is not from {self.least:,} to {self.most:,} bases.", param, ctx)
        return int(bases)


class Number(click.FloatRange):
    """A number in a range, which NaN is not."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"'{value}' is no number.", param, ctx)
        return number


class Coverage(click.ParamType):
    """Bases, or a share of the window as a percentage: 50, 50%."""

    name = "BP|%"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        match = _COVERAGE.fullmatch(str(value).strip())
        number = float(match[1]) / (100 if match[2] else 1) if match else 0.0
        if not match or number <= 0 or (match[2] and number > 1) or (not match[2] and number < 2):
            self.fail(f"{value!r} is neither bases (50) nor a share (50%).", param, ctx)
        return number


device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where to compute; auto takes a GPU where there is one.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=available_cpus,
    show_default="all available CPUs",
    help="CPU threads.",
)
window_option = click.option(
    "--window",
    type=BasePairs(),
    help="Bases scored at a time; changes memory and speed, never the result.  "
    "[default: by device]",
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Windows scored together; changes memory and speed, never the result.  "
    "[default: by device]",
)
coverage_option = click.option(
    "--coverage",
    type=Coverage(),
    help="A window is positive where peaks cover so much of it.  "
    "[default: 50 bases; 50% for histone]",
)
min_reads_option = click.option(
    "--min-reads",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="bedMethyl: leave out CpGs with fewer reads.",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(["auto", "bf16", "fp32"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the encoder; auto takes bf16 where the hardware has it.",
)
json_option = click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="JSON",
    help="Write the scores as JSON.",
)
quiet_option = click.option(
    "-q", "--quiet", is_flag=True, help="Print nothing but warnings and errors."
)


def regions_option(text: str) -> Callable[[Command], Command]:
    """--regions, a BED file or one region.

    Args:
        text: its help.
    """
    return click.option(
        "--regions", multiple=True, callback=_one, metavar="BED|NAME:START-END", help=text
    )


def _one(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The value of an option that may be given once, and not as the value of an unset variable."""
    if len(values) > 1:
        raise click.BadParameter("give it once; a BED file takes several regions.", ctx, param)
    if values and not values[0].strip():
        raise click.BadParameter("it is empty.", ctx, param)
    return values[0] if values else None


def report_option(shows: str) -> Callable[[Command], Command]:
    """--report, a page of HTML.

    Args:
        shows: what the page holds, as in "tables and plots".
    """
    return click.option(
        "--report",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="HTML",
        help=f"Write a page with {shows}.",
    )


def compute_options(command: Command) -> Command:
    """Add --device, --threads, --window, --batch-size and --quiet, in this order."""
    for option in (quiet_option, batch_size_option, window_option, threads_option, device_option):
        command = option(command)
    return command
