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
from dnaannot.datasets.windows import WindowSampler, window_arrays
from dnaannot.dna.forward_backward import ALL_LABELS
from dnaannot.dna.grammar import (
    INTERGENIC,
    LABEL_INDEX,
    MIRRORED_LABEL,
    UNKNOWN,
    gene_grammar,
    position_words,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import encode, mark_gaps, reverse_complement
from dnaannot.dna.transcript import Strand, Transcript, with_phases, write_labels
from dnaannot.nn.encoder import PAD

GRAMMAR = gene_grammar(8)
PLUS, MINUS = Strand.PLUS, Strand.MINUS
STOPS = {"TAA", "TAG", "TGA"}


def random_bases(rng, length):
    return "".join(rng.choice(list("ACGT"), length))


def random_gene(rng):
    """Bases of a plus-strand gene and its exons."""
    codons = []
    while len(codons) < rng.integers(2, 30):
        codon = random_bases(rng, 3)
        if codon not in STOPS:
            codons.append(codon)
    cds = "ATG" + "".join(codons) + "TAG"
    cuts = sorted(rng.choice(np.arange(3, len(cds) - 3), rng.integers(0, 4), replace=False))
    bases, exons = "", []
    for first, last in zip([0, *cuts], [*cuts, len(cds)], strict=True):
        if first:
            bases += "GT" + random_bases(rng, int(rng.integers(4, 40))) + "AG"
        exons.append((len(bases), len(bases) + last - first))
        bases += cds[first:last]
    return bases, exons


def locus(seed, genes=4):
    """Codes of random genes on both strands, and their transcripts."""
    rng = np.random.default_rng(seed)
    parts, transcripts, at = [], [], 0
    for number in range(genes):
        between = random_bases(rng, int(rng.integers(1, 60)))
        bases, exons = random_gene(rng)
        codes, strand = encode(bases.encode()), PLUS
        if rng.random() < 0.5:
            codes, strand = reverse_complement(codes), MINUS
            exons = [(len(bases) - end, len(bases) - start) for start, end in exons[::-1]]
        at += len(between)
        placed = with_phases([(a + at, b + at) for a, b in exons], strand)
        name = f"g{number}"
        transcripts.append(Transcript("chr", strand, placed, name=f"{name}.1", gene=name))
        parts += [encode(between.encode()), codes]
        at += len(bases)
    parts.append(encode(b"C" * 20))
    return np.concatenate(parts), transcripts


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
def test_labels_of_genes_are_a_path_of_the_grammar(accepts, seed):
    codes, transcripts = locus(seed)
    sequence, report = labelled(codes, transcripts)
    assert (report.genes, report.used, report.rejected) == (4, 4, {})
    assert accepts(GRAMMAR, sequence.labels, codes)
    expected = np.zeros(len(codes), np.uint8)
    for transcript in transcripts:
        write_labels(transcript, expected)
    assert np.array_equal(sequence.labels, expected)
    assert sequence.genes.tolist() == [[t.start, t.end] for t in transcripts]


def test_wrong_phases_are_mended():
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


# --- windows --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sequence():
    codes, transcripts = locus(5, genes=60)
    codes = codes.copy()
    unread = [(700, 760)]
    codes[900:960] = 5
    return labelled(codes, transcripts, unusable=unread)[0]


@pytest.mark.parametrize("start", [0, 1, 2, 100, 850, 930, 955])
def test_a_window_is_a_cut_of_the_sequence(sequence, start):
    region = Region(sequence, 0, len(sequence.codes))
    tokens, labels, words, allowed = window_arrays(region, start, 300, flip=False)
    codes = sequence.codes[start : start + 300]
    assert np.array_equal(tokens, np.minimum(codes, 4))
    assert np.array_equal(labels, sequence.labels[start : start + 300])
    assert np.array_equal(words, position_words(sequence.codes)[start : start + 300])
    for label, bits in zip(labels, allowed, strict=True):
        assert bits == (ALL_LABELS if label == UNKNOWN else 1 << int(label))
    assert (tokens.dtype, labels.dtype, words.dtype, allowed.dtype) == (
        np.uint8,
        np.uint8,
        np.uint32,
        np.uint32,
    )


@pytest.mark.parametrize("start", [0, 1, 2, 100, 850, 930])
def test_a_flipped_window_is_a_window_of_the_reverse_complement(sequence, start):
    length = len(sequence.codes)
    mirrored = LabelledSequence(
        "rc",
        reverse_complement(sequence.codes),
        reverse_complement_labels(sequence.labels),
        length - sequence.genes[::-1, ::-1],
    )
    flipped = window_arrays(Region(sequence, 0, length), start, 300, flip=True)
    straight = window_arrays(Region(mirrored, 0, length), length - start - 300, 300, flip=False)
    for one, other in zip(flipped, straight, strict=True):
        assert np.array_equal(one, other)
    known = flipped[1] != UNKNOWN
    back = window_arrays(Region(sequence, 0, length), start, 300, flip=False)[1][::-1]
    assert np.array_equal(flipped[1][known], MIRRORED_LABEL[back[known]])


@pytest.mark.parametrize("flip", [False, True])
def test_a_window_longer_than_its_region_is_padded(sequence, flip):
    region = Region(sequence, 100, 250)
    tokens, labels, words, allowed = window_arrays(region, 100, 200, flip=flip)
    codes = sequence.codes[100:250]
    codes = reverse_complement(codes) if flip else codes
    assert np.array_equal(tokens[:150], np.minimum(codes, 4))
    assert (tokens[150:] == PAD).all()
    assert (labels[150:] == UNKNOWN).all()
    assert (allowed[150:] == ALL_LABELS).all()
    assert (words[150:] == 1).all()
    cut = position_words(codes)
    assert np.array_equal(words[2:148], cut[2:148])


def test_batches_follow_from_seed_and_step(sequence):
    regions = [Region(sequence, 0, 2_000), Region(sequence, 2_500, len(sequence.codes))]

    def batch(seed, step):
        return WindowSampler(regions, 120, seed=seed).batch(step, 6)

    assert all(map(np.array_equal, batch(1, 5), batch(1, 5)))
    assert not np.array_equal(batch(1, 5).tokens, batch(1, 6).tokens)
    assert not np.array_equal(batch(1, 5).tokens, batch(2, 5).tokens)
    assert batch(1, 5).tokens.shape == (6, 120)


def test_windows_stay_in_their_regions(sequence):
    marks = np.arange(len(sequence.codes)) // 1000 % 4
    marked = LabelledSequence("m", marks.astype(np.uint8), sequence.labels, sequence.genes)
    sampler = WindowSampler([Region(marked, 1_000, 2_000)], 50, genic_share=0.8)
    tokens = np.concatenate([sampler.batch(step, 8).tokens for step in range(20)])
    assert set(np.unique(tokens)) == {1, 2}  # C, or G where the window is flipped
    assert (tokens == 1).all(1).mean() == pytest.approx(0.5, abs=0.15)


def test_genic_share_and_weights(sequence):
    far = LabelledSequence(
        "far", np.zeros(50_000, np.uint8), np.zeros(50_000, np.uint8), sequence.genes[:1]
    )
    for share, low, high in ((1.0, 1.0, 1.0), (0.0, 0.0, 0.1)):
        sampler = WindowSampler([Region(far, 0, 50_000)], 100, genic_share=share)
        far.labels[far.genes[0, 0] : far.genes[0, 1]] = LABEL_INDEX["cds0+"]
        labels = np.concatenate([sampler.batch(step, 10).labels for step in range(10)])
        assert low <= (labels != 0).any(1).mean() <= high
    one = Region(far, 0, 10_000, weight=3.0)
    other = Region(sequence, 0, 1_000, weight=10.0)
    sampler = WindowSampler([one, other], 60, genic_share=0.0)
    tokens = np.concatenate([sampler.batch(step, 20).tokens for step in range(20)])
    from_far = np.isin(tokens, (0, 3)).all(1)
    assert from_far.mean() == pytest.approx(0.75, abs=0.08)


def test_exon_share_anchors_windows_at_coding_bases():
    labels = np.full(30_000, INTERGENIC, np.uint8)
    labels[5_000:25_000] = LABEL_INDEX["intron+"]
    labels[[5_000, 24_999]] = LABEL_INDEX["cds0+"], UNKNOWN
    codes = np.zeros(30_000, np.uint8)
    gene = LabelledSequence("long", codes, labels, np.array([[5_000, 25_000]]))
    sampler = WindowSampler([Region(gene, 0, 30_000)], 90, genic_share=1.0, exon_share=0.5)
    drawn = np.concatenate([sampler.batch(step, 20).labels for step in range(20)])
    holds_exon = np.isin(drawn, (LABEL_INDEX["cds0+"], LABEL_INDEX["cds0-"])).any(1)
    assert holds_exon.mean() == pytest.approx(0.5, abs=0.08)


def test_how_much_more_frequent_genes_are_in_windows():
    def genome(length, starts, number):
        labels = np.full(length, INTERGENIC, np.uint8)
        labels[starts] = LABEL_INDEX["start+"], LABEL_INDEX["start-"]
        spans = np.array([[start - 300, start + 300] for start in starts])
        sequence = LabelledSequence(str(number), np.zeros(length, np.uint8), labels, spans)
        return Region(sequence, 0, length, genome=number)

    sparse, dense = genome(100_000, [20_000, 60_000], 3), genome(5_000, [1_000, 4_000], 5)
    bare = Region(LabelledSequence("bare", sparse.sequence.codes, np.zeros(100_000, np.uint8),
                                   np.zeros((0, 2), np.int64)), 0, 100_000, genome=7)  # fmt: skip
    for share in (0.0, 0.5, 1.0):
        sampler = WindowSampler([sparse, dense, bare], 1_000, genic_share=share)
        alone = WindowSampler([sparse], 1_000, genic_share=share)
        windows = np.concatenate([alone.batch(step, 20).labels for step in range(100)])
        starts = np.isin(windows, (LABEL_INDEX["start+"], LABEL_INDEX["start-"])).sum()
        expected = np.log(starts / windows.size / (2 / 100_000))
        assert sampler.enrichment[3] == pytest.approx(expected, abs=0.12 if share else 0.5)
        assert sampler.enrichment[7] == 0
        assert 0 <= sampler.enrichment[5] + 0.1 < sampler.enrichment[3] + 0.6
        batch = sampler.batch(0, 8)
        known = {np.float32(each) for each in sampler.enrichment.values()}
        assert set(batch.enrichment) <= known
        assert batch.enrichment.shape == (8,)
    assert sampler.enrichment[3] > 3


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
