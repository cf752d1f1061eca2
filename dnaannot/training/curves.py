"""The picture of a training run: the loss on the left, validation on the right."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c6370", "#8b5a2b",
)  # fmt: skip
_DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_INK, _GREY, _LIGHT = "#1f2430", "#5c6370", "#c3c8d0"
_POINTS = 200
_WORDS = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC", "mcc": "MCC"}


def is_metric(name: str) -> bool:
    """Whether a value of a validation is a metric of its own.

    The others are the score, which sums the metrics up, and what tells of which weights they are.
    """
    return name not in ("score", "step", "start_share", "seconds")


class Losses(NamedTuple):
    """Losses of a run.

    Attributes:
        means: of so many steps each, in order.
        steps: those of one mean.
    """

    means: Sequence[float]
    steps: int = 1


def readable(key: str) -> str:
    """A metric's key as it is shown: `chr2L.exon_f1` becomes "chr2L exon F1"."""
    group, dot, name = key.rpartition(".")
    return group + " " * len(dot) + " ".join(_WORDS.get(word, word) for word in name.split("_"))


def draw_curves(
    history: Sequence[Mapping[str, float]],
    losses: Losses,
    keys: Sequence[str],
    axis: str,
    levels: Mapping[str, float],
) -> bytes:
    """A PNG of the losses of a run and of its validations.

    Args:
        history: metrics of each validation; the one with the highest `score` is marked.
        losses: of its steps.
        keys: the metrics to draw.
        axis: what their values are.
        levels: values by name to compare with, lower being better; the lowest is named.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
    _draw_losses(left, losses)
    _draw_validation(right, history, keys, levels)
    right.set_ylabel(axis, color=_INK)
    for each in (left, right):
        each.set_xlabel("step", color=_INK)
        each.spines[["top", "right"]].set_visible(False)
        each.spines[["left", "bottom"]].set_color(_LIGHT)
        each.tick_params(colors=_GREY, labelsize=8.5)
        each.grid(axis="y", color="#eceef1", linewidth=0.8)
        each.set_axisbelow(True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()


def _draw_losses(axis: Axes, losses: Losses) -> None:
    """Means of neighbouring steps, and over them a line that a tenth of the run smooths."""
    size = max(1, len(losses.means) // _POINTS)
    first = range(0, len(losses.means), size)
    means = np.array([np.mean(losses.means[at : at + size]) for at in first])
    starts = losses.steps * np.array(first)
    axis.plot(starts, means, color="#9ec7e0", linewidth=0.9)
    width = max(1, len(means) // 20)
    reach = [min(width, i, len(means) - 1 - i) for i in range(len(means))]
    smooth = [means[i - r : i + r + 1].mean() for i, r in enumerate(reach)]
    axis.plot(starts, smooth, color=_COLOURS[0], linewidth=1.8)
    if len(means) and means.min() > 0 and means.max() > 8 * means.min():
        axis.set_yscale("log")
    axis.set_ylabel("training loss", color=_INK)


def _draw_validation(
    axis: Axes,
    history: Sequence[Mapping[str, float]],
    keys: Sequence[str],
    levels: Mapping[str, float],
) -> None:
    if not history:
        return
    steps = [metrics["step"] for metrics in history]
    styles = _styles(keys)
    for key in sorted(keys, key=lambda key: -history[-1].get(key, -math.inf)):
        colour, dashes = styles[key]
        axis.plot(
            steps, [metrics.get(key, math.nan) for metrics in history], color=colour,
            linestyle=dashes, marker="o", markersize=3, linewidth=1.6, label=readable(key),
        )  # fmt: skip
    low, high = axis.get_ylim()
    best = min(levels, key=lambda name: levels[name]) if levels else None
    for name, value in levels.items():
        if name == best:
            axis.axhline(value, color=_COLOURS[1], linewidth=1.3, linestyle="--", label=name)
        else:
            axis.axhline(value, color=_LIGHT, linewidth=0.8, zorder=0)
    if best:
        axis.plot([], [], color=_LIGHT, linewidth=0.8, label=f"{len(levels) - 1} others")
        axis.set_ylim(min(low, levels[best] - 0.02 * (high - low)), high)
    at = max(history, key=lambda metrics: metrics["score"])["step"]
    axis.axvline(at, color=_GREY, linewidth=0.9, linestyle=":", label="weights kept")
    axis.legend(
        loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=8.5, frameon=False, labelcolor=_INK
    )


def _styles(keys: Sequence[str]) -> dict[str, tuple[str, object]]:
    """Colour and dashes of each metric: one tells its group, the other its name."""
    parts = {key: (key.rpartition(".")[0], key.rpartition(".")[2]) for key in keys}
    groups, names = (list(dict.fromkeys(part[i] for part in parts.values())) for i in (0, 1))
    by_group = len(groups) > len(names)
    coloured, dashed = (groups, names) if by_group else (names, groups)
    styles = {}
    for (i, one), (j, other) in product(enumerate(coloured), enumerate(dashed)):
        part = (one, other) if by_group else (other, one)
        styles[part] = (_COLOURS[i % len(_COLOURS)], _DASHES[j % len(_DASHES)])
    return {key: styles[part] for key, part in parts.items()}
