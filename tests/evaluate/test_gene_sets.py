"""Genes, representatives and what one path can hold, against enumeration."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaannot.dna.sequence import encode, reverse_complement
from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.evaluate.gene_sets import (
    ends_with_stop,
    genes_of,
    reachable,
    representative,
    starts_with_atg,
    with_stop,
)
from dnaannot.evaluate.intervals import Regions


def model(intervals, strand="+", sequence="s", **changes):
    strand = Strand(strand)
    return Transcript(sequence, strand, with_phases(intervals, strand), **changes)


single_genes = st.lists(
    st.builds(
        lambda start, length, strand, sequence: model([(start, start + length)], strand, sequence),
        st.integers(0, 40),
        st.integers(1, 15),
        st.sampled_from("+-"),
        st.sampled_from("st"),
    ),
    max_size=8,
    unique_by=lambda t: (t.sequence, t.strand, t.start, t.end),
)


def apart(one, other):
    return one.sequence != other.sequence or one.end < other.start or other.end < one.start


@settings(deadline=None)
@given(single_genes)
def test_one_path_holds_the_largest_set_of_genes_that_lie_apart(genes):
    largest = next(
        size
        for size in range(len(genes), -1, -1)
        for chosen in combinations(genes, size)
        if all(apart(*pair) for pair in combinations(chosen, 2))
    )
    overlapping = sum(
        any(
            one is not other
            and one.sequence == other.sequence
            and max(one.start, other.start) < min(one.end, other.end)
            for other in genes
        )
        for one in genes
    )
    cap = reachable(genes)
    assert (cap.genes, cap.overlapping, cap.by_one_path) == (len(genes), overlapping, largest)


def test_isoforms_are_one_gene_for_the_path():
    genes = [
        model([(0, 30)], name="a1", gene="a"),
        model([(40, 70)], name="a2", gene="a"),
        model([(100, 160)], name="b1", gene="b"),
    ]
    assert reachable(genes).by_one_path == 2
    assert reachable(genes, regions=Regions.of_intervals([("s", 35, 200)])).genes == 1


def test_genes_without_identifier_are_told_apart_by_name_and_by_exons():
    transcripts = [
        model([(0, 9)], gene="g", name="t1"),
        model([(3, 9)], gene="g", name="t2"),
        model([(3, 9)], "-", gene="g", name="t3"),
        model([(20, 29)], name="t4"),
        model([(30, 39)]),
        model([(40, 49)]),
    ]
    assert [len(gene) for gene in genes_of(transcripts).values()] == [2, 1, 1, 1, 1]


def test_the_representative_is_marked_else_complete_else_longest():
    short = model([(0, 9)], name="short")
    long = model([(0, 30)], name="long")
    partial = model([(0, 90)], name="partial", has_stop=False)
    frameless = model([(0, 91)], name="frameless")
    gene = [short, partial, frameless, long]
    assert representative(gene) is long
    assert representative(gene, marked={"short"}) is short
    assert representative([partial, frameless]) is frameless


def test_a_stop_is_added_at_the_three_prime_end():
    plus = with_stop(model([(0, 9), (20, 29)]))
    minus = with_stop(model([(10, 19), (30, 39)], "-"))
    assert [tuple(exon[:2]) for exon in plus.exons] == [(0, 9), (20, 32)]
    assert [tuple(exon[:2]) for exon in minus.exons] == [(7, 19), (30, 39)]


def test_no_stop_is_added_where_there_is_none_to_add():
    cut = model([(10, 19)], has_stop=False)
    at_edge = model([(2, 11)], "-")
    assert with_stop(cut) is cut
    assert with_stop(at_edge) is at_edge


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize(
    ("bases", "bounds", "extended"),
    [
        (b"CCATGAAATAACC", (2, 8), (2, 11)),
        (b"CCATGAAATACCC", (2, 8), (2, 8)),
        (b"CCATGTAATAACC", (2, 8), (2, 8)),
        (b"CCATGAAATA", (2, 8), (2, 8)),
    ],
    ids=["stop behind", "no stop behind", "has its stop", "sequence ends"],
)
def test_with_the_bases_a_stop_is_added_only_where_one_follows(strand, bases, bounds, extended):
    codes = encode(bases)
    if strand == "-":
        codes = reverse_complement(codes)
        bounds, extended = (
            (len(codes) - end, len(codes) - start) for start, end in (bounds, extended)
        )
    changed = with_stop(model([bounds], strand), codes)
    assert changed.exons[0][:2] == extended


def test_ends_are_told_from_the_bases_in_frame():
    codes = encode(b"ATGAAATGA")
    assert starts_with_atg(model([(0, 9)]), codes)
    assert ends_with_stop(model([(0, 9)]), codes)
    assert not starts_with_atg(model([(3, 9)]), codes)
    assert not ends_with_stop(model([(1, 9)]), codes)
    shifted = Transcript("s", Strand.PLUS, with_phases([(1, 9)], Strand.PLUS, first_phase=2))
    assert ends_with_stop(shifted, codes)
    assert not starts_with_atg(shifted, codes)
