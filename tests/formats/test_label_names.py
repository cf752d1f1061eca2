from __future__ import annotations

import pytest

from dnaannot.formats.label_names import label_name, named_task


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a/dnase__k562.narrowPeak.gz", "dnase__k562"),
        ("H3K4me3.bw", "H3K4me3"),
        ("GM12878.v2.bed", "GM12878.v2"),
        ("bed.gz", "bed"),
    ],
)
def test_label_is_named_after_its_file(file, name):
    assert label_name(file) == name


@pytest.mark.parametrize(
    ("label", "task"),
    [
        ("dnase__k562", "accessibility"),
        ("liver_ATAC-seq.rep1", "accessibility"),
        ("H3K27ac", "histone"),
        ("liver_h3k4me3", "histone"),
        ("H2A.Z", "histone"),
        ("h2az__k562", "histone"),
        ("CTCF__liver", "ctcf"),
        ("liver", None),
        ("h3", "histone"),
        ("h3_rather_long", "histone"),
        ("hek293", None),
        ("H1", None),
        ("H1__dnase", "accessibility"),
        ("H1k27me2__H1", "histone"),
        ("h1975", None),
        ("ctcf_in_atac", None),
        ("dnasel", None),
    ],
)
def test_words_of_a_name_tell_the_task(label, task):
    assert named_task(label) == task
