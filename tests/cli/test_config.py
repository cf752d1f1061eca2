from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch):
    """The file of settings, in a place of its own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "genome.fa").write_text(">a\nACGT\n")
    return tmp_path / "settings" / "dnaannot" / "config.json"


def test_what_is_set_is_kept_until_unset(run, tmp_path, settings):
    assert run("config", "get", "genome")[:2] == (1, "")
    assert run("config", "set", "genome", "genome.fa")[:2] == (0, "")
    path = str(tmp_path / "genome.fa")
    assert run("config", "get", "genome")[:2] == (0, f"{path}\n")
    listed = run("config", "list")
    assert listed.stdout == f"genome\t{path}\n"
    assert str(settings) in listed.stderr
    assert run("config", "unset", "genome").status == 0
    assert run("config", "unset", "genome").status == 0
    assert run("config", "get", "genome").status == 1
    assert run("config", "list").stdout == ""


def test_what_is_wrong_is_refused(run, settings):
    done = run("config", "set", "genome", "missing.fa")
    assert done.status == 1
    assert "missing.fa: There is no such file" in done.stderr
    (settings.parents[2] / "r.bed").write_text("a\t0\t4\n")
    assert "no FASTA" in run("config", "set", "genome", "r.bed").stderr
    assert "a folder" in run("config", "set", "genome", ".").stderr
    assert run("config", "set", "nonsense", "x").status == 2
    assert not settings.exists()
    settings.parent.mkdir(parents=True)
    settings.write_text("{")
    done = run("config", "get", "genome")
    assert done.status == 1
    assert str(settings) in done.stderr
