"""`dnaannot selfpretrain`: an encoder from a lab's own sequence, without labels."""

from __future__ import annotations

from typing import Any

import click

from dnaannot.cli.console import Console
from dnaannot.cli.options import BasePairs, Number, regions_option
from dnaannot.cli.train_options import FROM_ONE, POSITIVE, run_options


@click.command(short_help="Train an encoder on your own sequence, without labels.")
@click.argument("files", nargs=-1, required=True, metavar="LOCI.fa...")
@click.option(
    "-o",
    "--output",
    default="encoder.safetensors",
    show_default=True,
    metavar="FILE.safetensors",
    help="The encoder to write.",
)
@regions_option("Learn from these regions of the files alone.")
@click.option(
    "--init", metavar="NAME|PATH", help="Start from the encoder of this model, of any task."
)
@click.option(
    "--preset",
    type=click.Choice(["strided", "spt", "regulatory", "tiny"]),
    help="Size of the encoder, without --init; spt is the paper's, for GPUs.  [default: strided]",
)
@click.option("--epochs", type=POSITIVE, help="Passes over the sequence.  [default: 20]")
@click.option(
    "--window-bases", type=BasePairs(), default=13_824, show_default=True, help="Of one window."
)
@click.option(
    "--batch",
    type=FROM_ONE,
    default=4,
    show_default=True,
    help="Windows a step; more where records are short.",
)
@click.option(
    "--validation-share",
    type=Number(0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="Share of the bases held out, in whole records where they are small enough.",
)
@click.option("--force", is_flag=True, help="Go on where the estimate says that it cannot work.")
@run_options
def selfpretrain(files: tuple[str, ...], quiet: bool, **options: Any) -> None:
    """Train an encoder on unlabelled sequence, to name bases that are hidden from it.

    Give the loci (or a genome) that the labels will be about, then train on the labels with
    `dnaannot train genes --encoder FILE` or `train tracks --encoder FILE`. Validation compares
    the encoder with k-mer models of the same sequence and says which knows more. The best
    weights are kept in FILE, the state of the run in FILE.state until it is complete, and a
    report (JSON, PNG, HTML) in FILE.report.
    """
    from dnaannot.training.selfpretrain_run import SelfPretrainRun

    console = Console(quiet)
    run = SelfPretrainRun(files=files, note=console.note, warn=console.warn, **options)
    with console.progress("pretraining", unit="steps") as on_progress:
        run.train(lambda step, steps, loss: on_progress(step, steps))
    console.note(f"wrote {run.output} and {run.report_folder}")
