from __future__ import annotations

import numpy as np
import pytest

from dnaannot.dna.chunks import rechunked


@pytest.mark.parametrize("size", [1, 3, 7, 20, 50])
@pytest.mark.parametrize("borders", [[], [20], [1, 2, 3], [7, 7, 14], [0, 19]])
def test_rows_are_the_same_in_chunks_of_one_size(size, borders):
    columns = np.arange(20), np.arange(60).reshape(20, 3)
    cuts = list(zip(*(np.split(column, borders) for column in columns), strict=True))
    found = list(rechunked(cuts, size))
    for column, parts in zip(columns, zip(*found, strict=True), strict=True):
        assert (np.concatenate(parts) == column).all()
        assert [len(part) for part in parts[:-1]] == [size] * (len(parts) - 1)
        assert 0 < len(parts[-1]) <= size


def test_nothing_stays_nothing():
    assert list(rechunked([], 3)) == []
    assert list(rechunked([(np.zeros(0),)], 3)) == []
