"""One run of gene training: inputs, settings, model file, report."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from dnaannot import __version__
from dnaannot.catalog import find
from dnaannot.dna.interval import Interval
from dnaannot.errors import DataError, OutputError
from dnaannot.evaluate.intervals import parse_region
from dnaannot.formats.output import atomic_path, check_writable
from dnaannot.nn.checkpoint import load_gene_model, model_bytes
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.model import GeneModel
from dnaannot.predict.device import choose_compute
from dnaannot.predict.scorer import Compute
from dnaannot.training.gene_data import GeneData, Pair, read_gene_data
from dnaannot.training.genes import (
    GeneObjective,
    GeneValidation,
    OnStep,
    gene_trainer,
)
from dnaannot.training.report import write_report
from dnaannot.training.trainer import Schedule, Trainer

_TRIAL_STEPS = 6


@dataclass
class GeneRun:
    """Settings of one run; see `dnaannot train genes --help`."""

    files: Sequence[str]
    output: str
    note: Callable[[str], None]
    warn: Callable[[str], None]
    init: str | None = None
    preset: str = "strided"
    time_budget: float | None = None
    steps: int | None = None
    validation: Sequence[str] = ()
    exclude: Sequence[str] = ()
    shares: str | None = None
    learning_rate: float = 1e-3
    warmup: int = 200
    window_bases: int = 13_824
    batch: int = 4
    genic_share: float = 0.6
    site_weight: float = 10.0
    crf_start: float = 0.2
    label_share: float = 0.0
    min_intron: int = 20
    validate_every: int = 500
    patience: int = 0
    seed: int = 1
    half: bool = False
    resume: bool = False
    species: Sequence[str] = ()
    licence: str = ""
    device: str = "auto"
    threads: int = 1

    @property
    def state_path(self) -> Path:
        """Where the run's state is kept until it is complete."""
        return Path(f"{self.output}.state")

    @property
    def report_folder(self) -> Path:
        """Where the report is written."""
        return Path(f"{self.output}.report")

    def train(self, on_step: OnStep = lambda *_: None) -> dict[str, float]:
        """Train, write the model and the report; returns the best validation's metrics.

        Raises:
            DataError: if there is nothing to learn from, or the settings do not fit together.
        """
        self._check()
        torch.manual_seed(self.seed)
        model = self._model()
        data = read_gene_data(
            self._pairs(), model.grammar, _regions(self.validation), _regions(self.exclude)
        )
        self._tell(data)
        compute = choose_compute(self.device, threads=self.threads)
        model.to(compute.device)
        record = _Record(on_step)
        trainer_of = self._trainers(model, data, compute, record)
        schedule = self._schedule(trainer_of)
        record.clear()
        trainer = trainer_of(schedule)
        if self.resume:
            trainer.load_state(self.state_path)
        history = trainer.run().history or []
        if record.impossible:
            self.note(f"{record.impossible:,} windows fitted no path of the grammar")
        write_report(self.report_folder, self._settings(), history, record.losses, data.reports)
        self.state_path.unlink(missing_ok=True)
        return max(history, key=lambda metrics: metrics["score"])

    def _check(self) -> None:
        """Refuse at once what would fail after hours."""
        if self.output == "-":
            raise DataError("a model cannot go to standard output.", remedy="Name a file.")
        check_writable(self.output)
        if self.report_folder.is_file():
            raise OutputError("is a file, not a folder.", path=self.report_folder)
        if not (self.steps or self.resume or self.time_budget):
            raise DataError("say how long to train.", remedy="Give --time-budget or --steps.")
        if self.resume and not self.state_path.exists():
            raise DataError(
                "no state to resume from.",
                path=self.state_path,
                remedy="Begin without --resume.",
            )

    def _trainers(
        self, model: GeneModel, data: GeneData, compute: Compute, record: _Record
    ) -> Callable[[Schedule], Trainer[GeneModel]]:
        """A function that makes the trainer of a schedule."""
        objective = self._objective(model, compute.bf16)
        validation = GeneValidation(data.validation, data.references, compute)
        facts = {
            "objective": asdict(objective),
            "data": data.hashes,
            "model": asdict(model.encoder.config),
            "regions": [list(self.validation), list(self.exclude)],
            "shares": self.shares,
            "min_intron": self.min_intron,
        }

        def trainer_of(schedule: Schedule) -> Trainer[GeneModel]:
            return gene_trainer(
                model,
                data.train,
                validation,
                objective,
                schedule,
                on_impossible=record.on_impossible,
                save_best=lambda metrics: self._save(model, data, metrics),
                state_path=self.state_path,
                workers=self.threads if compute.device == "cpu" else 1,
                on_step=record.on_step,
                fingerprint=facts,
            )

        return trainer_of

    def _model(self) -> GeneModel:
        if self.init is None:
            return GeneModel(PRESETS[self.preset], self.min_intron)
        entry = find(self.init)
        model, _ = load_gene_model(entry.path)
        if model.grammar.min_intron == self.min_intron:
            return model
        other = GeneModel(model.encoder.config, self.min_intron)
        other.load_state_dict(model.state_dict())
        return other

    def _pairs(self) -> list[Pair]:
        pairs = list(zip(self.files[::2], self.files[1::2], strict=True))
        shares: list[float | None] = [None] * len(pairs)
        if self.shares:
            try:
                shares = [float(share) for share in self.shares.split(",")]
            except ValueError:
                shares = []
            if len(shares) != len(pairs) or not all(share and share > 0 for share in shares):
                raise DataError(
                    f"--shares needs {len(pairs)} positive numbers, one for each genome."
                )
        return [
            Pair(Path(genome), Path(annotation), share)
            for (genome, annotation), share in zip(pairs, shares, strict=True)
        ]

    def _objective(self, model: GeneModel, bf16: bool) -> GeneObjective:
        stride = model.encoder.config.stride
        return GeneObjective(
            window=max(1, self.window_bases // stride) * stride,
            batch=self.batch,
            genic_share=self.genic_share,
            site_weight=self.site_weight,
            crf_start=self.crf_start,
            label_share=self.label_share,
            bf16=bf16,
            seed=self.seed,
        )

    def _schedule(self, trainer_of: Callable[[Schedule], Trainer[GeneModel]]) -> Schedule:
        def schedule(steps: int) -> Schedule:
            return Schedule(
                steps,
                self.learning_rate,
                warmup=min(self.warmup, max(1, steps // 5)),
                validate_every=self.validate_every,
                patience=self.patience,
            )

        if self.steps:
            return schedule(self.steps)
        if self.resume:
            return Schedule(**Trainer.schedule_of(self.state_path))
        assert self.time_budget is not None
        steps = trainer_of(schedule(_TRIAL_STEPS)).steps_within(self.time_budget, _TRIAL_STEPS)
        self.note(f"{steps:,} steps fit the time budget")
        return schedule(steps)

    def _save(self, model: GeneModel, data: GeneData, metrics: dict[str, float]) -> None:
        card = {
            "species": list(self.species),
            "licence": self.licence,
            "command": shlex.join(["dnaannot", *map(_without_folders, sys.argv[1:])]),
            "dnaannot": __version__,
            "torch": torch.__version__,
            "training_data": data.hashes,
            "validation": list(self.validation),
            "excluded": list(self.exclude),
            "metrics": metrics,
        }
        dtype = torch.float16 if self.half else torch.float32
        with atomic_path(self.output) as temporary:
            temporary.write_bytes(model_bytes(model, card, dtype))

    def _settings(self) -> dict[str, Any]:
        return {
            key: value if isinstance(value, int | float | str | None) else list(value)
            for key, value in vars(self).items()
            if key not in ("note", "warn")
        }

    def _tell(self, data: GeneData) -> None:
        for name, report in data.reports.items():
            left_out = ", ".join(f"{n} {reason}" for reason, n in report.rejected.items() if n)
            self.note(
                f"{name}: {report.used:,} of {report.genes:,} genes used"
                + (f"; left out: {left_out}" if left_out else "")
            )
        for name, skipped in data.skipped.items():
            for reason, lines in skipped.items():
                self.warn(f"{name}, line {lines[0]}: {reason} ({len(lines)} transcripts skipped)")


class _Record:
    """What a run's steps told."""

    def __init__(self, on_step: OnStep) -> None:
        self.losses: list[float] = []
        self.impossible = 0
        self._on_step = on_step

    def clear(self) -> None:
        """Forget the steps so far."""
        self.losses.clear()
        self.impossible = 0

    def on_step(self, step: int, steps: int, loss: float) -> None:
        """Take in a step's loss and hand it on."""
        self.losses.append(loss)
        self._on_step(step, steps, loss)

    def on_impossible(self, windows: int) -> None:
        """Take in the number of windows that fit no path."""
        self.impossible += windows


def _regions(texts: Sequence[str]) -> list[Interval]:
    return [parse_region(text) for text in texts]


def _without_folders(argument: str) -> str:
    """An argument as a card may tell it: of a file's path, its folder's name and its own."""
    path = Path(argument)
    return str(Path(*path.parts[-2:])) if path.is_absolute() else argument
