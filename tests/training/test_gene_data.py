from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dnaannot.datasets.genes import SPLIT_MARGIN, genes_within
from dnaannot.dna.grammar import INTERGENIC, UNKNOWN, gene_grammar
from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError, InputFormatError
from dnaannot.formats.gff import read_annotation
from dnaannot.training.gene_data import Pair, read_gene_data

GRAMMAR = gene_grammar()


@pytest.fixture(scope="module")
def yeast(test_data):
    return Pair(test_data / "yeast_chrII_120kb.fa.gz", test_data / "yeast_chrII_120kb.gff3.gz")


@pytest.fixture
def pair(tmp_path, yeast):
    """Makes a pair of changed text."""

    def make(change_genome=str, change_genes=str, folder="."):
        (tmp_path / folder).mkdir(exist_ok=True)
        genome, genes = tmp_path / folder / "genome.fa", tmp_path / folder / "genes.gff3"
        genome.write_text(change_genome(gzip.decompress(yeast.genome.read_bytes()).decode()))
        genes.write_text(change_genes(gzip.decompress(yeast.annotation.read_bytes()).decode()))
        return Pair(genome, genes)

    return make


def spans(regions):
    return [(region.sequence.name, region.start, region.end) for region in regions]


def test_the_last_tenth_of_the_longest_sequence_is_held_out(yeast):
    data = read_gene_data([yeast], GRAMMAR)
    border = 121_212 - 12_121
    assert [spans(held_out) for held_out in data.validation] == [[("chrII", border, 121_212)]]
    assert spans(data.train) == [("chrII", 0, border - SPLIT_MARGIN)]
    (report,) = data.reports
    assert (report.labels.genes, report.labels.used, report.labels.rejected) == (54, 54, {})
    assert sum(len(genes_within(region)) for region in data.train) > 40
    assert len(data.references[0]) == 54
    assert list(data.hashes) == [yeast.genome.name, yeast.annotation.name]
    assert all(len(value) == 64 for value in data.hashes.values())


def test_regions_asked_for(yeast):
    validation = [Interval("chrII", 30_000, 45_000)]
    data = read_gene_data(
        [replace(yeast, validation=validation, excluded=[Interval("chrII", 100_000, 2**62)])],
        GRAMMAR,
    )
    assert spans(data.validation[0]) == [("chrII", 30_000, 45_000)]
    assert spans(data.train) == [("chrII", 0, 20_000), ("chrII", 55_000, 90_000)]
    labels = data.train[0].sequence.labels
    for transcript in data.references[0]:
        for border in (20_000, 30_000, 45_000, 55_000, 90_000):
            if transcript.start < border < transcript.end:
                assert (labels[transcript.start : transcript.end] == UNKNOWN).all()


def test_shares_weigh_the_pairs(yeast, pair):
    other = pair(lambda text: text[:61_000], folder="b")
    data = read_gene_data([replace(yeast, share=1.0), replace(other, share=3.0)], GRAMMAR)
    mass = [region.weight * (region.end - region.start) for region in data.train]
    assert mass == pytest.approx([1.0, 3.0])
    assert len(data.hashes) == 4


def test_files_of_one_name_keep_their_hashes(pair):
    data = read_gene_data([pair(folder="a"), pair(folder="b")], GRAMMAR)
    assert list(data.hashes) == ["genome.fa", "genes.gff3", "b/genome.fa", "b/genes.gff3"]


def test_genomes_may_share_names(pair):
    first, second = pair(folder="a"), pair(folder="b")
    held_out = replace(second, validation=[Interval("chrII", 0, 60_000)])
    data = read_gene_data([first, held_out], GRAMMAR)
    assert spans(data.train) == [("chrII", 0, 121_212), ("chrII", 70_000, 121_212)]
    assert [spans(regions) for regions in data.validation] == [[("chrII", 0, 60_000)]]
    assert [region.genome for region in data.train] == [0, 1]
    assert data.reports[0].to_validate_on == 0 < data.reports[1].to_validate_on
    again = read_gene_data([held_out, held_out], GRAMMAR)
    assert {each.to_validate_on for each in again.reports} == {data.reports[1].to_validate_on}


def test_one_annotation_of_several_genomes(pair):
    """Of a file that both are given with, each genome has its own genes, and none is missing."""

    def both(text):
        genes = text[text.index("\n", text.index("##gff")) + 1 :]
        return text + genes.replace("chrII\t", "chrX\t").replace("=", "=x")

    first = pair(change_genes=both, folder="a")
    second = pair(lambda text: text.replace(">chrII", ">chrX"), folder="b")
    data = read_gene_data([first, replace(second, annotation=first.annotation)], GRAMMAR)
    assert [(each.labels.genes, each.labels.rejected) for each in data.reports] == [(54, {})] * 2
    assert len({each.name for each in data.reports}) == 2
    alone = read_gene_data([first], GRAMMAR)
    assert alone.reports[0].labels.rejected == {"on 'chrX', which is not in the genome": 54}


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Interval("chr9", 0, 100), "no genome has the sequence 'chr9'"),
        (Interval("chrII", 200_000, 300_000), "past the end of 'chrII'"),
    ],
)
def test_regions_that_are_nowhere_are_refused(yeast, region, words):
    with pytest.raises(DataError, match=words):
        read_gene_data([replace(yeast, validation=[region])], GRAMMAR)
    with pytest.raises(DataError, match=words):
        read_gene_data([replace(yeast, excluded=[region])], GRAMMAR)


def test_other_names_are_refused(pair):
    wrong = pair(change_genes=lambda text: text.replace("chrII\t", "2\t"))
    with pytest.raises(DataError, match=r"'chr' or without") as caught:
        read_gene_data([wrong], GRAMMAR)
    assert caught.value.path == wrong.annotation
    assert "chrII" in str(caught.value)


def broken_loci(text):
    """Two CDS lines that overlap, one without a parent, one past the end of the sequence."""
    first = text.index("\tCDS\t")
    line = text[text.rindex("\n", 0, first) + 1 : text.index("\n", first) + 1]
    again = line.replace("1\t2685", "100\t2685")
    orphan = "chrII\tx\tCDS\t60001\t60300\t.\t+\t0\tID=orphan\n"
    beyond = "chrII\tx\tCDS\t121000\t122000\t.\t+\t0\tParent=beyond\n"
    return text + again + orphan + beyond


def test_loci_that_cannot_be_read_are_unknown_and_counted(pair, yeast):
    broken = pair(change_genes=broken_loci)
    data = read_gene_data([broken], GRAMMAR)
    whole = read_gene_data([yeast], GRAMMAR).train[0].sequence.labels
    labels = data.train[0].sequence.labels
    assert (labels[:2685] == UNKNOWN).all()
    assert (labels[60_000:60_300] == UNKNOWN).all()
    assert (labels[120_999:] == UNKNOWN).all()
    rest = np.ones(len(labels), bool)
    rest[:2685] = rest[60_000:60_300] = rest[120_999:] = False
    assert np.array_equal(labels[rest], whole[rest])
    (report,) = data.reports
    assert sorted(len(lines) for lines in report.skipped.values()) == [1, 1]
    assert (report.labels.genes, report.labels.used) == (54, 53)
    assert report.labels.rejected == {"outside the sequence": 1}


def test_the_default_keeps_off_what_is_excluded(yeast):
    data = read_gene_data([replace(yeast, excluded=[Interval("chrII", 90_000, 2**62)])], GRAMMAR)
    assert spans(data.validation[0]) == [("chrII", 81_000, 90_000)]
    assert spans(data.train) == [("chrII", 0, 71_000)]
    covered = [Interval("chrII", 80_000, 100_000)]
    wanted = replace(yeast, validation=[Interval("chrII", 90_000, 95_000)], excluded=covered)
    with pytest.raises(DataError, match="nothing is held out"):
        read_gene_data([wanted], GRAMMAR)


def test_nothing_left_is_refused(pair):
    def without_starts(text):
        header, bases = text.split("\n", 1)
        return header + "\n" + bases.replace("ATG", "ATC").replace("CAT", "GAT")

    damaged = pair(change_genome=without_starts)
    with pytest.raises(DataError, match=r"no gene can be learned from .*start codon") as caught:
        read_gene_data([damaged], GRAMMAR)
    assert caught.value.path == str(damaged.annotation)
    empty = pair(change_genes=lambda text: "##gff-version 3\n", folder="empty")
    with pytest.raises(DataError, match="no gene can be learned from"):
        read_gene_data([empty], GRAMMAR)
    all_held_out = replace(pair(folder="whole"), validation=[Interval("chrII", 0, 2**62)])
    with pytest.raises(DataError, match="54 in or near what is held out"):
        read_gene_data([all_held_out], GRAMMAR)


def test_sequences_too_short_to_learn_from(pair):
    short = pair(change_genome=lambda text: text[:900])
    with pytest.raises(DataError, match="no sequence has 1,000 bases"):
        read_gene_data([short], GRAMMAR)
    two = pair(change_genome=lambda text: text + ">tiny\nACGTACGT\n", folder="two")
    assert len(read_gene_data([two], GRAMMAR).train) == 1


def test_what_is_left_out_is_counted_in_genes(pair):
    def isoforms(name):
        lines = [f"{name}\tx\tgene\t1\t60\t.\t+\t.\tID={name}g\n"]
        for number in range(5):
            part = f"{name}\tx\t{{}}\t1\t{30 + 3 * number}\t.\t+\t{{}}\t{{}}\n"
            lines.append(part.format("mRNA", ".", f"ID={name}{number};Parent={name}g"))
            lines.append(part.format("CDS", "0", f"Parent={name}{number}"))
        return "".join(lines)

    data = read_gene_data(
        [
            pair(
                lambda text: text + ">tiny\n" + "ACGT" * 30 + "\n",
                lambda text: text + isoforms("tiny") + isoforms("absent"),
            )
        ],
        GRAMMAR,
    )
    (report,) = data.reports
    assert report.labels.rejected == {
        "on a sequence under 1,000 bases": 1,
        "on 'absent', which is not in the genome": 1,
    }


def test_runs_of_n_are_gaps_as_the_grammar_allows(pair):
    def with_n(text):
        header, bases = text.split("\n", 1)
        letters = bases.replace("\n", "")
        return f"{header}\n{letters[:60_000]}{'N' * 60}{letters[60_060:]}\n"

    for least, gaps in ((20, 60), (70, 0)):
        data = read_gene_data([pair(change_genome=with_n)], gene_grammar(least))
        assert (data.train[0].sequence.codes == 5).sum() == gaps


def test_missing_files(yeast):
    with pytest.raises(InputFormatError, match=r"none\.gff3"):
        read_gene_data([Pair(yeast.genome, Path("none.gff3"))], GRAMMAR)
    with pytest.raises(InputFormatError, match=r"none\.fa"):
        read_gene_data([Pair(Path("none.fa"), yeast.annotation)], GRAMMAR)


def test_labels_of_the_real_genes_are_known(yeast):
    data = read_gene_data([yeast], GRAMMAR)
    labels = data.train[0].sequence.labels
    coding = np.zeros(len(labels), bool)
    for annotated in read_annotation(yeast.annotation).transcripts:
        for exon in annotated.transcript.exons:
            coding[exon.start : exon.end] = True
    assert (labels[~coding & (labels != UNKNOWN)] == INTERGENIC).mean() > 0.97
    assert (labels[coding] != INTERGENIC).all()
