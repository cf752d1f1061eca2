from __future__ import annotations

import pytest

from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError
from dnaannot.training.run import _without_folders, folder_and_name
from dnaannot.training.splits import check_held_out, last_tenth, split


def test_what_is_excluded_is_in_neither_part():
    validation, excluded = [Interval("c", 40, 80)], [Interval("c", 50, 60), Interval("d", 0, 9)]
    parts = split("c", 100, validation, excluded)
    assert parts.held_out == [(40, 50), (60, 80)]
    assert parts.train == [(0, 40), (80, 100)]
    assert split("d", 9, validation, excluded) == ([], [])
    first = split("c", 100, [Interval("c", 70, 80), Interval("c", 30, 40)], [Interval("c", 5, 10)])
    assert first.train == [(0, 5), (10, 30), (40, 70), (80, 100)]
    assert sorted(first.held_out) == [(30, 40), (70, 80)]


def test_regions_that_overlap_are_held_out_once():
    wanted = [Interval("c", 40, 80), Interval("c", 60, 90), Interval("c", 40, 80)]
    parts = split("c", 100, wanted, [Interval("c", 50, 55)])
    assert parts.held_out == [(40, 50), (55, 90)]
    assert parts.train == [(0, 40), (90, 100)]


def test_validation_by_default_keeps_off_sequences_with_excluded_regions():
    lengths = {"long": 1000, "short": 500}
    assert last_tenth(lengths) == Interval("long", 900, 1000)
    assert last_tenth(lengths, [Interval("long", 0, 10)]) == Interval("short", 450, 500)


@pytest.mark.parametrize(
    "excluded",
    [
        [(0, 10)],
        [(900, 1000)],
        [(910, 2000), (400, 420)],
        [(940, 970), (995, 1000)],
        [(980, 1000), (950, 990)],
    ],
)
def test_validation_by_default_is_a_tenth_of_what_is_not_excluded(excluded):
    regions = [Interval("long", *span) for span in excluded]
    found = last_tenth({"long": 1000, "short": 400}, [*regions, Interval("short", 0, 10)])
    assert found.sequence == "long"
    outside = set(range(1000)).difference(*(range(*span) for span in excluded))
    held_out = split("long", 1000, [found], regions).held_out
    bases = {base for span in held_out for base in range(*span)}
    assert len(bases) == len(outside) // 10
    assert bases == set(sorted(outside)[-len(bases) :])


def test_a_sequence_excluded_whole_has_no_validation():
    whole = [Interval("c", 0, 100)]
    assert split("c", 100, [last_tenth({"c": 100}, whole)], whole) == ([], [])
    with pytest.raises(DataError, match="nothing is held out"):
        check_held_out([])


def test_cards_name_no_folders():
    assert _without_folders("/home/someone/data/fly/genome.fa") == "fly/genome.fa"
    assert (
        _without_folders("--encoder=/home/someone/e.safetensors")
        == "--encoder=someone/e.safetensors"
    )
    assert _without_folders("../../lab/peaks/k.bed") == "peaks/k.bed"
    assert _without_folders("chr1:1-100") == "chr1:1-100"
    assert _without_folders("--task=ctcf*=ctcf") == "--task=ctcf*=ctcf"
    assert _without_folders("a.fa=/home/someone/x/held.bed") == "a.fa=x/held.bed"
    assert folder_and_name("/lab/genomes/a.fa=/lab/held.bed") == "genomes/a.fa=lab/held.bed"
