from __future__ import annotations

import gzip

import numpy as np
import pytest

from dnaannot.errors import InputFormatError
from dnaannot.formats.peaks import least_coverage, read_peaks

NARROW = (
    "browser position chr1:1-100\n"
    'track type=narrowPeak name="a b"\n'
    "# made by hand\n"
    "chr2\t5\t9\tp\t0\t.\t1.5\t-1\t-1\t75\n"
    "chr1\t30\t40\tp\t0\t.\t1.5\t-1\t-1\t75\n"
    "chr1\t10\t20\tp\t0\t.\t1.5\t-1\t-1\t75\n"
    "chr1\t15\t25\tp\t0\t.\t1.5\t-1\t-1\t75\n"
    "chr1\t25\t26\tp\t0\t.\t1.5\t-1\t-1\t75\n"
)


@pytest.mark.parametrize("compressed", [False, True])
def test_overlapping_unsorted_peaks_become_disjoint_intervals(tmp_path, compressed):
    path = tmp_path / "x.narrowPeak.gz"
    path.write_bytes(gzip.compress(NARROW.encode()) if compressed else NARROW.encode())
    peaks = read_peaks(path)
    assert {name: each.tolist() for name, each in peaks.items()} == {
        "chr2": [[5, 9]],
        "chr1": [[10, 26], [30, 40]],
    }
    assert peaks["chr1"].dtype == np.int64


def test_reversed_interval_is_refused_with_its_line(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("chr1\t1\t2\nchr1\t9\t4\n")
    with pytest.raises(InputFormatError, match=r"x\.bed, line 2: The end, 4, is not beyond"):
        read_peaks(path)


@pytest.mark.parametrize(
    ("is_histone", "coverage", "least"),
    [(False, None, 50), (True, None, 100), (True, 0.25, 50), (False, 1.0, 200), (True, 60.0, 60)],
)
def test_coverage_is_bases_or_a_share_of_the_window(is_histone, coverage, least):
    assert least_coverage(200, is_histone, coverage) == least
