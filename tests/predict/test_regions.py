from __future__ import annotations

import numpy as np
import pytest

from dnaannot.predict import regions
from dnaannot.predict.genes import GenePredictor
from dnaannot.predict.regions import clusters, predict_regions
from dnaannot.predict.scorer import Compute


@pytest.fixture(scope="module")
def predictor(tiny_model):
    return GenePredictor(tiny_model, Compute())


@pytest.fixture(scope="module")
def codes(fly_codes):
    return fly_codes[:100_000]


@pytest.fixture(scope="module")
def whole(predictor, codes):
    """The genes of the whole sequence and its label posteriors."""
    posteriors = []
    (found,) = [
        list(genes.transcripts)
        for genes in predictor.predict(
            [("chr", codes)], lambda name, start, values: posteriors.append(values)
        )
    ]
    return found, np.concatenate(posteriors)


def shape(transcript):
    exons = [(exon.start, exon.end, exon.phase) for exon in transcript.exons]
    return transcript.strand, exons, transcript.has_start, transcript.has_stop


def within(transcripts, spans):
    return [shape(t) for t in transcripts if any(t.start < b and t.end > a for a, b in spans)]


def test_spans_closer_than_the_flank_are_one_cluster(monkeypatch):
    monkeypatch.setattr(regions, "FLANK", 10)
    assert clusters([(50, 60), (1, 5), (4, 9), (9, 12), (15, 16), (27, 28)]) == [
        [(1, 12), (15, 16)],
        [(27, 28)],
        [(50, 60)],
    ]
    assert clusters([(1, 20), (3, 4)]) == [[(1, 20)]]
    assert clusters([]) == []


@pytest.mark.parametrize(
    "spans",
    [
        [(40_000, 60_000)],
        [(0, 1)],
        [(99_999, 100_000)],
        [(70_000, 80_000), (30_000, 30_100), (31_000, 32_000), (79_000, 81_000)],
        [(0, 100_000)],
    ],
)
def test_genes_of_regions_are_those_of_the_whole_sequence(
    predictor, codes, whole, spans, monkeypatch
):
    monkeypatch.setattr(regions, "FLANK", 15_000)
    found = predict_regions(predictor, "chr", codes, spans)
    assert found.name == "chr"
    assert found.codes is codes
    found = list(found.transcripts)
    assert [shape(t) for t in found] == within(whole[0], spans)
    assert {t.sequence for t in found} <= {"chr"}
    expected = {t.start: t.score for t in whole[0]}
    assert all(t.score == pytest.approx(expected[t.start], abs=1e-3) for t in found)


def watched(predictor, monkeypatch):
    """Lengths of the stretches that are predicted from now on."""
    lengths = []
    real = predictor.predict

    def predict(sequences, *rest):
        lengths.extend(len(codes) for _, codes in sequences)
        return real(sequences, *rest)

    monkeypatch.setattr(predictor, "predict", predict)
    return lengths


def test_a_gene_longer_than_the_flank_is_whole(predictor, codes, whole, monkeypatch):
    longest = max(whole[0], key=lambda t: t.end - t.start)
    exon = max(longest.exons, key=lambda exon: exon.end - exon.start)
    middle = (exon.start + exon.end) // 2
    flank = min(middle - longest.start, longest.end - middle) // 2
    monkeypatch.setattr(regions, "FLANK", flank)
    tried = watched(predictor, monkeypatch)
    seen = []
    found = predict_regions(
        predictor, "chr", codes, [(middle, middle + 1)], lambda *block: seen.append(block)
    )
    assert [shape(t) for t in found.transcripts] == [shape(longest)]
    assert tried[1] > 1.9 * tried[0]
    assert [(start, len(values)) for _, start, values in seen] == [(middle, 1)]


def test_label_posteriors_of_regions_only(predictor, codes, whole, monkeypatch):
    monkeypatch.setattr(regions, "FLANK", 15_000)
    seen = []
    spans = [(50_000, 50_300), (60_000, 60_001), (99_000, 100_000), (5, 25)]
    tried = watched(predictor, monkeypatch)
    predict_regions(predictor, "chr", codes, spans, lambda *block: seen.append(block))
    assert len(tried) == len(clusters(spans))
    covered = sorted((start, start + len(values)) for _, start, values in seen)
    assert covered == sorted(spans)
    for name, start, values in seen:
        assert name == "chr"
        assert np.allclose(values, whole[1][start : start + len(values)], atol=1e-3)
