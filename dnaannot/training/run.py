"""What every training run has in common: settings, schedule, resume, model file, report."""

from __future__ import annotations

import shlex
import sys
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import nn

from dnaannot import __version__
from dnaannot.errors import DataError, OutputError, SettingsError
from dnaannot.formats.output import atomic_output, check_writable
from dnaannot.formats.source import refuse_stream
from dnaannot.nn.checkpoint import model_bytes
from dnaannot.nn.model import TaskModel
from dnaannot.predict.device import choose_compute
from dnaannot.predict.scorer import Compute
from dnaannot.training.curves import Losses, is_metric
from dnaannot.training.estimate import gigabytes, peak_memory
from dnaannot.training.optimizers import ByMuon
from dnaannot.training.processes import join_processes
from dnaannot.training.report import Curves, write_report
from dnaannot.training.trainer import MicroLoss, Schedule, Trainer

TRIAL_STEPS = 6
_TOLD_METRICS = 8
"""Metrics of a validation that are told as they come; of more, the score alone."""
RATES = {"muon": 3e-3, "adamw": 1e-3}
"""Peak learning rate from random weights, by optimizer."""
LATER_RATE = 1 / 3
"""Share of it for a model that has learned before."""

Model = TypeVar("Model", bound=TaskModel)
LossesOfStep = Callable[[Model, int], Sequence[MicroLoss]]
OnStep = Callable[[int, int, float], None]
"""Called with (step, steps, loss) after each step."""


@dataclass(frozen=True)
class Job(Generic[Model]):
    """What a run trains, by what, on what.

    Attributes:
        model: trained in place.
        losses: number of steps in all -> the losses of each step, as `Trainer` takes them.
        validate: model -> metrics; `score` among them is maximised.
        fingerprint: facts that a resumed run must share with the one it resumes.
        card: what the model file tells of its training data.
        data: what became of each input, for the report: by name, columns and their values.
        curves: what the report draws.
        remarks: best metrics -> what else the user should know at the end.
        is_trained: the model is one that has learned the same before; it is kept where training
            makes it no better.
    """

    model: Model
    losses: Callable[[int], LossesOfStep[Model]]
    validate: Callable[[Model], dict[str, float]]
    fingerprint: Mapping[str, Any]
    card: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    curves: Curves = field(default_factory=Curves)
    remarks: Callable[[Mapping[str, float]], Sequence[str]] = lambda _: ()
    is_trained: bool = False


@dataclass(kw_only=True)
class Run(ABC, Generic[Model]):
    """Settings that all runs share; a kind of run adds its own and says what its `job` is.

    Attributes:
        output: the model file to write; the run's state and report stand beside it.
        note, warn: called with what the user may and should read.
        init: a model file (or name) to go on from.
        steps, time_budget: how long to train, in steps or seconds; one of them.
        learning_rate: at its peak; by default as `RATES` and `LATER_RATE` have it.
        half: write the weights as float16.
        resume: go on from the state of an interrupted run.
        optimizer: "muon" for the weights between hidden features and AdamW for the others, or
            "adamw" for all.
        species, licence: for the model's card.
        threads: CPU workers; their number changes no weight.
        from_scratch: begin with random weights in the encoder that the run names, of its shape.
        spent: seconds of the time budget that the job has taken to begin.
    """

    LENGTHS: ClassVar[tuple[str, ...]] = ("time_budget", "steps")
    """Settings of which one says how long to train."""

    output: str
    note: Callable[[str], None]
    warn: Callable[[str], None]
    init: str | None = None
    time_budget: float | None = None
    steps: int | None = None
    learning_rate: float | None = None
    warmup: int = 200
    validate_every: int = 500
    patience: int = 0
    seed: int = 1
    optimizer: str = "muon"
    half: bool = False
    resume: bool = False
    species: Sequence[str] = ()
    licence: str = ""
    device: str = "auto"
    threads: int = 1
    from_scratch: bool = False
    spent: float = field(default=0.0, init=False)

    @abstractmethod
    def job(self, compute: Compute) -> Job[Model]:
        """What is to be trained; the random state of torch is that of the seed.

        Raises:
            DataError: if there is nothing to learn from, or the settings do not fit together.
        """

    @property
    @abstractmethod
    def inputs(self) -> Sequence[str | Path]:
        """Files to read."""

    @property
    def state_path(self) -> Path:
        """Where the run's state is kept until it is complete."""
        return Path(f"{self.output}.state")

    @property
    def report_folder(self) -> Path:
        """Where the report is written."""
        return Path(f"{self.output}.report")

    @property
    def peak_rate(self) -> float:
        """The learning rate at its peak."""
        return self.learning_rate or RATES[self.optimizer] * (LATER_RATE if self.init else 1)

    @property
    def has_length(self) -> bool:
        """Whether it is known how long to train."""
        return bool(self.steps or self.resume or self.time_budget)

    def train(self, on_step: OnStep = lambda *_: None) -> dict[str, float]:
        """Train, write the model and the report; returns the best validation's metrics.

        Raises:
            DataError: as `job`, or if the loss stops being a number.
            OutputError: if something cannot be written.
        """
        self.check()
        processes = join_processes()
        if not processes.is_first:
            self.note = self.warn = _say_nothing
        compute = choose_compute(self.device, threads=self.threads)
        job = self.prepared(compute)
        schedule = self.plan(job, compute)
        trainer = self._trainer(
            job, compute, schedule, on_step if processes.is_first else lambda *_: None
        )
        if self.resume:
            trainer.load_state(self.state_path)
        progress = trainer.run()
        best = max(progress.history, key=lambda metrics: metrics["score"])
        memory = gigabytes(peak_memory(compute.device))
        remarks = [*job.remarks(best), f"memory at its peak: {memory}"]
        if best["step"] == 0:
            remarks.insert(0, "No weights were better than those it started from, which are kept.")
        if share := best.get("start_share"):
            remarks.insert(0, f"Best was an average: {share:.0%} of the weights it started from.")
        for remark in remarks:
            self.note(remark)
        if processes.is_first:
            losses = Losses(progress.losses, schedule.steps_a_loss)
            write_report(
                self.report_folder, self.settings(), progress.history, losses, job.data,
                job.curves, remarks,
            )  # fmt: skip
            self.state_path.unlink(missing_ok=True)
        return best

    def prepared(self, compute: Compute) -> Job[Model]:
        """The job, its model where it is to be computed and as it is to begin."""
        torch.manual_seed(self.seed)
        job = self.job(compute)
        if self.from_scratch:
            forget(job.model.encoder)
        job.model.to(compute.device)
        return job

    def check(self) -> None:
        """Refuse at once what would fail after hours.

        Raises:
            SettingsError: they do not fit together.
            DataError: there is a state of an interrupted run, or none to resume from.
            InputFormatError: an input is a pipe.
            OutputError: the output cannot be written.
        """
        if self.output == "-":
            raise SettingsError("a model cannot go to standard output.", remedy="Name a file.")
        for path in self.inputs:
            refuse_stream(path)
            if Path(path).resolve() == Path(self.output).resolve():
                raise SettingsError(
                    "is an input, it would be overwritten.",
                    path=path,
                    remedy="Name another --output.",
                )
        if Path(self.output).suffix != ".safetensors":
            raise SettingsError(
                f"the model would be named '{self.output}'.",
                remedy="Let its name end in .safetensors, the format that it is written in.",
            )
        check_writable(self.output)
        if self.report_folder.is_file():
            raise OutputError(
                "is a file, not a folder for the report.",
                path=self.report_folder,
                remedy="Move it away, or name another --output.",
            )
        given = [f"--{n.replace('_', '-')}" for n in self.LENGTHS if getattr(self, n) is not None]
        if len(given) > 1:
            raise SettingsError(
                f"{' and '.join(given)} each say how long to train.", remedy="Give one of them."
            )
        if not self.has_length:
            raise SettingsError("say how long to train.", remedy="Give --time-budget or --steps.")
        if self.resume and not self.state_path.exists():
            raise DataError(
                "no state to resume from.",
                path=self.state_path,
                remedy="Begin without --resume.",
            )
        if not self.resume and self.state_path.exists():
            raise DataError(
                "is the state of an interrupted run, which would be lost.",
                path=self.state_path,
                remedy="Go on from it with --resume, or remove it to begin anew.",
            )

    def plan(self, job: Job[Model], compute: Compute) -> Schedule:
        """The schedule: of so many steps, as many as the resumed run's, or as the time allows."""
        if self.steps:
            return self.schedule(self.steps)
        if self.resume:
            return self.schedule(Trainer.steps_of(self.state_path))
        assert self.time_budget is not None
        trial = self._trainer(job, compute, self.schedule(TRIAL_STEPS), lambda *_: None)
        steps = trial.steps_within(self.time_budget - self.spent, TRIAL_STEPS)
        self.note(f"{steps:,} steps fit the time budget")
        return self.schedule(steps)

    def schedule(self, steps: int) -> Schedule:
        """A schedule of so many steps."""
        return Schedule(
            steps,
            self.peak_rate,
            warmup=min(self.warmup, max(1, steps // 5)),
            validate_every=self.validate_every,
            patience=self.patience,
        )

    def settings(self) -> dict[str, Any]:
        """The settings by name, as JSON can hold them."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        values["learning_rate"] = self.peak_rate
        return {
            name: value if isinstance(value, int | float | str | None) else list(value)
            for name, value in values.items()
            if name not in ("note", "warn", "spent")
        }

    def _trainer(
        self, job: Job[Model], compute: Compute, schedule: Schedule, on_step: OnStep
    ) -> Trainer[Model]:
        return Trainer(
            job.model,
            job.losses(schedule.steps),
            job.validate,
            save_best=lambda metrics: self._save(job, metrics),
            schedule=schedule,
            state_path=self.state_path,
            on_step=on_step,
            fingerprint={**job.fingerprint, "from_scratch": self.from_scratch},
            workers=self.threads if compute.device == "cpu" else 1,
            processes=join_processes(),
            by_muon=ByMuon.of(self.optimizer, job.model, compute.bf16),
            is_trained=job.is_trained,
            on_validation=partial(self._tell_validation, schedule.steps),
        )

    def _tell_validation(self, steps: int, metrics: Mapping[str, float]) -> None:
        """Say how far the run is and how good, also where no bar is shown."""
        told = [name for name in metrics if is_metric(name)]
        told = told if len(told) <= _TOLD_METRICS else []
        values = ", ".join(f"{name} {metrics[name]:.3f}" for name in (*told, "score"))
        average = f", {metrics['start_share']:.0%} of the start" if "start_share" in metrics else ""
        self.note(f"step {metrics['step']:,} of {steps:,}{average}: {values}")

    def _save(self, job: Job[Model], metrics: Mapping[str, float]) -> None:
        card = {
            "species": list(self.species),
            "licence": self.licence,
            "command": shlex.join(["dnaannot", *map(_without_folders, sys.argv[1:])]),
            "dnaannot": __version__,
            "torch": torch.__version__,
            **job.card,
            "metrics": dict(metrics),
        }
        dtype = torch.float16 if self.half else torch.float32
        with atomic_output(self.output, "wb") as stream:
            stream.write(model_bytes(job.model, card, dtype))


def refuse_repeats(inputs: Iterable[str]) -> None:
    """Refuse to learn from one input twice.

    Raises:
        SettingsError: so it is.
    """
    for name, times in Counter(inputs).items():
        if times > 1:
            raise SettingsError(f"{name} is given twice.")


def forget(module: nn.Module) -> None:
    """Give every layer random weights again, all of them free to change."""
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if reset is not None:
            reset()
    module.requires_grad_(True)


def _say_nothing(message: str) -> None:
    """What a process has to say that is not the first."""


def folder_and_name(path: str) -> str:
    """Of a file's path, its folder's name and its own, as a card may tell them.

    A genome may be said before it (`human.fa=held_out.bed`).
    """
    return "=".join(str(Path(*Path(part).parts[-2:])) for part in path.split("="))


def _without_folders(argument: str) -> str:
    """An argument as a card may tell it; it may be several that equals signs part."""
    return "=".join(map(_without_folder, argument.split("=")))


def _without_folder(value: str) -> str:
    path = Path(value)
    return folder_and_name(value) if path.is_absolute() or ".." in path.parts else value
