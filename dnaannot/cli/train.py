"""`dnaannot train`: models from a lab's own genomes and annotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dnaannot.cli.console import Console
from dnaannot.cli.options import BasePairs, Number
from dnaannot.cli.selfpretrain import selfpretrain
from dnaannot.cli.train_bend import BEND_ONLY, bend_options, bend_run
from dnaannot.cli.train_compare import compare, compare_options
from dnaannot.cli.train_end import announce
from dnaannot.cli.train_options import FROM_ONE, POSITIVE, SHARE, output_option, run_options
from dnaannot.cli.train_tracks import train_tracks

if TYPE_CHECKING:
    from dnaannot.training.gene_run import GeneRun
    from dnaannot.training.run import Run


@click.group()
def train() -> None:
    """Train a model on your own genomes and annotations."""


@train.command("genes")
@click.argument("files", nargs=-1, metavar="GENOME.fa GENES.gff3 [...]")
@output_option
@click.option("--init", metavar="NAME|PATH", help="Start from this model, not from scratch.")
@click.option(
    "--encoder",
    metavar="NAME|PATH",
    help="Start from the encoder of this model: self-pretrained, or of any task.",
)
@click.option("--freeze", is_flag=True, help="Keep the encoder as it is; train what is on top.")
@click.option(
    "--preset",
    type=click.Choice(["strided", "spt", "regulatory", "tiny"]),
    help="Size of the encoder, without --init and --encoder.  [default: strided]",
)
@click.option(
    "--label-fraction",
    type=Number(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="Learn from the loci of this share of the genes alone, drawn by --seed.",
)
@click.option(
    "--validation",
    multiple=True,
    metavar="BED|NAME:START-END",
    help="Hold this out to choose the best weights by: a BED file, or one region as in "
    "samtools; GENOME.fa= before it says of which genome. Repeatable.  [default: the last tenth "
    "of the longest sequence]",
)
@click.option(
    "--exclude",
    multiple=True,
    metavar="BED|NAME:START-END",
    help="Never train on this; as --validation, repeatable.",
)
@click.option(
    "--shares",
    metavar="A,B,...",
    help="Share of the training windows for each genome.  [default: by bases]",
)
@click.option(
    "--window-bases", type=BasePairs(), default=13_824, show_default=True, help="Of one window."
)
@click.option("--batch", type=FROM_ONE, default=4, show_default=True, help="Windows a step.")
@click.option(
    "--genic-share",
    type=SHARE,
    default=0.6,
    show_default=True,
    help="Share of the windows placed around a gene.",
)
@click.option(
    "--exon-share",
    type=SHARE,
    default=0.0,
    show_default=True,
    help="Share of those placed around a coding base of it; for genes with long introns.",
)
@click.option(
    "--site-weight",
    type=POSITIVE,
    default=10.0,
    show_default=True,
    help="Weight of splice sites, starts and stops in the cross-entropy.",
)
@click.option(
    "--crf-start",
    type=SHARE,
    help="Share of the steps after which the CRF likelihood is the loss.  "
    "[default: 0 with --init, else 0.2]",
)
@click.option(
    "--label-share",
    type=Number(min=0),
    default=0.0,
    show_default=True,
    help="Weight of the cross-entropy beside the likelihood.",
)
@click.option(
    "--strand-share",
    type=Number(min=0),
    default=0.0,
    show_default=True,
    help="Weight, beside the likelihood, of how far the two strands' readings of a window are "
    "from their mean; each window is then read on both, at twice the cost.",
)
@click.option(
    "--condensed-share",
    type=SHARE,
    help="Share of the windows with long introns and intergenic stretches cut short, so that they "
    "hold whole genes of a large genome.  [default: 0.5 where genes are sparse, else 0]",
)
@click.option(
    "--divergence",
    type=Number(min=0, max=0.5),
    default=0.0,
    show_default=True,
    help="Substitute up to this share of a window's neutral bases, anew each time, as in the "
    "genome of a relative: few genes are then not learned by heart.",
)
@click.option(
    "--min-intron",
    type=click.IntRange(min=4),
    help="Least intron length in bases.  [default: that of --init, else 20]",
)
@compare_options
@run_options
@bend_options
@click.pass_context
def train_genes(
    ctx: click.Context,
    files: tuple[str, ...],
    quiet: bool,
    compare_scratch: bool,
    seeds: int,
    **options: Any,
) -> None:
    """Train a gene model on pairs of a genome and its annotation.

    One transcript represents each gene; genes that no valid gene model can spell are left out
    and counted. The best weights by validation are kept in FILE, the state of the run in
    FILE.state until it is complete, and a report (JSON, PNG, HTML) in FILE.report.

    With --bend it trains on the benchmark BEND as Mupparapu et al. (2025) do: nine labels, a CRF,
    all weights from random ones or from --encoder; it reports the MCC on BEND's test split.
    """
    console = Console(quiet)
    if options["bend"] and files:
        raise click.UsageError("--bend takes the place of genomes and annotations.")
    if options["bend"]:
        run: Run[Any] = bend_run(ctx, options, console)
    else:
        run = _gene_run(files, options, console)
    if compare_scratch:
        compare(run, seeds, console)
        return
    with console.progress("training", unit="steps") as on_progress:
        best = run.train(lambda step, steps, loss: on_progress(step, steps))
    announce(best, run)


def _gene_run(files: tuple[str, ...], options: dict[str, Any], console: Console) -> GeneRun:
    from dnaannot.training.gene_run import GeneRun

    pairs = "give pairs: a genome and its annotation (GENOME.fa GENES.gff3), then the next."
    if options["genome"]:
        raise click.UsageError(f"--genome goes with --bend; without it {pairs}")
    for name in BEND_ONLY:
        if options.pop(name) and name != "bend":
            raise click.UsageError(f"--{name.replace('_', '-')} goes with --bend.")
    if not files or len(files) % 2:
        raise click.UsageError(pairs)
    return GeneRun(files=files, note=console.note, warn=console.warn, **options)


train.add_command(train_tracks)
train.add_command(selfpretrain)
