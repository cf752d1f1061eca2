"""`dnaannot train genes --bend`: the paper's nine-label models on BEND's own files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from dnaannot.cli.console import Console
from dnaannot.cli.train_options import FROM_ONE

if TYPE_CHECKING:
    from dnaannot.training.bend_run import BendRun

Command = TypeVar("Command", bound=Callable[..., Any])

BEND_ONLY = ("bend", "genome", "epochs", "no_crf")
_SHARED = (
    "output", "encoder", "freeze", "label_fraction", "time_budget", "steps", "learning_rate",
    "warmup", "batch", "validate_every", "patience", "seed", "optimizer", "half", "resume",
    "species", "licence", "device", "threads",
)  # fmt: skip
_OWN_DEFAULTS = {"batch": 8, "validate_every": 100, "optimizer": "adamw"}


def bend_options(command: Command) -> Command:
    """Add --bend and what goes with it."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_OPTIONS = (
    click.option(
        "--bend",
        metavar="FILE.bed",
        help="Train the paper's nine-label model on BEND's gene_finding.bed, with its HDF5 file "
        "beside it, in place of genomes and annotations.",
    ),
    click.option("--genome", multiple=True, metavar="FILE", help="With --bend: FASTA of GRCh38."),
    click.option(
        "--epochs", type=FROM_ONE, help="With --bend: passes over the samples.  [default: 10]"
    ),
    click.option(
        "--no-crf", is_flag=True, help="With --bend: each base on its own, without the CRF."
    ),
)


def bend_run(ctx: click.Context, options: Mapping[str, Any], console: Console) -> BendRun:
    """The run that the options ask for.

    Raises:
        click.UsageError: options that do not go with --bend, or no --genome.
    """
    from dnaannot.training.bend_run import BendRun

    given = {
        name
        for name in options
        if ctx.get_parameter_source(name)
        not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    }
    strange = sorted(given - {*_SHARED, *BEND_ONLY, "preset"})
    if strange:
        raise click.UsageError(f"--{strange[0].replace('_', '-')} does not go with --bend.")
    if not options["genome"]:
        raise click.UsageError("--bend needs --genome, the FASTA of GRCh38.")
    settings = {name: options[name] for name in _SHARED}
    settings |= {name: value for name, value in _OWN_DEFAULTS.items() if name not in given}
    for name in ("preset", "epochs"):
        if options[name]:
            settings[name] = options[name]
    return BendRun(
        table=options["bend"],
        genomes=options["genome"],
        crf=not options["no_crf"],
        note=console.note,
        warn=console.warn,
        **settings,
    )
