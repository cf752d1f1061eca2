from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnaannot.dna.grammar import (
    GAP_AFTER,
    GAP_FIRST,
    INTERGENIC,
    IS_CODING,
    LABEL_INDEX,
    LABELS,
    MIRRORED_LABEL,
    RULE_BIT,
    UNKNOWN,
    gene_grammar,
    position_words,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import GAP, encode, reverse_complement
from dnaannot.dna.transcript import read_transcripts

SEEDS = st.integers(0, 2**32 - 1)


def test_size():
    grammar = gene_grammar()
    assert (len(grammar.states), len(grammar.edges), len(grammar.jumps)) == (59, 91, 12)
    assert len(grammar.pairs) == 17
    source, target = grammar.edges.T.tolist()
    assert np.bincount(target).max() == 7
    steps = list(zip(target, source, strict=True))
    assert steps == sorted(set(steps))


def test_weights_are_tied_between_the_strands():
    grammar = gene_grammar()
    label, twin = grammar.label_of_state, MIRRORED_LABEL
    steps = {}
    for (a, b), pair in zip(
        [*grammar.edges.tolist(), *grammar.jumps.tolist()],
        [*grammar.edge_pair, *grammar.jump_pair],
        strict=True,
    ):
        steps.setdefault((int(label[a]), int(label[b])), set()).add(int(pair))
    for (a, b), pairs in steps.items():
        assert len(pairs) == 1
        assert steps[int(twin[b]), int(twin[a])] == pairs


@pytest.mark.parametrize("min_intron", [-1, 3])
def test_introns_too_short_for_their_splice_sites(min_intron):
    with pytest.raises(ValueError, match="at least 4"):
        gene_grammar(min_intron)


def rules_by_reading(bases):
    """Names of the rules that hold at each base, from the letters around it; '-' is a gap."""
    found = []
    for i, base in enumerate(bases):
        two, three = bases[i : i + 2], bases[i : i + 3]
        last_two = bases[max(0, i - 1) : i + 1]
        held = {"any"}
        if base != "-":
            held |= {"base", base} - {"N"}
            for name, letters in (("notT", "T"), ("notTC", "TC"), ("notA", "A"), ("notAG", "AG")):
                if base not in letters:
                    held.add(name)
        if base in "TC":
            held.add("TC")
        if three in ("TAA", "TAG", "TGA"):
            held.add("stop")
        if three in ("TTA", "CTA", "TCA"):
            held.add("rstop")
        if three == "ATG":
            held.add("atg")
        if three == "CAT":
            held.add("cat")
        if two in ("GT", "GC"):
            held.add("donor+")
        if two == "CT":
            held.add("acceptor-")
        if last_two == "AG":
            held.add("acceptor+")
        if last_two in ("AC", "GC"):
            held.add("donor-")
        if i and base == "-" != bases[i - 1]:
            held.add("gap first")
        if i and base != "-" == bases[i - 1]:
            held.add("gap after")
        found.append(held)
    return found


def names_of(word):
    names = {name for name, bit in RULE_BIT.items() if word & bit}
    return names | ({"gap first"} if word & GAP_FIRST else set()) | (
        {"gap after"} if word & GAP_AFTER else set()
    )  # fmt: skip


def test_words_of_all_short_sequences():
    for length in (1, 2, 4):
        for bases in map("".join, itertools.product("ACGTN-", repeat=length)):
            codes = encode(bases.encode())
            codes[[base == "-" for base in bases]] = GAP
            assert [names_of(word) for word in position_words(codes)] == rules_by_reading(bases)


@given(st.text("ACGTN-", max_size=50))
def test_words_of_long_sequences(bases):
    codes = encode(bases.encode())
    codes[np.array([base == "-" for base in bases], bool)] = GAP
    assert [names_of(word) for word in position_words(codes)] == rules_by_reading(bases)


@given(st.lists(st.integers(0, 16) | st.just(UNKNOWN), max_size=30))
def test_mirroring_labels_twice_gives_them_back(labels):
    labels = np.array(labels, np.uint8)
    assert reverse_complement_labels(reverse_complement_labels(labels)).tolist() == labels.tolist()


def test_mirrored_labels_are_of_the_other_strand():
    for name, twin in zip(LABELS, MIRRORED_LABEL, strict=True):
        assert LABELS[twin] == name.translate(str.maketrans("+-", "-+"))
    assert LABELS[INTERGENIC] == "intergenic"


@settings(deadline=None)
@given(SEEDS, st.integers(4, 30))
def test_genes_are_accepted_on_both_strands(accepts, random_locus, seed, min_intron):
    locus = random_locus(seed, min_intron)
    grammar = gene_grammar(min_intron)
    assert accepts(grammar, locus.labels, locus.codes)
    twin = reverse_complement_labels(locus.labels), reverse_complement(locus.codes)
    assert accepts(grammar, *twin)


@settings(deadline=None, max_examples=200)
@given(SEEDS, st.data())
def test_a_changed_base_breaks_a_site(accepts, random_locus, seed, data):
    """A gene is refused once a base of its start, stop or splice sites is another."""
    locus = random_locus(seed, genes=1)
    (gene,) = locus.transcripts
    codes, labels = locus.codes, locus.labels
    if gene.strand.value == "-":
        codes, labels = reverse_complement(codes), reverse_complement_labels(labels)
    (gene,) = read_transcripts([labels], "chr")
    sites = [gene.start, gene.start + 1, gene.start + 2, gene.end - 3]
    sites += [at for start, end in gene.introns for at in (start, end - 2, end - 1)]
    site = data.draw(st.sampled_from(sites))
    changed = codes.copy()
    changed[site] = (codes[site] + data.draw(st.integers(1, 3))) % 4
    grammar = gene_grammar(20)
    assert accepts(grammar, labels, codes)
    assert not accepts(grammar, labels, changed)
    assert not accepts(grammar, reverse_complement_labels(labels), reverse_complement(changed))


@settings(deadline=None, max_examples=150)
@given(SEEDS, st.data())
def test_a_stop_in_frame_is_refused_also_across_introns(accepts, random_locus, seed, data):
    locus = random_locus(seed, genes=1)
    codes, labels = locus.codes.copy(), locus.labels
    if (labels == LABEL_INDEX["start-"]).any():
        codes, labels = reverse_complement(codes), reverse_complement_labels(labels)
    coding = np.flatnonzero(IS_CODING[labels])
    inner = coding[3:-3].reshape(-1, 3)
    if not len(inner):
        return
    codon = inner[data.draw(st.integers(0, len(inner) - 1))]
    codes[codon] = encode(data.draw(st.sampled_from([b"TAA", b"TAG", b"TGA"])))
    assert not accepts(gene_grammar(20), labels, codes)
    assert not accepts(
        gene_grammar(20), reverse_complement_labels(labels), reverse_complement(codes)
    )
    codes[codon] = encode(data.draw(st.sampled_from([b"TAC", b"CAA", b"TTG", b"TNA"])))
    assert accepts(gene_grammar(20), labels, codes)


@settings(deadline=None)
@given(SEEDS)
def test_introns_under_the_minimum_are_refused(accepts, random_locus, seed):
    locus = random_locus(seed, 20)
    lengths = [end - start for gene in locus.transcripts for start, end in gene.introns]
    shortest = min(lengths, default=1000)
    assert accepts(gene_grammar(min(shortest, 60)), locus.labels, locus.codes)
    if lengths:
        assert not accepts(gene_grammar(shortest + 1), locus.labels, locus.codes)


@settings(deadline=None, max_examples=200)
@given(SEEDS, st.data())
def test_sequences_may_cut_genes_in_exons_and_introns(accepts, random_locus, seed, data):
    """A gene cut at a sequence end is accepted unless the cut goes through a codon of a site."""
    locus = random_locus(seed, genes=1)
    (gene,) = locus.transcripts
    site = np.zeros(len(locus.labels) + 1, bool)
    site[[gene.start + 1, gene.start + 2, gene.end - 2, gene.end - 1]] = True
    for start, end in gene.introns:
        site[[start + 1, end - 1]] = True
    starts, ends = site.copy(), site.copy()
    for start, end in gene.introns:
        starts[start] = ends[end] = True
    start = data.draw(st.sampled_from(np.flatnonzero(~starts[:-1]).tolist()))
    end = data.draw(st.sampled_from(np.flatnonzero(~ends).tolist()))
    labels, codes = locus.labels[start:end], locus.codes[start:end]
    if end <= start:
        return
    assert accepts(gene_grammar(20), labels, codes)
    assert accepts(gene_grammar(20), reverse_complement_labels(labels), reverse_complement(codes))


def test_gaps_cut_genes(accepts):
    grammar = gene_grammar(20)
    codes = encode(b"CCATGAAACC" + b"N" * 60 + b"TTTGCCTAACC")
    codes[10:70] = GAP
    labels = np.zeros(len(codes), np.uint8)
    plus = {name: LABEL_INDEX[name + "+"] for name in ("start", "cds0", "cds1", "cds2", "stop")}
    codon = [plus["cds0"], plus["cds1"], plus["cds2"]]
    labels[2:10] = [plus["start"], *codon[1:], *codon, *codon[:2]]
    labels[70:79] = [*codon, *codon, *codon[:2], plus["stop"]]
    assert accepts(grammar, labels, codes)
    twin = reverse_complement_labels(labels)
    assert accepts(grammar, twin, reverse_complement(codes))
    filled = codes.copy()
    filled[10:70] = 0
    assert not accepts(grammar, labels, filled)
    inside = labels.copy()
    inside[10] = codon[2]
    assert not accepts(grammar, inside, codes)


def test_introns_span_gaps(accepts):
    grammar = gene_grammar(20)
    codes = encode(b"CCATGGT" + b"N" * 60 + b"AGTAACC")
    codes[7:67] = GAP
    labels = np.zeros(len(codes), np.uint8)
    index = LABEL_INDEX
    labels[2:7] = [index[n + "+"] for n in ("start", "cds1", "cds2", "donor", "intron")]
    labels[7:68] = index["intron+"]
    labels[68:72] = [index[n + "+"] for n in ("acceptor", "cds0", "cds1", "stop")]
    assert accepts(grammar, labels, codes)
    assert accepts(grammar, reverse_complement_labels(labels), reverse_complement(codes))
    cut = labels.copy()
    cut[67:] = 0
    assert accepts(grammar, cut, codes)
    assert accepts(grammar, reverse_complement_labels(cut), reverse_complement(codes))
