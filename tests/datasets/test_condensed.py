from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnaannot.datasets.condensed import condensed, is_sparse
from dnaannot.datasets.genes import Region, label_sequence
from dnaannot.datasets.windows import WindowSampler
from dnaannot.dna.grammar import INTERGENIC, INTRON, MINUS, UNKNOWN, gene_grammar
from dnaannot.dna.sequence import runs
from dnaannot.dna.transcript import Strand, Transcript, read_transcript, with_phases

REACH = 50
GRAMMAR = gene_grammar()


def with_gene(strand, spans, length=3_000, seed=1):
    """A sequence with one gene that the grammar can spell, on either strand."""
    codes = (
        np.random.default_rng(seed).integers(2, size=length).astype(np.uint8)
    )  # A and C: no stop
    coding = np.concatenate([np.arange(*span) for span in spans])
    codes[coding[:3]], codes[coding[-3:]] = (0, 3, 2), (3, 0, 0)
    for (_, left), (right, _) in zip(spans, spans[1:], strict=False):
        codes[left : left + 2], codes[right - 2 : right] = (2, 3), (0, 2)
    if strand is Strand.MINUS:
        codes = (3 - codes)[::-1].copy()
        spans = [(length - end, length - start) for start, end in reversed(spans)]
    gene = Transcript("s", strand, with_phases(list(spans), strand), name="t", gene="g")
    return label_sequence("s", codes, [gene], GRAMMAR), gene


@pytest.mark.parametrize("strand", list(Strand))
@pytest.mark.parametrize(
    "spans", [[(700, 760)], [(700, 760), (1_400, 1_460)], [(700, 761), (800, 840), (2_300, 2_349)]]
)
def test_the_gene_keeps_its_exons_and_loses_only_what_is_far(strand, spans):
    sequence, gene = with_gene(strand, spans)
    twin = condensed(Region(sequence, 0, 3_000, weight=2.0, genome=7), REACH)
    assert (twin.weight, twin.genome) == (2.0, 7)
    short = twin.sequence
    within = short.labels != INTERGENIC
    ((start, end),) = runs(within)
    found = read_transcript(short.labels[start:end], "s", int(start))
    assert np.array_equal(found.cds(short.codes), gene.cds(sequence.codes))
    assert [e.phase for e in found.exons] == [e.phase for e in gene.exons]
    longest = 2 * REACH + 3  # splice sites, and the base at which a label begins, count too
    assert [b - a for a, b in found.introns] == [min(b - a, longest) for a, b in gene.introns]
    assert (start, len(short.labels) - end) == (REACH, REACH + 1)
    assert short.genes.tolist() == [[start, end]]


def test_every_base_kept_is_near_a_change_of_label():
    """The oracle looks at each base's neighbourhood."""
    sequence, _ = with_gene(Strand.PLUS, [(700, 760), (1_400, 1_460)])
    labels = sequence.labels.copy()
    labels[2_000:2_400] = UNKNOWN
    region = Region(replace(sequence, labels=labels), 100, 2_900)
    part = labels[100:2_900]
    dull = (INTERGENIC, INTRON, INTRON + MINUS, UNKNOWN)
    changes = [i for i in range(len(part)) if part[i] not in dull or (i and part[i] != part[i - 1])]
    kept = [i for i in range(len(part)) if min(abs(i - at) for at in changes) <= REACH]
    short = condensed(region, REACH).sequence
    assert np.array_equal(short.labels, part[kept])
    assert np.array_equal(short.codes, sequence.codes[100:2_900][kept])


def test_windows_come_from_the_twin_by_their_share():
    """The twin's bases are all G, the genome's all A."""
    sequence, _ = with_gene(Strand.PLUS, [(700, 760)])
    regions = [
        Region(replace(sequence, codes=np.full(3_000, base, np.uint8)), 0, 3_000) for base in (0, 2)
    ]
    sampler = WindowSampler(regions[:1], 90, condensed=regions[1:], condensed_share=0.3)
    tokens = np.concatenate([sampler.batch(step, 8).tokens for step in range(100)])
    is_twin = np.isin(tokens[:, 0], (1, 2))
    assert is_twin.mean() == pytest.approx(0.3, abs=0.05)
    again = WindowSampler(regions[:1], 90)
    assert np.isin(np.concatenate([again.batch(s, 8).tokens for s in range(20)]), (0, 3)).all()


@pytest.mark.parametrize("end", [600, 2_000])
def test_where_the_twin_holds_no_gene_windows_come_from_the_region(end):
    """Up to 600 the twin is empty; an unknown stretch leaves bases, but no gene."""
    sequence, _ = with_gene(Strand.PLUS, [(700, 760)])
    sequence.labels[650:800] = UNKNOWN
    region = Region(replace(sequence, genes=sequence.genes[:0]), 0, end)
    twin = condensed(region, REACH)
    assert twin.end == (0 if end == 600 else 2 * (2 * REACH + 1))
    given = {"condensed": [twin], "condensed_share": 1.0}
    sampler, plain = WindowSampler([region], 90, **given), WindowSampler([region], 90)
    assert sampler._twins == [None]
    assert plain._twins == []


def test_a_twin_shorter_than_a_window_is_not_drawn_from():
    sequence, _ = with_gene(Strand.PLUS, [(700, 760)])
    region = Region(sequence, 0, 3_000)
    twin = condensed(region, REACH)
    for window, is_used in ((twin.end, True), (twin.end + 1, False)):
        sampler = WindowSampler([region], window, condensed=[twin], condensed_share=1.0)
        assert (sampler._twins[0] is not None) == is_used
    assert is_sparse(region, twin)
    assert not is_sparse(replace(region, end=400), twin)
