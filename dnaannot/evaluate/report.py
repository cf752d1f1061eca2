"""One HTML page on predicted genes beside a reference: tables, plots and ten loci, offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from dnaannot import __version__
from dnaannot.dna.grammar import BEND_LABELS
from dnaannot.dna.transcript import Transcript
from dnaannot.evaluate.gene_metrics import features
from dnaannot.evaluate.gene_sets import representatives, whole_genes
from dnaannot.evaluate.genes import GeneScores
from dnaannot.evaluate.intervals import Regions
from dnaannot.evaluate.loci import Locus, Verdict, choose_loci, find_loci
from dnaannot.evaluate.locus_view import draw_locus
from dnaannot.evaluate.svg import count_bars, length_curves, level_bars, recall_bars

_STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial,
    sans-serif;
  color: #1f2430; background: #fff; margin: 0 auto; padding: 28px 32px 48px; max-width: 1180px; }
h1 { font-size: 26px; margin: 0 0 2px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 34px 0 10px; padding-top: 14px; border-top: 1px solid #e3e5e9; }
h3 { font-size: 14px; margin: 0 0 6px; font-weight: 600; }
p { margin: 4px 0 10px; max-width: 88ch; }
.quiet, .facts dt, .tile span { color: #5c6370; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 12px 0; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.tiles { display: grid; grid-template-columns: repeat(4, 1fr); gap: 14px; margin: 18px 0; }
.tile { border: 1px solid #e3e5e9; border-radius: 8px; padding: 10px 16px 12px; }
.tile b { display: block; font-size: 30px; line-height: 1.2; font-weight: 600; }
.tile span { font-size: 13px; }
.note { border-left: 4px solid #e69f00; background: #fff8e8; padding: 8px 14px; margin: 8px 0; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid #eceef1; }
th { font-weight: 600; color: #5c6370; font-size: 13px; }
th:first-child, td:first-child { text-align: left; }
.grid { display: grid; grid-template-columns: 1fr 1fr; gap: 22px 30px; }
figure { margin: 0; break-inside: avoid; }
svg { width: 100%; height: auto; display: block; font-size: 12px; font-family: inherit; }
svg text { fill: #1f2430; }
svg .tick { fill: #5c6370; font-size: 11px; }
svg .small { fill: #7b828e; font-size: 10px; }
svg .value { font-size: 11px; font-weight: 600; }
svg .axis { fill: #5c6370; font-size: 11.5px; }
svg .name { font-size: 11px; }
svg .side { fill: #5c6370; font-size: 11px; }
.locus { border: 1px solid #e3e5e9; border-radius: 8px; padding: 8px 14px 4px; margin: 10px 0;
  break-inside: avoid; }
.locus h3 { display: flex; justify-content: space-between; gap: 12px;
  font-variant-numeric: tabular-nums; }
.verdict { font-weight: 600; font-size: 12px; padding: 1px 9px; border-radius: 10px;
  border: 1.5px solid #d55e00; color: #a34700; background: #fff; }
.verdict.right { border-color: #0072b2; background: #0072b2; color: #fff; }
.key { display: inline-block; width: 22px; height: 11px; border-radius: 2px; margin: 0 4px 0 10px;
  border: 1.6px solid #d55e00; background: #fff; vertical-align: -1px; }
.key.right { border-color: #0072b2; background: #0072b2; }
.matrix td, .matrix th { font-size: 12px; padding: 3px 6px; }
.matrix td.same { font-weight: 600; }
details { margin: 12px 0; } summary { cursor: pointer; color: #0072b2; }
@media screen and (max-width: 760px) { .grid { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; } }
@media print { body { padding: 0; max-width: none; font-size: 10pt; }
  h2, h2 + p, .key-line { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""

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
        "<h1>Genes: prediction beside reference</h1>",
        f'<p class="quiet">dnaannot {__version__}, evaluate genes</p>',
        _facts(facts),
        *(f'<p class="note">{escape(note)}</p>' for note in notes),
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
    title = escape(next(iter(facts.values()), "genes"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: gene evaluation</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body></html>\n"
    )


def _facts(facts: Mapping[str, str]) -> str:
    rows = (f"<dt>{escape(key)}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    return f'<dl class="facts">{"".join(rows)}</dl>'


def _tiles(scores: GeneScores) -> str:
    tiles = [(f"{name} F1", f"{100 * scores.levels[name].f1:.1f}") for name in
             ("gene", "exon", "nucleotide")]  # fmt: skip
    tiles.append(("MCC, nine labels", f"{scores.mcc:.3f}"))
    cells = (f'<div class="tile"><span>{name}</span><b>{value}</b></div>' for name, value in tiles)
    return f'<div class="tiles">{"".join(cells)}</div>'


def _level_table(scores: GeneScores) -> str:
    head = ("level", "sensitivity", "precision", "F1", "reference", "predicted", "matched")
    rows = [
        (
            name,
            f"{100 * level.recall:.2f}",
            f"{100 * level.precision:.2f}",
            f"{100 * level.f1:.2f}",
            f"{level.reference:,}",
            f"{level.predicted:,}",
            f"{level.found:,}",
        )
        for name, level in scores.levels.items()
    ]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<table><thead>{row(head, 'th')}</thead><tbody>{body}</tbody></table>"


def _cap(scores: GeneScores) -> str:
    cap = scores.cap
    part = 100 * cap.by_one_path / cap.genes if cap.genes else 0.0
    return (
        f"<p>Of {cap.genes:,} reference genes, {cap.by_one_path:,} ({part:.1f} %) are reachable "
        f"by one path; {cap.overlapping:,} overlap another gene.</p>"
    )


def _figure(title: str, chart: str) -> str:
    return f"<figure><h3>{escape(title)}</h3>{chart}</figure>"


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
        _figure("F1, sensitivity and precision by level (%)", level_bars(scores.levels)),
        _figure("Exons found, by length", recall_bars(scores.by_exon_length, "exon length, bp")),
        _figure(
            "Genes found, by number of exons",
            recall_bars(scores.by_exon_count, "coding exons of the gene"),
        ),
        _figure(
            "Exons per gene",
            count_bars("coding exons", exon_counts(reference), exon_counts(predicted)),
        ),
        _figure(
            "Exon length", length_curves("exon length", *(lengths("exon", each) for each in sides))
        ),
        _figure(
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
        f"<th>{escape(label)}</th>" for label in ("reference \\ predicted", *BEND_LABELS)
    )
    rows = "".join(
        f"<tr><th>{escape(label)}</th>"
        + "".join(
            f'<td class="same">{count:,}</td>' if column == row else f"<td>{count:,}</td>"
            for column, count in enumerate(counts)
        )
        + "</tr>"
        for row, (label, counts) in enumerate(
            zip(BEND_LABELS, scores.confusion.tolist(), strict=True)
        )
    )
    return (
        "<details><summary>Bases by label in the reference (rows) and the prediction (columns)"
        f'</summary><table class="matrix"><tr>{head}</tr>{rows}</table></details>'
    )
