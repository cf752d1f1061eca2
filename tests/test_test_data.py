"""The pieces of real genomes are what test_data/README.md says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dnaannot.dna.sequence import translate
from dnaannot.formats.fasta import read_fasta, sequence_sizes
from dnaannot.formats.gff import read_annotation

FOLDER = Path(__file__).resolve().parents[1] / "test_data"
GENOMES = sorted(FOLDER.glob("*.fa.gz"))
ANNOTATED = [path for path in GENOMES if path.with_name(f"{path.name[:-6]}.gff3.gz").exists()]


def genome_name(path: Path) -> str:
    return path.name.removesuffix(".fa.gz")


@pytest.mark.parametrize("path", GENOMES, ids=genome_name)
def test_index_and_readme_give_the_length(path):
    ((name, length),) = sequence_sizes(path).items()
    assert path.with_name(path.name + ".fai").read_text().split("\t")[:2] == [name, str(length)]
    assert path.with_name(path.name + ".gzi").stat().st_size > 0
    row = re.search(rf"^\| `{genome_name(path)}` .*$", (FOLDER / "README.md").read_text(), re.M)
    assert f" {name}:" in row[0]
    assert f"| {length:,} |" in row[0]
    start, end = map(int, re.search(rf"{name}:(\d+)-(\d+)", row[0]).groups())
    assert end - start + 1 == length


@pytest.mark.parametrize("path", ANNOTATED, ids=genome_name)
def test_genes_lie_where_their_codons_are(path):
    (record,) = read_fasta(path)
    annotation = read_annotation(path.with_name(f"{genome_name(path)}.gff3.gz"))
    assert not annotation.skipped
    complete = [t for t in annotation.transcripts if t.attributes["cds_complete"] == "1"]
    assert len(complete) > 0.5 * len(annotation.transcripts)
    for annotated in complete:
        protein = translate(annotated.transcript.cds(record.codes))
        assert protein[0] == "M", annotated
        assert protein.index("*") == len(protein) - 1, annotated


def test_all_of_it_stays_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000
