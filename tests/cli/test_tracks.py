"""`dnaannot tracks` from FASTA and BED to a folder, with small models on real sequence."""

from __future__ import annotations

import itertools
import os
import re
from pathlib import Path

import numpy as np
import pybigtools
import pyBigWig
import pysam
import pytest

from dnaannot import catalog
from dnaannot.catalog import Entry
from dnaannot.dna.sequence import decode, encode
from dnaannot.dna.signature import signature
from dnaannot.formats.track_table import read_table
from dnaannot.nn.checkpoint import model_bytes, read_facts
from dnaannot.predict.scorer import Compute
from dnaannot.predict.tracks import Cpgs, Grid, TrackPredictor

REGIONS = "chr2\t100\t612\nchr1\t9000\t9512\nchr1\t0\t10\nchr1\t8900\t9100\nchr1\t14990\t15000\n"
BIGWIGS = ["accessibility.dnase__k562.grid.bw", "accessibility.dnase__liver.grid.bw"]


@pytest.fixture(scope="module")
def sequences(fly_codes):
    letters = {"chr1": decode(fly_codes[:15_000]), "chr2": decode(fly_codes[20_000:21_000])}
    return {**letters, "chr3": "N" * 600}


@pytest.fixture
def folder(tmp_path, monkeypatch, sequences):
    """An empty working folder but for `genome.fa` and `regions.bed`; no settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("DNAANNOT_GENOME", raising=False)
    text = "".join(f">{name} text\n{letters}\n" for name, letters in sequences.items())
    (tmp_path / "genome.fa").write_text(text)
    (tmp_path / "regions.bed").write_text(REGIONS)
    return tmp_path


@pytest.fixture
def tracks(run, folder, track_model_files):
    """Run `dnaannot tracks` with the small model on a grid, on one thread."""

    def run_tracks(*arguments, model="grid", genome=("-g", "genome.fa")):
        given = ("--model", track_model_files[model]) if model else ()
        task = ("--task", "methylation" if model == "cpg" else "accessibility")
        common = ("--device", "cpu", "--precision", "fp32", "--threads", 1, *task, *given, *genome)
        done = run("tracks", *common, *arguments)
        assert "internal error" not in done.stderr
        return done

    return run_tracks


@pytest.fixture(scope="module")
def expected(sequences, grid_model, cpg_model):
    """{kind: [(sequence, start, end, values)]} as the models give them."""
    genome = [(name, encode(letters.encode())) for name, letters in sequences.items()]
    found = {}
    for kind, model, sites in (("grid", grid_model, Grid()), ("cpg", cpg_model, Cpgs())):
        chosen = [i for i, label in enumerate(model.tracks) if label.task != "ctcf"]
        predictor = TrackPredictor(model, sites, Compute(), chosen=chosen)
        found[kind] = [
            (part.sequence, int(start), int(end), values.tolist())
            for part in predictor.predict(genome)
            for start, end, values in zip(*part[1:4], strict=True)
        ]
    return found


def read(path, column, reader=pyBigWig):
    track = reader.open(str(path))
    get = track.intervals if reader is pyBigWig else track.records
    return [(name, *x) for name in track.chroms() for x in get(name) or ()]


def of_column(rows, column):
    return [(*row[:3], row[3][column]) for row in rows]


def in_regions(rows):
    regions = [line.split("\t") for line in REGIONS.splitlines()]
    return [
        row
        for row in rows
        if any(row[0] == r[0] and row[1] < int(r[2]) and row[2] > int(r[1]) for r in regions)
    ]


def left(path="."):
    return sorted(os.listdir(path))


def refused(done, *words, status=1):
    assert done.status == status, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.stderr
    assert "Traceback" not in done.stderr


# --- output ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [pyBigWig, pybigtools], ids=["pyBigWig", "pybigtools"])
def test_bigwigs_hold_the_models_values(tracks, expected, sequences, reader):
    assert tracks().status == 0
    assert left("tracks") == [*BIGWIGS, "tracks.tsv"]
    for column, name in enumerate(BIGWIGS):
        path = Path("tracks") / name
        assert read(path, column, reader) == of_column(expected["grid"], column)
        assert reader.open(str(path)).chroms() == {n: len(x) for n, x in sequences.items()}


def test_methylation_stands_at_cpgs_in_percent(tracks, expected):
    assert tracks(model="cpg").status == 0
    found = read("tracks/methylation.imr90.cpg.bw", 0)
    assert found == of_column(expected["cpg"], 0)
    assert 1 < max(row[3] for row in found) <= 100
    assert [row[5:7] for row in read_table("tracks")] == [("percent", "CpG")]


@pytest.mark.parametrize("kind", ["grid", "cpg"])
def test_regions_only_select(tracks, folder, expected, kind):
    tracks("regions.bed", model=kind)
    wanted = in_regions(expected[kind])
    assert 5 < len(wanted) < len(expected[kind])
    name = BIGWIGS[0] if kind == "grid" else "methylation.imr90.cpg.bw"
    assert read(f"tracks/{name}", 0) == of_column(wanted, 0)
    first = (folder / "tracks" / name).read_bytes()
    lines = REGIONS.splitlines(keepends=True)
    (folder / "shuffled.bed").write_text("".join(lines[::-1] + lines[:2]))
    tracks("shuffled.bed", "-o", "other", "--threads", 3, model=kind)
    assert (folder / "other" / name).read_bytes() == first


def test_an_index_of_the_genome_changes_nothing(tracks, folder):
    tracks("regions.bed")
    pysam.faidx("genome.fa")
    tracks("regions.bed", "-o", "other")
    for name in (*BIGWIGS, "tracks.tsv"):
        assert (folder / "tracks" / name).read_bytes() == (folder / "other" / name).read_bytes()


def test_beds_of_all_kinds(tracks, folder, expected):
    head = "browser position chr1:1-2\ntrack name=x\n# text\nchrom\tstart\tend\n\n"
    (folder / "dressed.bed").write_text(head + REGIONS.replace("\n", "\r\n"))
    pysam.tabix_compress("regions.bed", "regions.bed.gz")
    for number, bed in enumerate(("dressed.bed", "regions.bed.gz")):
        assert tracks(bed, "-o", f"out{number}").status == 0
        found = read(f"out{number}/{BIGWIGS[0]}", 0)
        assert found == of_column(in_regions(expected["grid"]), 0)


def test_other_formats_and_labels(tracks, expected):
    assert tracks("--format", "npz", "--labels", "LIVER").status == 0
    with np.load("tracks/accessibility.grid.npz") as arrays:
        assert arrays["labels"].tolist() == ["dnase__liver"]
        assert arrays["values"][:, 0].tolist() == [row[3][1] for row in expected["grid"]]
    assert tracks("--format", "tsv", "--step", "1k").status == 0
    assert left("tracks") == [
        "accessibility.grid.npz",
        "accessibility.grid.tsv.gz",
        "accessibility.grid.tsv.gz.tbi",
        "tracks.tsv",
    ]
    assert {row.sites for row in read_table("tracks")} == {"every 128 bp", "every 1000 bp"}


def test_both_strands_differ_but_little_from_one(tracks, expected):
    assert tracks("--both-strands").status == 0
    found = read(f"tracks/{BIGWIGS[0]}", 0)
    assert [row[:3] for row in found] == [row[:3] for row in expected["grid"]]
    one = of_column(expected["grid"], 0)
    assert found != one
    assert [row[3] for row in found] == pytest.approx([row[3] for row in one], abs=0.25)


def test_summary_goes_to_stderr(tracks, folder):
    done = tracks()
    assert done.stdout == ""
    assert "model: grid; 2 tracks" in done.stderr
    assert "tracks: 2 tracks of 126 values; 16.6 kb in 0:0" in done.stderr
    assert "--assembly" in done.stderr
    assert tracks("-q")[1:] == ("", "")


def test_a_hub_where_the_assembly_is_told(tracks):
    assert "--assembly" not in tracks("--assembly", "dm6").stderr
    text = Path("tracks/hub.txt").read_text()
    assert "genome dm6\n" in text
    assert all(f"bigDataUrl {name}\n" in text for name in BIGWIGS)


def test_pictures(tracks, folder, expected):
    from matplotlib.image import imread

    gff = (
        "chr1\t.\tCDS\t9001\t9300\t.\t+\t0\tParent=m1\nchr1\t.\tmRNA\t9001\t9300\t.\t+\t.\tID=m1\n"
    )
    (folder / "genes.gff3").write_text("##gff-version 3\n" + gff)
    tracks("regions.bed", "--plot", "--genes", "genes.gff3")
    pictures = [f"preview.accessibility.{number}.png" for number in (1, 2)]
    assert left("tracks") == [*BIGWIGS, *pictures, "tracks.tsv"]
    assert read(f"tracks/{BIGWIGS[0]}", 0) == of_column(in_regions(expected["grid"]), 0)
    with_genes = imread(f"tracks/{pictures[1]}")
    assert with_genes[..., :3].std() > 0.05
    assert tracks("--plot", "-o", "whole").status == 0
    assert left("whole") == [*BIGWIGS, pictures[0], "tracks.tsv"]
    assert imread(f"whole/{pictures[0]}").shape[0] < with_genes.shape[0]


def test_pictures_call_genes_by_the_names_of_a_gtf(tracks, folder, monkeypatch):
    names = []
    monkeypatch.setattr(
        "dnaannot.formats.track_plot.draw_view",
        lambda path, view, _: path.write_bytes(b"") or names.extend(g.name for g in view.genes),
    )
    ids = 'gene_id "G1"; transcript_id "T1";'
    (folder / "genes.gtf").write_text(
        'chr1\t.\tgene\t9001\t9300\t.\t+\t.\tgene_id "G1"; gene_name "Adh";\n'
        f"chr1\t.\ttranscript\t9001\t9300\t.\t+\t.\t{ids}\n"
        f"chr1\t.\tCDS\t9001\t9300\t.\t+\t0\t{ids}\n"
    )
    assert tracks("chr1:9,001-9,512", "--plot", "--genes", "genes.gtf").status == 0
    assert names == ["Adh"]


# --- genome and model -----------------------------------------------------------------------


def test_the_genome_comes_from_any_of_three_places(tracks, run, monkeypatch, folder):
    done = tracks(genome=())
    refused(done, "-g GENOME.fa", "DNAANNOT_GENOME", "dnaannot config set genome", status=2)
    assert left() == ["genome.fa", "regions.bed"]
    assert run("config", "set", "genome", "genome.fa").status == 0
    monkeypatch.chdir(folder / "settings")
    done = tracks(genome=())
    assert done.status == 0
    assert f"genome: {folder / 'genome.fa'} (from `dnaannot config`)\n" in done.stderr
    monkeypatch.setenv("DNAANNOT_GENOME", "elsewhere.fa")
    told = "genome: elsewhere.fa (from DNAANNOT_GENOME)"
    refused(tracks(genome=()), told, "elsewhere.fa: There is no such file")
    done = tracks(genome=("-g", folder / "genome.fa"))
    assert done.status == 0
    assert "genome:" not in done.stderr


def test_the_bundled_model_of_the_task_is_taken(tracks, track_model_files, monkeypatch):
    entries = [Entry(n, path, read_facts(path)) for n, path in track_model_files.items()]
    monkeypatch.setattr(
        catalog, "bundled", lambda task=None: [e for e in entries if task in (None, *e.tasks)]
    )
    assert "model: grid" in tracks(model=None).stderr
    assert left("tracks") == [*BIGWIGS, "tracks.tsv"]
    refused(tracks("--task", "histone", model=None), "no bundled model", "dnaannot train tracks")


def signed(path, model, codes, spread=0.3):
    """The file of a model whose card says that it was trained on a genome of these codes."""
    card = {"species": ["Musca nullius"], "signature_spreads": {"g.fa": spread}}
    card["signatures"] = {"g.fa": signature([codes]).tolist()}
    path.write_bytes(model_bytes(model, card))
    return path


def test_the_model_of_the_nearest_genome_is_taken(
    tracks, folder, grid_model, fly_codes, track_model_files, tmp_path_factory, monkeypatch
):
    elsewhere = tmp_path_factory.mktemp("bundle")
    files = {
        "a": track_model_files["grid"],
        "far": signed(elsewhere / "far.safetensors", grid_model, np.arange(9000) % 4),
        "near": signed(elsewhere / "near.safetensors", grid_model, fly_codes[50_000:]),
    }
    entries = [Entry(name, path, read_facts(path)) for name, path in files.items()]
    monkeypatch.setattr(catalog, "bundled", lambda task=None: entries)
    told = []
    (folder / "short.bed").write_text("chr2\t0\t100\n")
    for index, regions in itertools.product((False, True), ((), ("short.bed",))):
        if index:
            pysam.faidx("genome.fa")
        done = tracks("-o", f"{index}{len(regions)}", *regions, model=None)
        assert "model: near; 2 tracks\n" in done.stderr
        told += [line for line in done.stderr.splitlines() if "signatures" in line]
    assert len(told) == 4
    assert set(told) == {told[0]}
    distances = re.fullmatch(
        r"distance of genomic signatures: near (.*), far (.*), a inf", told[0]
    ).groups()
    assert float(distances[0]) < 1 < float(distances[1])
    monkeypatch.setattr(catalog, "bundled", lambda task=None: entries[:1] * 2)
    assert "signatures" not in tracks(model=None).stderr


def test_a_genome_far_from_the_training_is_told(run, folder, grid_model, fly_codes, monkeypatch):
    monkeypatch.setattr("dnaannot.predict.nearest.FAR_BASES", 20_000)
    far = signed(folder / "far.safetensors", grid_model, np.arange(9000) % 4)
    near = signed(folder / "near.safetensors", grid_model, fly_codes[50_000:], 0.8)
    warned = {}
    for length, path in itertools.product((19_000, 30_000), (near, far)):
        (folder / "genome.fa").write_text(f">s\n{decode(fly_codes[:length])}\n")
        given = ("-g", "genome.fa", "--model", path, "-o", f"{length}{path.stem}")
        done = run("tracks", "s:1-100", *given, "-q", "--threads", 1)
        assert done.status == 0
        warned[length, path.stem] = done.stderr
    assert re.fullmatch(
        r"warning: the genome is far \(\d+\.\d\d\) from what far was trained on \(Musca nullius\): "
        r"its tracks may mean little here\. Train .*: dnaannot train tracks --help\n",
        warned.pop((30_000, "far")),
    )
    assert set(warned.values()) == {""}


def test_genes_of_another_genome_are_refused(tracks, folder):
    (folder / "genes.gff3").write_text(
        "I\t.\tmRNA\t1\t90\t.\t+\t.\tID=m\nI\t.\tCDS\t1\t90\t.\t+\t0\tParent=m\n"
    )
    refused(tracks("--plot", "--genes", "genes.gff3"), "genes.gff3", "None of its sequences")
    assert left() == ["genes.gff3", "genome.fa", "regions.bed"]


def test_an_assembly_of_other_lengths_is_told(tracks, monkeypatch):
    monkeypatch.setattr("dnaannot.formats.assemblies.guess_assembly", lambda sizes: "dm6")
    done = tracks("regions.bed", "--assembly", "mm10")
    assert "warning: by its lengths the genome is dm6, not mm10" in done.stderr


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--labels", "k562,nonsense"), ["no label 'nonsense'", "dnase__k562, dnase__liver"]),
        (("--task", "histone"), ["accessibility and ctcf, not for histone"]),
        (("--model", "nonsense"), ["no model named 'nonsense'"]),
        (("--genes", "missing.gff3", "--plot"), ["missing.gff3", "no such file"]),
        (("-o", "genome.fa"), ["genome.fa", "file, not a folder"]),
        (("-o", "none/out"), ["none/out", "folder first"]),
    ],
)
def test_what_does_not_fit_is_refused(tracks, folder, options, words):
    refused(tracks(*options), *words)
    assert left() == ["genome.fa", "regions.bed"]


def test_gene_models_are_refused(tracks, tiny_model_file):
    refused(tracks("--model", tiny_model_file), "for 'genes', not for tracks")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--genes", "x.gff3"), "--plot"),
        (("--labels", ","), "--labels"),
        (("--assembly", "hg38 b"), "--assembly"),
        (("-o", ""), "--output"),
        (("-o", "-"), "--output"),
        (("--step", "0"), "--step"),
        (("--format", "wig"), "--format"),
    ],
)
def test_options_that_make_no_sense_are_refused(tracks, options, word):
    refused(tracks(*options), word, status=2)


def test_no_task_and_no_step_at_cpgs(run, tracks, folder):
    refused(run("tracks", "-g", "genome.fa"), "--task, --model or both", status=2)
    refused(tracks("--step", "100", model="cpg"), "--step", "CpGs", status=2)


# --- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bed", "words"),
    [
        (None, ["no such file"]),
        ("", ["empty"]),
        ("track name=x\n", ["no intervals"]),
        (
            "chr9\t1\t9\n",
            ["line 1", "'chr9' is not in the genome", "'chr1', 'chr2', 'chr3'", "Give the"],
        ),
        ("#\n2\t1\t9\n", ["line 2", "'2'", "as the genome does: 'chr2'"]),
        ("chr2\t1\t1001\n", ["line 1", "past the end of 'chr2' (1,000 bases)", "Give the"]),
        ("chr2\t9\t3\n", ["line 1", "not beyond the start"]),
        ("chr2\t-1\t3\n", ["line 1", "below 0"]),
        ("chr2\t9\n", ["line 1", "2 columns"]),
        ("chr3\t0\t600\n", ["no known base in these regions"]),
    ],
)
def test_bad_regions_leave_nothing(tracks, folder, bed, words):
    if bed is None:
        (folder / "regions.bed").unlink()
    else:
        (folder / "regions.bed").write_text(bed)
    before = left()
    refused(tracks("regions.bed"), "regions.bed", *words)
    assert left() == before


@pytest.mark.parametrize("is_indexed", [False, True])
def test_a_region_is_a_name_with_colons(tracks, folder, expected, is_indexed):
    (folder / "genome.fa").write_text((folder / "genome.fa").read_text().replace("chr2", "H:1:01"))
    if is_indexed:
        pysam.faidx("genome.fa")
    assert tracks("H:1:01").status == 0
    found = read(f"tracks/{BIGWIGS[0]}", 0)
    alone = [row for row in expected["grid"] if row[0] == "chr2"]
    assert [row[1:] for row in found] == [row[1:] for row in of_column(alone, 0)]


def test_names_without_chr_are_pointed_out(tracks, folder):
    (folder / "genome.fa").write_text(">1\nACGTACGT\n")
    refused(tracks("regions.bed"), "'chr2'", "'1'")
    (folder / "regions.bed").write_text("chr1\t1\t3\n")
    refused(tracks("regions.bed"), "as the genome does: '1'")


@pytest.mark.parametrize(
    ("content", "model", "words"),
    [
        (">a\nACCTTTGGGAAATTTCCC\n", "cpg", ["no CpG in this genome"]),
        (">a\nNNNNNNNN\n", "grid", ["no known base in this genome"]),
        (">a\nACGT\n>b\nAC*T\n", "grid", ["genome.fa, line 4"]),
        ("", "grid", ["genome.fa", "empty"]),
    ],
)
def test_genomes_without_anything_leave_nothing(tracks, folder, content, model, words):
    (folder / "genome.fa").write_text(content)
    refused(tracks(model=model), *words)
    assert left() == ["genome.fa", "regions.bed"]


def test_files_of_others_stay(tracks, folder):
    (folder / "tracks").mkdir()
    (folder / "tracks" / BIGWIGS[1]).write_text("mine")
    refused(tracks(), BIGWIGS[1], "not written by this program")
    assert left("tracks") == [BIGWIGS[1]]


def test_an_interrupt_leaves_nothing(tracks, folder, monkeypatch):
    from dnaannot.predict import tracks as module

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.TrackPredictor, "_strand_logits", interrupted)
    done = tracks()
    assert (done.status, done.stderr.splitlines()[-1]) == (130, "dnaannot: interrupted")
    assert left() == ["genome.fa", "regions.bed"]
