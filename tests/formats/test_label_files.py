from __future__ import annotations

import pytest

from dnaannot.errors import InputFormatError
from dnaannot.formats.bigwig import write_bigwig
from dnaannot.formats.label_files import LabelKind, label_files, label_kind

METHYL = "chr1\t9\t10\tm\t5\t+\t9\t10\t0,0,0\t5\t80"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("chr1\t5\t9\n", LabelKind.PEAKS),
        ("track name=x\nchr1 5 9\n", LabelKind.PEAKS),
        ("chr1\t5\t9\tp\t0\t.\t1.5\t-1\t-1\t75\n", LabelKind.PEAKS),
        ("chr1\t5\t900\tt\t0\t+\t5\t900\t0\t1\t895\t0\n", LabelKind.PEAKS),
        ("#chrom\tstart\tend\tname\nchr1\t5\t9\tp\n", LabelKind.PEAKS),
        (METHYL + "\n", LabelKind.METHYLATION),
        ("#chrom\tstart\tend\tmod\n" + METHYL + "\n", LabelKind.METHYLATION),
        ("chr1\t5\t9\tpeak_7\n", LabelKind.PEAKS),
        ("chr1\t5\t9\t7\n", LabelKind.PEAKS),
        ("chrom\tstart\tend\tH3\nchr1\t0\t200\t1.0\n", LabelKind.WINDOWS),
        ("# modkit\n" + METHYL + " 4 1 0 0 0 0 0\n", LabelKind.METHYLATION),
        ("chromosome\tstart\tend\tlabel\tsplit\nchr1\t0\t9\t0,1\ttest\n", LabelKind.WINDOWS),
        ("#chrom\tstart\tend\tH3\nchr1\t0\t9\t.\n", LabelKind.WINDOWS),
    ],
)
def test_kind_is_told_by_content(tmp_path, text, kind):
    path = tmp_path / "labels"
    path.write_text(text)
    assert label_kind(path) is kind


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.bed", "track type=bedGraph\nchr1\t5\t9\t3\n"),
        ("x.bed", "track name=x type='bedGraph'\nchr1\t5\t9\t3\n"),
        ("x.bed", "chr1\t5\t9\t0.25\n"),
        ("x.bed", "chr1 5 9 1.5e-3\n"),
        ("x.bed", "chr1 5 9 1e-05\n"),
        ("x.bedGraph", "chr1\t5\t9\t3\n"),
        ("x.bdg.gz", "chr1\t5\t9\t3\n"),
    ],
)
def test_a_bedgraph_is_not_taken_for_peaks(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputFormatError, match=r"is a bedGraph.*bedGraphToBigWig"):
        label_kind(tmp_path / name)


def test_a_folder_stands_for_its_files(tmp_path):
    with pytest.raises(InputFormatError, match="holds no label file"):
        label_files(tmp_path)
    for name in ("b.bed.gz", "b.bed.gz.tbi", "a.bw", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert label_files(tmp_path) == [tmp_path / "a.bw", tmp_path / "b.bed.gz"]
    assert label_files(tmp_path / "nowhere") == [tmp_path / "nowhere"]


def test_a_pipe_is_refused(piped):
    for path in (piped("chr1\t5\t9\n"), "-"):
        with pytest.raises(InputFormatError, match="only once.*Write it to a file"):
            label_kind(path)


def test_bigwig_is_told_and_comments_alone_refused(tmp_path):
    write_bigwig(tmp_path / "x", {"chr1": 10}, [])
    assert label_kind(tmp_path / "x") is LabelKind.QUANTITY
    (tmp_path / "y").write_text("# nothing\n")
    with pytest.raises(InputFormatError, match="no labels"):
        label_kind(tmp_path / "y")
