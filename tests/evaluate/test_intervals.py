"""Interval arithmetic against sets of bases."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dnaannot.evaluate.intervals import (
    Regions,
    bases,
    intersection,
    shared_bases,
    union,
)

intervals = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda pair: (pair[0], sum(pair))),
    max_size=8,
)


def covered(rows):
    return {base for start, end in rows for base in range(start, end)}


@given(intervals)
def test_union_covers_the_same_bases_with_gaps_between(rows):
    merged = union(rows)
    assert covered(merged) == covered(rows)
    assert bases(merged) == len(covered(rows))
    assert (merged[1:, 0] > merged[:-1, 1]).all()


@given(intervals, intervals)
def test_shared_bases_and_intersection_equal_those_of_sets(one, other):
    common = covered(one) & covered(other)
    assert shared_bases(union(one), union(other)) == len(common)
    assert covered(intersection(union(one), union(other))) == common


@given(intervals, st.integers(0, 70), st.integers(1, 15))
def test_a_region_holds_what_lies_inside_one_merged_interval(rows, start, length):
    regions = Regions.of_intervals(("s", *row) for row in rows)
    inside = any(a <= start and start + length <= b for a, b in union(rows).tolist())
    assert regions.hold("s", start, start + length) is inside
    assert not regions.hold("t", start, start + length)
