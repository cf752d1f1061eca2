"""The Triton kernels beside Numba's: on a GPU, or a few bases in Triton's interpreter."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torchcrf

from dnaannot.dna.forward_backward import ALL_LABELS, log_partition
from dnaannot.dna.grammar import LABEL_INDEX, gene_grammar, position_words
from dnaannot.dna.sequence import encode, mark_gaps
from dnaannot.nn import crf_cuda
from dnaannot.nn.crf import LinearChainCRF, crf_divergence, crf_log_likelihood

GRAMMAR = gene_grammar(5)
FREE = np.ones(len(GRAMMAR.states), bool)
SEQUENCES = [b"ATGGTAAGNNNNTAA", b"TTACGTNAGNNNNGT", b"GTCAGGTAAAACAGC"]
on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def batch(sequences=SEQUENCES, spread=1.0, seed=1):
    rng = np.random.default_rng(seed)
    words = np.stack([position_words(mark_gaps(encode(bases), 4)) for bases in sequences])
    emissions = rng.normal(0, spread, (*words.shape, 17)).astype(np.float32)
    weights = rng.normal(0, 1, len(GRAMMAR.pairs)).astype(np.float32)
    return words, np.full(words.shape, ALL_LABELS), emissions, weights


def partitions(device, words, allowed, emissions, weights, begin=FREE, end=FREE):
    found = crf_cuda.partitions(
        GRAMMAR,
        torch.from_numpy(weights).to(device),
        torch.from_numpy(words.view(np.int32)).to(device),
        torch.from_numpy(emissions).to(device),
        torch.from_numpy(allowed.astype(np.int64)).to(device),
        begin,
        end,
    )
    return crf_cuda.Partition(*(part.cpu().numpy() for part in found))


def assert_equal_to_numba(found, words, allowed, emissions, weights, begin=FREE, end=FREE):
    for row in range(len(words)):
        log_z, marginals, counts = log_partition(
            GRAMMAR, weights, words[row], emissions[row], allowed[row], begin, end
        )
        assert found.fits[row]
        assert found.log_z[row] == pytest.approx(log_z, rel=1e-9)
        np.testing.assert_allclose(found.marginals[row], marginals, atol=1e-6)
        np.testing.assert_allclose(found.counts[row], counts, atol=1e-6)


@pytest.mark.parametrize("ends", ["free", "whole"])
def test_sums_are_those_of_the_cpu(kernel_device, ends):
    """Introns land and are cut by the end, gaps open and close, labels are known or forbidden."""
    words, allowed, emissions, weights = given = batch()
    emissions[0, 3, 2:5] = -math.inf
    allowed[1, 7] = 1 << LABEL_INDEX["intron+"]
    states = (FREE, FREE) if ends == "free" else (GRAMMAR.begins, GRAMMAR.ends)
    assert_equal_to_numba(partitions(kernel_device, *given, *states), *given, *states)


def test_rows_far_from_one_are_rescaled(kernel_device):
    given = batch([b"GTAAAACAGGTACAGTTA"], spread=40.0)
    assert_equal_to_numba(partitions(kernel_device, *given), *given)


def by_kernels_and_numba(kernel_device, monkeypatch, emissions, weights, function):
    """Pairs, by the kernels and by Numba, of three values of a function and its two gradients."""
    results = []
    for device in (kernel_device, "numba"):
        if device == "numba":
            monkeypatch.setattr(crf_cuda, "is_available", lambda device: False)
            device = "cpu"
        scores = torch.from_numpy(emissions).to(device).requires_grad_()
        pairs = torch.from_numpy(weights).to(device).requires_grad_()
        values = function(scores, pairs)
        (values * torch.arange(1.0, 4.0, device=device)).sum().backward()
        results.append([part.detach().cpu() for part in (values, scores.grad, pairs.grad)])
    return list(zip(*results, strict=True))


def test_likelihood_and_gradients_are_those_of_the_cpu(kernel_device, monkeypatch):
    words, allowed, emissions, weights = batch()
    allowed[:, 4] = 1 << LABEL_INDEX["intron-"]
    allowed[2, 6:8] = 1 << LABEL_INDEX["start+"]  # fits no path

    def likelihood(scores, pairs):
        values, possible = crf_log_likelihood(scores, pairs, words, allowed, GRAMMAR)
        assert possible.tolist() == [True, True, False]
        return values

    of_both = by_kernels_and_numba(kernel_device, monkeypatch, emissions, weights, likelihood)
    for ours, theirs in of_both:
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_divergence_and_gradients_are_those_of_the_cpu(kernel_device, monkeypatch):
    words, _, emissions, weights = batch()
    target = np.random.default_rng(4).normal(size=emissions.shape).astype(np.float32)

    def divergence(scores, pairs):
        aim = torch.from_numpy(target).to(scores.device)
        return crf_divergence(scores, aim, pairs, words, GRAMMAR)

    of_both = by_kernels_and_numba(kernel_device, monkeypatch, emissions, weights, divergence)
    assert (of_both[0][0] > 0.1).all()
    for ours, theirs in of_both:
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_what_float64_does_not_hold_goes_to_the_logarithmic_kernel(kernel_device, monkeypatch):
    words, allowed, emissions, weights = batch([b"A" * 12])
    emissions[:] = 0
    emissions[0, :6, 1:4] = -200.0
    allowed[0, 10] = 1 << LABEL_INDEX["cds1+"]
    allowed[0, 0] = 1 << LABEL_INDEX["cds0+"]
    emissions[0, 1:9, 0] = -1e4
    emissions[0, 1:9, 1:] -= 2e4 * np.arange(1, 9)[:, None] % 3e4
    values, _ = crf_log_likelihood(
        *(torch.from_numpy(part).to(kernel_device) for part in (emissions, weights)),
        words, allowed, GRAMMAR,
    )  # fmt: skip
    known, every = (
        log_partition(GRAMMAR, weights, words[0], emissions[0], mask, FREE, FREE)[0]
        for mask in (allowed[0], np.full(12, ALL_LABELS))
    )
    assert math.isfinite(known)
    assert values[0].item() == pytest.approx(known - every, rel=1e-6)


def test_linear_chain_is_pytorch_crf(kernel_device):
    torch.manual_seed(0)
    theirs = torchcrf.CRF(9, batch_first=True).double()
    ours = LinearChainCRF(9, batch_first=True).double()
    ours.load_state_dict(theirs.state_dict())
    ours.to(kernel_device)
    emissions, tags = torch.randn(3, 11, 9).double(), torch.randint(9, (3, 11))
    mask = torch.arange(11) < torch.tensor([11, 1, 7])[:, None]
    results = []
    for one, device in ((ours, kernel_device), (theirs, "cpu")):
        scores = emissions.to(device).requires_grad_()
        value = one(scores, tags.to(device), mask=mask.to(device), reduction="none")
        (value * torch.arange(1, 4, device=device)).sum().backward()
        gradients = [parameter.grad for parameter in one.parameters()]
        results.append([part.detach().cpu() for part in (value, scores.grad, *gradients)])
    for mine, wanted in zip(*results, strict=True):
        torch.testing.assert_close(mine, wanted)


@pytest.mark.parametrize("at_once", [1, 2])
def test_launches_of_few_sequences_are_one_of_all(kernel_device, monkeypatch, at_once):
    given = batch([b"ATGGTAC", b"GTACAGA", b"TTACNNN"])
    whole = partitions(kernel_device, *given)
    monkeypatch.setattr(crf_cuda, "sequences_at_once", lambda *_: at_once)
    for one, other in zip(partitions(kernel_device, *given), whole, strict=True):
        assert np.array_equal(one, other)


def test_without_triton_tensors_go_to_the_cpu(monkeypatch):
    monkeypatch.setattr(crf_cuda.importlib.util, "find_spec", lambda _: None)
    assert not crf_cuda.is_available(torch.device("cuda"))


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from dnaannot.nn import crf_kernels

INTEGERS = "which first states words lengths source target rule label enter_gap enter_rule"
INTEGERS += " leave_gap jump jump_source jump_lane jump_of_donor"
for kernel in (crf_kernels.forward, crf_kernels.backward):
    for shape in ((8, 64, True, True), (16, 16, False, False)):
        fixed = dict(zip(("D", "S", "JUMPS", "GAPS"), shape))
        if kernel is crf_kernels.backward:
            fixed["PATH"] = shape[2]
        types = {}
        for name in kernel.arg_names:
            small = "*i32" if name in INTEGERS.split() else "*fp64"
            types[name] = "constexpr" if name in fixed else "i32" if name.isupper() else small
        values = {(kernel.arg_names.index(name),): value for name, value in fixed.items()}
        source = ASTSource(fn=kernel, signature=types, constexprs=values)
        made = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 1})
        assert made.asm["cubin"]
        assert made.metadata.shared == 0
"""


def test_kernels_compile_for_a_gpu_that_is_not_there(tmp_path):
    pytest.importorskip("triton")
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", COMPILE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@on_gpu
def test_long_windows_on_a_gpu():
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 4, (8, 14_000)).astype(np.uint8)
    codes[3, 2000:2500] = 5
    words = np.stack([position_words(row) for row in codes])
    emissions = rng.normal(0, 3, (8, 14_000, 17)).astype(np.float32)
    weights = rng.normal(0, 1, len(GRAMMAR.pairs)).astype(np.float32)
    given = words, np.full(words.shape, ALL_LABELS), emissions, weights
    assert_equal_to_numba(partitions("cuda", *given), *given)
