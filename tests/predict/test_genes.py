from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from dnaannot.dna import posterior_path
from dnaannot.dna.grammar import LABEL_INDEX, MIRRORED_LABEL, gene_grammar
from dnaannot.dna.sequence import N, reverse_complement, translate
from dnaannot.dna.transcript import Exon, Strand, write_labels
from dnaannot.errors import ModelError
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.model import GeneModel
from dnaannot.predict import genes
from dnaannot.predict.genes import GenePredictor
from dnaannot.predict.scorer import Compute


def predict(model, codes, compute=Compute(), on_labels=None, **options):  # noqa: B008
    predictor = GenePredictor(model, compute, **options)
    (found,) = [list(each.transcripts) for each in predictor.predict([("chr", codes)], on_labels)]
    return found


def mirrored(transcript, length):
    exons = tuple(
        Exon(length - exon.end, length - exon.start, exon.phase, exon.score)
        for exon in transcript.exons[::-1]
    )
    strand = Strand.MINUS if transcript.strand is Strand.PLUS else Strand.PLUS
    return replace(transcript, exons=exons, strand=strand)


def without_scores(transcripts):
    return [
        replace(t, score=0.0, exons=tuple(e._replace(score=0.0) for e in t.exons))
        for t in transcripts
    ]


def scores(transcripts):
    return [s for t in transcripts for s in (t.score, *(e.score for e in t.exons))]


@pytest.fixture(scope="module")
def found(tiny_model, fly_codes):
    return predict(tiny_model, fly_codes[:100_000])


def test_the_model_finds_something_to_test(found):
    assert len(found) > 50
    assert {t.strand for t in found} == set(Strand)
    assert max(len(t.exons) for t in found) > 3


def test_what_has_no_codon_is_no_gene(tiny_model, fly_codes, found, monkeypatch):
    monkeypatch.setattr(genes, "has_whole_codon", lambda transcript, codes: transcript.start % 2)
    kept = predict(tiny_model, fly_codes[:100_000])
    assert scores(kept) == scores([t for t in found if t.start % 2])


def test_every_gene_is_valid(found, fly_codes):
    codes = fly_codes[:100_000]
    for transcript in found:
        cds = transcript.cds(codes)
        first = transcript.exons[0 if transcript.strand is Strand.PLUS else -1]
        protein = translate(cds[first.phase :])
        assert "*" not in protein[:-1]
        if not transcript.is_partial:
            assert (protein[0], protein[-1], len(cds) % 3) == ("M", "*", 0)
        for start, end in transcript.introns:
            sites = codes[start : start + 2], codes[end - 2 : end]
            if transcript.strand is Strand.MINUS:
                sites = tuple(reverse_complement(site) for site in sites[::-1])
            assert end - start >= 20
            assert sites[0].tolist() in ([2, 3], [2, 1])
            assert sites[1].tolist() == [0, 2]
    assert [t.is_partial for t in found[1:-1]] == [False] * (len(found) - 2)


def test_genes_do_not_overlap_and_are_in_order(found):
    assert all(a.end <= b.start for a, b in zip(found, found[1:], strict=False))


def test_scores_are_probabilities_and_a_gene_is_no_likelier_than_its_exons(found):
    assert all(0 <= score <= 1 for score in scores(found))
    for transcript in found:
        assert transcript.score <= min(exon.score for exon in transcript.exons) + 1e-9


def test_exon_scores_agree_with_label_posteriors(tiny_model, fly_codes):
    codes, labels = fly_codes[:20_000], []
    found = predict(tiny_model, codes, on_labels=lambda *block: labels.append(block))
    assert [(name, start) for name, start, _ in labels] == [("chr", 0)]
    posteriors = labels[0][2]
    assert posteriors.shape == (20_000, 17)
    assert np.allclose(posteriors.sum(1), 1, atol=1e-4)
    path = np.zeros(20_000, np.uint8)
    for transcript in found:
        write_labels(transcript, path)
        for exon in transcript.exons:
            of_path = posteriors[np.arange(exon.start, exon.end), path[exon.start : exon.end]]
            assert exon.score <= of_path.min() + 1e-4
    assert np.isclose(posteriors[np.arange(20_000), path].mean(), 1, atol=0.6)


@pytest.mark.parametrize("label", ["intergenic", "cds1+", "stop-"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(tiny_model, fly_codes, monkeypatch, label, value):
    monkeypatch.setattr(genes, "BLOCK", 2_048)
    broken = copy.deepcopy(tiny_model)
    with torch.no_grad():
        broken.head.linear.bias[LABEL_INDEX[label]] = value
    with pytest.raises(ModelError, match="no numbers on chr.*fp32"):
        predict(broken, fly_codes[:5_000])


def test_what_all_sequences_share_is_made_once(tiny_model, fly_codes, monkeypatch):
    made, build_model = [], posterior_path.build_model

    def counted(*arguments):
        made.append(build_model(*arguments))
        return made[-1]

    monkeypatch.setattr(posterior_path, "build_model", counted)
    predictor = GenePredictor(tiny_model, Compute())
    for found in predictor.predict((name, fly_codes[:500].copy()) for name in "abc"):
        list(found.transcripts)
    assert len(made) == 1


def test_label_posteriors_do_not_change_the_genes(tiny_model, fly_codes, found):
    again = predict(tiny_model, fly_codes[:100_000], on_labels=lambda *_: None)
    assert again == found


@pytest.mark.parametrize("block", [512, 4096])
def test_scores_where_blocks_are_cut(tiny_model, fly_codes, monkeypatch, block):
    whole = predict(tiny_model, fly_codes[:20_000])
    monkeypatch.setattr(genes, "BLOCK", block)
    pieces = predict(tiny_model, fly_codes[:20_000])
    assert without_scores(pieces) == without_scores(whole)
    assert np.allclose(scores(pieces), scores(whole), atol=1e-6)


def test_what_a_gene_does_not_need_is_forgotten(tiny_model, monkeypatch):
    """A sequence without genes holds no scores of its past."""
    monkeypatch.setattr(genes, "BLOCK", 256)
    held = []

    class Watched(genes._ScoredPath):
        def _drop(self, position):
            super()._drop(position)
            held.append(len(self._pieces))

    monkeypatch.setattr(genes, "_ScoredPath", Watched)
    assert predict(tiny_model, np.full(20_000, N, np.uint8)) == []
    assert len(held) > 70
    assert max(held) == 1


def test_both_strands_mirror(tiny_model, fly_codes):
    codes = fly_codes[:60_000]
    one = predict(tiny_model, codes, both_strands=True)
    other = predict(tiny_model, reverse_complement(codes), both_strands=True)
    back = [mirrored(t, len(codes)) for t in other[::-1]]
    assert len(one) > 20
    assert without_scores(back) == without_scores(one)
    complete = [pair for pair in zip(one, back, strict=True) if not pair[0].is_partial]
    assert sum(len(a.exons) > 1 for a, _ in complete) > 5
    assert np.allclose(*(scores(side) for side in zip(*complete, strict=True)), atol=1e-9)


def test_label_posteriors_of_both_strands_mirror(tiny_model, fly_codes):
    codes, seen = fly_codes[:3_000], {}
    for name, strand_codes in (("one", codes), ("other", reverse_complement(codes))):
        predict(
            tiny_model,
            strand_codes,
            both_strands=True,
            on_labels=lambda _, start, values, name=name: seen.update({name: values}),
        )
    assert np.allclose(seen["one"], seen["other"][::-1, MIRRORED_LABEL], atol=1e-5)


def test_exons_do_not_reach_into_gaps_and_genes_are_cut_there(tiny_model, fly_codes):
    codes = fly_codes[:60_000].copy()
    for start in range(500, 60_000, 1000):
        codes[start : start + 60] = N
    found = predict(tiny_model, codes)
    in_gap = np.zeros(len(codes), bool)
    for start in range(500, 60_000, 1000):
        in_gap[start : start + 60] = True
    assert not any(in_gap[e.start : e.end].any() for t in found for e in t.exons)
    assert any(in_gap[a:b].any() for t in found for a, b in t.introns)
    cut = [t for t in found[1:-1] if t.is_partial]
    assert cut
    for transcript in cut:
        left = in_gap[transcript.start - 1]
        right = in_gap[transcript.end]
        is_plus = transcript.strand is Strand.PLUS
        whole_left, whole_right = (
            (transcript.has_start, transcript.has_stop)
            if is_plus
            else (transcript.has_stop, transcript.has_start)
        )
        assert whole_left or left or in_gap[: transcript.start].any()
        assert whole_right or right or in_gap[transcript.end :].any()


def test_progress_counts_every_base(tiny_model, fly_codes):
    done = []
    predict(tiny_model, fly_codes[:70_000], on_bases=done.append)
    assert sum(done) == 70_000


@pytest.mark.parametrize("length", [1, 2, 3, 5, 50, 300])
def test_very_short_sequences(tiny_model, fly_codes, length):
    for transcript in predict(tiny_model, fly_codes[:length]):
        assert 0 <= transcript.start < transcript.end <= length


def test_a_gap_may_not_be_shorter_than_an_intron(tiny_model):
    with pytest.raises(ValueError, match="least intron, 20"):
        GenePredictor(tiny_model, Compute(), min_gap=19)
    wide = GeneModel(PRESETS["tiny"], min_intron=70)
    assert GenePredictor(wide, Compute()).min_gap == 70
    assert GenePredictor(tiny_model, Compute()).min_gap == 50


def test_a_gap_costs_nothing():
    grammar = gene_grammar()
    weights = np.arange(len(grammar.pairs), dtype=np.float32)
    scores = genes.gap_emissions(grammar, weights)
    for pair in (("intergenic", "intergenic"), ("intron+", "intron+")):
        label = grammar.labels.index(pair[0])
        assert scores[label] + weights[grammar.pairs.index(pair)] == 0
    assert np.array_equal(scores[MIRRORED_LABEL], scores)


def test_blocks_inside_a_gap_hold_no_scores_of_their_own(tiny_model, fly_codes, monkeypatch):
    monkeypatch.setattr(genes, "BLOCK", 512)
    codes = fly_codes[:8_000].copy()
    codes[1_000:6_000] = 5
    predictor = GenePredictor(tiny_model, Compute())
    chunks = iter([np.zeros((len(codes), 17), np.float32)])
    shared = [block.emissions.strides[0] == 0 for block in predictor._blocks(codes, chunks)]
    assert shared == [2 <= number < 11 for number in range(16)]
    codes[1_000:6_000] = N
    assert len(predict(tiny_model, codes)) > 3
