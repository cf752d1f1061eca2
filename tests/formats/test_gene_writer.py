from __future__ import annotations

import io
import math
import random
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pysam
import pytest

from dnaannot.dna.sequence import decode, encode, reverse_complement
from dnaannot.dna.transcript import Strand, Transcript, with_phases
from dnaannot.errors import DataError
from dnaannot.formats.fasta import read_fasta, write_cds, write_protein
from dnaannot.formats.gene_writer import GeneWriter
from dnaannot.formats.gff import format_name, read_annotation
from dnaannot.formats.output import atomic_output

NAMES = ("chr1", "gi|1;HRSCAF=2/a#b", "50%")
STOPS = ("TAA", "TAG", "TGA")


def random_gene(rng: random.Random, sequence: str, start: int) -> tuple[str, Transcript]:
    """Letters, plus strand of the sequence, of a gene at `start`, and the gene."""
    codons = [
        "".join(rng.choices("ACGTN", (5, 5, 5, 5, 1), k=3)) for _ in range(rng.randint(4, 60))
    ]
    coding = ["ATG", *(codon for codon in codons if codon not in STOPS), rng.choice(STOPS)]
    has_start, has_stop = rng.random() < 0.7, rng.random() < 0.7
    letters = "".join(coding)
    phase = 0
    if not has_start:
        phase = rng.randrange(3)
        letters = letters[6 - phase :]
    if not has_stop:
        letters = letters[: -3 - rng.randrange(3)]
    cuts = sorted(rng.sample(range(3, len(letters) - 3), rng.choice((0, 0, 1, 2))))
    pieces, intervals, position = [], [], start
    for first, last in zip([0, *cuts], [*cuts, len(letters)], strict=True):
        if pieces:
            intron = "GT" + "".join(rng.choices("ACGT", k=30)) + "AG"
            pieces.append(intron)
            position += len(intron)
        pieces.append(letters[first:last])
        intervals.append((position, position + last - first))
        position += last - first
    bases = "".join(pieces)
    strand = rng.choice((Strand.PLUS, Strand.MINUS))
    if strand is Strand.MINUS:
        bases = decode(reverse_complement(encode(bases.encode())))
        intervals = [
            (start + position - end, start + position - begin) for begin, end in intervals
        ][::-1]
    exons = with_phases(intervals, strand, phase)
    score = math.nan if rng.random() < 0.3 else rng.random()
    exons = tuple(exon._replace(score=score) for exon in exons)
    return bases, Transcript(sequence, strand, exons, has_start, has_stop, score)


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """A FASTA file, its codes by name, and 40 genes on each of its sequences."""
    rng = random.Random(1)
    path = tmp_path_factory.mktemp("genome") / "genome.fa"
    genes = []
    with open(path, "w") as stream:
        for name in NAMES:
            letters = ""
            for _ in range(40):
                letters += "".join(rng.choices("ACGT", k=rng.randint(0, 99)))
                bases, gene = random_gene(rng, name, len(letters))
                letters += bases
                genes.append(gene)
            stream.write(f">{name}\n{letters}\n")
    return path, {record.name: record.codes for record in read_fasta(path)}, genes


def write(stream, genome, dialect="gff3", **options) -> list[Transcript]:
    _, codes, genes = genome
    writer = GeneWriter(stream, dialect, **options)
    named = []
    for name in NAMES:
        writer.begin_sequence(name, len(codes[name]))
        named += [writer.write(gene) for gene in genes if gene.sequence == name]
    return named


@pytest.mark.parametrize("dialect", ["gff3", "gtf"])
def test_what_is_written_reads_back(tmp_path, genome, dialect):
    path = tmp_path / f"genes.{dialect}"
    with atomic_output(path) as stream:
        named = write(stream, genome, dialect)
    annotation = read_annotation(path)
    assert annotation.skipped == {}
    for item, gene in zip(annotation.transcripts, named, strict=True):
        plain = tuple(exon._replace(score=0.0) for exon in gene.exons)
        found = tuple(exon._replace(score=0.0) for exon in item.transcript.exons)
        assert (item.transcript.sequence, found) == (gene.sequence, plain)
        assert (item.transcript.name, item.transcript.gene) == (gene.name, gene.gene)
        assert (item.attributes.get("partial") == "true") == gene.is_partial


def is_misread_in_gtf(gene: Transcript) -> bool:
    """Whether gffread 0.12.7 takes the frame of the stop codon for that of the CDS it joins.

    It does where both become one segment whose first, lower part is the stop codon's.
    """
    is_one_minus_exon = gene.strand is Strand.MINUS and len(gene.exons) == 1
    return is_one_minus_exon and gene.has_stop and gene.exons[0].phase != 0


def fasta(path) -> dict[str, str]:
    with pysam.FastxFile(str(path)) as records:
        return {record.name: record.sequence for record in records}


@pytest.mark.skipif(not shutil.which("gffread"), reason="needs gffread")
@pytest.mark.parametrize("dialect", ["gff3", "gtf"])
def test_gffread_makes_the_same_proteins_and_cds(tmp_path, genome, dialect):
    path, codes, _ = genome
    genes = tmp_path / f"genes.{dialect}"
    # gffread does not undo the encoding of '%' in names
    chosen = [gene for gene in genome[2] if "%" not in gene.sequence]
    if dialect == "gtf":
        chosen = [gene for gene in chosen if not is_misread_in_gtf(gene)]
    with open(genes, "w") as stream:
        named = write(stream, (path, codes, chosen), dialect)
    for suffix, write_one in (("faa", write_protein), ("fna", write_cds)):
        with open(tmp_path / f"ours.{suffix}", "w") as stream:
            for gene in named:
                write_one(stream, gene, codes[gene.sequence])
    command = ["gffread", "-y", "gffread.faa", "-x", "gffread.fna", "-g", path, genes.name]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert len(fasta(tmp_path / "ours.faa")) == len(chosen) > 60
    assert fasta(tmp_path / "ours.faa") == fasta(tmp_path / "gffread.faa")
    assert fasta(tmp_path / "ours.fna") == fasta(tmp_path / "gffread.fna")


@pytest.mark.skipif(not shutil.which("gt"), reason="needs genometools")
def test_gff3validator_has_nothing_to_say(tmp_path, genome):
    with open(tmp_path / "genes.gff3", "w") as stream:
        write(stream, genome, comments=["by a model"])
    command = ["gt", "gff3validator", tmp_path / "genes.gff3"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "input is valid GFF3\n")
    assert found.stderr == ""


def test_compressed_output_is_sorted_for_tabix(tmp_path, genome):
    path = tmp_path / "genes.gff3.gz"
    with atomic_output(path, tabix="gff") as stream:
        named = write(stream, genome)
    with pysam.TabixFile(str(path)) as index:
        rows = [row.split("\t") for row in index.fetch(NAMES[0])]
    assert sum(row[2] == "gene" for row in rows) == 40
    assert [int(row[3]) for row in rows] == sorted(int(row[3]) for row in rows)
    assert rows[0][8].startswith(f"ID={named[0].gene}")


GENE = Transcript(
    "s", Strand.MINUS, with_phases([(2, 9), (40, 51)], Strand.MINUS), score=0.98766
)  # 18 bases


def lines(gene: Transcript, dialect: str) -> list[str]:
    stream = io.StringIO()
    writer = GeneWriter(stream, dialect, prefix="G")
    writer.begin_sequence("s", 60)
    writer.write(gene)
    return [line.replace("\t", " ") for line in stream.getvalue().splitlines()]


def test_gff3_lines():
    posterior = "posterior=0.9877"
    assert lines(GENE, "gff3") == [
        "##gff-version 3",
        "##sequence-region s 1 60",
        f"s dnaannot gene 3 51 0.9877 - . ID=G000001;{posterior}",
        f"s dnaannot mRNA 3 51 0.9877 - . ID=G000001.t1;Parent=G000001;{posterior}",
        "s dnaannot exon 3 9 . - . ID=G000001.t1.exon1;Parent=G000001.t1",
        "s dnaannot CDS 3 9 . - 1 ID=G000001.t1.cds;Parent=G000001.t1",
        "s dnaannot exon 41 51 . - . ID=G000001.t1.exon2;Parent=G000001.t1",
        "s dnaannot CDS 41 51 . - 0 ID=G000001.t1.cds;Parent=G000001.t1",
    ]


def test_gtf_lines():
    owner = 'gene_id "G000001"; transcript_id "G000001.t1";'
    posterior = 'posterior "0.9877";'
    assert lines(GENE, "gtf") == [
        f's dnaannot gene 3 51 0.9877 - . gene_id "G000001"; {posterior}',
        f"s dnaannot transcript 3 51 0.9877 - . {owner} {posterior}",
        f"s dnaannot exon 3 9 . - . {owner}",
        f"s dnaannot stop_codon 3 5 . - 0 {owner}",
        f"s dnaannot CDS 6 9 . - 1 {owner}",
        f"s dnaannot exon 41 51 . - . {owner}",
        f"s dnaannot CDS 41 51 . - 0 {owner}",
        f"s dnaannot start_codon 49 51 . - 0 {owner}",
    ]


@pytest.mark.parametrize(
    ("strand", "has_start", "has_stop", "expected"),
    [
        (Strand.PLUS, False, True, "partial=true;start_range=.,3"),
        (Strand.PLUS, True, False, "partial=true;end_range=51,."),
        (Strand.MINUS, False, True, "partial=true;end_range=51,."),
        (Strand.MINUS, True, False, "partial=true;start_range=.,3"),
        (Strand.PLUS, False, False, "partial=true;start_range=.,3;end_range=51,."),
    ],
)
def test_partial_genes(strand, has_start, has_stop, expected):
    gene = replace(GENE, strand=strand, has_start=has_start, has_stop=has_stop, score=math.nan)
    cut = [line for line in lines(gene, "gff3") if "partial" in line]
    for line in cut:
        start, end = line.split()[3:5]
        assert ("start_range=.,3" in line) == ("start_range" in expected and start == "3")
        assert ("end_range=51,." in line) == ("end_range" in expected and end == "51")
    assert [line.split()[2] for line in cut[:2]] == ["gene", "mRNA"]
    assert all(line.endswith(expected) for line in cut[:2])


def test_gtf_of_an_exon_that_is_the_stop_codon():
    gene = Transcript("s", Strand.PLUS, with_phases([(0, 9), (30, 33)], Strand.PLUS))
    kinds = [line.split()[2:5] for line in lines(gene, "gtf")]
    assert ["CDS", "31", "33"] not in kinds
    assert ["stop_codon", "31", "33"] in kinds


def test_numbers_go_on_and_names_stay():
    writer = GeneWriter(io.StringIO(), first_number=41)
    writer.begin_sequence("s", 60)
    assert writer.write(GENE).name == "gene000041.t1"
    assert writer.write(replace(GENE, name="x", gene="y")).name == "x"
    assert writer.next_number == 42


@pytest.mark.parametrize(
    ("name", "gff3", "gtf"),
    [
        ("#x#", "%23x#", "#x#"),
        (">x>", "%3Ex>", ">x>"),
        ("a%41", "a%2541", "a%41"),
        ("a;/", "a;/", "a;/"),
    ],
)
def test_names_of_sequences(tmp_path, name, gff3, gtf):
    gene = Transcript(name, Strand.PLUS, with_phases([(0, 30)], Strand.PLUS))
    for dialect, expected in (("gff3", gff3), ("gtf", gtf)):
        assert format_name(dialect, name) == expected
        stream = io.StringIO()
        writer = GeneWriter(stream, dialect)
        if dialect == "gtf" and name.startswith("#"):
            with pytest.raises(DataError, match="Write GFF3"):
                writer.begin_sequence(name, 30)
            continue
        writer.begin_sequence(name, 30)
        writer.write(gene)
        (tmp_path / dialect).write_text(stream.getvalue())
        (read,) = read_annotation(tmp_path / dialect).transcripts
        assert read.transcript.sequence == name


def test_attributes_are_encoded():
    stream = io.StringIO()
    writer = GeneWriter(stream)
    writer.begin_sequence("s", 60)
    writer.write(GENE, {"note": "a;b=c,d&e%\t"})
    assert "note=a%3Bb%3Dc%2Cd%26e%25%09\n" in stream.getvalue()


def test_genes_out_of_place_are_refused():
    writer = GeneWriter(io.StringIO())
    for name, length in (("s", 50), ("t", 60)):
        writer.begin_sequence(name, length)
        with pytest.raises(ValueError, match="is not on"):
            writer.write(GENE)
    writer.begin_sequence("s", 90)
    writer.write(replace(GENE, exons=tuple(e._replace(start=e.start + 1) for e in GENE.exons)))
    with pytest.raises(ValueError, match="before"):
        writer.write(GENE)


def test_codes_are_not_changed(genome):
    _, codes, genes = genome
    before = codes[NAMES[0]].copy()
    write_protein(io.StringIO(), replace(genes[0], name="x"), codes[NAMES[0]])
    np.testing.assert_array_equal(codes[NAMES[0]], before)
