"""The models that come with the package, on the real sequence that comes with it."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from dnaannot.catalog import bundled
from dnaannot.datasets.genes import refusal
from dnaannot.dna.sequence import mark_gaps
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation
from dnaannot.nn.checkpoint import load_gene_model

PIECES = {
    "fly": "fly_chr2L_200kb",
    "fungi": "aspergillus_chr5_150kb",
    "human": "human_chr19_150kb",
    "plants": "arabidopsis_chr5_150kb",
}
"""Sequence that each model is for; all but that of `human` were held out of its training."""


@pytest.fixture(scope="module", params=sorted(PIECES))
def annotated(request, test_data, tmp_path_factory):
    """Genome, predicted genes and name of the model."""
    from dnaannot.cli import main

    genome = test_data / f"{PIECES[request.param]}.fa.gz"
    path = tmp_path_factory.mktemp("genes") / "genes.gff3"
    with pytest.raises(SystemExit) as ended:
        main(["genes", str(genome), "-o", str(path), "-q"])
    assert not ended.value.code
    return genome, path, request.param


def test_models_are_small_and_have_cards():
    entries = bundled()
    assert sum(entry.path.stat().st_size for entry in entries) < 60e6
    for entry in entries:
        assert entry.card["species"]
        assert entry.card["metrics"]["score"] > 0.4
        assert entry.path.with_suffix(".md").read_text().startswith(f"# {entry.name}\n")


def test_every_task_has_a_model():
    assert {entry.name for entry in bundled("genes")} == set(PIECES)
    for task in ("accessibility", "histone", "ctcf"):
        assert bundled(task)[0].name == "human_tracks"
    assert bundled("methylation")[0].name == "human_methylation"


def test_every_model_knows_its_genomes():
    for entry in bundled():
        assert entry.card["signatures"]
        if "genes" not in entry.tasks:
            assert entry.card["signature_spreads"].keys() == entry.card["signatures"].keys()


def test_the_model_for_the_genome_is_chosen(annotated):
    _, path, name = annotated
    assert f"model {name}\n" in path.read_text()


def test_every_gene_is_valid(annotated):
    genome, path, name = annotated
    model, _ = load_gene_model(next(e.path for e in bundled() if e.name == name))
    (record,) = read_fasta(genome)
    codes = mark_gaps(record.codes, 50)
    found = [each for each in read_annotation(path).transcripts if "partial" not in each.attributes]
    assert len(found) > 5
    for each in found:
        assert refusal(each.transcript, codes, model.grammar) is None


@pytest.mark.skipif(not shutil.which("gt"), reason="genometools is not installed")
def test_genometools_accepts_it(annotated):
    _, path, _ = annotated
    done = subprocess.run(["gt", "gff3validator", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
