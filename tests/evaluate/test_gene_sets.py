"""Genes, representatives and what one path can hold, against enumeration."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.errors import DataError
from dnaannot.evaluate.gene_sets import (
    genes_of,
    reachable,
    representative,
    require_shared_sequences,
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


@pytest.mark.parametrize(
    ("ours", "theirs", "hint"),
    [
        ("2L", "chr2L", "differ by 'chr'"),
        ("CHR1", "1", "differ by 'chr'"),
        ("scaffold1", "chr1", "same genome"),
    ],
)
def test_annotations_of_different_names_are_refused_with_both_names(ours, theirs, hint):
    sides = [model([(0, 9)], sequence=ours)], [model([(0, 9)], sequence=theirs)]
    with pytest.raises(DataError, match=hint) as refusal:
        require_shared_sequences(*sides)
    assert f"'{ours}'" in str(refusal.value)
    assert f"'{theirs}'" in str(refusal.value)


def test_an_empty_side_and_a_shared_name_are_accepted():
    one, other = model([(0, 9)], sequence="a"), model([(0, 9)], sequence="b")
    require_shared_sequences([], [one])
    require_shared_sequences([one, other], [other])


def test_a_stop_is_added_at_the_three_prime_end():
    plus = with_stop(model([(0, 9), (20, 29)]))
    minus = with_stop(model([(10, 19), (30, 39)], "-"))
    assert [tuple(exon[:2]) for exon in plus.exons] == [(0, 9), (20, 32)]
    assert [tuple(exon[:2]) for exon in minus.exons] == [(7, 19), (30, 39)]


def test_no_stop_is_added_where_there_is_none_to_add():
    cut = model([(10, 19)], has_stop=False)
    at_edge = model([(2, 11)], "-")
    no_stop = model([(10, 19)])
    assert with_stop(cut) is cut
    assert with_stop(at_edge) is at_edge
    assert with_stop(no_stop, lambda *_: False) is no_stop
