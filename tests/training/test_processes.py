"""Two processes, as torchrun would start them, that share the parts of every step."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from dnaannot.datasets.windows import WindowSampler
from dnaannot.dna.grammar import gene_grammar
from dnaannot.dna.sequence import decode
from dnaannot.nn.checkpoint import load_masked_model
from dnaannot.nn.model import GeneModel
from dnaannot.training import processes
from dnaannot.training.gene_data import Pair, read_gene_data
from dnaannot.training.genes import GeneLosses, GeneObjective
from dnaannot.training.processes import ALONE, Processes, join_processes
from dnaannot.training.trainer import Schedule, Trainer

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (
    "selfpretrain", "loci.fa", "--preset", "tiny", "--window-bases", "900", "--batch", "4",
    "--steps", "5", "--warmup", "2", "--threads", "1", "--device", "cpu",
)  # fmt: skip


def test_one_process_is_alone(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join_processes() == ALONE
    assert ALONE.is_first
    assert ALONE.from_first("a") == "a"


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_part_is_somebodys(count):
    shares = [list(Processes(rank, count).mine(range(7))) for rank in range(count)]
    assert sorted(part for share in shares for part in share) == list(range(7))


class Joined:
    """Stands in for torch.distributed: processes that are threads of this one."""

    def __init__(self, count):
        self.barrier, self.values = threading.Barrier(count, timeout=60), []

    def all_reduce(self, tensor):
        self.values.append(tensor.clone())
        self.barrier.wait()
        total = sum(self.values)
        if self.barrier.wait() == 0:
            self.values.clear()
        self.barrier.wait()
        tensor.copy_(total)

    def broadcast_object_list(self, shared):
        self.barrier.wait()


@pytest.fixture
def in_threads(monkeypatch):
    """Call a function of `Processes` in as many threads; returns what each gave."""

    def call(function, count):
        monkeypatch.setattr(processes, "distributed", Joined(count))
        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(function, [Processes(rank, count) for rank in range(count)]))

    return call


def test_gradients_are_summed_where_any_process_has_one(in_threads):
    def summed(joined):
        parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]
        parameters[0].grad = torch.tensor([1.0, 2.0 + joined.rank])
        if joined.rank == 1:
            parameters[1].grad = torch.tensor([5.0, 7.0])
        return joined.add_up(0.5 + joined.rank, parameters), [p.grad for p in parameters]

    for loss, (both, one, none) in in_threads(summed, 2):
        assert loss == 2.0
        assert both.tolist() == [2.0, 5.0]
        assert one.tolist() == [5.0, 7.0]
        assert none is None


def test_genes_are_trained_as_by_one_process(in_threads, test_data, tiny_model):
    """Cross-entropy first, without the grammar's weights, then the likelihood, with them."""
    files = (test_data / f"yeast_chrII_120kb.{kind}" for kind in ("fa.gz", "gff3.gz"))
    regions = read_gene_data([Pair(*files)], gene_grammar()).train
    objective = GeneObjective(window=900, batch=2, crf_start=0.5)
    schedule = Schedule(steps=4, warmup=0, validate_every=4)

    def trained(joined):
        model = GeneModel(tiny_model.encoder.config)
        model.load_state_dict(tiny_model.state_dict())
        losses = GeneLosses(objective, WindowSampler(regions, 900), schedule.steps)
        trainer = Trainer(
            model, losses, lambda _: {"score": 0.0}, lambda _: None, schedule, processes=joined
        )
        trainer.run()
        counts = {
            name: int(trainer.optimizers.state_of(parameter)["step"])
            for name, parameter in model.named_parameters()
        }
        return counts, torch.cat([value.detach().flatten() for value in model.parameters()])

    steps, alone = trained(ALONE)
    assert (steps["pair_weights"], steps["head.linear.weight"]) == (2, 4)
    for counted, weights in in_threads(trained, 2):
        assert counted == steps
        assert (weights - alone).abs().quantile(0.999) < 1e-5


def test_two_processes_train_what_one_does(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    codes = np.random.default_rng(1).integers(0, 4, 9_000).astype(np.uint8)
    (tmp_path / "loci.fa").write_text(f">a\n{decode(codes)}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        **os.environ, "PYTHONPATH": str(ROOT), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }  # fmt: skip
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "dnaannot", *COMMAND, "-o", "two.safetensors"],
            env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert "5 steps" in said[0]
    assert "5 steps" not in said[1]
    assert sorted(os.listdir(tmp_path)) == ["loci.fa", "two.safetensors", "two.safetensors.report"]
    assert run(*COMMAND, "-o", "one.safetensors").status == 0
    one, two = (load_masked_model(f"{n}.safetensors")[0].state_dict() for n in ("one", "two"))
    # rounding alone differs, which AdamW's first steps blow up where gradients are near 0
    differences = torch.cat([(two[name] - value).abs().flatten() for name, value in one.items()])
    assert differences.quantile(0.99) < 1e-4
