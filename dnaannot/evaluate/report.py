"""One HTML page on predicted genes beside a reference: tables, plots and ten loci, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dnaannot.dna.nine_labels import NINE_LABELS
from dnaannot.dna.transcript import Transcript
from dnaannot.evaluate.gene_metrics import features
from dnaannot.evaluate.gene_sets import representatives, whole_genes
from dnaannot.evaluate.genes import GeneScores, percentages
from dnaannot.evaluate.intervals import Regions
from dnaannot.evaluate.loci import Locus, Verdict, choose_loci, find_loci
from dnaannot.evaluate.locus_view import draw_locus
from dnaannot.evaluate.page import figure, note_box, page, table, tile_row
from dnaannot.evaluate.svg import count_bars, length_curves, level_bars, recall_bars

_DEFINITIONS = """
<p>All levels compare the CDS, stop codon included, with exact boundaries, as
<code>gffcompare -e 0 --strict-match</code> counts CDS features. <b>Sensitivity</b> is the part
of the reference that is predicted, <b>precision</b> the part of the prediction that is in the
reference, <b>F1</b> their harmonic mean. <b>Nucleotide</b> counts the bases in the union of the
CDS of each strand; <b>exon</b>, <b>intron</b> and the codon and splice sites count distinct
positions; <b>intron chain</b> and <b>transcript</b> count distinct lists of all introns and of
all coding exons; a <b>gene</b> is right when the CDS of one of its transcripts is exactly that
of a transcript of the other side. UTRs are not compared.</p>
<p><b>MCC</b> is the multiclass Matthews correlation of the nine labels of BEND (CDS, donor,
intron and acceptor on each strand, and other) over all bases, one transcript per gene; the stop
codon and UTRs are other. <b>Reachable by one path</b>: a predictor that spells one path over
both strands, as dnaannot does, cannot hold two genes that overlap; this is the most genes of the
reference that lie apart.</p>
"""


def genes_page(
    scores: GeneScores,
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
    regions: Regions | None = None,
) -> str:
    """A self-contained HTML page.

    Args:
        scores: of the same transcripts in the same regions.
        facts: what was compared, such as the names of the two files, in order.
        notes: warnings to be read before the numbers.
    """
    sections = [
        *(note_box(note) for note in notes),
        _tiles(scores),
        "<h2>Levels</h2>",
        _level_table(scores),
        _cap(scores),
        _plots(scores, predicted, reference, regions),
        _loci(predicted, reference, regions),
        "<h2>What is counted</h2>",
        _DEFINITIONS,
        _matrix(scores),
    ]
    heading = "Genes: prediction beside reference"
    return page(f"{_title(facts)}: gene evaluation", heading, "evaluate genes", facts, sections)


def _title(facts: Mapping[str, str]) -> str:
    return next(iter(facts.values()), "genes")


def _tiles(scores: GeneScores) -> str:
    tiles = [(f"{name} F1", f"{100 * scores.levels[name].f1:.1f}") for name in
             ("gene", "exon", "nucleotide")]  # fmt: skip
    tiles.append(("MCC, nine labels", f"{scores.mcc:.3f}"))
    return tile_row(tiles)


def _level_table(scores: GeneScores) -> str:
    head = ("level", "sensitivity", "precision", "F1", "reference", "predicted", "matched")
    rows = [
        (
            name,
            *percentages(level),
            f"{level.reference:,}",
            f"{level.predicted:,}",
            f"{level.found:,}",
        )
        for name, level in scores.levels.items()
    ]
    return table(head, rows)


def _cap(scores: GeneScores) -> str:
    cap = scores.cap
    part = 100 * cap.by_one_path / cap.genes if cap.genes else 0.0
    return (
        f"<p>Of {cap.genes:,} reference genes, {cap.by_one_path:,} ({part:.1f} %) are reachable "
        f"by one path; {cap.overlapping:,} overlap another gene.</p>"
    )


def _plots(
    scores: GeneScores,
    predicted: Sequence[Transcript],
    reference: Sequence[Transcript],
    regions: Regions | None,
) -> str:
    def lengths(level: str, side: Sequence[Transcript]) -> list[int]:
        return [each.end - each.start for each in features(level, side, regions)]

    def exon_counts(side: Sequence[Transcript]) -> list[int]:
        genes = whole_genes(side, regions).values()
        return [len(each.exons) for gene in genes for each in representatives(gene)]

    sides = reference, predicted
    figures = [
        figure("F1, sensitivity and precision by level (%)", level_bars(scores.levels)),
        figure("Exons found, by length", recall_bars(scores.by_exon_length, "exon length, bp")),
        figure("Genes found, by length", recall_bars(scores.by_gene_length, "span of the CDS")),
        figure(
            "Genes found, by number of exons",
            recall_bars(scores.by_exon_count, "coding exons of the gene"),
        ),
        figure(
            "Exons per gene",
            count_bars("coding exons", exon_counts(reference), exon_counts(predicted)),
        ),
        figure(
            "Exon length", length_curves("exon length", *(lengths("exon", each) for each in sides))
        ),
        figure(
            "Intron length",
            length_curves("intron length", *(lengths("intron", each) for each in sides)),
        ),
    ]
    return f'<h2>Plots</h2><div class="grid">{"".join(figures)}</div>'


def _loci(
    predicted: Sequence[Transcript], reference: Sequence[Transcript], regions: Regions | None
) -> str:
    loci = find_loci(predicted, reference, regions)
    chosen = choose_loci(loci)
    both = [
        features(level, predicted, None) & features(level, reference, None)
        for level in ("exon", "transcript")
    ]
    counts = ", ".join(
        f"{sum(locus.verdict is verdict for locus in loci):,} {verdict.value}"
        for verdict in Verdict
    )
    intro = (
        f"<h2>{_in_words(len(chosen))} loci</h2>"
        f"<p>Genes that overlap are one locus; of {len(loci):,} there are {counts}. Those below "
        "are spread evenly over the genome, each kind by its share and at least once.</p>"
        '<p class="quiet key-line"><span class="key right"></span>exon in both'
        '<span class="key"></span>exon in one only &nbsp; ✓ whole CDS in both</p>'
    )
    return intro + "".join(_locus(locus, draw_locus(locus, both[0], both[1])) for locus in chosen)


def _in_words(count: int) -> str:
    words = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")
    return words[count] if count < len(words) else str(count)


def _locus(locus: Locus, drawing: str) -> str:
    kind = "verdict right" if locus.verdict is Verdict.RIGHT else "verdict"
    where = f"{locus.sequence}:{locus.start + 1:,}-{locus.end:,}"
    return (
        f'<div class="locus"><h3><span>{escape(where)} <span class="quiet">'
        f"({(locus.end - locus.start) / 1000:,.1f} kb)</span></span>"
        f'<span class="{kind}">{locus.verdict.value}</span></h3>{drawing}</div>'
    )


def _matrix(scores: GeneScores) -> str:
    head = "".join(
        f"<th>{escape(label)}</th>" for label in ("reference \\ predicted", *NINE_LABELS)
    )
    rows = "".join(
        f"<tr><th>{escape(label)}</th>"
        + "".join(
            f'<td class="same">{count:,}</td>' if column == row else f"<td>{count:,}</td>"
            for column, count in enumerate(counts)
        )
        + "</tr>"
        for row, (label, counts) in enumerate(
            zip(NINE_LABELS, scores.confusion.tolist(), strict=True)
        )
    )
    return (
        "<details><summary>Bases by label in the reference (rows) and the prediction (columns)"
        f'</summary><table class="matrix"><tr>{head}</tr>{rows}</table></details>'
    )
