from __future__ import annotations

import json

import numpy as np
import pytest

from dnaannot.formats.bigwig import Block, write_bigwig


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A track and its labels; no settings."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("DNAANNOT_GENOME", raising=False)
    values = np.random.default_rng(1).random(100).astype(np.float32)
    write_bigwig(tmp_path / "k562.bw", {"chr1": 51_200}, [Block("chr1", 0, values, step=512)])
    peaks = [f"chr1\t{512 * i}\t{512 * i + 100}\n" for i in np.flatnonzero(values > 0.8)]
    (tmp_path / "k562.narrowPeak").write_text("".join(peaks))
    return tmp_path


def test_scores_go_to_stdout_json_and_a_page(run, files):
    paths = files / "k562.bw", files / "k562.narrowPeak"
    report, scores = files / "r.html", files / "r.json"
    done = run("evaluate", "tracks", *paths, "--report", report, "--json", scores)
    assert done.status == 0, done.stderr
    assert done.stdout.splitlines()[1].split()[4:6] == ["1.000", "1.000"]
    content = json.loads(scores.read_text())
    assert content["labels"][0]["auroc"] == 1
    assert content["inputs"]["prediction"] == str(paths[0])
    assert report.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("option", ["--json", "--report"])
@pytest.mark.parametrize("output", ["p/k562.bw", "l/k562.narrowPeak", "l/other.bed", "genome.fa"])
def test_no_input_is_overwritten(run, files, monkeypatch, option, output):
    for folder, name in (("p", "k562.bw"), ("l", "k562.narrowPeak")):
        (files / folder).mkdir()
        (files / name).rename(files / folder / name)
    (files / "l" / "other.bed").write_text("chr1\t0\t100\n")
    (files / "genome.fa").write_text(">chr1\n" + "ACGT" * 12_800)
    monkeypatch.setenv("DNAANNOT_GENOME", str(files / "genome.fa"))
    before = (files / output).read_bytes()
    for labels in ("l", "k562=l/k562.narrowPeak"):
        if labels == "l" or output != "l/other.bed":
            monkeypatch.chdir(files)
            done = run("evaluate", "tracks", "p/k562.bw", labels, option, output)
            assert (done.status, "is an input" in done.stderr) == (2, True), done.stderr
    assert (files / output).read_bytes() == before
    done = run("evaluate", "tracks", "p/k562.bw", "l/k562.narrowPeak", option, "p/scores")
    assert done.status == 0, done.stderr


def test_the_genome_comes_from_any_of_three_places(run, files, monkeypatch):
    paths = files / "k562.bw", files / "k562.narrowPeak"
    genome, scores = files / "genome.fa", files / "scores.json"
    genome.write_text(">chr1\n" + "ACGT" * 12_800)
    assert run("config", "set", "genome", genome).status == 0
    monkeypatch.chdir("/")
    for told in ("`dnaannot config`", "DNAANNOT_GENOME", None):
        monkeypatch.setenv("DNAANNOT_GENOME", str(genome) if told == "DNAANNOT_GENOME" else "")
        given = () if told else ("-g", genome)
        done = run("evaluate", "tracks", *paths, "--json", scores, *given)
        assert json.loads(scores.read_text())["inputs"]["genome"] == str(genome)
        assert (f"genome: {genome} (from {told})\n" in done.stderr) == bool(told)


@pytest.mark.parametrize("genome", [None, ">H:1:01\n" + "ACGT" * 12_800])
def test_a_region_is_a_name_with_colons(run, files, genome):
    values = np.random.default_rng(2).random(100).astype(np.float32)
    write_bigwig(files / "k.bw", {"H:1:01": 51_200}, [Block("H:1:01", 0, values, step=512)])
    (files / "k.bed").write_text("H:1:01\t0\t9000\n")
    given = ()
    if genome:
        (files / "genome.fa").write_text(genome)
        given = ("-g", files / "genome.fa")
    call = ("evaluate", "tracks", files / "k.bw", files / "k.bed", *given)
    whole = run(*call)
    assert whole.status == 0, whole.stderr
    assert run(*call, "--regions", "H:1:01") == whole


def test_faults_are_told_and_leave_nothing(run, files):
    paths = files / "k562.bw", files / "k562.narrowPeak"
    done = run("evaluate", "tracks", *paths, "--keep", "x")
    assert done.status == 2
    assert "COLUMN=VALUE" in done.stderr
    for region, words in (
        ("chr9", "sequence 'chr9' is not in"),
        ("chr1:9,000,000", "past the end"),
    ):
        done = run("evaluate", "tracks", *paths, "--regions", region)
        assert done.status == 1
        assert words in done.stderr
    paths[1].write_text("1\t5\t9\n")
    done = run("evaluate", "tracks", *paths, "--report", files / "r.html")
    assert done.status == 1
    assert "They differ by 'chr' or by case" in done.stderr
    assert not (files / "r.html").exists()
