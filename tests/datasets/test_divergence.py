from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from dnaannot.datasets.divergence import TOLERANCE, TRANSITIONS, diverged
from dnaannot.datasets.genes import Region, label_sequence, refusal
from dnaannot.datasets.windows import window_arrays
from dnaannot.dna.grammar import (
    IS_CODING,
    LABEL_INDEX,
    MINUS,
    RULE_BIT,
    UNKNOWN,
    gene_grammar,
    reverse_complement_labels,
)
from dnaannot.dna.sequence import GAP, N, reverse_complement, translate
from dnaannot.evaluate.gene_sets import representatives
from dnaannot.formats.fasta import read_fasta
from dnaannot.formats.gff import read_annotation

SHARE = 0.2


@pytest.fixture(scope="module")
def genome(test_data):
    record = next(read_fasta(test_data / "human_chr19_150kb.fa.gz"))
    annotation = read_annotation(test_data / "human_chr19_150kb.gff3.gz")
    grammar = gene_grammar()
    genes = representatives(
        each.transcript
        for each in annotation.transcripts
        if refusal(each.transcript, record.codes, grammar) is None
    )
    return label_sequence(record.name, record.codes, genes, grammar), genes


@pytest.fixture(scope="module")
def after(genome):
    return diverged(genome[0].codes, genome[0].labels, SHARE, np.random.default_rng(1))


def test_every_gene_stays_one(genome, after):
    """The oracle is the test by which genes are admitted to training."""
    sequence, transcripts = genome
    changed = 0
    for transcript in transcripts:
        assert refusal(transcript, after, gene_grammar()) is None
        old, new = (translate(transcript.cds(codes)) for codes in (sequence.codes, after))
        changed += sum(a != b for a, b in zip(old, new, strict=True))
    assert changed > 0


def test_neutral_bases_change_by_the_share_and_most_by_transition(genome, after):
    sequence, _ = genome
    neutral = sequence.labels == 0
    differs = (sequence.codes != after) & neutral
    assert differs[neutral].mean() == pytest.approx(SHARE, rel=0.1)
    transitions = (sequence.codes ^ after)[differs] == 2
    assert transitions.mean() == pytest.approx(TRANSITIONS, abs=0.03)


def test_amino_acids_change_more_rarely_than_codons(genome, after):
    sequence, transcripts = genome
    codons = {"same": 0, "other": 0, "silent": 0}
    for transcript in transcripts:
        old, new = (transcript.cds(codes) for codes in (sequence.codes, after))
        for at in range(0, len(old), 3):
            a, b = old[at : at + 3], new[at : at + 3]
            if (a != b).any():
                codons["silent" if translate(a) == translate(b) else "other"] += 1
            else:
                codons["same"] += 1
    sites = sum(codons.values())
    neutral = 1 - (1 - SHARE) ** 3
    assert 0.15 < codons["silent"] / (neutral * sites) < 0.4
    assert codons["other"] / (neutral * sites) < TOLERANCE


@pytest.mark.parametrize("minus", [0, MINUS])
@pytest.mark.parametrize("site", ["start", "donor", "acceptor"])
def test_sites_keep_their_surroundings(genome, site, minus):
    sequence, _ = genome
    before, behind = {"start": (10, 3), "donor": (3, 6), "acceptor": (20, 4)}[site]
    at = np.flatnonzero(sequence.labels == LABEL_INDEX[f"{site}+"] + minus)
    assert len(at)
    offsets = np.arange(-before, behind) if not minus else np.arange(1 - behind, before + 1)
    for seed in range(3):
        after = diverged(sequence.codes, sequence.labels, 0.5, np.random.default_rng(seed))
        around = at[:, None] + offsets
        assert np.array_equal(after[around], sequence.codes[around])


def test_unknown_bases_and_labels_stay(genome):
    codes, labels = genome[0].codes.copy(), genome[0].labels.copy()
    codes[100:160], codes[500:510], labels[2_000:9_000] = N, GAP, UNKNOWN
    after = diverged(codes, labels, 0.5, np.random.default_rng(2))
    assert np.array_equal(after >= N, codes >= N)
    assert np.array_equal(after[2_000:9_000], codes[2_000:9_000])
    assert (after != codes).any()


def test_strands_are_treated_alike(genome):
    """The reverse complement of a sequence keeps as many of its coding bases."""
    sequence, _ = genome
    coding = IS_CODING[np.minimum(sequence.labels, len(IS_CODING) - 1)]
    kept = []
    for flip in (False, True):
        codes, labels = sequence.codes, sequence.labels
        if flip:
            codes, labels = reverse_complement(codes), reverse_complement_labels(labels)
        after = diverged(codes, labels, SHARE, np.random.default_rng(3))
        same = (after == codes)[::-1] if flip else after == codes
        kept.append(same[coding].mean())
    assert kept[0] == pytest.approx(kept[1], abs=0.01)


@pytest.mark.parametrize("flip", [False, True])
def test_a_window_still_spells_its_labels(genome, flip):
    """Labels at sites satisfy the grammar's rules as read from the window itself."""
    sequence, _ = genome
    region = Region(sequence, 0, len(sequence.codes))
    change = partial(diverged, divergence=0.3, random=np.random.default_rng(4))
    start = int(sequence.genes[0, 0]) - 1_000
    plain = window_arrays(region, start, 9_000, flip)
    tokens, labels, words, _ = window_arrays(region, start, 9_000, flip, change)
    assert np.array_equal(labels, plain[1])
    assert not np.array_equal(tokens, plain[0])
    names = [
        f"{name}{strand}" for name in ("start", "stop", "donor", "acceptor") for strand in "+-"
    ]
    site = np.isin(labels, [LABEL_INDEX[name] for name in names])
    kinds = ("atg", "stop", "donor+", "acceptor+", "cat", "rstop", "acceptor-", "donor-")
    rules = sum(RULE_BIT[kind] for kind in kinds)
    assert site.any()
    assert np.array_equal(words[site] & rules, plain[2][site] & rules)
