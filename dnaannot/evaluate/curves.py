"""Curves and bars of predicted tracks as SVG text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from dnaannot.evaluate.ranking import Calibration
from dnaannot.evaluate.svg import RIGHT, box, line, picture, text

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1f2430", "#8c929c")
"""Of Okabe and Ito, with black and grey; with more labels than these all are blue."""

_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = 340, 46, 14, 12, 44
_AREA = _SIZE - _LEFT - _RIGHT
_HEIGHT = _TOP + _AREA + _BOTTOM
_ROW = 21


class Curve(NamedTuple):
    """A line in the unit square.

    Attributes:
        name: of its label, shown when pointed at.
        points: (P, 2) x and y.
    """

    name: str
    points: np.ndarray


class Bar(NamedTuple):
    """One label's AUPRC as a bar, AUROC as a dot, base rate as a mark; NaN is not drawn."""

    name: str
    auroc: float
    auprc: float
    base_rate: float


def colors(count: int) -> list[str]:
    """A color for each of `count` curves."""
    return list(COLORS[:count]) if count <= len(COLORS) else [RIGHT] * count


def curve_plot(curves: Sequence[Curve], x_axis: str, y_axis: str, diagonal: bool = False) -> str:
    """Lines in the unit square, with the diagonal where that is what chance gives."""
    parts = _frame(x_axis, y_axis)
    if diagonal:
        parts.append(line(_x(0), _y(0), _x(1), _y(1), "#b9bec6", 'stroke-dasharray="4 4"'))
    opacity = 1.0 if len(curves) <= len(COLORS) else 0.45
    for curve, color in zip(curves, colors(len(curves)), strict=True):
        if len(curve.points):
            parts.append(_polyline(curve, color, opacity))
    return picture(_SIZE, _HEIGHT, parts, f"{y_axis} by {x_axis}")


def reliability_plot(names: Sequence[str], calibrations: Sequence[Calibration]) -> str:
    """Share that came true by probability; a dot's area grows with the logarithm of its count."""
    parts = _frame("predicted probability", "share of positives")
    parts.append(line(_x(0), _y(0), _x(1), _y(1), "#b9bec6", 'stroke-dasharray="4 4"'))
    opacity = 1.0 if len(names) <= len(COLORS) else 0.45
    for name, each, color in zip(names, calibrations, colors(len(names)), strict=True):
        full = each.counts > 0
        points = np.stack((each.predicted[full], each.observed[full]), axis=1)
        parts.append(_polyline(Curve(name, points), color, opacity, width=1.2))
        for (x, y), count in zip(points.tolist(), each.counts[full].tolist(), strict=True):
            title = f"{name}: {count:,} at {x:.2f}, {y:.2f} positive"
            parts.append(
                f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="{1 + math.log10(1 + count):.1f}" '
                f'fill="{color}" fill-opacity="{opacity}"><title>{escape(title)}</title></circle>'
            )
    return picture(_SIZE, _HEIGHT, parts, "share of positives by predicted probability")


def label_bars(bars: Sequence[Bar]) -> str:
    """AUPRC, AUROC and base rate of each label."""
    left, top, width = 30 + 6 * max(len(bar.name) for bar in bars), 24, 720
    height = top + _ROW * len(bars) + 24
    scale = width - left - 16
    parts = []
    for step in range(6):
        x = left + step / 5 * scale
        parts.append(line(x, top - 4, x, height - 22, "#e3e5e9"))
        parts.append(text(x, height - 8, f"{step / 5:g}", "middle", "tick"))
    for index, bar in enumerate(bars):
        y = top + _ROW * index
        title = (
            f"{bar.name}: AUROC {bar.auroc:.3f}, AUPRC {bar.auprc:.3f}, base {bar.base_rate:.3f}"
        )
        parts.append(text(left - 8, y + 13, bar.name, "end", "name"))
        if not math.isnan(bar.auprc):
            parts.append(box(left, y + 4, bar.auprc * scale, 11, "#9cc7e2", title))
            x = left + bar.base_rate * scale
            parts.append(line(x, y + 2, x, y + 17, "#d55e00", 'stroke-width="2"'))
        if not math.isnan(bar.auroc):
            parts.append(_dot(left + bar.auroc * scale, y + 9.5))
    parts.append(box(left, 3, 14, 9, "#9cc7e2") + text(left + 19, 12, "AUPRC", kind="tick"))
    parts.append(line(left + 70, 2, left + 70, 13, "#d55e00", 'stroke-width="2"'))
    parts.append(text(left + 76, 12, "base rate", kind="tick"))
    parts.append(_dot(left + 144, 7.5) + text(left + 152, 12, "AUROC", kind="tick"))
    return picture(width, height, parts, "AUROC, AUPRC and base rate by label")


def class_bars(
    names: Sequence[str], values: Sequence[float], below: Sequence[str], axis: str
) -> str:
    """Vertical bars from 0 to 1, a line of text under each; NaN is not drawn."""
    parts = _frame(axis, "AUROC", ticks_below=False)
    slot = _AREA / max(len(names), 1)
    for index, (name, value, note) in enumerate(zip(names, values, below, strict=True)):
        x = _LEFT + slot * index
        if not math.isnan(value):
            title = f"{name}: {value:.3f}"
            parts.append(box(x + 10, _y(value), slot - 20, value * _AREA, RIGHT, title))
            parts.append(text(x + slot / 2, _y(value) - 4, f"{value:.2f}", "middle", "value"))
        parts.append(text(x + slot / 2, _y(0) + 14, name, "middle", "tick"))
        parts.append(text(x + slot / 2, _y(0) + 26, note, "middle", "small"))
    return picture(_SIZE, _HEIGHT, parts, f"AUROC by {axis}")


def _x(value: float) -> float:
    return _LEFT + value * _AREA


def _y(value: float) -> float:
    return _TOP + (1 - value) * _AREA


def _frame(x_axis: str, y_axis: str, ticks_below: bool = True) -> list[str]:
    """Grid lines from 0 to 1 with their values, and the names of the axes."""
    parts = []
    for step in range(6):
        at = step / 5
        color = "#c9cdd3" if step == 0 else "#eceef1"
        parts.append(line(_x(0), _y(at), _x(1), _y(at), color))
        parts.append(text(_LEFT - 6, _y(at) + 4, f"{at:g}", "end", "tick"))
        if ticks_below:
            parts.append(line(_x(at), _y(0), _x(at), _y(1), color))
            parts.append(text(_x(at), _y(0) + 14, f"{at:g}", "middle", "tick"))
    parts.append(text(_x(0.5), _HEIGHT - 5, x_axis, "middle", "axis"))
    middle = f'transform="rotate(-90 12 {_y(0.5):.1f})"'
    parts.append(
        f'<text x="12" y="{_y(0.5):.1f}" text-anchor="middle" class="axis" {middle}>{y_axis}</text>'
    )
    return parts


def _polyline(curve: Curve, color: str, opacity: float, width: float = 1.8) -> str:
    points = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in curve.points.tolist())
    title = f"<title>{escape(curve.name)}</title>"
    return (
        f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}" '
        f'stroke-opacity="{opacity}" stroke-linejoin="round">{title}</polyline>'
    )


def _dot(x: float, y: float) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{RIGHT}"/>'
