from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnaannot.datasets.genes import (
    LabelledSequence,
    LabelReport,
    Region,
    genes_within,
    label_sequence,
    refusal,
    representative,
    split_region,
)
from dnaannot.dna.grammar import (
    INTERGENIC,
    LABEL_INDEX,
    UNKNOWN,
    gene_grammar,
)
from dnaannot.dna.sequence import encode, mark_gaps, reverse_complement
from dnaannot.dna.transcript import Strand, Transcript, with_phases, write_labels

GRAMMAR = gene_grammar(8)
PLUS, MINUS = Strand.PLUS, Strand.MINUS


def gene(exons, strand=PLUS, name="g.1", gene="g"):
    return Transcript("chr", strand, with_phases(exons, strand), name=name, gene=gene)


def labelled(codes, transcripts, **options):
    report = LabelReport()
    sequence = label_sequence("chr", codes, transcripts, GRAMMAR, report=report, **options)
    return sequence, report


# --- refusals -------------------------------------------------------------------------------

# two exons of 9 bases around an intron of 12
SPELLED = "CC" + "ATGGCAGCA" + "GTAAACCCCTAG" + "GCAGCATAA" + "CC"
EXONS = [(2, 11), (23, 32)]


def changed(at, letters):
    return SPELLED[:at] + letters + SPELLED[at + len(letters) :]


@pytest.mark.parametrize(
    ("bases", "exons", "reason"),
    [
        (SPELLED, EXONS, None),
        (changed(12, "C"), EXONS, None),
        (changed(12, "A"), EXONS, "splice sites other than GT-AG and GC-AG"),
        (changed(22, "C"), EXONS, "splice sites other than GT-AG and GC-AG"),
        (changed(12, "N"), EXONS, "splice sites other than GT-AG and GC-AG"),
        (changed(2, "C"), EXONS, "no start codon"),
        (changed(29, "C"), EXONS, "no stop codon"),
        (changed(5, "TAG"), EXONS, "in-frame stop codon"),
        (changed(8, "TGA"), EXONS, "in-frame stop codon"),
        (SPELLED, [(2, 11), (23, 31)], "CDS length not a multiple of 3"),
        (SPELLED, [(2, 11), (11, 32)], "intron under 8 bases"),
        (SPELLED, [(2, 14), (20, 32)], "intron under 8 bases"),
        (SPELLED, [(2, 11), (23, 41)], "outside the sequence"),
        (SPELLED, [(2, 5)], "no start codon"),
        ("CCATGTAACC", [(2, 8)], None),
        ("CCAT" + "GTAAACCCCTAG" + "GGCATAACC", [(2, 4), (16, 23)],
         "intron in the start or stop codon"),
        ("CCATGGCAT" + "GTAAACCCCTAG" + "AACC", [(2, 9), (21, 23)],
         "intron in the start or stop codon"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("strand", [PLUS, MINUS])
def test_refusals(accepts, bases, exons, reason, strand):
    codes = encode(bases.encode())
    if strand is MINUS:
        codes = reverse_complement(codes)
        exons = [(len(codes) - end, len(codes) - start) for start, end in exons[::-1]]
        if min(start for start, _ in exons) < 0:
            reason = "outside the sequence"
    transcript = gene(exons, strand)
    assert refusal(transcript, codes, GRAMMAR) == reason
    if reason is None:
        labels = np.zeros(len(codes), np.uint8)
        write_labels(transcript, labels)
        assert accepts(GRAMMAR, labels, codes)


def test_coding_bases_in_a_gap_are_refused():
    codes = encode(SPELLED.replace("GCAGCATAA", "GNNNNNTAA").encode())
    assert refusal(gene(EXONS), codes, GRAMMAR) is None
    assert refusal(gene(EXONS), mark_gaps(codes, 5), GRAMMAR) == "CDS in a gap"


def test_the_grammar_refuses_what_is_refused(accepts):
    for bases in (changed(12, "A"), changed(2, "C"), changed(29, "C"), changed(5, "TAG")):
        codes, labels = encode(bases.encode()), np.zeros(len(SPELLED), np.uint8)
        write_labels(gene(EXONS), labels)
        assert not accepts(GRAMMAR, labels, codes)


# --- labels ---------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_labels_of_genes_are_a_path_of_the_grammar(accepts, locus, seed):
    codes, transcripts = locus(seed)
    sequence, report = labelled(codes, transcripts)
    assert (report.genes, report.used, report.rejected) == (4, 4, {})
    assert accepts(GRAMMAR, sequence.labels, codes)
    expected = np.zeros(len(codes), np.uint8)
    for transcript in transcripts:
        write_labels(transcript, expected)
    assert np.array_equal(sequence.labels, expected)
    assert sequence.genes.tolist() == [[t.start, t.end] for t in transcripts]


def test_wrong_phases_are_mended(locus):
    codes, transcripts = locus(3)
    wrong = [
        replace(t, exons=tuple(e._replace(phase=(e.phase + 1) % 3) for e in t.exons))
        for t in transcripts
    ]
    assert np.array_equal(labelled(codes, wrong)[0].labels, labelled(codes, transcripts)[0].labels)


def test_a_gene_that_cannot_be_spelled_is_unknown():
    codes = encode(changed(12, "A").encode())
    sequence, report = labelled(codes, [gene(EXONS)])
    assert sequence.labels.tolist() == [INTERGENIC] * 2 + [UNKNOWN] * 30 + [INTERGENIC] * 2
    assert (report.used, report.rejected) == (
        0,
        {"splice sites other than GT-AG and GC-AG": 1},
    )
    assert sequence.genes.shape == (0, 2)


def test_a_gene_past_the_end_is_unknown():
    codes = encode(SPELLED.encode())
    beyond = gene([(30, 33), (50, 60)], name="b", gene="b")
    sequence, report = labelled(codes, [beyond, gene([(100, 109)], name="c", gene="c")])
    assert sequence.labels.tolist() == [INTERGENIC] * 30 + [UNKNOWN] * 4
    assert report.rejected == {"outside the sequence": 2}
    other = gene([(2, 11), (500, 520)], name="g.2")
    sequence, report = labelled(codes, [gene(EXONS), other])
    assert report.used == 1
    assert (sequence.labels != UNKNOWN).all()


def test_a_gene_is_unknown_where_another_isoform_has_more():
    codes = encode(SPELLED.encode())
    one = gene(EXONS, name="g.1")
    other = gene([(2, 11), (26, 32)], name="g.2")
    sequence, report = labelled(codes, [other, one])
    labels = np.zeros(len(codes), np.uint8)
    write_labels(one, labels)
    assert report.used == 1
    known = sequence.labels != UNKNOWN
    assert np.array_equal(sequence.labels[known], labels[known])
    assert known.all()
    extra = gene([EXONS[0], (14, 17), EXONS[1]], name="g.3")
    sequence, _ = labelled(codes, [extra, one], preferred=["g.1"])
    acceptor, donor = 13, 17
    unknown = np.flatnonzero(sequence.labels == UNKNOWN)
    assert unknown.tolist() == list(range(acceptor, donor + 1))


def test_what_a_fragment_lacks_is_known():
    codes = encode(SPELLED.encode())
    whole, _ = labelled(codes, [gene(EXONS)])
    both, _ = labelled(codes, [gene(EXONS), gene(EXONS[-1:], name="g.2")])
    assert np.array_equal(both.labels, whole.labels)


def test_genes_that_overlap_are_unknown_there():
    codes = np.concatenate([encode(SPELLED.encode()), reverse_complement(encode(SPELLED.encode()))])
    one, other = gene(EXONS), gene([(36, 45), (57, 66)], MINUS, "h.1", "h")
    sequence, report = labelled(codes, [one, other])
    assert report.used == 2
    assert (sequence.labels != UNKNOWN).all()
    inner = encode(b"ATGTAA")
    codes[13:19] = inner
    nested = gene([(13, 19)], name="n.1", gene="n")
    sequence, report = labelled(codes, [one, other, nested])
    assert report.used == 3
    assert np.flatnonzero(sequence.labels == UNKNOWN).tolist() == list(range(13, 19))


def test_what_could_not_be_read_is_unknown():
    codes = encode(SPELLED.encode())
    sequence, _ = labelled(codes, [gene(EXONS)], unusable=[(-4, 3), (32, 900)])
    assert np.flatnonzero(sequence.labels == UNKNOWN).tolist() == [0, 1, 2, 32, 33]


def test_representative():
    short, long = gene([(2, 11)], name="a"), gene([(2, 20)], name="b")
    assert representative([short, long]).name == "b"
    assert representative([short, long], ["a"]).name == "a"
    assert representative([short, long], ["x"]).name == "b"


# --- splits ---------------------------------------------------------------------------------


def bare(length, genes=()):
    labels = np.zeros(length, np.uint8)
    for start, end in genes:
        labels[start:end] = LABEL_INDEX["cds0+"]
    spans = np.array(genes, np.int64).reshape(-1, 2)
    return LabelledSequence("chr", np.zeros(length, np.uint8), labels, spans)


def test_a_region_keeps_off_inner_borders_only():
    sequence = bare(10_000)
    for (start, end), kept in {
        (0, 4_000): (0, 3_900),
        (4_000, 6_000): (4_100, 5_900),
        (6_000, 10_000): (6_100, 10_000),
        (0, 10_000): (0, 10_000),
        (5_000, 5_100): (5_100, 5_100),
        (0, 50): (0, 0),
    }.items():
        region = split_region(sequence, start, end, margin=100)
        assert (region.start, region.end) == kept


def test_a_gene_across_a_border_belongs_to_neither_side():
    sequence = bare(1_000, [(50, 90), (390, 420), (700, 800)])
    region = split_region(sequence, 0, 410, margin=0)
    assert (sequence.labels[390:420] == UNKNOWN).all()
    assert (sequence.labels[:390] != UNKNOWN).all()
    assert genes_within(region).tolist() == [[50, 90]]
    assert genes_within(Region(sequence, 410, 1_000)).tolist() == [[700, 800]]
