from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from dnaannot.dna.transcript import Exon, Strand, Transcript
from dnaannot.formats.track_files import Track
from dnaannot.formats.track_plot import View, draw_view

TRACK = Track("accessibility", "x", "m", "probability")
GENE = Transcript("a", Strand.PLUS, (Exon(2_000, 3_000, 0), Exon(5_000, 5_600, 0)))


def view(values, step=100, genes=None, regions=()):
    starts = np.arange(len(values)) * step
    shaded = np.array(regions, np.int64).reshape(-1, 2)
    return View("a", 0, 10_000, shaded, starts, starts + step, values[:, None], genes)


def drawn(path, *arguments):
    draw_view(path, *arguments)
    return imread(path)[..., :3]


def blue(picture):
    """Dark pixels of the track's colour in each column."""
    return ((picture[..., 2] > picture[..., 0] + 0.4) & (picture[..., 0] < 0.3)).sum(axis=0)


def test_bars_are_as_high_as_the_values(tmp_path):
    values = np.repeat([0.25, 0.0, 1.0, 0.5], 25)
    heights = blue(drawn(tmp_path / "x.png", view(values), [TRACK]))
    inside = np.flatnonzero(heights)
    quarter = (inside[-1] - inside[0]) // 4
    middles = [heights[inside[0] + quarter * i + quarter // 2] for i in range(4)]
    assert middles[1] == 0
    assert [middles[0] / middles[2], middles[3] / middles[2]] == pytest.approx(
        [0.25, 0.5], abs=0.05
    )


def test_many_narrow_sites_are_shown_as_means(tmp_path):
    values = np.tile([0.0, 1.0], 5_000)
    heights = blue(drawn(tmp_path / "x.png", view(values, step=1), [TRACK]))
    full = blue(drawn(tmp_path / "y.png", view(np.ones(10_000), step=1), [TRACK])).max()
    assert np.median(heights[heights > 0]) == pytest.approx(full / 2, abs=2)


def test_genes_and_regions_are_drawn(tmp_path):
    flat = view(np.zeros(100))
    plain = drawn(tmp_path / "1.png", flat, [TRACK])
    shaded = drawn(tmp_path / "2.png", view(np.zeros(100), regions=[(1_000, 2_000)]), [TRACK])
    assert plain.shape == shaded.shape
    assert (plain != shaded).any(axis=2).sum() > 1_000
    genes = drawn(tmp_path / "3.png", view(np.zeros(100), genes=[GENE]), [TRACK])
    none = drawn(tmp_path / "4.png", view(np.zeros(100), genes=[]), [TRACK])
    assert genes.shape == none.shape
    assert genes.shape[0] > plain.shape[0]
    dark = (genes[plain.shape[0] - 10 :].max(axis=2) < 0.3).any(axis=0)
    assert 150 < dark.sum() < 700


def test_of_very_many_tracks_the_first_are_drawn(tmp_path):
    tracks = [TRACK] * 26
    many = View("a", 0, 1_000, np.empty((0, 2)), np.array([0]), np.array([9]), np.ones((1, 26)))
    assert drawn(tmp_path / "x.png", many, tracks).shape[0] < 2_500


def test_a_gene_takes_one_row_and_those_that_meet_two(tmp_path):
    def height(*genes):
        return drawn(tmp_path / "x.png", view(np.zeros(100), genes=genes), [TRACK]).shape[0]

    gene = replace(GENE, gene="g", name="one")
    shorter = replace(gene, exons=GENE.exons[:1])
    assert height(gene) == height(gene, shorter) < height(gene, replace(gene, gene="h"))
    long_name = replace(shorter, gene="h", name="a name far longer than the gene " * 4)
    apart = replace(GENE.moved(3_800), gene="i")
    assert height(gene, apart) == height(gene) < height(long_name, apart)
