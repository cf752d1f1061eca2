"""Charts as SVG text, to be set inline in a page; no library, no script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np

from dnaannot.evaluate.gene_metrics import Level, Stratum

REFERENCE = "#8c929c"
RIGHT = "#0072b2"
WRONG = "#d55e00"
"""Grey, and the blue and vermillion of Okabe and Ito, told apart by all common eyes."""

_WIDTH, _HEIGHT = 520, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 20, 14, 50


def text(x: float, y: float, content: str, anchor: str = "start", kind: str = "") -> str:
    """A line of text; `kind` is its CSS class."""
    css = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{css}>{escape(content)}</text>'


def box(
    x: float, y: float, width: float, height: float, fill: str, title: str = "", more: str = ""
) -> str:
    """A rectangle; `title` shows when pointed at, `more` is SVG attributes."""
    inside = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
        f' fill="{fill}" {more}>{inside}</rect>'
    )


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, more: str = "") -> str:
    """A straight line; `more` is SVG attributes."""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" {more}/>'
    )


def picture(width: float, height: float, parts: Sequence[str], label: str) -> str:
    """An SVG element that scales to the width of its place; `label` describes it."""
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(label)}">'
        f"{''.join(parts)}</svg>"
    )


def level_bars(levels: Mapping[str, Level]) -> str:
    """Horizontal bars of F1 by level, with marks for sensitivity and precision."""
    row, left, top = 27, 104, 22
    scale = (_WIDTH - left - 52) / 100
    height = top + row * len(levels) + 24
    parts = []
    for percent in range(0, 101, 20):
        x = left + percent * scale
        parts.append(line(x, top - 4, x, height - 22, "#e3e5e9"))
        parts.append(text(x, height - 8, str(percent), "middle", "tick"))
    for index, (name, level) in enumerate(levels.items()):
        y = top + row * index
        recall, precision, f1 = (100 * v for v in (level.recall, level.precision, level.f1))
        title = f"{name}: F1 {f1:.2f}, sensitivity {recall:.2f}, precision {precision:.2f}"
        parts.append(text(left - 8, y + 14, name, "end"))
        if not (level.reference or level.predicted):
            parts.append(text(_WIDTH - 4, y + 14, "-", "end", "value"))
            continue
        parts.append(box(left, y + 3, f1 * scale, 14, "#9cc7e2", title))
        parts.append(
            f'<circle cx="{left + recall * scale:.1f}" cy="{y + 10}" r="4" fill="{RIGHT}"/>'
        )
        parts.append(_diamond(left + precision * scale, y + 10))
        parts.append(text(_WIDTH - 4, y + 14, f"{f1:.1f}", "end", "value"))
    parts.append(text(_WIDTH - 4, 11, "F1", "end", "tick"))
    parts.append(box(left, 2, 14, 9, "#9cc7e2") + text(left + 19, 11, "F1", kind="tick"))
    parts.append(f'<circle cx="{left + 56}" cy="7" r="4" fill="{RIGHT}"/>')
    parts.append(text(left + 64, 11, "sensitivity", kind="tick"))
    parts.append(_diamond(left + 138, 7) + text(left + 146, 11, "precision", kind="tick"))
    return picture(_WIDTH, height, parts, "F1, sensitivity and precision by level, in percent")


def _diamond(x: float, y: float) -> str:
    points = f"{x:.1f},{y - 5:.1f} {x + 5:.1f},{y:.1f} {x:.1f},{y + 5:.1f} {x - 5:.1f},{y:.1f}"
    return f'<polygon points="{points}" fill="#fff" stroke="{WRONG}" stroke-width="1.8"/>'


def recall_bars(strata: Sequence[Stratum], axis: str) -> str:
    """Vertical bars of recall by class, the number of reference features under each."""
    parts = _frame(100, "%")
    slot = (_WIDTH - _LEFT - _RIGHT) / len(strata)
    floor = _HEIGHT - _BOTTOM
    for index, each in enumerate(strata):
        x = _LEFT + slot * index
        height = each.recall * (floor - _TOP)
        title = f"{each.name}: {each.found:,} of {each.reference:,} ({100 * each.recall:.1f} %)"
        parts.append(box(x + 6, floor - height, slot - 12, height, RIGHT, title))
        if each.reference:
            value = f"{100 * each.recall:.0f}"
            parts.append(text(x + slot / 2, max(floor - height - 4, 11), value, "middle", "value"))
        parts.append(text(x + slot / 2, floor + 14, each.name, "middle", "tick"))
        parts.append(text(x + slot / 2, floor + 27, f"n {each.reference:,}", "middle", "small"))
    parts.append(text((_LEFT + _WIDTH) / 2, _HEIGHT - 5, axis, "middle", "axis"))
    return picture(_WIDTH, _HEIGHT, parts, f"recall by {axis}")


def count_bars(
    axis: str, reference: Sequence[int], predicted: Sequence[int], most: int = 15
) -> str:
    """Pairs of bars: part of each side that has 1, 2, ... `most` or more."""
    shares = [_shares(np.minimum(each, most), most) for each in (reference, predicted)]
    top = _headroom(shares)
    parts = _frame(top, "%")
    slot = (_WIDTH - _LEFT - _RIGHT) / most
    floor = _HEIGHT - _BOTTOM
    for side, (share, color) in enumerate(zip(shares, (REFERENCE, RIGHT), strict=True)):
        for index, percent in enumerate(share):
            height = percent / top * (floor - _TOP)
            x = _LEFT + slot * index + 3 + side * (slot / 2 - 3)
            title = f"{index + 1}: {percent:.1f} %"
            parts.append(box(x, floor - height, slot / 2 - 3, height, color, title))
    for index in range(most):
        name = f"{index + 1}" if index + 1 < most else f"≥ {most}"
        parts.append(text(_LEFT + slot * (index + 0.5), floor + 14, name, "middle", "tick"))
    return picture(_WIDTH, _HEIGHT, [*parts, *_legend(axis)], f"{axis}, both sides")


def _shares(values: np.ndarray, most: int) -> np.ndarray:
    counts = np.bincount(values.astype(int), minlength=most + 1)[1:]
    return 100 * counts / max(int(counts.sum()), 1)


def length_curves(axis: str, reference: Sequence[int], predicted: Sequence[int]) -> str:
    """Step curves of lengths in bases on a logarithmic scale, as part of each side."""
    sides = [np.asarray(each, float) for each in (reference, predicted)]
    everything = np.concatenate(sides)
    low = math.floor(math.log10(everything.min())) if len(everything) else 1
    high = max(math.ceil(math.log10(everything.max() + 1)), low + 1) if len(everything) else 4
    edges = np.logspace(low, high, 10 * (high - low) + 1)
    shares = [100 * np.histogram(each, edges)[0] / max(len(each), 1) for each in sides]
    top = _headroom(shares)
    parts = _frame(top, "%")
    floor = _HEIGHT - _BOTTOM
    xs = np.linspace(_LEFT, _WIDTH - _RIGHT, len(edges))
    for decade in range(low, high + 1):
        x = float(xs[10 * (decade - low)])
        parts.append(line(x, _TOP, x, floor, "#eef0f2"))
        parts.append(text(x, floor + 14, _bases(10**decade), "middle", "tick"))
    for share, style in zip(shares, (f'fill="{REFERENCE}" fill-opacity=".45"', ""), strict=True):
        ys = floor - share / top * (floor - _TOP)
        corners = [(xs[0], floor)]
        for index, y in enumerate(ys):
            corners += [(xs[index], y), (xs[index + 1], y)]
        corners.append((xs[-1], floor))
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        style = style or f'fill="none" stroke="{RIGHT}" stroke-width="1.8"'
        parts.append(f'<polyline points="{points}" {style}/>')
    return picture(_WIDTH, _HEIGHT, [*parts, *_legend(axis)], f"{axis}, both sides")


def _bases(count: int) -> str:
    for unit, name in ((10**6, "Mb"), (10**3, "kb")):
        if count >= unit:
            return f"{count // unit} {name}"
    return f"{count} bp"


def _headroom(shares: Sequence[np.ndarray]) -> float:
    """Top of the axis: a round number of percent above the highest share."""
    highest = max((float(each.max()) for each in shares if len(each)), default=0.0)
    return next((top for top in (5, 10, 20, 40, 60, 80) if top >= highest), 100)


def _frame(top: float, unit: str) -> list[str]:
    """Horizontal grid lines with their values."""
    floor = _HEIGHT - _BOTTOM
    parts = []
    for step in range(6):
        y = floor - step / 5 * (floor - _TOP)
        parts.append(line(_LEFT, y, _WIDTH - _RIGHT, y, "#c9cdd3" if step == 0 else "#eceef1"))
        parts.append(text(_LEFT - 6, y + 4, f"{top * step / 5:g} {unit}", "end", "tick"))
    return parts


def _legend(axis: str) -> list[str]:
    y = _HEIGHT - 15
    return [
        box(_LEFT, y, 12, 9, REFERENCE) + text(_LEFT + 17, y + 9, "reference", kind="tick"),
        box(_LEFT + 88, y, 12, 9, RIGHT) + text(_LEFT + 105, y + 9, "prediction", kind="tick"),
        text(_WIDTH - _RIGHT, y + 9, axis, "end", "axis"),
    ]
