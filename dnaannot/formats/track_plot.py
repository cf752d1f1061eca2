"""A picture of tracks in the manner of a genome browser: one row a track, genes below."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dnaannot.dna.transcript import Strand, Transcript, representative
from dnaannot.formats.output import atomic_path
from dnaannot.formats.track_files import Track
from dnaannot.formats.track_hub import COLOURS, axis_top

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDTH, _RIGHT, _TOP, _BOTTOM = 11.0, 0.16, 0.6, 0.1
_TRACK_HEIGHT, _GENE_HEIGHT, _SPACE = 0.5, 0.34, 0.13
"""Inches of the picture, its margins, a track, a row of genes, and between tracks."""
_MOST_TRACKS, _MOST_GENE_ROWS, _COLUMNS = 24, 8, 700
_LETTER = 0.072
"""Inches of a letter of a label, about; a little more than most take."""
_GREY, _INK, _REGION, _MARK = "0.4", "#22304a", "#faf4e1", "#d8a31a"


@dataclass(frozen=True)
class View:
    """A stretch of a sequence with the values of tracks in it.

    Attributes:
        sequence, start, end: the stretch, half-open.
        regions: (m, 2) what was asked for, shaded.
        starts, ends: (n,) of the sites.
        values: (n, K).
        genes: that may overlap it; one transcript of each is drawn, with its name. None for no
            row of genes.
    """

    sequence: str
    start: int
    end: int
    regions: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    values: np.ndarray
    genes: Sequence[Transcript] | None = None

    @property
    def bases(self) -> int:
        """Length of the stretch."""
        return self.end - self.start


def draw_view(path: str | Path, view: View, tracks: Sequence[Track]) -> None:
    """Write a PNG of a view; of very many tracks the first ones.

    Raises:
        OutputError: it cannot be written.
    """
    from matplotlib.figure import Figure

    shown = tracks[:_MOST_TRACKS]
    left = _LETTER * max(len(text) for text in ("genes", *(t.label for t in shown))) + 0.5
    rows = _gene_rows(view, _WIDTH - left - _RIGHT)
    hidden, rows = sum(map(len, rows[_MOST_GENE_ROWS:])), rows[:_MOST_GENE_ROWS]
    heights = [_TRACK_HEIGHT] * len(shown)
    if view.genes is not None:
        heights.append(_GENE_HEIGHT * max(1, len(rows)))
    height = sum(heights) + _SPACE * (len(heights) - 1) + _TOP + _BOTTOM
    figure = Figure(figsize=(_WIDTH, height), dpi=130)
    grid = {
        "left": left / _WIDTH, "right": 1 - _RIGHT / _WIDTH,
        "top": 1 - _TOP / height, "bottom": _BOTTOM / height,
        "hspace": _SPACE * len(heights) / sum(heights),
    }  # fmt: skip
    axes = figure.subplots(
        len(heights), 1, sharex=True, squeeze=False, height_ratios=heights, gridspec_kw=grid
    )[:, 0]
    for column, (axis, track) in enumerate(zip(axes, shown, strict=False)):
        _draw_track(axis, view, track, view.values[:, column])
    if view.genes is not None:
        _draw_genes(axes[-1], view, rows, hidden)
    _draw_ruler(axes[0], view, tracks)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_track(axis: Axes, view: View, track: Track, values: np.ndarray) -> None:
    """Bars from 0 to the values, the scale's ends at the left; single sites ticked below."""
    from matplotlib.collections import PolyCollection

    colour = tuple(int(part) / 255 for part in COLOURS.get(track.task, "80,80,80").split(","))
    top = axis_top(track.unit, float(values.max(initial=0)))
    starts, ends, heights = _drawn(view, values)
    low = np.zeros_like(heights)
    x, y = (starts, starts, ends, ends), (low, heights, heights, low)
    corners = list(np.stack((np.stack(x, axis=1), np.stack(y, axis=1)), axis=2))
    axis.add_collection(PolyCollection(corners, facecolors=[colour], linewidths=0))
    below = 0.0
    if track.unit == "percent":
        below = -0.12 * top  # nothing there is told from 0 % by its tick
        axis.vlines(starts, below, below * 0.35, color=colour, linewidth=0.4, alpha=0.6)
    _shade(axis, view)
    axis.axhline(0, color="0.75", linewidth=0.6, zorder=1)
    axis.set_ylim(below, top)
    axis.set_yticks([0, top], ["0", f"{top:.3g}"], fontsize=6.5, color=_GREY)
    axis.tick_params(length=0, labelbottom=False)
    _label(axis, track.label)
    _bare(axis)


def _drawn(view: View, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, ends and heights of bars: the sites, or means of those in one narrow column."""
    column = view.bases / _COLUMNS
    if (view.ends - view.starts >= column).all():
        return view.starts, view.ends, values
    place = ((view.starts + view.ends) / 2 - view.start) // column
    places, inverse = np.unique(place, return_inverse=True)
    means = np.bincount(inverse, values) / np.bincount(inverse)
    starts = view.start + places * column
    return starts, starts + column, means


def _draw_genes(axis: Axes, view: View, rows: Sequence[Sequence[Transcript]], hidden: int) -> None:
    """Coding exons as boxes, introns as lines with chevrons along the strand, names below.

    Args:
        hidden: genes for which there is no row.
    """
    height = max(1, len(rows))
    for number, row in enumerate(rows):
        for gene in row:
            _draw_gene(axis, view, gene, height - number - 0.32)
    if hidden:
        axis.annotate(f"and {hidden:,} more", (1, 0), xycoords="axes fraction", ha="right",
                      va="bottom", fontsize=6.5, color=_GREY)  # fmt: skip
    if not rows:
        axis.text(0.5, 0.5, "no gene here", transform=axis.transAxes, ha="center", va="center",
                  fontsize=7, color=_GREY)  # fmt: skip
    _shade(axis, view)
    axis.set_ylim(0, height)
    axis.set_yticks([])
    axis.tick_params(length=0, labelbottom=False)
    _label(axis, "genes")
    _bare(axis)


def _draw_gene(axis: Axes, view: View, gene: Transcript, y: float) -> None:
    from matplotlib.path import Path as Shape

    first, last = max(gene.start, view.start), min(gene.end, view.end)
    axis.plot([first, last], [y, y], color=_INK, linewidth=0.8, zorder=2)
    tip = 0.5 if gene.strand is Strand.PLUS else -0.5
    chevron = Shape([(-tip, 1), (tip, 0), (-tip, -1)])
    apart = view.bases / 70
    for left, right in gene.introns:
        count = int((right - left) // apart)
        places = left + (np.arange(count) + 0.5) * (right - left) / max(1, count)
        axis.plot(places, np.full(count, y), linestyle="", marker=chevron, markersize=4.5,
                  markerfacecolor="none", markeredgecolor=_INK, markeredgewidth=0.8)  # fmt: skip
    starts = [exon.start for exon in gene.exons]
    widths = [max(exon.end - exon.start, view.bases / 1000) for exon in gene.exons]
    axis.bar(starts, 0.42, widths, y - 0.21, align="edge", color=_INK, linewidth=0, zorder=3)
    end, mark = (gene.end, ">") if gene.strand is Strand.PLUS else (gene.start, "<")
    axis.plot([end], [y], marker=mark, color=_INK, markersize=4, markeredgewidth=0, zorder=4)
    axis.text((first + last) / 2, y - 0.26, gene.name, fontsize=6.5, color=_INK,
              ha="center", va="top", style="italic", clip_on=True)  # fmt: skip


def _draw_ruler(axis: Axes, view: View, tracks: Sequence[Track]) -> None:
    """Ticks at the top, 1-based as in genome browsers, the regions, and what is shown."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axis.set_xlim(view.start, view.end)
    axis.xaxis.set_major_locator(MaxNLocator(7, integer=True, steps=[1, 2, 5, 10]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda base, _: f"{base:,.0f}"))
    axis.tick_params(
        axis="x", labeltop=True, top=True, length=3, labelsize=7, colors=_GREY, bottom=False
    )
    for start, end in view.regions:
        axis.plot([start, end], [1, 1], transform=axis.get_xaxis_transform(), color=_MARK,
                  linewidth=2.5, solid_capstyle="butt", clip_on=False)  # fmt: skip
    tasks = {track.unit: dict.fromkeys(t.task for t in tracks if t.unit == track.unit)
             for track in tracks}  # fmt: skip
    what = "; ".join(f"{', '.join(names)} ({unit})" for unit, names in tasks.items())
    more = f", first {_MOST_TRACKS} of {len(tracks)} tracks" if len(tracks) > _MOST_TRACKS else ""
    figure: Any = axis.figure
    figure.text(
        0.012, 1 - 0.1 / figure.get_figheight(),
        f"{view.sequence}:{view.start + 1:,}-{view.end:,}    predicted {what}, "
        f"model {tracks[0].model}{more}",
        fontsize=8.5, va="top", color=_INK,
    )  # fmt: skip


def _shade(axis: Axes, view: View) -> None:
    for start, end in view.regions:
        axis.axvspan(start, end, color=_REGION, zorder=0, linewidth=0)


def _label(axis: Axes, text: str) -> None:
    axis.annotate(text, (0, 0.5), (-26, 0), xycoords="axes fraction", textcoords="offset points",
                  ha="right", va="center", fontsize=7.5, color=_INK)  # fmt: skip


def _bare(axis: Axes) -> None:
    for spine in axis.spines.values():
        spine.set_visible(False)


def _gene_rows(view: View, width: float) -> list[list[Transcript]]:
    """The genes in view, in rows in which neither genes nor names meet.

    Args:
        width: inches that the view is drawn in.
    """
    of: dict[str, list[Transcript]] = defaultdict(list)
    for number, gene in enumerate(view.genes or ()):
        if gene.sequence == view.sequence and gene.end > view.start and gene.start < view.end:
            of[gene.gene or gene.name or str(number)].append(gene)
    rows: list[list[Transcript]] = []
    filled: list[float] = []
    letter, gap = 0.75 * _LETTER * view.bases / width, 0.1 * view.bases / width
    for gene in sorted(map(representative, of.values()), key=lambda gene: gene.start):
        first, last = max(gene.start, view.start), min(gene.end, view.end)
        half = max(last - first, letter * len(gene.name)) / 2
        middle = (first + last) / 2
        row = next((i for i, end in enumerate(filled) if end <= middle - half), len(rows))
        if row == len(rows):
            rows.append([])
            filled.append(0)
        rows[row].append(gene)
        filled[row] = middle + half + gap
    return rows
