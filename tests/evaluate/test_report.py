"""The page: well formed, self-contained, and with the numbers that were measured."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from dnaannot.dna.interval import Interval
from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.evaluate.gene_metrics import Level
from dnaannot.evaluate.genes import percentages, score_genes
from dnaannot.evaluate.intervals import Regions
from dnaannot.evaluate.report import genes_page

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Checks that elements nest, and collects what is asked for from outside."""

    def __init__(self, text):
        super().__init__()
        self.open, self.titles, self.sources, self.text = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href", "xlink:href")]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.titles if self.open[-1:] == ["title"] else self.text).append(data)


def model(intervals, strand="+", **changes):
    strand = Strand(strand)
    return Transcript("chr1", strand, with_phases(intervals, strand), **changes)


REFERENCE = [
    model([(100, 400), (900, 1300)], name="r1", gene="r1"),
    model([(2000, 2601)], "-", name="r<2>&", gene="r2"),
    model([(5000, 5600)], name="r3", gene="r3"),
]
PREDICTED = [
    model([(100, 400), (900, 1300)], name="p1"),
    model([(1950, 2601)], "-", name="p2"),
    model([(7000, 7300)], name="p3"),
]


def page(predicted, reference, regions=None, notes=()):
    scores = score_genes(predicted, reference, {"chr1": 9000}, regions)
    facts = {"prediction": "a<b>.gff3", "reference": "r.gff3"}
    return genes_page(scores, predicted, reference, facts, notes, regions)


def test_page_is_well_formed_offline_and_escapes_names():
    text = page(PREDICTED, REFERENCE, notes=["5 < 6 & so on"])
    parsed = Page(text)
    assert parsed.open == []
    assert parsed.sources == []
    assert "url(" not in text
    assert "<script" not in text
    assert "a<b>.gff3" in parsed.text
    assert "r<2>&" in parsed.text
    assert "5 < 6 & so on" in parsed.text


def test_page_holds_the_numbers_and_a_picture_of_every_locus():
    text = page(PREDICTED, REFERENCE)
    cells = re.findall(r"<tr>(<td>gene</td>.*?)</tr>", text)
    assert re.findall(r"<td>(.*?)</td>", cells[0]) == [
        "gene", "33.33", "33.33", "33.33", "3", "3", "1",
    ]  # fmt: skip
    assert re.findall(r'class="verdict[^"]*">([^<]*)', text) == [
        "right", "different", "missed", "not in the reference",
    ]  # fmt: skip
    titles = Page(text).titles
    assert "r1: exon 101-400 (300 bp)" in titles
    assert "p2: exon 1,951-2,601 (651 bp)" in titles


def test_exons_of_both_are_filled_and_the_others_hollow():
    text = page(PREDICTED, REFERENCE)
    boxes = re.findall(r'<rect[^>]*fill="([^"]*)"[^>]*><title>([^:<]*): exon', text)
    assert {fill for fill, name in boxes if name in ("r1", "p1")} == {"#0072b2"}
    assert {fill for fill, name in boxes if name in ("p2", "r3", "p3")} == {"#fff"}


@pytest.mark.parametrize(
    ("predicted", "reference"), [([], REFERENCE), (PREDICTED, []), ([], [])]
)  # fmt: skip
def test_page_of_an_empty_side_is_still_a_page(predicted, reference):
    assert Page(page(predicted, reference)).open == []


def test_page_shows_only_loci_inside_the_regions():
    text = page(PREDICTED, REFERENCE, Regions.of_intervals([Interval("chr1", 1500, 3000)]))
    assert re.findall(r"<h3><span>(chr1:[^ ]*)", text) == ["chr1:1,951-2,601"]


def test_coordinates_stay_on_the_page():
    for locus in re.findall(r'<div class="locus">.*?</svg>', page(PREDICTED, REFERENCE)):
        width, height = map(float, re.search(r'viewBox="0 0 (\d+) (\d+)"', locus).groups())
        for x, w in re.findall(r'<rect x="([-\d.]+)" y="[-\d.]+" width="([\d.]+)"', locus):
            assert 0 <= float(x) <= float(x) + float(w) <= width
        assert all(0 <= float(y) <= height for y in re.findall(r' y="([-\d.]+)"', locus))


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (Level(4, 2, 1, 1), ("25.00", "50.00", "33.33")),
        (Level(4, 0, 0, 0), ("0.00", "-", "0.00")),
        (Level(0, 4, 0, 0), ("-", "0.00", "0.00")),
        (Level(0, 0, 0, 0), ("-", "-", "-")),
    ],
)
def test_what_nothing_can_be_counted_of_is_no_percentage(level, shown):
    assert percentages(level) == shown
