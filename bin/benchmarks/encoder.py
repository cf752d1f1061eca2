"""`bin/benchmark encoder` and `train`: the encoder against the matrix rate, a step's parts.

Everything runs in this process on one thread and is timed in CPU time, so that other programs on
the machine weigh little; what is compared takes turns.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from benchmarks.measuring import ROOT, say, write_report

if TYPE_CHECKING:
    import torch

    from dnaannot.nn.model import GeneModel
    from dnaannot.training.trainer import Trainer

CRF_LENGTH = 14_000
CRF_LABELS = 9
MATRIX = (1_536, 1_344, 192)
"""Rows, columns and outputs: a convolution of seven taps over 192 channels as one product."""
TEST_GENOME = ROOT / "test_data" / "zymoseptoria_chr13_150kb.fa.gz"
TEST_GENES = ROOT / "test_data" / "zymoseptoria_chr13_150kb.gff3.gz"

Task = Callable[[], object]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark encoder`."""
    parser.add_argument("--preset", default="strided", help="default: %(default)s")
    parser.add_argument("--strides", type=int, default=16_384, help="tile (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")


def add_train_options(parser: argparse.ArgumentParser) -> None:
    """The options of `bin/benchmark train`."""
    parser.add_argument("--preset", default="strided", help="default: %(default)s")
    parser.add_argument("--window", type=int, default=13_824, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")


def take_turns(tasks: dict[str, Task], rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each task in every round, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for number in range(rounds + 1):
        for name, task in tasks.items():
            begun = time.process_time()
            task()
            if number:
                seconds[name].append(time.process_time() - begun)
        say(f"round {number} of {rounds}")
    return seconds


def has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16."""
    from dnaannot.predict.replicas import has_fast_bf16

    return has_fast_bf16("cpu")


def dtypes() -> list[torch.dtype]:
    """Those worth measuring here."""
    import torch

    return [torch.bfloat16, torch.float32] if has_bf16() else [torch.float32]


def _name(dtype: torch.dtype) -> str:
    return "bf16" if "bfloat16" in str(dtype) else "fp32"


def matrix_product(dtype: torch.dtype) -> Task:
    """Twenty products of `MATRIX`."""
    import torch

    rows, columns, outputs = MATRIX
    x, weight = torch.randn(rows, columns, dtype=dtype), torch.randn(outputs, columns, dtype=dtype)

    def multiply() -> None:
        for _ in range(20):
            torch.nn.functional.linear(x, weight)

    return multiply


MATRIX_FLOPS = 20 * 2 * MATRIX[0] * MATRIX[1] * MATRIX[2]


def emissions(model: GeneModel, tokens: torch.Tensor, dtype: torch.dtype, fused: bool) -> Task:
    """The model's scores of tokens, in fused layers or in their parts one after the other."""
    import torch

    def score() -> None:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16),
            _fused(fused),
        ):
            model(tokens)

    return score


def _fused(wanted: bool):  # type: ignore[no-untyped-def]
    from dnaannot.nn import encoder

    return patch.object(encoder, "is_fused", encoder.is_fused if wanted else lambda *_: False)


def flops_per_base(model: GeneModel) -> float:
    """Operations of a forward pass, convolutions and products counted as they are defined."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    length = 64 * model.encoder.config.stride
    with torch.inference_mode(), _fused(False), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, length, dtype=torch.uint8))
    return counter.get_total_flops() / length


def benchmark_encoder(arguments: argparse.Namespace) -> None:
    """The model's forward pass on one core, beside the rate of its matrix products."""
    sys.path.insert(0, str(ROOT))
    import torch

    from dnaannot.nn.encoder import PRESETS
    from dnaannot.nn.model import GeneModel

    torch.set_num_threads(1)
    torch.manual_seed(1)
    model = GeneModel(PRESETS[arguments.preset]).eval()
    bases = arguments.strides * model.encoder.config.stride
    tokens = torch.randint(0, 4, (1, bases)).to(torch.uint8)
    flops = flops_per_base(model)
    tasks: dict[str, Task] = {}
    for dtype in dtypes():
        tasks[f"matrix product, {_name(dtype)}"] = matrix_product(dtype)
        tasks[f"model, {_name(dtype)}"] = emissions(model, tokens, dtype, True)
        tasks[f"model in parts, {_name(dtype)}"] = emissions(model, tokens, dtype, False)
    seconds = take_turns(tasks, arguments.rounds)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    rows = []
    for name, median in medians.items():
        peak = MATRIX_FLOPS / medians[f"matrix product, {name[-4:]}"]
        is_model = name.startswith("model")
        rate = (flops * bases if is_model else MATRIX_FLOPS) / median
        rows.append(
            {
                "what": name,
                "kb_per_s": round(bases / median / 1000, 1) if is_model else "",
                "gflop_per_s": round(rate / 1e9, 1),
                "of_matrix_rate": f"{rate / peak:.0%}",
            }
        )
    notes = [
        f"Preset {arguments.preset}, a tile of {bases:,} bases, one thread, CPU time; "
        f"{arguments.rounds} rounds, medians. Speeds are for all bases of the tile.",
        f"{flops / 1e6:.2f} million operations a base, as the layers are defined; minimal "
        "filtering does with 10 products of 14 in convolutions of seven taps, which counts as "
        "speed here and can lift the share above 100 %.",
        f"Matrix product: {MATRIX[0]:,} x {MATRIX[1]:,} by {MATRIX[1]:,} x {MATRIX[2]}.",
        "In parts: convolution, GELU, layer norm and sum as one call each.",
    ]
    write_report("encoder", "The encoder on one CPU core", rows, {"seconds": seconds}, notes)


def benchmark_train(arguments: argparse.Namespace) -> None:
    """A training step and its parts on one core; the CRF beside pytorch-crf."""
    sys.path.insert(0, str(ROOT))
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(1)
    trainer = gene_training(arguments.preset, arguments.window)
    loss = trainer.losses_of_step
    parts: list[Any] = list(trainer.losses_of_step(trainer.module, 0))
    bases = arguments.window
    with trainer._pool() as pool:
        tasks: dict[str, Task] = {
            "step": lambda: trainer._step(0, pool),
            "step, layers in parts": _in_parts(lambda: trainer._step(0, pool)),
            "windows drawn": lambda: loss.sampler.batch(0, len(parts)),  # type: ignore[attr-defined]
            "encoder and head": lambda: _each(model_gradients, trainer, parts),
            "CRF": lambda: _each(crf_gradients, trainer, parts),
            "weights": lambda: update(trainer),
        }
        seconds = take_turns(tasks, arguments.rounds)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    rows = [
        {
            "what": name,
            "ms": round(1000 * median, 1),
            "share_of_step": f"{median / medians['step']:.1%}",
            "kb_per_s": round(len(parts) * bases / median / 1000, 1),
        }
        for name, median in medians.items()
    ]
    chain = take_turns(chain_tasks(), arguments.rounds)
    rows += [_chain_row(name, times) for name, times in chain.items()]
    ours, theirs = (statistics.median(times) for times in chain.values())
    precision = "bf16" if has_bf16() else "fp32"
    notes = [
        f"Preset {arguments.preset}, {len(parts)} windows of {bases:,} bases a step, {precision}, "
        f"one thread, CPU time; {arguments.rounds} rounds, medians. Windows of a step are "
        "computed by as many threads as there are cores, so kb/s are for each of them.",
        "weights: gradients clipped, the steps of AdamW and Muon.",
        f"Linear-chain CRF: forward and backward pass over {CRF_LENGTH:,} bases, {CRF_LABELS} "
        f"labels; {theirs / ours:.0f} times pytorch-crf's speed.",
    ]
    details = {"seconds": {**seconds, **chain}}
    write_report("train", "A training step on one CPU core", rows, details, notes)


def _each(task: Callable[..., None], trainer: Trainer[GeneModel], parts: list[Any]) -> None:
    for part in parts:
        task(trainer, part.args[1])


def _chain_row(name: str, times: list[float]) -> dict[str, str | float]:
    median = statistics.median(times)
    speed = round(CRF_LENGTH / median / 1000, 1)
    return {"what": name, "ms": round(1000 * median, 1), "share_of_step": "", "kb_per_s": speed}


def _in_parts(task: Task) -> Task:
    def run() -> None:
        with _fused(False):
            task()

    return run


def gene_training(preset: str, window: int) -> Trainer[GeneModel]:
    """A trainer on the bundled test annotation."""
    from dnaannot.datasets.windows import WindowSampler
    from dnaannot.nn.encoder import PRESETS
    from dnaannot.nn.model import GeneModel
    from dnaannot.training.gene_data import Pair, read_gene_data
    from dnaannot.training.genes import GeneLosses, GeneObjective
    from dnaannot.training.optimizers import ByMuon
    from dnaannot.training.trainer import Schedule, Trainer

    model = GeneModel(PRESETS[preset])
    data = read_gene_data([Pair(TEST_GENOME, TEST_GENES)], model.grammar)
    objective = GeneObjective(window=window, crf_start=0, bf16=has_bf16())
    share, seed = objective.genic_share, objective.seed
    sampler = WindowSampler(data.train, window, genic_share=share, seed=seed)
    losses = GeneLosses(objective, sampler, 100)
    by_muon = ByMuon.of("muon", model, has_bf16())
    return Trainer(model, losses, lambda _: {}, lambda _: None, Schedule(100), by_muon=by_muon)


def model_gradients(trainer: Trainer[GeneModel], row) -> None:  # type: ignore[no-untyped-def]
    """Forward and backward pass of a window without its loss."""
    import torch

    model = trainer.module
    with torch.autocast("cpu", torch.bfloat16, enabled=has_bf16()):
        scores = model(torch.from_numpy(row.tokens))
    torch.autograd.grad(scores, trainer.parameters, scores.detach(), allow_unused=True)


def crf_gradients(trainer: Trainer[GeneModel], row) -> None:  # type: ignore[no-untyped-def]
    """The likelihood of a window and its gradients."""
    import torch

    from dnaannot.nn.crf import crf_log_likelihood

    model = trainer.module
    scores = torch.zeros(*row.labels.shape, 17, requires_grad=True)
    weights, grammar = model.pair_weights, model.grammar
    values, _ = crf_log_likelihood(scores, weights, row.words, row.allowed, grammar)
    torch.autograd.grad(values.sum(), (scores, weights))


def update(trainer: Trainer[GeneModel]) -> None:
    """What a step does to the weights once it has their gradients."""
    from torch import nn

    nn.utils.clip_grad_norm_(trainer.parameters, trainer.schedule.clip)
    trainer.optimizers.step(trainer.schedule.learning_rate)


def chain_tasks() -> dict[str, Task]:
    """Loss and gradients of a linear chain, ours and pytorch-crf's, with the same parameters."""
    import torch
    import torchcrf  # type: ignore[import-untyped]

    from dnaannot.nn.crf import LinearChainCRF

    theirs = torchcrf.CRF(CRF_LABELS, batch_first=True)
    ours = LinearChainCRF(CRF_LABELS, batch_first=True)
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    scores = torch.randn(1, CRF_LENGTH, CRF_LABELS, requires_grad=True)
    labels = torch.randint(0, CRF_LABELS, (1, CRF_LENGTH))

    def task(crf: torch.nn.Module) -> Task:
        return lambda: torch.autograd.grad(crf(scores, labels), (scores, *crf.parameters()))

    return {"linear-chain CRF": task(ours), "pytorch-crf": task(theirs)}
