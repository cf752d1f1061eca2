"""`dnaannot evaluate tracks`: predicted tracks beside measured labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnaannot.cli.config import find_genome
from dnaannot.cli.files import check_files
from dnaannot.cli.options import (
    BasePairs,
    coverage_option,
    json_option,
    min_reads_option,
    regions_option,
    report_option,
)

if TYPE_CHECKING:
    from dnaannot.evaluate.intervals import Regions
    from dnaannot.evaluate.track_inputs import Pair, SequenceFacts


@click.command("tracks")
@click.argument("prediction", metavar="PRED", type=click.Path(path_type=str))
@click.argument("labels", metavar="LABELS...", nargs=-1, required=True)
@click.option(
    "-g",
    "--genome",
    metavar="FASTA",
    help="The genome of both: leaves out windows of N and sites that are no CG, checks that "
    "lengths agree, and gives methylation by CpG density.  [default: DNAANNOT_GENOME, or `dnaannot "
    "config set genome FASTA`, or none]",
)
@regions_option(
    "Compare only windows and CpGs that lie in one of these as a whole: a BED file, or one region "
    "as in samtools."
)
@click.option(
    "--window",
    type=BasePairs(),
    default=512,
    show_default=True,
    help="Bases of the windows, side by side, in which peaks and signals are compared.",
)
@coverage_option
@min_reads_option
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN=VALUE",
    help="Tables of windows: compare only lines with this value; repeatable.",
)
@report_option("tables and with ROC, PR and reliability plots")
@json_option
def evaluate_tracks(
    prediction: str,
    labels: tuple[str, ...],
    genome: str | None,
    regions: str | None,
    window: int,
    coverage: float | None,
    min_reads: int,
    keep: tuple[str, ...],
    report: Path | None,
    json_path: Path | None,
) -> None:
    """Compare predicted tracks with measured labels.

    PRED is a folder that `dnaannot tracks` wrote, or a bigWig of any origin. LABELS are peaks
    (BED, narrowPeak, broadPeak), bedMethyl, bigWigs, tables of labelled windows, or folders of
    such files. A file goes with the track of its name, or give it as NAME=FILE. A table goes to
    stdout: AUROC, AUPRC with the base rate, calibration error, means over the labels.

    \b
    dnaannot tracks --task accessibility -g hg38.fa --step 512 -o tracks chr22.bed
    dnaannot evaluate tracks tracks peaks/ -g hg38.fa --report report.html
    """  # noqa: D301
    from dnaannot.cli.console import Console
    from dnaannot.evaluate.score_file import write_scores
    from dnaannot.evaluate.track_inputs import pair_up, read_genome_facts, read_predictions
    from dnaannot.evaluate.track_points import TrackRules
    from dnaannot.evaluate.tracks import score_tracks, to_json
    from dnaannot.evaluate.tracks_report import to_text, tracks_page
    from dnaannot.formats.output import atomic_output

    console = Console()
    genome = find_genome(genome, console.note)
    outputs = {"--report": report, "--json": json_path}
    files = (each if Path(each).exists() else each.partition("=")[2] for each in labels)
    check_files(outputs, (prediction, *files, genome, regions))
    pairs, notes = pair_up(read_predictions(prediction), labels, _kept(keep))
    sequences = None if genome is None else read_genome_facts(genome)
    rules = TrackRules(window, coverage, min_reads)
    with console.progress("comparing", unit="labels") as on_progress:
        scores, more = score_tracks(
            pairs,
            rules,
            sequences,
            _part(regions, pairs, sequences),
            lambda done: on_progress(done, len(pairs)),
        )
    notes += more
    for note in notes:
        console.warn(note)
    click.echo(to_text(scores))
    inputs = {"prediction": prediction, "labels": ", ".join(labels), "genome": genome}
    inputs |= {"regions": regions, "lines kept": ", ".join(keep)}
    facts = {name: text for name, text in inputs.items() if text}
    if json_path is not None:
        write_scores(json_path, to_json(scores), facts, notes)
    if report is not None:
        with atomic_output(report) as stream:
            stream.write(tracks_page(scores, facts, notes))


def _part(
    regions: str | None, pairs: Sequence[Pair], sequences: Mapping[str, SequenceFacts] | None
) -> Regions | None:
    """The part that is compared, None for all, on sequences of the genome or the tracks."""
    from dnaannot.evaluate.intervals import Regions
    from dnaannot.evaluate.track_inputs import sequence_sizes
    from dnaannot.formats.wanted_regions import WantedRegions

    if regions is None:
        return None
    if sequences is None:
        sizes = sequence_sizes(pairs)
    else:
        sizes = {name: facts.length for name, facts in sequences.items()}
    return Regions.of_intervals(WantedRegions(regions, sizes).within(sizes))


def _kept(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(equals and column for column, equals, _ in pairs):
        raise click.UsageError("--keep takes COLUMN=VALUE, for example --keep fold=1.")
    return {column: value for column, _, value in pairs}
