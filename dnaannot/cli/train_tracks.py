"""`dnaannot train tracks`: accessibility, histone marks, methylation from a lab's own labels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import click

from dnaannot.cli.console import Console
from dnaannot.cli.options import BasePairs, coverage_option, min_reads_option
from dnaannot.cli.train_compare import compare, compare_options
from dnaannot.cli.train_end import announce
from dnaannot.cli.train_options import (
    FROM_ONE,
    FROM_ZERO,
    POSITIVE,
    SHARE,
    output_option,
    run_options,
)

_SHOWN = ("auroc", "auprc", "pearson")


@dataclass
class _Pace:
    """How fast a run goes."""

    steps: int = 0
    began: float = 0.0
    seconds: float = 0.0

    def after(self, step: int) -> int:
        """Take in that a step was made; returns it."""
        now = time.monotonic()
        self.began = self.began or now
        self.steps, self.seconds = self.steps + 1, now - self.began
        return step

    @property
    def steps_a_second(self) -> float:
        """Since the first step, 0 where there was no other."""
        return (self.steps - 1) / self.seconds if self.seconds else 0.0


@click.command("tracks")
@click.argument("labels", nargs=-1, required=True, metavar="LABELS...")
@click.option(
    "-g",
    "--genome",
    "genomes",
    multiple=True,
    required=True,
    metavar="GENOME.fa",
    help="The genome that the labels are of; repeat it where its sequences are in several files.",
)
@output_option
@click.option(
    "--task",
    "tasks",
    multiple=True,
    metavar="[PATTERN=]TASK",
    help="What the labels are: accessibility, histone, ctcf, methylation or a word of your own; "
    "with a pattern, those whose names match it ('dnase__*=accessibility').  Repeatable.  "
    "[default: what their names tell (atac__liver, H3K27ac); methylation of bedMethyl]",
)
@click.option(
    "--encoder",
    metavar="NAME|PATH",
    help="Start from the encoder of this model (of any task, or self-pretrained), and the motifs "
    "of one of tracks.",
)
@click.option("--init", metavar="NAME|PATH", help="Start from this model of the same labels.")
@click.option("--freeze", is_flag=True, help="Keep the encoder that it starts from as it is.")
@click.option(
    "--preset",
    type=click.Choice(["regulatory", "strided", "spt", "tiny"]),
    help="Size of the encoder, without --encoder and --init.  [default: regulatory]",
)
@click.option(
    "--validation",
    multiple=True,
    metavar="BED|NAME:START-END",
    help="Hold this out to choose the best weights by and to calibrate: a BED file, or "
    "one region as in samtools; repeatable.  [default: the last tenth of the longest sequence]",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="BED|NAME:START-END",
    help="Never train on this; repeatable.",
)
@click.option(
    "--validation-genome",
    "validation_genomes",
    multiple=True,
    metavar="GENOME.fa",
    help="Validate on this genome, whole (too); it may be of another assembly.",
)
@click.option(
    "--validation-labels",
    metavar="DIR",
    help="Label files for --validation-genome, named as those to train on.",
)
@click.option(
    "--validation-bases",
    type=BasePairs(),
    default=8_000_000,
    show_default="8M",
    help="Look at so much of what is held out, spread evenly.",
)
@click.option(
    "--window",
    type=BasePairs(least=32, most=16_384),
    default=512,
    show_default=True,
    help="Bases around a position that its label is about.",
)
@coverage_option
@min_reads_option
@click.option(
    "--soft",
    is_flag=True,
    help="bedMethyl: learn the share of methylated reads, not whether it is over 0.9 or under 0.1.",
)
@click.option(
    "--threshold",
    type=POSITIVE,
    help="bigWig: a window is positive from this mean signal on.  [default: learn the signal]",
)
@click.option(
    "--matched-negatives",
    type=FROM_ZERO,
    default=0,
    help="Train on only so many negatives a positive, matched for GC.  [default: all]",
)
@click.option(
    "--stretch-bases",
    type=BasePairs(),
    default=16_384,
    show_default=True,
    help="Of one piece of sequence to learn from.",
)
@click.option(
    "--margin",
    type=FROM_ZERO,
    default=1_024,
    show_default=True,
    help="Bases at its ends that give context alone.",
)
@click.option("--batch", type=FROM_ONE, default=4, show_default=True, help="Stretches a step.")
@click.option(
    "--positive-share",
    type=SHARE,
    default=0.5,
    show_default=True,
    help="Share of the stretches around a positive.",
)
@click.option(
    "--motif-steps",
    type=FROM_ZERO,
    help="Steps that motifs are learned for alone before, from what stands at narrow peaks; with "
    "--init, those that count for little are learned anew.  [default: a quarter of the steps, a "
    "twelfth of the time, 300 at most; with --init of a model that has motifs none]",
)
@compare_options
@run_options
def train_tracks(
    labels: tuple[str, ...], quiet: bool, compare_scratch: bool, seeds: int, **options: Any
) -> None:
    """Train a model of tracks on a genome and label files.

    A label file is BED, narrowPeak or broadPeak (peaks), bigWig (a signal), bedMethyl, or a
    table of windows with a column a label; a folder stands for the files in it. The best weights
    by validation are kept in FILE, with the calibration of each label; the state of the run in
    FILE.state until it is complete; a report (JSON, PNG, HTML) in FILE.report.
    """
    from dnaannot.training.track_run import TrackRun

    console = Console(quiet)
    run = TrackRun(labels=labels, note=console.note, warn=console.warn, **options)
    if compare_scratch:
        compare(run, seeds, console, _is_shown)
        return
    pace = _Pace()
    with console.progress("training", unit="steps") as on_progress:
        best = run.train(lambda step, steps, loss: on_progress(pace.after(step), steps))
    if pace.steps_a_second:
        rate = pace.steps_a_second * run.batch * run.stretch_bases / 1000
        console.note(f"{rate:,.0f} kb a second, validations included")
    announce(best, run, _is_shown)


def _is_shown(metric: str) -> bool:
    """Whether a metric is one over all labels."""
    return "__" not in metric and metric.endswith(_SHOWN)
