from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dnaannot.dna.grammar import (
    LABEL_INDEX,
    gene_grammar,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import decode, encode, reverse_complement, translate
from dnaannot.dna.transcript import (
    Exon,
    Strand,
    Transcript,
    has_whole_codon,
    read_transcript,
    read_transcripts,
    with_phases,
    write_labels,
)

SEEDS = st.integers(0, 2**32 - 1)
# ATGG|intron|CTTAA on the plus strand, from base 2: a codon split after its first base
CODES = encode(b"CCATGGGTAAAGCTTAACC")
LABELS = np.array(
    [LABEL_INDEX[name] for name in str.split(
        "intergenic intergenic start+ cds1+ cds2+ cds0+ donor+ intron+ intron+ intron+ intron+ "
        "acceptor+ cds1+ cds2+ cds0+ cds1+ stop+ intergenic intergenic"
    )],
    np.uint8,
)  # fmt: skip
GENE = Transcript("chr", Strand.PLUS, (Exon(2, 6, 0), Exon(12, 17, 2)))
MIRRORED = Transcript("chr", Strand.MINUS, (Exon(2, 7, 2), Exon(13, 17, 0)))


def labels_of(transcripts, length):
    labels = np.zeros(length, np.uint8)
    for transcript in transcripts:
        write_labels(transcript, labels)
    return labels


def test_labels_of_a_gene():
    assert labels_of([GENE], 19).tolist() == LABELS.tolist()
    assert labels_of([MIRRORED], 19).tolist() == reverse_complement_labels(LABELS).tolist()


def test_gene_of_labels():
    assert list(read_transcripts([LABELS], "chr")) == [GENE]
    assert list(read_transcripts([reverse_complement_labels(LABELS)], "chr")) == [MIRRORED]


def test_cds_is_spliced_in_the_direction_of_the_gene():
    assert decode(GENE.cds(CODES)) == "ATGGCTTAA"
    assert decode(MIRRORED.cds(reverse_complement(CODES))) == decode(GENE.cds(CODES))


def test_properties():
    assert (GENE.start, GENE.end, GENE.introns, GENE.is_partial) == (2, 17, ((6, 12),), False)
    assert Transcript("chr", Strand.PLUS, (Exon(0, 3, 0),), has_stop=False).is_partial
    assert math.isnan(GENE.score)


@given(SEEDS, st.integers(4, 30))
def test_labels_and_genes_are_one_another(random_locus, seed, min_intron):
    locus = random_locus(seed, min_intron)
    assert labels_of(locus.transcripts, len(locus.codes)).tolist() == locus.labels.tolist()
    assert tuple(read_transcripts([locus.labels], "chr")) == locus.transcripts
    for transcript in locus.transcripts:
        protein = translate(transcript.cds(locus.codes))
        assert protein[0] == "M"
        assert protein.find("*") == len(protein) - 1


@given(SEEDS, st.lists(st.integers(0, 400), max_size=30))
def test_chunk_borders_do_not_matter(random_locus, seed, borders):
    locus = random_locus(seed)
    chunks = np.split(locus.labels, sorted(borders))
    assert tuple(read_transcripts(chunks, "chr")) == locus.transcripts


def test_chunks_of_one_base(random_locus):
    locus = random_locus(1)
    chunks = locus.labels.reshape(-1, 1)
    assert tuple(read_transcripts(chunks, "chr")) == locus.transcripts


@given(SEEDS)
def test_phases_follow_from_the_lengths(random_locus, seed):
    for transcript in random_locus(seed).transcripts:
        intervals = [(exon.start, exon.end) for exon in transcript.exons]
        assert with_phases(intervals, transcript.strand) == transcript.exons


def in_frame(transcript, codes, labels):
    """Whether each exon's phase points at a base that its label calls a codon's first."""
    minus = transcript.strand is Strand.MINUS
    letters = "-" if minus else "+"
    firsts = LABEL_INDEX["cds0" + letters], LABEL_INDEX["start" + letters]
    for exon in transcript.exons:
        first = exon.end - 1 - exon.phase if minus else exon.start + exon.phase
        if exon.start <= first < exon.end and labels[first] not in firsts:
            return False
    return True


@given(SEEDS, st.data())
def test_a_cut_gene_is_partial_and_keeps_its_frame(random_locus, seed, data):
    locus = random_locus(seed, genes=1)
    (whole,) = locus.transcripts
    start = data.draw(st.integers(0, len(locus.labels) - 1))
    end = data.draw(st.integers(start + 1, len(locus.labels)))
    coding = [(max(a, start), min(b, end)) for a, b, *_ in whole.exons if a < end and b > start]
    labels = locus.labels[start:end]
    found = list(read_transcripts([labels], "chr"))
    assert [[(exon.start + start, exon.end + start) for exon in gene.exons] for gene in found] == (
        [coding] if coding else []
    )
    for gene in found:
        five, three = (
            (gene.end, gene.start) if gene.strand is Strand.MINUS else (gene.start, gene.end)
        )
        whole_ends = (whole.start, whole.end)
        if gene.strand is Strand.MINUS:
            whole_ends = whole_ends[::-1]
        assert gene.has_start == (five + start == whole_ends[0])
        assert gene.has_stop == (three + start == whole_ends[1])
        assert in_frame(gene, locus.codes[start:end], labels)
        again = labels.copy()
        again[gene.start : gene.end] = 0
        write_labels(gene, again)
        assert again.tolist() == labels.tolist()


@pytest.mark.parametrize("first_phase", [0, 1, 2])
def test_a_partial_gene_starts_in_its_phase(first_phase):
    exons = with_phases([(0, 10), (40, 45)], Strand.PLUS, first_phase)
    assert [exon.phase for exon in exons] == [first_phase, (first_phase - 10) % 3]
    gene = Transcript("chr", Strand.PLUS, exons, has_start=False, has_stop=False)
    labels = labels_of([gene], 50)
    assert list(read_transcripts([labels], "chr")) == [gene]
    mirrored = with_phases([(5, 10), (40, 50)], Strand.MINUS, first_phase)
    gene = Transcript("chr", Strand.MINUS, mirrored, has_start=False, has_stop=False)
    assert labels_of([gene], 50).tolist() == reverse_complement_labels(labels).tolist()


@pytest.mark.parametrize(
    ("bases", "phase", "has_stop", "expected"),
    [
        (b"A", 0, False, False),
        (b"ACGT", 2, False, False),
        (b"ACGTA", 2, False, True),
        (b"NNNN", 0, False, False),
        (b"ACNACG", 0, False, True),
        (b"TAA", 0, True, False),
        (b"GCCTAA", 0, True, True),
    ],
)
def test_whole_codons(bases, phase, has_stop, expected):
    """Of a gene cut at its start, on either strand."""
    codes = encode(bases)
    for strand, here in ((Strand.PLUS, codes), (Strand.MINUS, reverse_complement(codes))):
        exons = (Exon(0, len(codes), phase),)
        cut = Transcript("chr", strand, exons, has_start=False, has_stop=has_stop)
        assert has_whole_codon(cut, here) == expected


def test_an_intron_alone_is_no_gene():
    intron = np.full(30, LABEL_INDEX["intron-"], np.uint8)
    assert read_transcript(intron, "chr") is None
    assert list(read_transcripts([np.zeros(3, np.uint8), intron], "chr")) == []


def test_offset_is_added():
    gene = read_transcript(LABELS[2:17], "chr", offset=1002)
    assert [(exon.start, exon.end) for exon in gene.exons] == [(1002, 1006), (1012, 1017)]


def test_labels_are_those_of_the_grammar():
    assert gene_grammar().labels == tuple(LABEL_INDEX)
