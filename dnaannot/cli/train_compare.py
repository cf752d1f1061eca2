"""`--compare-scratch` of the training commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, TypeVar

import click

from dnaannot.cli.console import Console
from dnaannot.cli.train_options import FROM_ONE

if TYPE_CHECKING:
    from dnaannot.training.run import Run

Command = TypeVar("Command", bound=Callable[..., Any])


def compare_options(command: Command) -> Command:
    """Add --compare-scratch and --seeds."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def _with_comparison(ctx: click.Context, param: click.Parameter, value: int | None) -> int:
    if value is not None and not ctx.params["compare_scratch"]:
        raise click.BadParameter("it goes with --compare-scratch.", ctx, param)
    return value or _SEEDS


_SEEDS = 3
_OPTIONS = (
    click.option(
        "--compare-scratch",
        is_flag=True,
        is_eager=True,  # known when --seeds is read
        help="Also train from random weights with the FLOPs of the training from --encoder, for "
        "several seeds each, and tell the difference; takes 2 * --seeds times as long.",
    ),
    click.option(
        "--seeds",
        type=FROM_ONE,
        callback=_with_comparison,
        help="With --compare-scratch.  [default: 3]",
    ),
)


def compare(
    run: Run[Any], seeds: int, console: Console, is_shown: Callable[[str], bool] = lambda _: True
) -> None:
    """Train both kinds of runs and tell what they differ in.

    Args:
        is_shown: whether to tell of a metric; `comparison.json` has all.
    """
    from dnaannot.training.scratch import compare_scratch

    with ExitStack() as shown:

        def on_arm(name: str) -> Callable[[int, int, float], None]:
            shown.close()
            console.note(f"-- {name}")
            on_progress = shown.enter_context(console.progress(name, unit="steps"))
            return lambda step, steps, loss: on_progress(step, steps)

        comparison = compare_scratch(run, seeds, on_arm)
    for sentence in comparison.sentences([name for name in comparison.metrics if is_shown(name)]):
        console.note(sentence)
    console.note(f"wrote {run.output}, {run.report_folder} and {run.output}.comparison")
