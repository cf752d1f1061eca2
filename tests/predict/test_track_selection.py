from __future__ import annotations

import numpy as np
import pytest

from dnaannot.errors import DataError
from dnaannot.formats.wanted_regions import WantedRegions
from dnaannot.predict.track_preview import Preview
from dnaannot.predict.track_selection import Selection
from dnaannot.predict.tracks import Values

SIZES = {"a": 50_000, "b": 900}


@pytest.fixture
def wanted(tmp_path):
    (tmp_path / "x.bed").write_text("a\t30000\t30100\na\t10\t20\na\t30050\t30200\n")
    return WantedRegions(str(tmp_path / "x.bed"))


def values(sequence="a"):
    starts = np.arange(0, SIZES[sequence], 100)
    return Values(sequence, starts, starts + 100, starts[:, None].astype(float), 0)


def test_without_regions_all_is_worked_through_and_written():
    selection = Selection(None)
    assert selection.worked("a", 50_000) is None
    assert selection.written(values()).starts.tolist() == values().starts.tolist()


def test_regions_select(wanted):
    selection = Selection(wanted)
    assert selection.worked("a", 50_000).tolist() == [[10, 20], [30_000, 30_200]]
    assert selection.worked("b", 900).tolist() == []
    written = selection.written(values())
    assert written.starts.tolist() == [0, 30_000, 30_100]
    assert written.values[:, 0].tolist() == [0, 30_000, 30_100]
    assert selection.written(values("b")).starts.tolist() == []


def test_what_is_shown_beside_is_not_written(wanted):
    selection = Selection(wanted, Preview(wanted.regions, SIZES, "x"))
    assert selection.worked("a", 50_000).tolist() == [[0, 20_000], [20_050, 40_050]]
    assert selection.written(values()).starts.tolist() == [0, 30_000, 30_100]


def test_regions_past_the_end_are_refused(wanted):
    with pytest.raises(DataError, match="past the end of 'a'"):
        Selection(wanted).worked("a", 30_000)
