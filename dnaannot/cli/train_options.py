"""Options that all training commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from dnaannot.cli.options import Number, device_option, quiet_option, threads_option

Command = TypeVar("Command", bound=Callable[..., Any])

POSITIVE = Number(min=0, min_open=True)
FROM_ZERO, FROM_ONE = click.IntRange(min=0), click.IntRange(min=1)
SHARE = Number(0, 1)

_LARGEST_SEED = 2**32 - 1

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, None: 60}


class Duration(click.ParamType):
    """A length of time: 90s, 45m, 2h; a bare number means minutes."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        match = _DURATION.fullmatch(str(value).strip())
        if not match or float(match[1]) == 0:
            self.fail(f"{value!r} is no length of time; write for example 45m or 2h.", param, ctx)
        return float(match[1]) * _SECONDS[match[2]]


output_option = click.option(
    "-o", "--output", required=True, metavar="FILE.safetensors", help="The model to write."
)


def run_options(command: Command) -> Command:
    """Add what every run can be told: how long, at what rate, from what state, where."""
    for option in reversed(_RUN_OPTIONS):
        command = option(command)
    return command


_RUN_OPTIONS = (
    click.option(
        "--time-budget",
        type=Duration(),
        help="Train for about so long: 90s, 45m, 2h; a bare number means minutes.",
    ),
    click.option("--steps", type=FROM_ONE, help="Train for so many steps."),
    click.option(
        "--learning-rate",
        type=POSITIVE,
        help="At its peak.  [default: 3e-3, with AdamW 1e-3; a third of it with --init]",
    ),
    click.option(
        "--warmup", type=FROM_ZERO, default=200, show_default=True, help="Steps of warm-up."
    ),
    click.option(
        "--validate-every",
        type=FROM_ONE,
        default=500,
        show_default=True,
        help="Steps between validations.",
    ),
    click.option(
        "--patience",
        type=FROM_ZERO,
        default=0,
        help="Stop after so many validations without gain.  [default: never]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, _LARGEST_SEED),
        default=1,
        show_default=True,
        help="Of weights and data order.",
    ),
    click.option(
        "--optimizer",
        type=click.Choice(["muon", "adamw"]),
        default="muon",
        help="Muon is for weights between hidden features; AdamW moves the others.  "
        "[default: muon, with --bend adamw]",
    ),
    click.option("--half", is_flag=True, help="Write the weights as float16."),
    click.option("--resume", is_flag=True, help="Go on from FILE.state, where it was interrupted."),
    click.option("--species", multiple=True, help="Name for the model's card; repeatable."),
    click.option("--licence", default="", help="For the model's card."),
    device_option,
    threads_option,
    quiet_option,
)
