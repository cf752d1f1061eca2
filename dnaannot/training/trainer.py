"""One trainer for every objective: steps, schedule, checkpoints, exact resume."""

from __future__ import annotations

import ctypes
import json
import math
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from dnaannot.errors import DataError, ModelError
from dnaannot.formats.output import atomic_output
from dnaannot.predict.scorer import single_threaded
from dnaannot.training.optimizers import STATE, ByMuon, Optimizers
from dnaannot.training.processes import ALONE, Processes

Module = TypeVar("Module", bound=nn.Module)

_MOST_LOSSES = 10_000
_NOTHING = ByMuon()


@dataclass(frozen=True)
class Schedule:
    """How a run proceeds.

    Attributes:
        steps: optimizer steps in all.
        learning_rate: peak rate.
        warmup: steps of linear warm-up.
        final_share: share of the peak rate at the end of the cosine decay.
        weight_decay: of matrices and kernels.
        clip: gradient norm above which gradients are scaled down.
        validate_every: steps between validations (and best-checkpoint decisions).
        save_seconds: least time between two saves of the resume state.
        patience: validations without improvement before stopping, 0 for never.
    """

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 200
    final_share: float = 0.02
    weight_decay: float = 0.01
    clip: float = 1.0
    validate_every: int = 500
    save_seconds: float = 120.0
    patience: int = 0

    @property
    def steps_a_loss(self) -> int:
        """Steps whose losses are kept as one, their mean: no more than a report needs."""
        return max(1, -(-self.steps // _MOST_LOSSES))

    def rate(self, step: int) -> float:
        """Learning rate of a 0-based step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return self.learning_rate * (self.final_share + (1 - self.final_share) * cosine)


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        step: steps done.
        best: best validation score so far.
        stale: validations since then.
        history: one dict for each validation.
        losses: means of so many steps each as `Schedule.steps_a_loss` says, in order.
    """

    step: int = 0
    best: float = -math.inf
    stale: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def record(self, loss: float, steps_a_loss: int) -> None:
        """Take in the loss of the next step."""
        taken = self.step % steps_a_loss
        if taken == 0 or not self.losses:
            self.losses.append(loss)
        else:
            self.losses[-1] += (loss - self.losses[-1]) / (taken + 1)
        self.step += 1


START_SHARES = (0.3, 0.6)
"""Shares of the weights that training began with, in the averages that are tried at its end."""

MicroLoss = Callable[[], Tensor]
"""Computes the scalar loss of one part of a step's batch."""


def steps_within(seconds: float, step: float, look: float, every: int) -> int:
    """How many steps fit so many seconds, at least one.

    Args:
        step, look: seconds of a step and of a validation.
        every: steps between validations.
    """
    return max(1, int(seconds / (step + look / every)))


class Trainer(Generic[Module]):
    """Trains a module by a loss that is a function of the step.

    The gradient of each part of a batch is computed by one single-threaded worker and the
    parts are added in order, so weights do not depend on the number of workers.

    Args:
        module: trained in place.
        losses_of_step: (module, step) -> the losses whose mean is that step's loss.
        validate: module -> metrics; `score` among them is maximised.
        save_best: called with the metrics when `score` improves.
        schedule: how the run proceeds.
        state_path: resume state (module, optimizer, position), None for no resume.
        on_step: called after each step with (step, steps, loss).
        fingerprint: facts that a resumed run must share with the one that wrote the state.
        workers: threads that compute gradients.
        processes: those that share the parts of a step; the first one saves.
        by_muon: what Muon moves; AdamW moves the others.
        is_trained: the module has learned already: it is validated before the first step, and
            kept where no later weights are better. At the end averages of the weights before
            and after are validated too, which are often better than both (Wortsman et al. 2022,
            "Robust fine-tuning of zero-shot models").
        on_validation: called after each validation with its metrics, `step` among them.
    """

    def __init__(
        self,
        module: Module,
        losses_of_step: Callable[[Module, int], Sequence[MicroLoss]],
        validate: Callable[[Module], dict[str, float]],
        save_best: Callable[[dict[str, float]], None],
        schedule: Schedule,
        state_path: Path | None = None,
        on_step: Callable[[int, int, float], None] = lambda *_: None,
        fingerprint: dict[str, Any] | None = None,
        workers: int = 1,
        processes: Processes = ALONE,
        by_muon: ByMuon = _NOTHING,
        is_trained: bool = False,
        on_validation: Callable[[dict[str, float]], None] = lambda _: None,
    ) -> None:
        self.module, self.losses_of_step, self.validate = module, losses_of_step, validate
        self.save_best, self.schedule, self.state_path = save_best, schedule, state_path
        self.on_step, self.on_validation = on_step, on_validation
        self.workers, self.processes = workers, processes
        self._start = _copied(module) if is_trained else None
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.fingerprint = {
            "schedule": asdict(schedule),
            "by_muon": sorted(by_muon.names),
            **(fingerprint or {}),
        }
        self.progress = Progress()
        self.optimizers = Optimizers(module, schedule.weight_decay, by_muon)

    def run(self) -> Progress:
        """Train from where `progress` stands to the end.

        Raises:
            DataError: if the loss stops being a number.
        """
        with self._pool() as pool:
            self._run(pool)
        if self._start is not None:
            self._validate_averages(self._start)
        if self.state_path:
            self.save_state(self.state_path)
        return self.progress

    def steps_within(self, seconds: float, trial_steps: int) -> int:
        """How many steps, with their validations, fit a time budget, by timing a few.

        The module is left as it was.
        """
        step, look = self.seconds_per_step(trial_steps), self.seconds_per_validation()
        others = 1 if self._start is None else 2 + len(START_SHARES)  # at the ends of the run
        return steps_within(seconds - others * look, step, look, self.schedule.validate_every)

    def seconds_per_step(self, trial_steps: int) -> float:
        """Time of a step, the mean of a few; the module is left as it was."""
        kept = _copied(self.module)
        with self._pool() as pool:
            for step in (0, trial_steps - 1):  # what is compiled or allocated once
                self._step(step, pool)
            began = time.monotonic()
            for step in range(trial_steps):
                self._step(step, pool)
            taken = time.monotonic() - began
        self.module.load_state_dict(kept)
        return self.processes.from_first(taken / trial_steps)

    def seconds_per_validation(self) -> float:
        """Time of a validation, by timing one."""
        self.module.eval()
        began = time.monotonic()
        self.validate(self.module)
        return self.processes.from_first(time.monotonic() - began)

    def _pool(self) -> ThreadPoolExecutor:
        _keep_freed_memory()
        return single_threaded(self.workers)

    def _run(self, pool: ThreadPoolExecutor) -> None:
        if self._start is not None and self.progress.step == 0:
            self._validated()
        saved = time.monotonic()
        while self.progress.step < self.schedule.steps and not self._is_stale:
            loss = self._step(self.progress.step, pool)
            self.progress.record(loss, self.schedule.steps_a_loss)
            self.on_step(self.progress.step, self.schedule.steps, loss)
            due = self.progress.step % self.schedule.validate_every == 0
            if due or self.progress.step == self.schedule.steps:
                self._validated()
            if self.state_path and (due or time.monotonic() - saved > self.schedule.save_seconds):
                self.save_state(self.state_path)
                saved = time.monotonic()

    @property
    def _is_stale(self) -> bool:
        return 0 < self.schedule.patience <= self.progress.stale

    def _step(self, step: int, pool: ThreadPoolExecutor) -> float:
        self.module.train()
        loss = self._backward(self.losses_of_step(self.module, step), pool)
        norm = nn.utils.clip_grad_norm_(self.parameters, self.schedule.clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise DataError(
                f"the loss of step {step + 1} or its gradient is not a number.",
                remedy="Begin anew with a lower --learning-rate, from the best weights so far "
                "if you like (--init).",
            )
        self.optimizers.step(self.schedule.rate(step), pool.map)
        return loss

    def _backward(self, losses: Sequence[MicroLoss], pool: ThreadPoolExecutor) -> float:
        """Set the gradient of the mean of losses; returns that mean."""
        parts = list(pool.map(self._gradients, self.processes.mine(losses)))
        loss = sum(value for value, _ in parts) / len(losses)
        for number, parameter in enumerate(self.parameters):
            given = [part[number] for _, part in parts]
            known = [gradient for gradient in given if gradient is not None]
            parameter.grad = None
            if known:
                parameter.grad = known[0] / len(losses)
                for gradient in known[1:]:
                    parameter.grad.add_(gradient, alpha=1 / len(losses))
        return self.processes.add_up(loss, self.parameters)

    def _gradients(self, micro_loss: MicroLoss) -> tuple[float, tuple[Tensor | None, ...]]:
        loss = micro_loss()
        return loss.item(), torch.autograd.grad(loss, self.parameters, allow_unused=True)

    def _validate_averages(self, start: dict[str, Tensor]) -> None:
        trained = _copied(self.module)
        tried = {metrics.get("start_share") for metrics in self.progress.history}
        for share in START_SHARES:
            if share in tried:
                continue
            means = {
                name: torch.lerp(value, start[name].to(value), share)
                for name, value in trained.items()
            }
            self.module.load_state_dict(means)
            self._validated(start_share=share)
        self.module.load_state_dict(trained)

    def _validated(self, **facts: float) -> None:
        self.module.eval()
        metrics = self.processes.from_first(self.validate(self.module))
        metrics = {"step": self.progress.step, **facts, **metrics}
        self.progress.history.append(metrics)
        if metrics["score"] > self.progress.best:
            self.progress.best, self.progress.stale = metrics["score"], 0
            if self.processes.is_first:
                self.save_best(metrics)
        else:
            self.progress.stale += 1
        self.on_validation(metrics)

    @staticmethod
    def steps_of(path: Path) -> int:
        """The steps in all of the run whose state is at `path`.

        Raises:
            ModelError: if that is no state.
        """
        return _read_state(path)[0]["fingerprint"]["schedule"]["steps"]

    def save_state(self, path: Path) -> None:
        """Write the resume state, whole or not at all; the first process does.

        Raises:
            OutputError: if it cannot be written; an earlier state stays.
        """
        if not self.processes.is_first:
            return
        tensors = {f"module.{k}": v.detach().cpu() for k, v in self.module.state_dict().items()}
        for name, parameter in self.module.named_parameters():
            for key, value in self.optimizers.state_of(parameter).items():
                tensors[f"optimizer.{key}.{name}"] = value.detach().cpu().contiguous()
        facts = {"progress": asdict(self.progress), "fingerprint": self.fingerprint}
        with atomic_output(path, "wb") as stream:
            stream.write(save(tensors, metadata={"training": json.dumps(facts)}))

    def load_state(self, path: Path) -> None:
        """Continue where the state at `path` stands.

        Raises:
            ModelError: if it is no state, or that of a run of other settings or another model.
        """
        facts, tensors = _read_state(path)
        mine = json.loads(json.dumps(self.fingerprint))
        theirs = {"by_muon": [], **facts["fingerprint"]}  # older versions had AdamW alone
        if any(mine.get(key) != value for key, value in theirs.items()):
            raise ModelError(
                "belongs to a run with other settings or data.",
                path=path,
                remedy="Resume with the command that began it, or begin anew without --resume.",
            )
        prefix = "module."
        self.module.load_state_dict(
            {k[len(prefix) :]: v for k, v in tensors.items() if k.startswith(prefix)}
        )
        for name, parameter in self.module.named_parameters():
            places = {key: f"optimizer.{key}.{name}" for key in STATE}
            state = {key: tensors[at] for key, at in places.items() if at in tensors}
            self.optimizers.load_state(parameter, state)
        self.progress = Progress(**facts["progress"])


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def _read_state(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Facts and tensors of a resume state."""
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads(file.metadata()["training"])
            return facts, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        raise ModelError(
            "is no state of a training run, or is truncated.",
            path=path,
            remedy="Begin anew without --resume.",
        ) from None


def _keep_freed_memory() -> None:
    """Let this process reuse freed memory: by glibc's defaults every step maps it anew.

    The clearing of fresh pages is a tenth of a step. Elsewhere than with glibc nothing is done.
    """
    mmap_threshold, trim_threshold, top_pad = -3, -1, -2  # names in malloc.h
    if platform.libc_ver()[0] == "glibc":
        allocator = ctypes.CDLL(None)
        allocator.mallopt(mmap_threshold, 2**30)
        allocator.mallopt(trim_threshold, 2**31 - 1)
        allocator.mallopt(top_pad, 2**26)
