from __future__ import annotations

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from dnaannot.training.curves import Losses, _draw_losses, _styles, draw_curves, readable
from dnaannot.training.report import Curves, write_report

LABELS = [f"dnase__t{i}" for i in range(8)]
METRICS = [f"{name}.{kind}" for name in ("dnase", *LABELS) for kind in ("auroc", "auprc")]


class Tables(HTMLParser):
    """The texts of the cells of a page's tables, by row."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.is_cell = False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.is_cell = tag in ("td", "th")
        if tag == "tr":
            self.rows.append([])
        elif self.is_cell:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.is_cell = False

    def handle_data(self, data):
        if self.is_cell:
            self.rows[-1][-1] += data


def rows_of(tmp_path, history, **more):
    write_report(tmp_path, {"steps": 9, "init": None}, history, Losses([2.0, 1.0]), {}, **more)
    return Tables((tmp_path / "report.html").read_text()).rows


def test_every_validation_has_a_row_and_the_one_kept_is_marked(tmp_path):
    history = [{"step": s, "chr1.exon_f1": s / 100, "score": -abs(s - 6)} for s in (3, 6, 9)]
    rows = rows_of(tmp_path, history)
    assert rows[:4] == [
        ["step", "chr1 exon F1", "score"],
        ["3", "0.0300", "-3.0000"],
        ["→ 6", "0.0600", "0.0000"],
        ["9", "0.0900", "-3.0000"],
    ]
    assert ["steps", "9"] in rows
    assert ["init", "–"] in rows


def test_a_metric_that_one_validation_lacks(tmp_path):
    history = [{"step": 1, "x.pearson": 0.5, "score": 0.5}, {"step": 2, "score": 0.0}]
    for each in (history, history[::-1]):
        rows = rows_of(tmp_path, each)
        assert ["→ 1", "0.5000", "0.5000"] in rows
        assert ["2", "nan", "0.0000"] in rows


def test_an_average_kept_is_told_as_one(tmp_path):
    facts = [(0, {}), (9, {}), (9, {"start_share": 0.3})]
    history = [{"step": s, **more, "f1": i / 10, "score": i} for i, (s, more) in enumerate(facts)]
    assert rows_of(tmp_path, history)[:4] == [
        ["step", "F1", "score"],
        ["0", "0.0000", "0.0000"],
        ["9", "0.1000", "1.0000"],
        ["→ 9, 30% of the start", "0.2000", "2.0000"],
    ]


def test_of_very_many_metrics_those_not_drawn_are_listed_by_label(tmp_path):
    history = [{"step": 5, **{key: i / 100 for i, key in enumerate(METRICS)}, "score": 1.0}]
    drawn = METRICS[:2]
    rows = rows_of(tmp_path, history, curves=Curves(keys=drawn))
    assert rows[0] == ["step", "dnase AUROC", "dnase AUPRC", "score"]
    at = rows.index(["label", "AUROC", "AUPRC"]) + 1
    assert [row[0] for row in rows[at : at + 8]] == LABELS
    assert rows[at + 7] == ["dnase__t7", "0.1600", "0.1700"]


@pytest.mark.parametrize("keys", [METRICS[:12], ["a.x", "a.y", "a.z", "confidence"], ["bits"]])
def test_no_two_curves_look_alike(keys):
    styles = [str(style) for style in _styles(keys).values()]
    assert len(set(styles)) == len(keys)


def test_a_run_without_validation_or_steps_is_drawn():
    assert imread(io.BytesIO(draw_curves([], Losses([]), [], "bits", {}))).shape[2] == 4


@pytest.mark.parametrize("count", [7, 450])
def test_losses_stand_at_their_steps(count):
    axis = Figure().subplots()
    _draw_losses(axis, Losses(np.arange(count) * 5.0, steps=5))
    line = axis.lines[0]
    size = max(1, count // 200)
    assert line.get_xdata()[:3].tolist() == [0, 5 * size, 10 * size]
    middles = line.get_xdata()[:-1] + 5 * (size - 1) / 2
    assert line.get_ydata()[:-1] == pytest.approx(middles)


def test_names_of_metrics():
    assert readable("chr2L.exon_f1") == "chr2L exon F1"
    assert readable("h3k4me3__liver.auroc") == "h3k4me3__liver AUROC"
    assert readable("gain_error") == "gain error"
