"""Counts against a slow implementation that works on sets of bases and of tuples."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaannot.dna.transcript import Strand, Transcript, representative, with_phases
from dnaannot.evaluate.gene_metrics import (
    LEVELS,
    Level,
    compare,
    recall_by_exon_count,
    recall_by_exon_length,
    recall_by_gene_length,
)
from dnaannot.evaluate.gene_sets import genes_of
from dnaannot.evaluate.intervals import Regions


def model(intervals, strand="+", sequence="s", **changes):
    strand = Strand(strand)
    return Transcript(sequence, strand, with_phases(intervals, strand), **changes)


@st.composite
def transcripts(draw):
    """A few transcripts on few coordinates, so that many agree in part or whole."""
    result = []
    for index in range(draw(st.integers(0, 6))):
        cuts = draw(st.lists(st.integers(0, 14), min_size=2, max_size=6, unique=True))
        cuts = sorted(cuts)[: len(cuts) // 2 * 2]
        exons = [(3 * a, 3 * b) for a, b in zip(cuts[::2], cuts[1::2], strict=True)]
        result.append(
            model(
                exons,
                draw(st.sampled_from("+-")),
                draw(st.sampled_from("st")),
                has_start=draw(st.booleans()),
                has_stop=draw(st.booleans()),
                name=f"t{index}",
                gene=draw(st.sampled_from(["", "g1", "g2"])),
            )
        )
    return result


def slow_compare(predicted, reference, regions):
    """The definitions of the module's documentation, one base and one tuple at a time."""

    def inside(sequence, start, end):
        return regions is None or any(
            name == sequence and first <= start and end <= last for name, first, last in regions
        )

    def sides(t):
        ends = [(t.start, t.start + 1), (t.end - 1, t.end)]
        return ends if t.strand is Strand.PLUS else ends[::-1]

    def of(level, t):
        bounds = tuple((e.start, e.end) for e in t.exons)
        gaps = tuple((a[1], b[0]) for a, b in pairwise(bounds))
        firsts = [(a, a + 1) for a, _ in gaps]
        lasts = [(b - 1, b) for _, b in gaps]
        plus = t.strand is Strand.PLUS
        return {
            "nucleotide": [(b, b + 1) for e in bounds for b in range(*e)],
            "start codon": [sides(t)[0]] if t.has_start else [],
            "stop codon": [sides(t)[1]] if t.has_stop else [],
            "donor": firsts if plus else lasts,
            "acceptor": lasts if plus else firsts,
            "exon": list(bounds),
            "intron": list(gaps),
            "intron chain": [(gaps[0][0], gaps[-1][1], gaps)] if gaps else [],
            "transcript": [(t.start, t.end, bounds)],
        }[level]

    def collect(level, side):
        return {
            (t.sequence, t.strand, *feature)
            for t in side
            for feature in of(level, t)
            if inside(t.sequence, *feature[:2])
        }

    def genes(side):
        groups = defaultdict(list)
        for t in side:
            groups[t.sequence, t.strand, t.gene or t.name].append(t)
        return [
            g
            for g in groups.values()
            if inside(g[0].sequence, min(t.start for t in g), max(t.end for t in g))
        ]

    levels = {}
    for level in LEVELS[:-1]:
        ours, theirs = collect(level, predicted), collect(level, reference)
        both = len(ours & theirs)
        levels[level] = Level(len(theirs), len(ours), both, both)
    common = collect("transcript", predicted) & collect("transcript", reference)

    def right(group):
        return any((t.sequence, t.strand, *of("transcript", t)[0]) in common for t in group)

    levels["gene"] = Level(
        len(genes(reference)),
        len(genes(predicted)),
        sum(map(right, genes(reference))),
        sum(map(right, genes(predicted))),
    )
    return levels


some_regions = st.none() | st.lists(
    st.tuples(st.sampled_from("st"), st.integers(0, 20), st.integers(22, 45)),
    max_size=2,
    unique_by=lambda region: region[0],
)


@settings(max_examples=400, deadline=None)
@given(transcripts(), transcripts(), some_regions)
def test_every_level_equals_the_slow_implementation(predicted, reference, regions):
    fast = None if regions is None else Regions.of_intervals(regions)
    assert compare(predicted, reference, fast) == slow_compare(predicted, reference, regions)


@settings(max_examples=100, deadline=None)
@given(transcripts(), transcripts())
def test_exchanging_the_sides_exchanges_recall_and_precision(one, other):
    forward, backward = compare(one, other), compare(other, one)
    for level in LEVELS:
        assert forward[level].recall == backward[level].precision
        assert forward[level].f1 == pytest.approx(backward[level].f1)


@settings(max_examples=100, deadline=None)
@given(transcripts())
def test_an_annotation_matches_itself_at_every_level(side):
    for level in compare(side, side).values():
        assert level.recall == level.precision == level.f1 == float(level.reference > 0)


def test_counts_of_a_small_example():
    reference = [
        model([(0, 30), (60, 90)], name="a1", gene="a"),
        model([(0, 30), (60, 99)], name="a2", gene="a"),
        model([(200, 230)], "-", name="b1", gene="b"),
    ]
    predicted = [
        model([(0, 30), (60, 99)], name="p1"),
        model([(200, 233)], "-", name="p2"),
        model([(300, 330)], name="p3"),
    ]
    levels = compare(predicted, reference)
    assert levels["gene"] == Level(reference=2, predicted=3, found=1, right=1)
    assert levels["exon"] == Level(4, 4, 2, 2)
    assert levels["nucleotide"] == Level(99, 132, 99, 99)
    assert levels["stop codon"] == Level(3, 3, 2, 2)
    assert levels["start codon"] == Level(2, 3, 1, 1)
    assert (levels["gene"].recall, levels["gene"].precision) == (1 / 2, 1 / 3)
    assert levels["gene"].f1 == pytest.approx(0.4)


def test_an_empty_prediction_scores_zero_without_failing():
    levels = compare([], [model([(0, 30)])])
    assert all(level.recall == level.precision == level.f1 == 0 for level in levels.values())


def test_genes_that_cross_a_region_boundary_count_on_neither_side_but_for_their_bases():
    crossing, inside = model([(50, 80), (90, 120)], name="x"), model([(200, 230)], name="y")
    regions = Regions.of_intervals([("s", 100, 300)])
    levels = compare([crossing, inside], [inside], regions)
    assert levels["gene"] == Level(1, 1, 1, 1)
    assert levels["exon"] == Level(1, 1, 1, 1)
    assert levels["nucleotide"] == Level(30, 50, 30, 30)


def test_recall_by_length_and_count_adds_up_to_the_levels():
    reference = [
        model([(0, 30), (60, 210)], name="a", gene="a"),
        model([(300, 2000)], name="b", gene="b"),
    ]
    predicted = [model([(0, 30), (60, 213)]), model([(300, 2000)])]
    lengths = {each.name: each for each in recall_by_exon_length(predicted, reference)}
    assert (lengths["1-50"].reference, lengths["1-50"].found) == (1, 1)
    assert (lengths["101-150"].reference, lengths["101-150"].found) == (1, 0)
    assert (lengths["> 1000"].reference, lengths["> 1000"].found) == (1, 1)
    counts = {each.name: each for each in recall_by_exon_count(predicted, reference)}
    assert (counts["1"].recall, counts["2"].recall) == (1, 0)
    assert sum(each.reference for each in counts.values()) == 2


@given(st.lists(transcripts(), min_size=2, max_size=2), st.integers(10, 9000))
@settings(max_examples=40, deadline=None)
def test_recall_by_gene_length_is_that_of_the_genes_of_each_length(sides, times):
    predicted, reference = (
        [
            model(
                [(e.start * times, e.end * times) for e in each.exons],
                each.strand.value,
                each.sequence,
                gene=each.gene,
                name=each.name,
            )
            for each in side
        ]
        for side in sides
    )
    strata = {each.name: each for each in recall_by_gene_length(predicted, reference)}
    limits = {"0-2 kb": (0, 2e3), "2-5 kb": (2e3, 5e3), "5-10 kb": (5e3, 1e4)}
    limits |= {"10-30 kb": (1e4, 3e4), "30-100 kb": (3e4, 1e5), "> 100 kb": (1e5, 1e9)}
    assert strata.keys() == limits.keys()
    genes = genes_of(reference)
    for name, (low, high) in limits.items():
        group = [
            each
            for gene in genes.values()
            if low < (one := representative(gene)).end - one.start <= high
            for each in gene
        ]
        gene_level = compare(predicted, group)["gene"]
        assert (strata[name].reference, strata[name].found) == (
            gene_level.reference,
            gene_level.found,
        )
