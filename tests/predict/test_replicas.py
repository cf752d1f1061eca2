"""Placement and back-off with CPUs that stand for GPUs: torch takes "cpu:0" and "cpu:1"."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dnaannot.dna.posterior import posteriors
from dnaannot.nn.encoder import PRESETS, EncoderConfig, build_encoder
from dnaannot.predict import genes, replicas, scorer
from dnaannot.predict.genes import GenePredictor
from dnaannot.predict.replicas import Replicas, bases_at_once
from dnaannot.predict.scorer import Compute, Scorer
from dnaannot.predict.tracks import Grid, TrackPredictor

TOKENS = np.arange(8 * 12, dtype=np.uint8).reshape(8, 12) % 5


class OnFullGPU(torch.nn.Parameter):
    """There is no memory for a copy beside it."""

    def __deepcopy__(self, memo):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")


class Network(torch.nn.Module):
    """Doubles its tokens; runs out of memory above some rows, but on the CPU.

    Attributes:
        seen: place and rows of each call.
        bf16: of each call, whether it computed in bfloat16.
    """

    def __init__(self, most, error=None):
        super().__init__()
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.most, self.place, self.seen, self.bf16 = most, None, [], []

    def to(self, device):
        self.place = device
        return self

    def forward(self, tokens):
        self.seen.append((self.place, len(tokens)))
        self.bf16.append(torch.is_autocast_enabled("cpu"))
        if self.place != "cpu" and len(tokens) > self.most:
            raise self.error
        return 2 * tokens


def test_batches_are_halved_where_memory_runs_out_and_stay_so():
    network = Network(most=2)
    on_gpu = Replicas(network, ["cpu:0"], bf16=False)
    assert np.array_equal(on_gpu(TOKENS), 2.0 * TOKENS)
    assert [rows for _, rows in network.seen] == [8, 4, 2, 2, 2, 2]
    network.seen.clear()
    assert np.array_equal(on_gpu(TOKENS[:4]), 2.0 * TOKENS[:4])
    assert [rows for _, rows in network.seen] == [2, 2]


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_a_result_always_comes(error):
    network = Network(most=0, error=error)
    network.weight = OnFullGPU(torch.tensor([1.0, 2.0]))
    on_gpu = Replicas(network, ["cpu:0"], bf16=False)
    assert np.array_equal(on_gpu(TOKENS), 2.0 * TOKENS)
    on_cpu = on_gpu._copies["cpu"]
    assert on_cpu.seen[-8:] == [("cpu", 1)] * 8
    assert on_cpu.weight.tolist() == [1.0, 2.0]
    assert network.place == "cpu:0"
    assert {place for place, _ in network.seen} == {"cpu:0"}


@pytest.mark.parametrize("fast", [False, True])
def test_the_cpu_stands_in_with_bf16_where_it_has_it(monkeypatch, fast):
    monkeypatch.setattr(replicas, "has_fast_bf16", lambda device: fast)
    network = Network(most=0)
    on_gpu = Replicas(network, ["cpu:0"], bf16=True)
    on_gpu(TOKENS[:2])
    assert network.bf16 == [True, True]
    assert on_gpu._copies["cpu"].bf16[-2:] == [fast, fast]


@pytest.mark.parametrize("bf16", [False, True])
def test_a_chosen_cpu_computes_as_asked(monkeypatch, bf16):
    monkeypatch.setattr(replicas, "has_fast_bf16", lambda device: False)
    network = Network(most=8)
    Replicas(network, ["cpu"], bf16)(TOKENS)
    assert network.bf16 == [bf16]


def test_what_did_not_fit_is_not_tried_again_when_a_larger_batch_failed_later():
    on_gpu = Replicas(Network(most=8), ["cpu:0"], bf16=False)
    on_gpu._give_way("cpu:0", 2 * TOKENS.shape[1])
    on_gpu._give_way("cpu:0", 4 * TOKENS.shape[1])
    assert on_gpu._rows("cpu:0", TOKENS.shape[1]) == 2


def test_weights_are_transformed_once_for_all_batches(transformed):
    config = EncoderConfig("residual", 8, (1, 2), kernel=7)
    on_cpu = Replicas(build_encoder(config).eval(), ["cpu"], bf16=False)
    first, again = on_cpu(TOKENS), on_cpu(TOKENS)
    assert np.array_equal(first, again)
    assert len(transformed) == 2


def test_other_errors_are_not_hidden():
    class Wrong(Network):
        def forward(self, tokens):
            raise RuntimeError("wrong shape")

    with pytest.raises(RuntimeError, match="wrong shape"):
        Replicas(Wrong(0), ["cpu:0"], bf16=False)(TOKENS)


@pytest.mark.parametrize("device", ["cpu", "cpu:0"])
def test_lack_of_memory_on_the_cpu_is_an_error(device):
    class Hungry(Network):
        def forward(self, tokens):
            raise torch.cuda.OutOfMemoryError("out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        Replicas(Hungry(0), [device], bf16=False)(TOKENS)


def test_each_thread_keeps_its_device_and_all_are_used():
    network = Network(most=8)
    on_gpus = Replicas(network, ["cpu:0", "cpu:1"], bf16=False)
    barrier = threading.Barrier(4)

    def call(_):
        on_gpus(TOKENS)
        barrier.wait()
        on_gpus(TOKENS)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(call, range(4)))
    assert [len(copied.seen) for copied in on_gpus._copies.values()] == [4, 4]


def test_batches_follow_from_the_least_free_memory(monkeypatch):
    free = {"cuda:0": 80 << 30, "cuda:1": 1 << 30, "cuda:2": 1 << 10}
    monkeypatch.setattr(replicas, "free_gpu_memory", free.get)
    encoder = SimpleNamespace(config=PRESETS["strided"])
    alone, both, hardly = (bases_at_once(encoder, devices) for devices in (
        ["cuda:0"], ["cuda:0", "cuda:1"], ["cuda:2"]))  # fmt: skip
    assert hardly < both < alone
    assert all(bases & (bases - 1) == 0 for bases in (hardly, both, alone))
    paper = SimpleNamespace(config=PRESETS["spt"])
    assert bases_at_once(paper, ["cuda:1"]) < both


class TwoGPUs(Compute):
    """Two CPUs that are treated as GPUs."""

    @property
    def devices(self):
        return ("cpu:0", "cpu:1")


class OneGPU(Compute):
    @property
    def devices(self):
        return ("cpu:0",)


@pytest.fixture
def small_gpus(monkeypatch):
    """Tiles of 1,152 bases, four of them in a batch."""
    monkeypatch.setattr(scorer, "_LADDER", (64, 128))
    monkeypatch.setattr(scorer, "_BATCHED_BASES", 1_152)
    monkeypatch.setattr(scorer, "bases_at_once", lambda *_: 5_000)


def emissions(model, sequences, compute, both_strands=False):
    scored = Scorer(model, compute, both_strands).score_all(enumerate(sequences))
    return [np.concatenate(list(chunks)) for _, _, chunks in scored]


@pytest.mark.parametrize("both_strands", [False, True])
def test_gpus_share_tiles_with_the_same_result(tiny_model, fly_codes, small_gpus, both_strands):
    ends = (0, 9_000, 9_500, 9_501, 12_000, 13_100)
    sequences = [fly_codes[a:b].copy() for a, b in zip(ends, ends[1:], strict=False)]
    sequences[0][2000:5000] = 5
    two = emissions(tiny_model, sequences, TwoGPUs("cuda"), both_strands)
    one = emissions(tiny_model, sequences, OneGPU("cuda"), both_strands)
    alone = [emissions(tiny_model, [s], OneGPU("cuda"), both_strands)[0] for s in sequences]
    cpu = emissions(tiny_model, sequences, Compute(), both_strands)
    for number in range(len(sequences)):
        assert np.array_equal(two[number], one[number])
        assert np.array_equal(two[number], alone[number])
        assert np.allclose(two[number], cpu[number], atol=2e-5)


def test_genes_of_gpus_are_those_of_the_cpu(tiny_model, fly_codes, small_gpus):
    def transcripts(compute):
        predictor = GenePredictor(tiny_model, compute)
        sequences = [("a", fly_codes[:9_000].copy()), ("b", fly_codes[9_000:10_000].copy())]
        return [list(found.transcripts) for found in predictor.predict(sequences)]

    found, expected = transcripts(TwoGPUs("cuda")), transcripts(Compute())
    assert sum(map(len, found)) > 3
    for ours, theirs in zip(found, expected, strict=True):
        assert [(t.start, t.end) for t in ours] == [(t.start, t.end) for t in theirs]
        assert [t.score for t in ours] == pytest.approx([t.score for t in theirs], abs=1e-3)


@pytest.mark.parametrize("both_strands", [False, True])
def test_tracks_of_gpus_are_those_of_the_cpu(grid_model, fly_codes, monkeypatch, both_strands):
    monkeypatch.setattr(scorer, "bases_at_once", lambda *_: 1 << 14)
    cuts = {"a": (0, 7_000), "b": (7_000, 14_100), "c": (14_100, 21_000), "d": (21_000, 21_300)}

    def values(compute):
        predictor = TrackPredictor(grid_model, Grid(), compute, both_strands=both_strands)
        return list(predictor.predict((name, fly_codes[a:b]) for name, (a, b) in cuts.items()))

    found, expected = values(TwoGPUs("cuda")), values(Compute())
    for name in cuts:
        ours, theirs = (
            np.concatenate([part.values for part in parts if part.sequence == name])
            for parts in (found, expected)
        )
        assert len(ours)
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_posteriors_of_long_sequences_come_from_a_gpu(tiny_model, fly_codes, monkeypatch):
    """Its way in stands for the GPU's: the CPU computes for it."""
    asked = []

    def on_gpu(grammar, weights, blocks, device, *, labels):
        asked.append(device)
        return posteriors(grammar, weights, blocks, labels=labels)

    monkeypatch.setattr(genes, "BLOCK", 512)
    monkeypatch.setattr(genes.crf_cuda, "is_available", lambda _: True)
    monkeypatch.setattr(genes.posterior_cuda, "posteriors", on_gpu)
    predictor = GenePredictor(tiny_model, Compute())
    for length in (2_048, 2_049):
        for found in predictor.predict([("a", fly_codes[:length].copy())]):
            list(found.transcripts)
    assert asked == [torch.device("cpu")]
