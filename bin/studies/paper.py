"""The comparison of Mupparapu et al. (2025): models from scratch and self-pretrained, by FLOPs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from dnaannot.datasets.unlabelled import MaskedSampler
from dnaannot.evaluate.bend_labels import matthews
from dnaannot.formats.output import atomic_output, make_folder
from dnaannot.nn.checkpoint import load_encoder, load_nine_label_model, model_bytes
from dnaannot.nn.encoder import PRESETS, EncoderConfig
from dnaannot.nn.masked import MaskedModel
from dnaannot.nn.model import TaskModel
from dnaannot.nn.nine_labels import NineLabelModel, freeze_encoder
from dnaannot.predict.scorer import Compute
from dnaannot.training.bend import (
    BendLosses,
    BendObjective,
    BendValidation,
    confusion_of,
    part_bases_of,
)
from dnaannot.training.bend_data import MOST_BASES, BendData, Sample, some_of
from dnaannot.training.flops import training_flops
from dnaannot.training.optimizers import ByMuon
from dnaannot.training.run import LossesOfStep
from dnaannot.training.selfpretrain import MaskedLosses, MaskedObjective, MaskedValidation
from dnaannot.training.trainer import Schedule, Trainer

DILATIONS = (1, 2, 4, 8, 16, 32)
SIZES = {
    "mini": EncoderConfig("residual", 16, DILATIONS[:3], kernel=5),
    "tiny": PRESETS["tiny"],
    "compact": EncoderConfig(
        "strided", 64, (1, 2, 4, 8, 16, 32, 64, 1, 2, 4), kernel=5, stride=9, stem_channels=32
    ),
    "small": EncoderConfig("residual", 64, DILATIONS * 2),
    "medium": EncoderConfig("residual", 128, DILATIONS * 3),
    "strided": PRESETS["strided"],
    "spt": PRESETS["spt"],
}
"""`spt` is the paper's; `small` and `medium` are the same with fewer layers and channels;
`tiny`, `compact` and `strided` have their trunk at every ninth base."""
PROBE_BASES = 1_440


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: as the table has it.
        pretrained: begins with the pretrained encoder.
        crf: has a CRF.
        extra: the FLOPs of the pretraining are added to those of the fine-tuning.
        frozen: the encoder is kept as it was pretrained.
        paper: the MCC that the paper reports.
    """

    name: str
    pretrained: bool = False
    crf: bool = False
    extra: bool = False
    frozen: bool = False
    paper: float | None = None


ARMS = (
    Arm("scratch", paper=0.38),
    Arm("scratch + CRF", crf=True),
    Arm("SPT", pretrained=True, paper=0.50),
    Arm("SPT + CRF", pretrained=True, crf=True, paper=0.64),
    Arm("scratch, pretraining's FLOPs added", extra=True),
    Arm("scratch + CRF, pretraining's FLOPs added", crf=True, extra=True),
    Arm("SPT, encoder fixed", pretrained=True, frozen=True),
    Arm("SPT + CRF, encoder fixed", pretrained=True, crf=True, frozen=True),
)
PRETRAINING = "pretraining"


@dataclass(frozen=True)
class Plan:
    """What all runs of a folder share.

    Attributes:
        flops: of the fine-tuning of one arm.
        pretrain_flops: of the pretraining of one encoder.
        validations: in the course of a run.
        optimizer: as `Run` has it; the paper's code has AdamW.
    """

    size: str
    batch: int
    learning_rate: float
    flops: float
    pretrain_flops: float
    validations: int = 12
    optimizer: str = "adamw"


class Cost(NamedTuple):
    """FLOPs of training per base, and mean bases of a step."""

    per_base: float
    bases_per_step: float

    @property
    def per_step(self) -> float:
        """Mean FLOPs of a step."""
        return self.per_base * self.bases_per_step


# --- runs -----------------------------------------------------------------------------------


class Study:
    """All runs of a folder; each leaves a file there and is not done again.

    Args:
        folder: where the runs are kept, and the state of the one that was interrupted.
        note: called with a line about each run before it begins.
    """

    def __init__(
        self,
        folder: Path,
        data: BendData,
        plan: Plan,
        compute: Compute,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.note = note
        self.folder, self.data, self.plan, self.compute = folder, data, plan, compute
        self.config = SIZES[plan.size]
        self.part_bases = part_bases_of(compute.device)
        self._masked: MaskedValidation | None = None  # its k-mer models serve all seeds
        self.runs = make_folder(folder / "runs")

    def path(self, name: str, seed: int, percent: int, suffix: str) -> Path:
        """A file of one run."""
        slug = re.sub("[^a-z]+", "-", name.lower())
        return self.runs / f"{slug}.{percent}.{seed}{suffix}"

    def pretrain(self, seed: int) -> None:
        """Pretrain the encoder of a seed on the training samples, labels unseen."""
        if self.path(PRETRAINING, seed, 100, ".json").exists():
            return
        torch.manual_seed(seed)
        model = MaskedModel(self.config).to(self.compute.device)
        window = MOST_BASES // self.config.stride * self.config.stride
        objective = MaskedObjective(window, self.plan.batch, self.compute.bf16, seed)
        train, valid = ([s.codes for s in part] for part in (self.data.train, self.data.valid))
        sampler = MaskedSampler(train, window, seed)
        if self._masked is None:
            self._masked = MaskedValidation(train, valid, window, self.compute)
        probe = MaskedSampler([train[0][:PROBE_BASES]], PROBE_BASES, seed)
        one = replace(objective, rows=1)
        flops = training_flops(model, MaskedLosses(one, probe)(model, 0)) / probe.bases
        cost = Cost(flops, self.plan.batch * sampler.bases / sampler.windows)
        losses = MaskedLosses(objective, sampler)
        facts = {"k_mers": {each.name: each.bits for each in self._masked.baselines}}
        self._run(PRETRAINING, seed, 100, model, losses, self._masked, cost,
                  self.plan.pretrain_flops, lambda _: facts)  # fmt: skip

    def finetune(self, arm: Arm, seed: int, percent: int) -> None:
        """Train one arm on a share of the labels and score its best weights on the test set."""
        if self.path(arm.name, seed, percent, ".json").exists():
            return
        model = self._model(arm, seed)
        train = some_of(self.data.train, percent / 100, seed)
        model.begin_with(sample.labels for sample in train)
        losses = BendLosses(train, self._objective(seed))
        validate = BendValidation(self.data.valid, self.compute, self.part_bases)
        cost = cost_of(model, losses)
        flops = self.plan.flops + (self.plan.pretrain_flops if arm.extra else 0)
        if arm.frozen:  # as many steps as with all weights free
            free = self._model(replace(arm, frozen=False), seed)
            flops *= cost.per_base / cost_of(free, losses).per_base
        self._run(arm.name, seed, percent, model, losses, validate, cost, flops, self._test)

    def _objective(self, seed: int) -> BendObjective:
        return BendObjective(self.plan.batch, self.part_bases, self.compute.bf16, seed)

    def _model(self, arm: Arm, seed: int) -> NineLabelModel:
        torch.manual_seed(seed)
        model = NineLabelModel(self.config, arm.crf)
        if arm.pretrained:
            encoder, _ = load_encoder(self.path(PRETRAINING, seed, 100, ".safetensors"))
            model.encoder.load_state_dict(encoder.state_dict())
        if arm.frozen:
            freeze_encoder(model)
        return model.to(self.compute.device)

    def _test(self, path: Path) -> dict[str, Any]:
        """Confusion and MCC of a model file on the test set."""
        model, _ = load_nine_label_model(path)
        model.to(self.compute.device)
        counts = confusion_of(model, self.data.test, self.compute, self.part_bases)
        return {"test_mcc": matthews(counts), "test_confusion": counts.tolist()}

    def _run(
        self,
        name: str,
        seed: int,
        percent: int,
        model: TaskModel,
        losses: LossesOfStep,
        validate: Callable[[Any], dict[str, float]],
        cost: Cost,
        flops: float,
        finish: Callable[[Path], dict[str, Any]] = lambda _: {},
    ) -> None:
        record = self.path(name, seed, percent, ".json")
        weights, state = record.with_suffix(".safetensors"), record.with_suffix(".state")
        steps = max(1, round(flops / cost.per_step))
        self.note(f"{name}, {percent} % of the labels, seed {seed}: {steps} steps")
        trainer = self._trainer(model, losses, validate, steps, weights, state)
        history = trainer.run().history or []
        facts = {
            "arm": name,
            "seed": seed,
            "percent": percent,
            "steps": steps,
            "flops": steps * cost.per_step,
            "seconds": history[-1]["seconds"],
            "valid": max(each["score"] for each in history),
            "history": history,
            **finish(weights),
        }
        with atomic_output(record) as stream:
            json.dump(facts, stream, indent=1)
        state.unlink(missing_ok=True)

    def _trainer(
        self,
        model: TaskModel,
        losses: LossesOfStep,
        validate: Callable[[Any], dict[str, float]],
        steps: int,
        weights: Path,
        state: Path,
    ) -> Trainer[Any]:
        """The trainer of a run, where an interrupted call left it; validations tell the time."""
        began, before = time.monotonic(), 0.0

        def timed(module: Any) -> dict[str, float]:
            return {**validate(module), "seconds": before + time.monotonic() - began}

        def keep(metrics: dict[str, float]) -> None:
            with atomic_output(weights, "wb") as stream:
                stream.write(model_bytes(model, {"metrics": metrics}))

        schedule = schedule_of(self.plan, steps)
        workers = self.compute.threads if self.compute.device == "cpu" else 1
        trainer = Trainer(
            model,
            losses,
            timed,
            keep,
            schedule,
            state,
            workers=workers,
            by_muon=ByMuon.of(self.plan.optimizer, model, self.compute.bf16),
        )
        if state.exists():
            trainer.load_state(state)
            before = (trainer.progress.history or [{}])[-1].get("seconds", 0.0)
        return trainer


def schedule_of(plan: Plan, steps: int) -> Schedule:
    """The schedule of a run."""
    return Schedule(
        steps,
        plan.learning_rate,
        warmup=min(100, max(1, steps // 10)),
        validate_every=max(1, -(-steps // plan.validations)),
    )


def cost_of(model: NineLabelModel, losses: BendLosses) -> Cost:
    """Counted on one short sample, in proportion: the same for every base."""
    sample = losses.samples[0]
    probe = Sample(sample.codes[:PROBE_BASES], sample.labels[:PROBE_BASES])
    short = BendLosses([probe], replace(losses.objective, batch=1))
    return Cost(training_flops(model, short(model, 0)) / len(probe.codes), losses.bases_per_step)


def everything(study: Study, seeds: Sequence[int], percents: Sequence[int]) -> Iterator[None]:
    """Do all runs, yielding after each: Table 1 seed by seed, then parts of the labels.

    The arms that train longest come after the others of all seeds.
    """
    table = [(arm, seed, 100) for seed in seeds for arm in ARMS[:4]]
    others = sorted(ARMS[4:], key=lambda arm: arm.extra)
    table += [(arm, seed, 100) for arm in others for seed in seeds]
    for percent in sorted(set(percents) - {100}, reverse=True):
        table += [(arm, seed, percent) for seed in seeds for arm in ARMS if not arm.extra]
    for arm, seed, percent in table:
        if arm.pretrained:
            study.pretrain(seed)
        study.finetune(arm, seed, percent)
        yield
