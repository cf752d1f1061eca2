from __future__ import annotations

import errno
import gzip
import os
import re
import resource
import tempfile
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pysam
import pytest

from dnaannot.errors import OutputError
from dnaannot.formats.track_files import TRACK_FORMATS, Track
from dnaannot.formats.track_folder import TrackFolder
from dnaannot.formats.track_hub import axis_top
from dnaannot.formats.track_table import read_table

SIZES = {"b": 10_000, "empty": 10, "a": 1_003}
TRACKS = [
    Track("accessibility", "dnase__k562", "human", "probability"),
    Track("accessibility", "odd/name", "human", "signal"),
]


def sites(step=128):
    """(sequence, starts, ends, values) with gaps, a clipped last bin, two tracks."""
    random = np.random.default_rng(0)
    for name in ("b", "a"):
        starts = np.arange(0, SIZES[name], step)
        ends = np.minimum(starts + step, SIZES[name])
        kept = random.random(len(starts)) < 0.8
        kept[-1] = True
        yield name, starts[kept], ends[kept], random.random((kept.sum(), 2), np.float32)


def folder_of(path, form="bigwig", tracks=TRACKS, sizes=SIZES, **options):
    return TrackFolder(path, tracks, form, sizes, "every 128 bp", **options)


def write(path, form="bigwig", data=None, **options):
    with folder_of(path, form, **options).open() as writer:
        for part in data if data is not None else sites():
            half = len(part[1]) // 2
            writer.add(part[0], *(array[:half] for array in part[1:]))
            writer.add(part[0], *(array[half:] for array in part[1:]))


def expected(column, data=None):
    return [
        (name, int(start), int(end), float(value))
        for name, starts, ends, values in (data if data is not None else sites())
        for start, end, value in zip(starts, ends, values[:, column], strict=True)
    ]


def unpacked(path):
    return gzip.decompress(Path(path).read_bytes()).decode().splitlines()


def left(path):
    return sorted(os.listdir(path))


BIGWIGS = ["accessibility.dnase__k562.human.bw", "accessibility.odd_name.human.bw"]


@pytest.mark.parametrize("kind", ["grid", "cpg"])
def test_bigwigs_read_back_are_what_was_written(tmp_path, kind):
    data = list(sites())
    if kind == "cpg":
        starts = np.flatnonzero(np.random.default_rng(1).random(3_000) < 0.1) * 3
        data = [("b", starts, starts + 2, np.random.default_rng(2).random((len(starts), 2)) * 100)]
        data[0] = (*data[0][:3], data[0][3].astype(np.float32))
    write(tmp_path / "out", data=data, assembly="hg38")
    assert left(tmp_path / "out") == [*BIGWIGS, "hub.txt", "tracks.tsv"]
    for column, name in enumerate(BIGWIGS):
        path = str(tmp_path / "out" / name)
        with pyBigWig.open(path) as track:
            assert track.chroms() == SIZES
            assert track.header()["nLevels"] > 0
            found = [(s, *x) for s in SIZES for x in track.intervals(s) or ()]
        assert found == expected(column, data)
        rust = pybigtools.open(path)
        assert rust.chroms() == SIZES
        assert rust.zooms()
        again = [(s, *x) for s in SIZES for x in rust.records(s)]
        assert again == expected(column, data)


def test_bedgraph_is_indexed_and_says_the_same(tmp_path):
    write(tmp_path / "out", "bedgraph")
    names = [name.replace(".bw", ".bedgraph.gz") for name in BIGWIGS]
    assert left(tmp_path / "out") == sorted([*names, *(f"{n}.tbi" for n in names), "tracks.tsv"])
    for column, name in enumerate(names):
        path = str(tmp_path / "out" / name)
        rows = [line.split("\t") for line in unpacked(path)]
        found = [(r[0], int(r[1]), int(r[2]), float(r[3])) for r in rows]
        assert [row[:3] for row in found] == [row[:3] for row in expected(column)]
        np.testing.assert_allclose([r[3] for r in found], [r[3] for r in expected(column)], 1e-5)
        inside = list(pysam.TabixFile(path).fetch("a", 900, SIZES["a"]))
        assert len(inside) == len([r for r in found if r[0] == "a" and r[2] > 900])


def test_tsv_and_npz_hold_all_tracks(tmp_path):
    for form in ("tsv", "npz"):
        write(tmp_path / form, form)
    assert left(tmp_path / "tsv") == [
        "accessibility.human.tsv.gz",
        "accessibility.human.tsv.gz.tbi",
        "tracks.tsv",
    ]
    assert left(tmp_path / "npz") == ["accessibility.human.npz", "tracks.tsv"]
    header, *lines = unpacked(tmp_path / "tsv" / "accessibility.human.tsv.gz")
    assert header == "#chrom\tstart\tend\tdnase__k562\todd/name"
    with np.load(tmp_path / "npz" / "accessibility.human.npz") as arrays:
        names = arrays["sequences"][arrays["sequence"]]
        places = list(zip(names, arrays["start"], arrays["end"], strict=True))
        assert arrays["labels"].tolist() == ["dnase__k562", "odd/name"]
        values = arrays["values"]
    for column in (0, 1):
        assert places == [row[:3] for row in expected(column)]
        assert values[:, column].tolist() == [row[3] for row in expected(column)]
    rows = [line.split("\t") for line in lines]
    assert [(r[0], int(r[1]), int(r[2])) for r in rows] == places
    np.testing.assert_allclose([[float(c) for c in r[3:]] for r in rows], values, 1e-5)


@pytest.mark.parametrize("form", TRACK_FORMATS)
def test_no_values(tmp_path, form):
    write(tmp_path / "out", form, data=[])
    assert {row.values for row in read_table(tmp_path / "out")} == {"0"}


def test_the_table_says_what_each_file_is(tmp_path):
    write(tmp_path / "out", assembly="hg38")
    rows = read_table(tmp_path / "out")
    assert [row.file for row in rows] == [*BIGWIGS, "hub.txt"]
    first = rows[0]
    assert first[1:7] == ("bigwig", *TRACKS[0], "every 128 bp")
    values = [row[3] for row in expected(0)]
    assert int(first.values) == len(values)
    summary = [float(first.mean), float(first.least), float(first.most)]
    assert summary == pytest.approx([np.mean(values), min(values), max(values)], rel=1e-3)
    assert int(first.genome_bases) == sum(SIZES.values())


def test_the_hub_names_every_bigwig_of_the_folder(tmp_path):
    write(tmp_path / "out", assembly="hg38")
    more = [Track("methylation", "imr90", "cpgs", "percent")]
    data = [("b", np.array([4]), np.array([6]), np.array([[80]], np.float32))]
    write(tmp_path / "out", data=data, tracks=more, assembly="hg38")
    text = (tmp_path / "out" / "hub.txt").read_text()
    stanzas = [dict(x.split(" ", 1) for x in s.splitlines()) for s in text.strip().split("\n\n")]
    assert stanzas[0]["useOneFile"] == "on"
    assert stanzas[1] == {"genome": "hg38"}
    names = [*BIGWIGS, "methylation.imr90.cpgs.bw"]
    assert [s["bigDataUrl"] for s in stanzas[2:]] == names
    most = max(row[3] for row in expected(1))
    assert [s["type"] for s in stanzas[2:]] == [
        "bigWig 0 1",
        f"bigWig 0 {most:.4g}",
        "bigWig 0 100",
    ]
    assert len({s["track"] for s in stanzas[2:]}) == 3
    assert all(len(s["shortLabel"]) <= 17 and len(s["longLabel"]) <= 76 for s in stanzas[2:])
    assert left(tmp_path / "out") == sorted([*names, "hub.txt", "tracks.tsv"])
    assert {row.file for row in read_table(tmp_path / "out")} == {*names, "hub.txt"}


def test_names_in_the_hub_are_of_plain_letters_and_differ(tmp_path):
    labels = ["CD34+", "CD34-", "CD34__2", "β cell", "γ cell"]
    tracks = [Track("accessibility", label, "human", "probability") for label in labels]
    data = [("b", np.array([0]), np.array([128]), np.ones((1, len(labels)), np.float32))]
    write(tmp_path / "out", data=data, tracks=tracks, assembly="hg38")
    names = re.findall(r"^track (.+)$", (tmp_path / "out" / "hub.txt").read_text(), re.MULTILINE)
    assert len(set(names)) == len(labels)
    assert all(re.fullmatch("[A-Za-z0-9_]+", name) for name in names)
    assert names[0] == "dnaannot_accessibility_CD34__human"


def test_a_second_run_replaces_its_own_files_alone(tmp_path):
    out = tmp_path / "out"
    write(out)
    (out / "notes.txt").write_text("mine")
    (out / "sub").mkdir()
    data = [("b", np.array([0]), np.array([128]), np.ones((1, 2), np.float32))]
    write(out, data=data)
    assert left(out) == sorted([*BIGWIGS, "notes.txt", "sub", "tracks.tsv"])
    assert (out / "notes.txt").read_text() == "mine"
    with pyBigWig.open(str(out / BIGWIGS[0])) as track:
        assert track.header()["nBasesCovered"] == 128
    assert left(tmp_path) == ["out"]


def test_a_later_run_keeps_the_assembly_of_the_hub(tmp_path):
    out = tmp_path / "out"
    write(out, assembly="dm6")
    more = [Track("methylation", "imr90", "cpgs", "percent")]
    data = [("b", np.array([4]), np.array([6]), np.array([[80]], np.float32))]
    write(out, data=data, tracks=more)
    text = (out / "hub.txt").read_text()
    assert "\ngenome dm6\n" in text
    assert "bigDataUrl methylation.imr90.cpgs.bw\n" in text
    assert [row.file for row in read_table(out)].count("hub.txt") == 1
    assert folder_of(out, tracks=more).earlier_tracks == 2
    assert folder_of(out).earlier_tracks == 1
    assert folder_of(tmp_path / "other").earlier_tracks == 0


def test_pictures_take_the_place_of_earlier_ones_of_their_task(tmp_path):
    for task, count in (("a.b", 3), ("c", 2), ("a.b", 1)):
        names = [f"preview.{task}.{n}.png" for n in range(1, count + 1)]
        with folder_of(tmp_path, pictures=names).open() as writer:
            for name in names:
                (writer.folder / name).write_text(task)
    expected = ["preview.a.b.1.png", "preview.c.1.png", "preview.c.2.png"]
    assert [name for name in left(tmp_path) if name.endswith(".png")] == expected
    rows = read_table(tmp_path)
    assert sorted(row.file for row in rows if row.what == "picture") == expected


@pytest.mark.parametrize("name", [BIGWIGS[1], "hub.txt", "tracks.tsv"])
def test_files_of_others_are_not_replaced(tmp_path, name):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine\n")
    with pytest.raises(OutputError, match="not written by this program"):
        write(out, assembly="hg38")
    assert left(out) == [name]
    assert (out / name).read_text() == "mine\n"


def test_tracks_of_two_genomes_do_not_mix(tmp_path):
    write(tmp_path / "out")
    with pytest.raises(OutputError, match="another genome"):
        folder_of(tmp_path / "out", sizes={"b": 10_001}).check()


@pytest.mark.parametrize("form", TRACK_FORMATS)
@pytest.mark.parametrize("there", [False, True])
def test_a_failure_leaves_nothing(tmp_path, form, there):
    out = tmp_path / "out"
    if there:
        write(out)
    before = {name: (out / name).read_bytes() for name in left(out)} if there else {}

    def failing():
        yield from list(sites())[:1]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(out, form, data=failing())
    assert left(tmp_path) == (["out"] if there else [])
    assert {name: (out / name).read_bytes() for name in before} == before


@pytest.fixture
def few_open_files():
    """No more than 160 until somebody asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def many_tracks(count):
    return [Track("accessibility", f"dnase__{n}", "human", "probability") for n in range(count)]


def test_more_tracks_than_files_may_be_open(tmp_path, few_open_files, monkeypatch):
    data = [("b", np.array([0]), np.array([128]), np.ones((1, 80), np.float32))]
    write(tmp_path / "out", data=data, tracks=many_tracks(80))
    assert len(left(tmp_path / "out")) == 81
    monkeypatch.setattr(resource, "getrlimit", lambda _: (160, 200))
    with pytest.raises(OutputError, match=r"288 open files.* allows 200.*--labels"):
        write(tmp_path / "more", data=data, tracks=many_tracks(80))
    assert left(tmp_path) == ["out"]


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENOSPC, errno.ENOENT])
def test_no_temporary_file_is_an_error_with_a_remedy(tmp_path, monkeypatch, error):
    made = []

    def temporary_file():
        made.append(1)
        if len(made) == 2:
            raise OSError(error, os.strerror(error))
        return open("/dev/full", "w+b")

    monkeypatch.setattr(tempfile, "TemporaryFile", temporary_file)
    with pytest.raises(OutputError, match="TMPDIR|ulimit"):
        write(tmp_path / "out")
    made[:] = [1, 1]
    with pytest.raises(OutputError, match="No space left on device.*TMPDIR"):
        write(tmp_path / "out")
    assert left(tmp_path) == []


def test_a_file_or_no_parent_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file, not a folder"):
        folder_of(tmp_path / "file").check()
    with pytest.raises(OutputError, match="folder first"):
        folder_of(tmp_path / "none" / "out").check()
    assert left(tmp_path) == ["file"]


@pytest.mark.parametrize(
    ("starts", "ends", "value"),
    [
        ([0, 100], [128, 228], 0.5),  # overlap
        ([128, 0], [256, 128], 0.5),  # order
        ([9_984], [10_112], 0.5),  # beyond the end
        ([-1], [4], 0.5),
        ([5], [5], 0.5),  # empty
        ([0], [128], np.nan),
        ([0], [128], np.inf),
    ],
)
def test_wrong_values_are_refused_before_writing(tmp_path, starts, ends, value):
    values = np.full((len(starts), 2), value, np.float32)
    with pytest.raises(ValueError, match="overlap|order|beyond|finite"):
        write(tmp_path / "out", data=[("b", np.array(starts), np.array(ends), values)])
    assert left(tmp_path) == []


def test_parts_that_overlap_or_go_back_are_refused(tmp_path):
    one = np.ones((1, 2), np.float32)
    at_128 = ("b", np.array([128]), np.array([256]), one)
    for other in (
        ("b", np.array([200]), np.array([328]), one),
        ("b", np.array([0]), np.array([9]), one),
    ):
        with pytest.raises(ValueError, match="order"):
            write(tmp_path / "out", data=[at_128, other])
    with pytest.raises(ValueError, match="order"):
        write(tmp_path / "out", data=[("a", *at_128[1:]), at_128])
    with pytest.raises(ValueError, match="no sequence"):
        write(tmp_path / "out", data=[("unknown", *at_128[1:])])


@pytest.mark.parametrize(
    ("unit", "most", "top"),
    [
        ("probability", 0.03, 0.05),
        ("probability", 0.5, 0.5),
        ("probability", 0.51, 1),
        ("probability", 0, 0.05),
        ("percent", 3, 100),
        ("signal", 37.5, 37.5),
        ("signal", 0, 1e-6),
    ],
)
def test_where_axes_end(unit, most, top):
    assert axis_top(unit, most) == top
