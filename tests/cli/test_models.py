from __future__ import annotations

import json

import pytest

from dnaannot import catalog
from dnaannot.nn.checkpoint import read_facts


@pytest.fixture
def bundle(monkeypatch, tmp_path, tiny_model_file):
    """Bundle the small model under two names."""
    folder = tmp_path / "dnaannot"
    (folder / "models").mkdir(parents=True)
    for name in ("worm", "bug"):
        (folder / "models" / f"{name}.safetensors").write_bytes(tiny_model_file.read_bytes())
    monkeypatch.setattr(catalog, "files", lambda package: folder)
    return folder / "models"


def test_list(run, bundle):
    done = run("models", "list")
    assert (done.status, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == ["bug", "worm"]
    assert {row[1] for row in rows} == {"genes"}
    assert {row[3] for row in rows} == {"Nullius generis"}


def test_list_of_nothing(run, bundle):
    for path in bundle.iterdir():
        path.unlink()
    done = run("models", "list")
    assert (done.status, done.stdout) == (0, "")
    assert "no bundled model" in done.stderr


def test_show_by_name_and_by_path(run, bundle, tiny_model_file):
    by_name, by_path = run("models", "show", "bug"), run("models", "show", tiny_model_file)
    assert (by_name.status, by_path.status) == (0, 0)
    for text in (by_name.stdout, by_path.stdout):
        rows = dict(line.split(maxsplit=1) for line in text.splitlines())
        assert rows["task"] == "genes"
        assert rows["species"] == "Nullius generis"
        assert rows["grammar.min_intron"] == "20"
        assert rows["encoder.kind"] == "strided"
    assert str(tiny_model_file) in by_path.stdout


def test_a_bundled_model_shows_its_card_and_no_long_lists(run, bundle):
    (bundle / "bug.md").write_text("# bug\n\nGenes of bugs.\n")
    lines = run("models", "show", "bug").stdout.splitlines()
    assert lines[:4] == ["# bug", "", "Genes of bugs.", ""]
    assert lines[4].split() == ["name", "bug"]
    assert max(map(len, lines)) < 150
    assert not [line for line in lines if line.startswith(("grammar.pairs", "signatures"))]
    assert "Genes of bugs." not in run("models", "show", "worm").stdout


def test_show_as_json(run, bundle, tiny_model_file):
    done = run("models", "show", "worm", "--json")
    assert json.loads(done.stdout) == read_facts(tiny_model_file)


def test_models_that_are_not_there(run, bundle, tmp_path):
    done = run("models", "show", "wrom")
    assert done.status == 1
    assert "no model named 'wrom'" in done.stderr
    assert "bug, worm" in done.stderr
    done = run("models", "show", tmp_path / "none.safetensors")
    assert done.status == 1
    assert "none.safetensors: no such model file" in done.stderr
    (tmp_path / "text.safetensors").write_text("nonsense")
    done = run("models", "show", tmp_path / "text.safetensors")
    assert done.status == 1
    assert "text.safetensors" in done.stderr


def test_tracks_are_named_with_their_tasks(run, track_model_files):
    shown = " ".join(run("models", "show", track_model_files["grid"]).stdout.split())
    assert "dnase__k562 (accessibility), dnase__liver (accessibility), ctcf__k562 (ctcf)" in shown


def test_the_list_says_what_models_are_for(run, track_model_files, monkeypatch):
    from dnaannot import catalog
    from dnaannot.catalog import find

    entries = [find(str(path)) for path in track_model_files.values()]
    monkeypatch.setattr(catalog, "bundled", lambda: entries)
    rows = [line.split("\t")[:2] for line in run("models", "list").stdout.splitlines()]
    assert rows == [["grid", "accessibility, ctcf"], ["cpg", "methylation"]]


def test_motifs_are_listed_and_written_for_other_programs(run, tmp_path):
    done = run("models", "motifs", "human_tracks", "-o", tmp_path / "m.meme")
    assert (done.status, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 128
    assert rows[0][3].startswith("ctcf__")
    assert "AGRKGGC" in rows[0][1] or "GCCMYCT" in rows[0][1] or "GGGC" in rows[0][1]
    text = (tmp_path / "m.meme").read_text()
    assert text.startswith("MEME version 4\n\nALPHABET= ACGT\n")
    assert text.count("\nMOTIF motif") == 128
    matrix = text.split("letter-probability matrix: alength= 4 w= 19 nsites= 100\n")[1]
    values = [[float(x) for x in line.split()] for line in matrix.split("\n\n")[0].splitlines()]
    assert [len(row) for row in values] == [4] * 19
    assert all(abs(sum(row) - 1) < 1e-5 for row in values)


def test_a_model_without_motifs_is_told(run, tiny_model_file):
    done = run("models", "motifs", tiny_model_file)
    assert done.status == 1
    assert "for 'genes', not for tracks" in done.stderr
