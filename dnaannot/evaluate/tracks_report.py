"""Scores of predicted tracks as a text table and as one HTML page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from dnaannot.dna.names import counted
from dnaannot.evaluate.curves import (
    COLORS,
    Bar,
    Curve,
    class_bars,
    colors,
    curve_plot,
    label_bars,
    reliability_plot,
)
from dnaannot.evaluate.page import figure, note_box, page, table, tile_row
from dnaannot.evaluate.tracks import LabelScore, Mean, means

_HEAD = ("label", "sites", "positives", "base rate", "AUROC", "AUPRC", "ECE")
_DENSITY_HEAD = ("label", "CpGs in 512 bp", "sites", "positives", "AUROC", "AUPRC")
_AMOUNT_HEAD = ("label", "sites", "Pearson", "Spearman")

_DEFINITIONS = """
<p><b>AUROC</b> is the chance that a positive has a higher value than a negative, ties counting
half. <b>AUPRC</b> is the average precision (steps, no interpolation); a random order has the
<b>base rate</b>, the share of positives, so that only labels of equal base rate compare.
<b>ECE</b> is the expected calibration error: over 15 bins of equal width, the mean distance
between probability and share of positives, weighted by the sites in a bin. Means are unweighted
over the labels of a task, as BEND counts them; labels without a positive or a negative are left
out.</p>
<p>Peaks are compared in windows side by side; a window is positive where peaks cover at least 50
bases of it, or half of it for histone marks, if nothing else was asked for. Methylation is
compared at CpGs, positives over and negatives under the two limits of methylated reads, those
between left out. As unmethylated CpGs stand where CpGs are dense, AUROC is given by density
too: what remains there is what was learned beyond density. <b>Pearson</b> is on log(1 + value)
for signals.</p>
"""


def to_text(scores: Sequence[LabelScore]) -> str:
    """Tables for a terminal."""
    blocks = []
    ranked = [each for each in scores if each.ranking is not None]
    if ranked:
        rows = [_ranked_row(each) for each in ranked]
        blocks.append(_text_table(_HEAD, rows + [_mean_row(mean) for mean in means(scores)]))
    if density := _density_rows(scores):
        blocks.append(_text_table(_DENSITY_HEAD, density, left=2))
    if amounts := _amount_rows(scores):
        blocks.append(_text_table(_AMOUNT_HEAD, amounts))
    return "\n\n".join(blocks)


def tracks_page(
    scores: Sequence[LabelScore], facts: Mapping[str, str], notes: Sequence[str] = ()
) -> str:
    """A self-contained HTML page.

    Args:
        facts: what was compared, in order.
        notes: warnings to be read before the numbers.
    """
    sections = [note_box(note) for note in notes]
    averages = means(scores)
    if averages:
        sections.append(_tiles(averages))
    for task in dict.fromkeys(each.task for each in scores):
        sections.append(_task([each for each in scores if each.task == task], task))
    sections += ["<h2>What is counted</h2>", _DEFINITIONS]
    title = f"{next(iter(facts.values()), 'tracks')}: track evaluation"
    return page(title, "Tracks: prediction beside labels", "evaluate tracks", facts, sections)


def _tiles(averages: Sequence[Mean]) -> str:
    if len(averages) > 1:
        return tile_row(
            (f"{_name(mean.task)}, mean AUROC", _number(mean.auroc)) for mean in averages[:4]
        )
    (mean,) = averages
    names = {"auroc": "mean AUROC", "auprc": "mean AUPRC", "base_rate": "mean base rate"}
    tiles = [(text, _number(getattr(mean, name))) for name, text in names.items()]
    return tile_row([*tiles, ("labels", f"{mean.labels:,}")])


def _task(scores: Sequence[LabelScore], task: str) -> str:
    parts = [f"<h2>{escape(_name(task).capitalize())}</h2>"]
    ranked = [each for each in scores if each.ranking is not None]
    if ranked:
        rows = [_ranked_row(each) for each in ranked]
        parts.append(table(_HEAD, rows + [_mean_row(mean) for mean in means(scores)]))
        parts.append(_plots(ranked))
    if density := _density_rows(scores):
        parts.append("<h3>By CpGs around</h3>" + table(_DENSITY_HEAD, density))
    if amounts := _amount_rows(scores):
        parts.append("<h3>Correlation</h3>" + table(_AMOUNT_HEAD, amounts))
    return "\n".join(parts)


def _plots(scores: Sequence[LabelScore]) -> str:
    rankings = [(each.label, each.ranking) for each in scores if each.ranking is not None]
    roc = [Curve(name, ranking.roc()) for name, ranking in rankings]
    precision = [Curve(name, ranking.precision_recall()) for name, ranking in rankings]
    bars = [Bar(name, each.auroc, each.auprc, each.base_rate) for name, each in rankings]
    figures = [
        figure("ROC", curve_plot(roc, "false positive rate", "true positive rate", True)),
        figure("Precision and recall", curve_plot(precision, "recall", "precision")),
    ]
    calibrated = [(each.label, each.calibration) for each in scores if each.calibration]
    if calibrated:
        names, calibrations = zip(*calibrated, strict=True)
        figures.append(figure("Reliability", reliability_plot(names, calibrations)))
    figures.append(
        f'<div class="span">{figure("AUROC and AUPRC by label", label_bars(bars))}</div>'
    )
    for each in scores:
        if each.by_density:
            chart = class_bars(
                [part.cpgs for part in each.by_density],
                [part.auroc for part in each.by_density],
                [f"n {part.sites:,}" for part in each.by_density],
                "CpGs in the 512 bp around a CpG",
            )
            figures.append(figure(f"AUROC by CpG density, {each.label}", chart))
    return f'{_key([name for name, _ in rankings])}<div class="grid three">{"".join(figures)}</div>'


def _key(names: Sequence[str]) -> str:
    """Which color is which label, where there are few."""
    if not 1 < len(names) <= len(COLORS):
        return ""
    spots = (
        f'<span class="key" style="border-color:{color};background:{color}"></span>{escape(name)}'
        for name, color in zip(names, colors(len(names)), strict=True)
    )
    return f'<p class="quiet key-line">{"".join(spots)}</p>'


def _ranked_row(score: LabelScore) -> tuple[str, ...]:
    ranking = score.ranking
    if ranking is None:
        return ()
    values = (ranking.base_rate, ranking.auroc, ranking.auprc, score.ece)
    return (score.label, f"{score.sites:,}", f"{ranking.positives:,}", *map(_number, values))


def _mean_row(mean: Mean) -> tuple[str, ...]:
    values = (mean.base_rate, mean.auroc, mean.auprc, mean.ece)
    count = counted(mean.labels, "label")
    return (f"mean, {_name(mean.task)}", count, "", *map(_number, values))


def _density_rows(scores: Sequence[LabelScore]) -> list[tuple[str, ...]]:
    return [
        (
            each.label,
            part.cpgs,
            f"{part.sites:,}",
            f"{part.positives:,}",
            _number(part.auroc),
            _number(part.auprc),
        )
        for each in scores
        for part in each.by_density
    ]


def _amount_rows(scores: Sequence[LabelScore]) -> list[tuple[str, ...]]:
    return [
        (each.label, f"{each.amounts:,}", _number(each.pearson), _number(each.spearman))
        for each in scores
        if not math.isnan(each.pearson)
    ]


def _text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns as wide as they need be; the first `left` are set left."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]

    def text(cells: Sequence[str]) -> str:
        padded = (
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "  ".join(padded).rstrip()

    return "\n".join(map(text, (head, *rows)))


def _name(task: str) -> str:
    return task or "all labels"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
