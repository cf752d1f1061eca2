"""One run of self-pretraining: inputs, settings, an estimate before, a verdict after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dnaannot.catalog import find
from dnaannot.datasets.unlabelled import LEAST_BASES, MaskedSampler
from dnaannot.dna.names import counted
from dnaannot.errors import DataError
from dnaannot.nn.checkpoint import load_masked_model
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.masked import MaskedModel
from dnaannot.predict.scorer import Compute
from dnaannot.training.estimate import free_memory, gigabytes, measure, taken_memory
from dnaannot.training.processes import join_processes
from dnaannot.training.report import Curves
from dnaannot.training.run import TRIAL_STEPS, Job, Run, refuse_repeats
from dnaannot.training.selfpretrain import (
    MaskedLosses,
    MaskedObjective,
    MaskedValidation,
    verdict,
)
from dnaannot.training.start import check_preset, start_facts, start_files, with_encoder
from dnaannot.training.trainer import Schedule, Trainer, steps_within
from dnaannot.training.unlabelled_data import UnlabelledData, read_unlabelled

EPOCHS = 20
"""As many as the paper's."""

LONGEST_SECONDS = 2 * 86_400
FEWEST_STEPS = 50
VALIDATIONS = 20

_PROBE_BASES = 2_304  # a multiple of every preset's stride
_PASSES = 3  # a training step costs so many forward passes
_QUICK_SECONDS = 5.0  # a step that is worth timing as it is


@dataclass(kw_only=True)
class SelfPretrainRun(Run[MaskedModel]):
    """Settings of one run; see `dnaannot selfpretrain --help`.

    Attributes:
        epochs: passes over the sequence, where neither steps nor a time budget is given.
        force: go on where the estimate says that it cannot work.
    """

    LENGTHS = ("epochs", *Run.LENGTHS)

    files: Sequence[str]
    regions: str | None = None
    preset: str | None = None
    epochs: float | None = None
    window_bases: int = 13_824
    batch: int = 4
    validation_share: float = 0.1
    force: bool = False

    @property
    def inputs(self) -> list[str | Path]:
        return [*self.files, *([self.regions] if self.regions else []), *start_files(self.init)]

    def check(self) -> None:
        refuse_repeats(self.files)
        super().check()

    @property
    def has_length(self) -> bool:
        return True

    def job(self, compute: Compute) -> Job[MaskedModel]:
        model = self._model()
        data = read_unlabelled(
            [Path(path) for path in self.files],
            Path(self.regions) if self.regions else None,
            self.validation_share,
        )
        self._tell(data)
        stride = model.encoder.config.stride
        window = max(1, self.window_bases // stride) * stride
        train = [stretch.codes for stretch in data.train]
        sampler = MaskedSampler(train, window, self.seed)
        mean_bases = sampler.bases / sampler.windows
        rows = max(self.batch, round(self.batch * window / mean_bases))
        rows = min(rows, sampler.windows)
        objective = MaskedObjective(window, rows, compute.bf16, self.seed)
        held_out = [stretch.codes for stretch in data.validation]
        validation = MaskedValidation(train, held_out, window, compute)
        if len(validation.rows) == 1:
            self.warn(
                f"what is learned will be judged by {validation.hidden:,} hidden bases in "
                "one window, which tells little. Give more sequence or a larger "
                "--validation-share; where there is no more, start from a bundled model "
                "(--init NAME)."
            )
        levels = {each.name: each.bits for each in validation.baselines}
        return Job(
            model,
            lambda _: MaskedLosses(objective, sampler),
            validation,
            fingerprint={
                "objective": asdict(objective),
                "data": data.hashes,
                "model": asdict(model.encoder.config),
                "validation_share": self.validation_share,
                "start": start_facts(self.init),
            },
            card={
                "training_data": data.hashes,
                "bases": sampler.bases,
                "validation": sorted({stretch.record for stretch in data.validation}),
                "kmer_bits": levels,
            },
            data=data.counts,
            curves=Curves("bits a hidden base", keys=("bits",), levels=levels),
            remarks=lambda best: [verdict(dict(best), validation.best)],
        )

    def plan(self, job: Job[MaskedModel], compute: Compute) -> Schedule:
        """The schedule, told beforehand with what it will take.

        Raises:
            DataError: if it cannot work on this machine, unless `force` is set.
        """
        if self.resume and not (self.steps or self.epochs):
            return self.schedule(Trainer.steps_of(self.state_path))
        losses = job.losses(1)
        assert isinstance(losses, MaskedLosses)
        sampler, objective = losses.sampler, losses.objective
        processes = join_processes()
        estimate = processes.from_first(_estimated(job.model, losses, compute))
        self._refuse_if(
            estimate.memory > free_memory(compute.device),
            f"training needs about {gigabytes(estimate.memory)} of memory and "
            f"{gigabytes(free_memory(compute.device))} are free.",
        )
        seconds = estimate.seconds / processes.count
        if seconds < _QUICK_SECONDS:
            trial = self._trainer(job, compute, self.schedule(TRIAL_STEPS), lambda *_: None)
            seconds = trial.seconds_per_step(TRIAL_STEPS)
        epoch = sampler.windows / objective.rows
        assert isinstance(job.validate, MaskedValidation)
        look = seconds / _PASSES * len(job.validate.rows) / objective.rows
        if self.time_budget:
            every = self.schedule(max(1, int(self.time_budget / seconds))).validate_every
            steps = steps_within(self.time_budget, seconds, look, every)
        else:
            steps = self.steps or max(1, round((self.epochs or EPOCHS) * epoch))
        seconds += look / self.schedule(steps).validate_every
        self.note(
            f"{steps:,} steps, {steps / epoch:.3g} epochs of {sampler.bases / 1e6:.3g} Mb; about "
            f"{_time(steps * seconds)} and {gigabytes(taken_memory() + estimate.memory)} on this "
            "machine"
        )
        if steps < FEWEST_STEPS and not self.time_budget:
            self.warn(
                f"learning takes {FEWEST_STEPS} steps at least: give more sequence, or more "
                "--steps or --epochs."
            )
        self._refuse_if(
            steps * seconds > LONGEST_SECONDS and not self.time_budget,
            f"that would take about {_time(steps * seconds)} on this machine.",
        )
        self._refuse_if(
            bool(self.time_budget) and steps < FEWEST_STEPS,
            f"{steps:,} of the {FEWEST_STEPS} steps that learning takes at least fit the time "
            "budget.",
        )
        return self.schedule(steps)

    def schedule(self, steps: int) -> Schedule:
        """A schedule of so many steps, validated often enough to draw a curve."""
        schedule = super().schedule(steps)
        every = min(schedule.validate_every, max(1, steps // VALIDATIONS))
        return replace(schedule, validate_every=every)

    def _refuse_if(self, is_hopeless: bool, problem: str) -> None:
        if is_hopeless and not self.force:
            raise DataError(
                problem,
                remedy="Use a smaller --preset (strided is some 50 times cheaper than spt), fewer "
                "--epochs, a smaller --window-bases or a GPU; --force goes on all the same.",
            )

    def _model(self) -> MaskedModel:
        if self.init is None:
            return MaskedModel(PRESETS[self.preset or "strided"])
        entry = find(self.init)
        if entry.facts["task"] != MaskedModel.task:
            return with_encoder(self.init, self.preset, MaskedModel)
        model, _ = load_masked_model(entry.path)
        check_preset(model, self.preset, self.init)
        return model

    def _tell(self, data: UnlabelledData) -> None:
        held_out = sum(len(stretch.codes) for stretch in data.validation)
        for name, counts in data.counts.items():
            records = counted(counts["records"], "record")
            self.note(f"{name}: {counts['bases'] / 1e6:.3g} Mb of {records}")
            for fate, reason in (
                ("short", f"with fewer than {LEAST_BASES} known bases"),
                ("repeated", "the same as an earlier one, on either strand"),
            ):
                if counts[fate]:
                    self.warn(f"{name}: left out {counted(counts[fate], 'record')} {reason}")
        records = counted(len({stretch.record for stretch in data.validation}), "record")
        self.note(f"held out for validation: {held_out:,} bases of {records}")


class _Estimate(NamedTuple):
    """What a step takes.

    Attributes:
        seconds: of a step.
        memory: bytes at its peak.
    """

    seconds: float
    memory: int


def _estimated(model: MaskedModel, losses: MaskedLosses, compute: Compute) -> _Estimate:
    sampler, objective = losses.sampler, losses.objective
    bases = min(_PROBE_BASES, objective.window)
    probe = MaskedLosses(
        replace(objective, window=bases, rows=1),
        MaskedSampler([np.resize(sampler.sequences[0], bases)], bases, objective.seed),
    )
    cost = measure(model, probe(model, 0)[0], bases)
    workers = compute.threads if compute.device == "cpu" else 1
    step_bases = objective.rows * sampler.bases / sampler.windows
    in_flight = min(workers * objective.window, step_bases)
    return _Estimate(cost.seconds * step_bases / workers, cost.memory(round(in_flight)))


def _time(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds > 2 * length:
            return (
                f"{seconds / length:.2g} {unit}"
                if seconds < 100 * length
                else f"{seconds / length:,.0f} {unit}"
            )
    return f"{seconds:.0f} s"
