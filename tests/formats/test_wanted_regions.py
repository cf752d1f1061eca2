from __future__ import annotations

import pytest

from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError
from dnaannot.formats.wanted_regions import WantedRegions


def test_a_region_may_be_spelled():
    assert WantedRegions("a:11-20").on("a", 30) == [(10, 20)]
    named = WantedRegions("a")
    assert named.on("a", 30) == [(0, 30)]
    assert named.within({"a": 40}) == [Interval("a", 0, 40)]
    with pytest.raises(DataError, match=r"^a:11-20: the region ends at 20, past"):
        WantedRegions("a:11-20").check({"a": 15})
    with pytest.raises(DataError, match=r"^a:11: the region begins at 11, past the end of 'a'"):
        WantedRegions("a:11").check({"a": 10})
    assert WantedRegions("a:11").on("a", 11) == [(10, 11)]


@pytest.mark.parametrize(
    ("genome", "remedy"),
    [
        ("a", "Give the genome that the regions were made on."),
        ("B", "Write the names in the regions as the genome does: 'B'."),
    ],
)
def test_a_region_on_no_sequence_is_refused(genome, remedy):
    with pytest.raises(DataError) as raised:
        WantedRegions("b").check({genome: 15})
    told = f"b: sequence 'b' is not in the genome, which has '{genome}'. {remedy}"
    assert str(raised.value) == told
