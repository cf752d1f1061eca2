"""Posteriors by the Triton kernels beside the CPU's: on a GPU, or a few bases interpreted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dnaannot.dna.grammar import gene_grammar, position_words
from dnaannot.dna.posterior import posteriors
from dnaannot.dna.sequence import encode, mark_gaps
from dnaannot.dna.viterbi import best_path
from dnaannot.nn import posterior_cuda
from dnaannot.nn.crf_cuda import Batch

GRAMMAR = gene_grammar(4)
BASES = b"CATGGTAAGCCAGGTAAAAGTAANNNNGTTAGC"
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def blocks_of(codes, size, seed=0, spread=1.0, grammar=GRAMMAR):
    rng = np.random.default_rng(seed)
    words = position_words(codes)
    emissions = rng.normal(0, spread, (len(words), 17)).astype(np.float32)
    weights = rng.normal(0, 1, len(grammar.pairs)).astype(np.float32)
    states, _ = best_path(grammar, weights, words, emissions)
    cuts = range(0, len(words), size)
    return weights, [tuple(a[at : at + size] for a in (words, emissions, states)) for at in cuts]


def assert_alike(found, expected, tolerance=1e-6):
    assert len(found) == len(expected)
    ours, theirs = (
        [np.concatenate([getattr(part, name) for part in parts]) for name in ("enter", "leave")]
        for parts in (found, expected)
    )
    gauge = ours[0][0] - theirs[0][0]  # what `enter` and `leave` may share without effect
    np.testing.assert_allclose(ours[0] - gauge, theirs[0], atol=tolerance)
    np.testing.assert_allclose(ours[1] + gauge, theirs[1], atol=tolerance)
    joins = [np.concatenate([part.join for part in parts]) for parts in (found, expected)]
    np.testing.assert_allclose(joins[0] - gauge, joins[1], atol=tolerance)
    for mine, other in zip(found, expected, strict=True):
        assert (mine.labels is None) == (other.labels is None)
        if other.labels is not None:
            np.testing.assert_allclose(mine.labels, other.labels, atol=1e-5)


@pytest.mark.parametrize(("lot", "labels"), [(1, True), (2, False), (9, True)])
def test_blocks_are_those_of_the_cpu(kernel_device, monkeypatch, lot, labels):
    settled = []
    begin_with = Batch.begin_with
    monkeypatch.setattr(
        Batch, "begin_with", lambda *given: settled.append(given[1]) or begin_with(*given)
    )
    codes = mark_gaps(encode(BASES), 4)
    weights, blocks = blocks_of(codes, 8)
    given = {"burn_in": 6, "labels": labels}
    found = list(
        posterior_cuda.posteriors(
            GRAMMAR, weights, blocks, torch.device(kernel_device), lot=lot, **given
        )
    )
    assert_alike(found, list(posteriors(GRAMMAR, weights, blocks, **given)))
    assert settled  # a burn-in of six bases remembers too little


def test_what_float64_does_not_hold_comes_from_the_cpu(kernel_device):
    weights, blocks = blocks_of(encode(BASES[:18]), 6, spread=400.0)
    found = list(
        posterior_cuda.posteriors(GRAMMAR, weights, blocks, torch.device(kernel_device), burn_in=30)
    )
    expected = list(posteriors(GRAMMAR, weights, blocks, burn_in=30))
    assert_alike(found[:1], expected[:1], 1e-5)


def test_where_memory_runs_out_lots_shrink_to_what_the_cpu_computes(kernel_device, monkeypatch):
    asked = []

    def lacking(self, held, wanted, is_end):
        asked.append(wanted)
        raise torch.cuda.OutOfMemoryError("out of memory")

    monkeypatch.setattr(posterior_cuda._Sequence, "finish", lacking)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    weights, blocks = blocks_of(encode(BASES[:20]), 6)
    found = list(
        posterior_cuda.posteriors(GRAMMAR, weights, blocks, torch.device(kernel_device), burn_in=20)
    )
    assert asked[:3] == [4, 2, 1]
    expected = list(posteriors(GRAMMAR, weights, blocks, burn_in=20))
    assert_alike(found[:1], expected[:1])
    assert sum(len(part.enter) for part in found) == 20


@on_gpu
def test_long_introns_are_settled_on_a_gpu():
    grammar = gene_grammar(20)
    codes = np.random.default_rng(5).integers(0, 4, 60_000).astype(np.uint8)
    weights, blocks = blocks_of(codes, 4_096, spread=0.3, grammar=grammar)
    given = {"burn_in": 512, "labels": True}
    found = list(posterior_cuda.posteriors(grammar, weights, blocks, torch.device("cuda"), **given))
    assert_alike(found, list(posteriors(grammar, weights, blocks, **given)), 1e-4)
