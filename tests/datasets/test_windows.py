from __future__ import annotations

from dataclasses import replace
from itertools import chain

import numpy as np
import pytest

from dnaannot.datasets.genes import LabelledSequence, Region, label_sequence
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
from dnaannot.dna.sequence import reverse_complement
from dnaannot.nn.encoder import PAD


@pytest.fixture(scope="module")
def sequence(locus):
    codes, transcripts = locus(5, genes=60)
    codes[900:960] = 5
    return label_sequence("chr", codes, transcripts, gene_grammar(8), unusable=[(700, 760)])


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


# --- how much more frequent genes are in windows --------------------------------------------

STARTS = [LABEL_INDEX["start+"], LABEL_INDEX["start-"]]


def genome(number, length, starts, unknown=0):
    """A genome of one kind of base, which its number says; its last bases may be unknown."""
    labels = np.full(length, INTERGENIC, np.uint8)
    for at, label in zip(starts, STARTS, strict=True):
        labels[at] = label
    labels[length - unknown :] = UNKNOWN
    spans = np.array([[at - 300, at + 300] for at in starts]).reshape(-1, 2)
    codes = np.full(length, (0, 2)[number % 2], np.uint8)
    return Region(LabelledSequence(str(number), codes, labels, spans), 0, length, genome=number)


def counted(sampler, is_own=lambda tokens: True, windows=2_000):
    """Log of starts a known base in windows, from the batches themselves."""
    starts = bases = 0
    for step in range(windows // 20):
        batch = sampler.batch(step, 20)
        own = [is_own(tokens) for tokens in batch.tokens]
        starts += np.isin(batch.labels[own], STARTS).sum()
        bases += (batch.labels[own] != UNKNOWN).sum()
    return np.log(starts / bases)


@pytest.mark.parametrize("unknown", [0, 30_000])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_enrichment_is_that_of_the_windows_drawn(share, unknown):
    region = genome(3, 100_000, [20_000, 60_000], unknown)
    sampler = WindowSampler([region], 1_000, genic_share=share, seed=4)
    there = np.log(2 / (100_000 - unknown))
    found = sampler.enrichment[3, False]
    assert found == pytest.approx(counted(sampler) - there, abs=0.15 if share else 0.6)
    assert (found > 2.5) == (share > 0)


def test_each_genome_has_its_own_enrichment():
    sparse, dense = genome(4, 100_000, [20_000, 60_000]), genome(5, 5_000, [1_000, 4_000])
    sampler = WindowSampler([sparse, dense], 1_000, genic_share=0.5)
    alone = [WindowSampler([region], 1_000, genic_share=0.5) for region in (sparse, dense)]
    own = {4: alone[0].enrichment[4, False], 5: alone[1].enrichment[5, False]}
    assert own[4] > own[5] + 1
    batches = [sampler.batch(step, 8) for step in range(20)]
    rows = (zip(batch.tokens, batch.enrichment, strict=True) for batch in batches)
    for tokens, value in chain.from_iterable(rows):
        number = 4 if np.isin(tokens, (0, 3)).all() else 5  # A or T, or else G or C
        assert value == pytest.approx(own[number], abs=0.15)


def test_condensed_windows_have_their_own_enrichment():
    whole = genome(6, 100_000, [20_000, 60_000])
    short = genome(7, 8_000, [2_000, 6_000])
    twin = replace(short, genome=6)
    sampler = WindowSampler([whole], 1_000, condensed=[twin], condensed_share=0.5)
    there = np.log(2 / 100_000)
    for is_condensed, bases in ((False, (0, 3)), (True, (1, 2))):

        def is_own(tokens, bases=bases):
            return np.isin(tokens, bases).all()

        found = sampler.enrichment[6, is_condensed]
        assert found == pytest.approx(counted(sampler, is_own) - there, abs=0.15)
    batch = sampler.batch(0, 30)
    for tokens, value in zip(batch.tokens, batch.enrichment, strict=True):
        is_condensed = bool(np.isin(tokens, (1, 2)).all())
        assert value == np.float32(sampler.enrichment[6, is_condensed])


def test_nothing_is_enriched_where_no_gene_begins():
    bare = genome(8, 10_000, [2_000, 6_000], unknown=10_000)
    assert WindowSampler([bare], 1_000).enrichment == {(8, False): 0.0, (8, True): 0.0}
