from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dnaannot.datasets.genes import LabelledSequence, Region, mass
from dnaannot.datasets.loci import loci, with_fewer_labels
from dnaannot.dna.grammar import UNKNOWN

GENES = [(100, 200), (300, 420), (400, 450), (700, 800), (1_500, 1_600), (2_900, 3_000)]


@pytest.fixture
def region():
    labels = np.arange(3_000) % 17
    sequence = LabelledSequence(
        "chr1", np.zeros(3_000, np.uint8), labels.astype(np.uint8), np.array(GENES)
    )
    return Region(sequence, 50, 2_800, weight=0.5)


def test_loci_cover_a_region_and_hold_its_genes(region):
    found = loci([region])
    assert [(locus.start, locus.end) for locus in found] == [
        (50, 250), (250, 575), (575, 1_150), (1_150, 2_800),
    ]  # fmt: skip
    assert [locus.genes.tolist() for locus in found] == [
        [[100, 200]], [[300, 420], [400, 450]], [[700, 800]], [[1_500, 1_600]],
    ]  # fmt: skip


@pytest.mark.parametrize("fraction", [0.1, 0.4, 0.7, 1.0])
@pytest.mark.parametrize("flank", [0, 30, 5_000])
def test_bases_keep_their_label_in_kept_loci_alone(region, fraction, flank):
    before = region.sequence.labels.copy()
    kept, count = with_fewer_labels([region], fraction, flank, seed=3)
    assert count >= fraction * 5
    sequence = kept[0].sequence
    assert len(sequence.genes) == count
    in_loci = np.zeros(3_000, bool)
    for locus in loci([region]):
        if locus.genes[0].tolist() in sequence.genes.tolist():
            in_loci[locus.start : locus.end] = True
    assert (sequence.labels[in_loci] == before[in_loci]).all()
    assert (sequence.labels[~in_loci] == UNKNOWN).all()
    assert (region.sequence.labels == before).all()
    inside = np.zeros(3_000, int)
    for part in kept:
        assert 50 <= part.start < part.end <= 2_800
        inside[part.start : part.end] += 1
    assert inside.max() == 1
    assert inside[in_loci].all()
    assert mass(kept) == pytest.approx(mass([region]))
    if flank == 0:
        assert (inside[~in_loci] == 0).all()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fraction", [0.05, 0.5])
def test_each_genome_keeps_its_share(region, fraction, seed):
    genes = np.array([(start, start + 20) for start in range(100, 2_700, 30)])
    crowded = replace(region, sequence=replace(region.sequence, genes=genes), genome=1)
    kept, _ = with_fewer_labels([crowded, region, crowded], fraction, 30, seed)
    for genome, parts in ((0, [region]), (1, [crowded, crowded])):
        assert mass(part for part in kept if part.genome == genome) == pytest.approx(mass(parts))


def test_the_seed_draws_the_loci(region):
    drawn = {
        tuple(map(tuple, with_fewer_labels([region], 0.2, 0, seed)[0][0].sequence.genes.tolist()))
        for seed in range(20)
    }
    assert len(drawn) > 2
