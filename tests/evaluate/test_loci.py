"""Loci: what overlaps stands together, and each kind of agreement is shown."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from dnaannot.dna.interval import Interval
from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.evaluate.intervals import Regions
from dnaannot.evaluate.loci import Verdict, choose_loci, find_loci


def model(intervals, strand="+", sequence="s", **changes):
    strand = Strand(strand)
    return Transcript(sequence, strand, with_phases(intervals, strand), **changes)


some_models = st.lists(
    st.builds(
        lambda start, length, strand, sequence: model([(start, start + length)], strand, sequence),
        st.integers(0, 60),
        st.integers(1, 15),
        st.sampled_from("+-"),
        st.sampled_from("st"),
    ),
    max_size=7,
)


@settings(deadline=None)
@given(some_models, some_models)
def test_loci_lie_apart_and_hold_every_model(predicted, reference):
    loci = find_loci(predicted, reference)
    for left, right in pairwise(loci):
        assert left.sequence < right.sequence or left.end <= right.start
    for side, models in (("predicted", predicted), ("reference", reference)):
        held = [each for locus in loci for each in getattr(locus, side)]
        assert set(held) == set(models)
    for locus in loci:
        models = locus.predicted + locus.reference
        assert (locus.start, locus.end) == (
            min(each.start for each in models),
            max(each.end for each in models),
        )
        covered = {base for each in models for base in range(each.start, each.end)}
        assert covered == set(range(locus.start, locus.end))


def test_verdicts():
    alike, missed, extra = model([(0, 9)]), model([(20, 29)]), model([(40, 49)])
    isoform = model([(60, 69), (72, 81)], gene="g", name="g1")
    other_isoform = model([(60, 69), (75, 81)], gene="g", name="g2")
    reference = [alike, missed, isoform, other_isoform, model([(90, 120)])]
    predicted = [alike, extra, other_isoform, model([(90, 123)])]
    assert [locus.verdict for locus in find_loci(predicted, reference)] == [
        Verdict.RIGHT,
        Verdict.MISSED,
        Verdict.EXTRA,
        Verdict.RIGHT,
        Verdict.DIFFERENT,
    ]


def test_a_locus_across_a_region_boundary_is_left_out():
    reference = [model([(0, 30)]), model([(40, 70)])]
    loci = find_loci([], reference, Regions.of_intervals([Interval("s", 10, 100)]))
    assert [locus.start for locus in loci] == [40]


def test_the_choice_shows_every_verdict_and_is_spread_by_share():
    right = [model([(100 * i, 100 * i + 30)]) for i in range(200)]
    missed = [model([(100 * i, 100 * i + 30)], sequence="z") for i in range(3)]
    loci = find_loci(right, right + missed)
    chosen = choose_loci(loci, 10)
    assert len(chosen) == 10
    assert [locus.verdict for locus in chosen] == [Verdict.RIGHT] * 9 + [Verdict.MISSED]
    steps = [right.start - left.start for left, right in pairwise(chosen[:9])]
    assert max(steps) - min(steps) <= 100
    assert len(choose_loci(loci[:4], 10)) == 4


def test_a_long_locus_is_shown_only_where_there_is_no_other_of_its_kind():
    long, short = model([(0, 9), (99_000, 99_009)]), model([(200_000, 200_030)])
    assert [each.start for each in choose_loci(find_loci([], [long, short]), 1)] == [200_000]
    assert [each.start for each in choose_loci(find_loci([], [long]), 1)] == [0]
