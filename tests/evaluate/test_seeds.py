from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from dnaannot.evaluate.seeds import estimate, paired_difference


@pytest.mark.parametrize("n", [2, 3, 4, 10, 40])
def test_interval_is_students(n):
    values = np.random.default_rng(n).normal(0.5, 0.1, n)
    expected = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    found = estimate(list(values))
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-4)
    assert found.seeds == n


def test_one_seed_has_no_interval():
    found = estimate([0.25])
    assert found.mean == 0.25
    assert math.isnan(found.low)
    assert found.facts() == {"mean": found.mean, "low": None, "high": None, "seeds": 1}
    assert found.text() == "0.250"
    with pytest.raises(ValueError, match="no values"):
        estimate([])


def test_differences_are_taken_seed_by_seed():
    found = paired_difference([0.9, 0.5, 0.1], [0.8, 0.4, 0.0])
    assert found.text(2) == "0.10 [0.10, 0.10]"
    with pytest.raises(ValueError, match="zip"):
        paired_difference([1.0], [1.0, 2.0])
