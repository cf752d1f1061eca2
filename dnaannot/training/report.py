"""The report of a training run: JSON, PNG curves and one HTML page."""

from __future__ import annotations

import base64
import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from dnaannot.evaluate.page import figure, page, table
from dnaannot.formats.output import atomic_output, make_folder
from dnaannot.training.curves import Losses, draw_curves, is_metric, readable

_MOST_COLUMNS = 14


@dataclass(frozen=True)
class Curves:
    """What the report draws of the validations.

    Attributes:
        axis: what the values are.
        keys: the metrics drawn; all by default.
        levels: values that do not change, drawn as lines across; the lowest is the best.
    """

    axis: str = "validation F1"
    keys: Sequence[str] = ()
    levels: Mapping[str, float] = field(default_factory=dict)

    def of(self, metrics: Mapping[str, float]) -> list[str]:
        """The names of the metrics to draw."""
        keys = self.keys or metrics
        return [key for key in keys if key in metrics and is_metric(key)]


def write_report(
    folder: Path,
    settings: Mapping[str, Any],
    history: Sequence[Mapping[str, float]],
    losses: Losses,
    data: Mapping[str, Mapping[str, Any]],
    curves: Curves | None = None,
    remarks: Sequence[str] = (),
) -> None:
    """Write `report.json`, `curves.png` and `report.html` into a folder, which is made.

    Args:
        settings: of the run.
        history: metrics of each validation.
        losses: of its steps.
        data: what became of each input, by its name: columns and their values.
        curves: what is drawn of the validations.
        remarks: sentences for the head of the page.
    """
    curves = curves or Curves()
    make_folder(folder)
    facts = {
        "settings": dict(settings),
        "data": {name: dict(columns) for name, columns in data.items()},
        "levels": dict(curves.levels),
        "remarks": list(remarks),
        "validation": list(history),
    }
    with atomic_output(folder / "report.json") as stream:
        course = {"steps_a_loss": losses.steps, "losses": list(losses.means)}
        json.dump({**facts, **course}, stream, indent=1)
    drawn = curves.of(history[0]) if history else []
    picture = draw_curves(history, losses, drawn, curves.axis, curves.levels)
    with atomic_output(folder / "curves.png", "wb") as stream:
        stream.write(picture)
    with atomic_output(folder / "report.html") as stream:
        stream.write(_page(facts, drawn, picture))


def _page(facts: Mapping[str, Any], drawn: Sequence[str], picture: bytes) -> str:
    settings, history = facts["settings"], facts["validation"]
    image = base64.b64encode(picture).decode()
    chart = f'<img alt="loss and validation" src="data:image/png;base64,{image}">'
    sections = [f"<p>{escape(remark)}</p>" for remark in facts["remarks"]]
    sections += ["<h2>Course</h2>", figure("Training loss, and validation", chart)]
    head = {"model": Path(settings.get("output", "model")).name}
    if history:
        best = max(history, key=lambda metrics: metrics["score"])
        head["weights kept"] = f"of step {best['step']:,.0f}, the best by validation"
        sections += _validation(history, best, drawn)
    if facts["levels"]:
        levels = sorted(facts["levels"].items(), key=lambda level: level[1])
        rows = [[name, f"{value:.4f}"] for name, value in levels]
        sections += ["<h2>For comparison</h2>", _table(["model", "value"], rows)]
    sections += _data(facts["data"])
    rows = [[name.replace("_", " "), _text(value)] for name, value in settings.items()]
    sections += ["<h2>Settings</h2>", _table(["setting", "value"], rows, "words")]
    return page(f"{head['model']}: training", "Training report", "train", head, sections)


def _validation(
    history: Sequence[Mapping[str, float]], best: Mapping[str, float], drawn: Sequence[str]
) -> list[str]:
    """A row a validation; of very many metrics those drawn, and the others of the step kept."""
    keys = [key for key in best if is_metric(key)]
    shown = keys if len(keys) <= _MOST_COLUMNS else list(drawn)
    rows = [
        [("\u2192 " if metrics is best else "") + _which(metrics)]
        + [f"{metrics.get(key, math.nan):.4f}" for key in (*shown, "score")]
        for metrics in history
    ]
    sections = ["<h2>Validation</h2>", _table([*map(readable, ("step", *shown, "score"))], rows)]
    of: dict[str, dict[str, float]] = defaultdict(dict)
    for key in keys:
        if key not in shown:
            group, _, name = key.rpartition(".")
            of[group][name] = best[key]
    if of:
        names = list(dict.fromkeys(name for metrics in of.values() for name in metrics))
        rows = [
            [group, *(f"{each[name]:.4f}" if name in each else "\u2013" for name in names)]
            for group, each in of.items()
        ]
        sections += ["<h2>Labels, at the step kept</h2>"]
        sections += [_table(["label", *map(readable, names)], rows)]
    return sections


def _which(metrics: Mapping[str, float]) -> str:
    """Which weights were validated."""
    share = metrics.get("start_share")
    return f"{metrics['step']:,.0f}" + (f", {share:.0%} of the start" if share else "")


def _data(data: Mapping[str, Mapping[str, Any]]) -> list[str]:
    if not data:
        return []
    columns = [name.replace("_", " ") for name in next(iter(data.values()))]
    rows = [[name, *map(_text, values.values())] for name, values in data.items()]
    has_words = any(isinstance(value, Mapping) for each in data.values() for value in each.values())
    kind = "words" if has_words else "numbers"
    return ["<h2>Data</h2>", _table(["input", *columns], rows, kind)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "numbers") -> str:
    many = " many" if len(head) > _MOST_COLUMNS // 2 else ""
    return f'<div class="{kind}{many}">{table(head, rows)}</div>'


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count:,} {name}" for name, count in value.items()) or "\u2013"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "\u2013"
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if value else "\u2013"
