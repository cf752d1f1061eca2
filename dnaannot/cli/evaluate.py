"""`dnaannot evaluate`: predictions beside a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from dnaannot.cli.evaluate_tracks import evaluate_tracks
from dnaannot.cli.files import check_files
from dnaannot.cli.options import json_option, regions_option, report_option

if TYPE_CHECKING:
    from dnaannot.evaluate.genes import GeneScores
    from dnaannot.evaluate.inputs import GeneInputs


@click.group("evaluate")
def evaluate() -> None:
    """Compare predictions with a reference."""


@evaluate.command("genes")
@click.argument("prediction", metavar="PRED", type=click.Path(path_type=str))
@click.argument("reference", metavar="REF", type=click.Path(path_type=str))
@click.option(
    "-g",
    "--genome",
    type=click.Path(path_type=str),
    metavar="FASTA",
    help="The genome of both: its sequences are those that count, their lengths enter the MCC, "
    "and its bases tell which CDS have a start and a stop codon.",
)
@regions_option(
    "Compare only inside these regions: a BED file, or one region as in samtools. What crosses a "
    "boundary is left out of both sides; bases are clipped."
)
@click.option(
    "--add-stop",
    "add_stop",
    type=click.Choice(["pred", "ref"]),
    multiple=True,
    help="Extend the CDS of PRED or REF by its stop codon, for files that leave it out, as "
    "AUGUSTUS does for some species; with --genome only where a stop codon follows.  [repeatable]",
)
@report_option("tables, plots and ten loci")
@json_option
def genes(
    prediction: str,
    reference: str,
    genome: str | None,
    regions: str | None,
    add_stop: tuple[str, ...],
    report: Path | None,
    json_path: Path | None,
) -> None:
    """Compare predicted coding genes with a reference.

    PRED and REF are GFF3 or GTF files, plain or compressed; only their CDS count. A table goes
    to stdout: sensitivity, precision and F1 from the base to the gene, exact boundaries, as
    `gffcompare -e 0 --strict-match` counts CDS features; the MCC of the nine labels of BEND;
    how many reference genes a predictor of one path can find at all; and how many were found,
    by their length and by their number of exons.

    \b
    dnaannot evaluate genes genes.gff3 reference.gff3 --genome genome.fa --report report.html
    """  # noqa: D301
    from dnaannot.cli.console import Console
    from dnaannot.evaluate.genes import score_genes, to_json, to_text
    from dnaannot.evaluate.inputs import read_gene_inputs
    from dnaannot.evaluate.score_file import write_scores

    outputs = {"--report": report, "--json": json_path}
    check_files(outputs, (prediction, reference, genome, regions))
    inputs = read_gene_inputs(prediction, reference, genome, add_stop, regions)
    scores = score_genes(
        inputs.predicted, inputs.reference, inputs.lengths, inputs.regions, inputs.marked
    )
    console = Console()
    notes = list(inputs.notes)
    if not scores.levels["nucleotide"].reference:
        notes.append("No CDS of the reference lies inside the regions: every score is 0.")
    for note in notes:
        console.warn(note)
    click.echo(to_text(scores))
    facts = {"prediction": prediction, "reference": reference}
    facts |= {"genome": genome} if genome else {}
    facts |= {"regions": regions} if regions else {}
    facts |= {"stop codon added": " and ".join(add_stop)} if add_stop else {}
    if json_path is not None:
        write_scores(json_path, to_json(scores), facts, notes)
    if report is not None:
        _write_page(report, scores, inputs, facts, notes)


def _write_page(
    path: Path,
    scores: GeneScores,
    inputs: GeneInputs,
    facts: dict[str, str],
    notes: list[str],
) -> None:
    from dnaannot.evaluate.report import genes_page
    from dnaannot.formats.output import atomic_output

    page = genes_page(scores, inputs.predicted, inputs.reference, facts, notes, inputs.regions)
    with atomic_output(path) as stream:
        stream.write(page)


evaluate.add_command(evaluate_tracks)
