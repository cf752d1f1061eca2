"""What several seeds say together: means, and how sure they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95
_GRID = 40_001


class Estimate(NamedTuple):
    """A mean over seeds with Student's confidence interval.

    Attributes:
        mean: of the values.
        low, high: bounds of the 95 % interval; NaN where there is a single value.
        seeds: number of values.
    """

    mean: float
    low: float
    high: float
    seeds: int

    def facts(self) -> dict[str, float | None]:
        """As JSON has it: None where there is no interval."""
        return {k: None if math.isnan(v) else v for k, v in self._asdict().items()}

    def text(self, digits: int = 3) -> str:
        """`0.512 [0.490, 0.534]`; without an interval where there is none."""
        if math.isnan(self.low):
            return f"{self.mean:.{digits}f}"
        return f"{self.mean:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Mean of values that differ by their seed alone.

    Raises:
        ValueError: there are none.
    """
    if not values:
        raise ValueError("no values")
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    half = _t_quantile((1 + CONFIDENCE) / 2, n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """Mean of `ours - theirs`, values of the same seed side by side.

    Raises:
        ValueError: there are none, or not equally many.
    """
    return estimate([one - other for one, other in zip(ours, theirs, strict=True)])


def _t_quantile(probability: float, freedom: int) -> float:
    """Quantile over .5 of Student's t, by integrating its density.

    With x = sqrt(freedom) tan(a) the density is proportional to cos(a) ** (freedom - 1).
    """
    angles = np.linspace(0, math.pi / 2, _GRID)
    heights = np.cos(angles) ** (freedom - 1)
    below = np.concatenate(([0.0], np.cumsum((heights[1:] + heights[:-1]) / 2)))
    angle = float(np.interp(2 * probability - 1, below / below[-1], angles))
    return math.sqrt(freedom) * math.tan(angle)
