"""One run of training on BEND's gene finding."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dnaannot.evaluate.bend_labels import matthews
from dnaannot.formats.bend_labels import labels_beside
from dnaannot.formats.output import atomic_output
from dnaannot.formats.source import file_hash
from dnaannot.nn.checkpoint import load_nine_label_model
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.nine_labels import NineLabelModel, freeze_encoder
from dnaannot.predict.device import choose_compute
from dnaannot.predict.scorer import Compute
from dnaannot.training.bend import (
    BendLosses,
    BendObjective,
    BendValidation,
    confusion_of,
    part_bases_of,
)
from dnaannot.training.bend_data import Sample, read_bend_data, some_of
from dnaannot.training.processes import join_processes
from dnaannot.training.report import Curves
from dnaannot.training.run import Job, OnStep, Run
from dnaannot.training.start import check_start, start_facts, start_files, with_encoder
from dnaannot.training.trainer import Schedule

PAPER_EPOCHS = 10


@dataclass(kw_only=True)
class BendRun(Run[NineLabelModel]):
    """Settings of one run on BEND's gene finding; see `dnaannot train genes --help`.

    Attributes:
        epochs: passes over the samples, the paper's ten where nothing says how long to train.
    """

    LENGTHS = ("epochs", *Run.LENGTHS)

    table: str
    genomes: Sequence[str]
    labels: str | None = None
    encoder: str | None = None
    freeze: bool = False
    preset: str | None = None
    crf: bool = True
    epochs: int | None = None
    batch: int = 8
    optimizer: str = "adamw"
    label_fraction: float = 1.0

    def __post_init__(self) -> None:
        self._tested: Sequence[Sample] = ()

    @property
    def inputs(self) -> list[str | Path]:
        return [*self._files, *start_files(self.encoder)]

    @property
    def _files(self) -> list[str | Path]:
        return [self.table, *self.genomes, self.labels or labels_beside(self.table)]

    def check(self) -> None:
        check_start(self.encoder, None, self.freeze)
        super().check()

    @property
    def has_length(self) -> bool:
        return True

    def plan(self, job: Job[NineLabelModel], compute: Compute) -> Schedule:
        if super().has_length and not self.epochs:
            return super().plan(job, compute)
        losses = job.losses(0)
        assert isinstance(losses, BendLosses)
        return self.schedule((self.epochs or PAPER_EPOCHS) * losses.steps_per_epoch)

    def train(self, on_step: OnStep = lambda *_: None) -> dict[str, float]:
        """As `Run.train`; `test_mcc` among the metrics is that of the best weights on the test."""
        best = super().train(on_step)
        if not self._tested:
            return best
        processes = join_processes()
        tested = processes.from_first(self._test() if processes.is_first else None)
        return {**best, "test_mcc": tested}

    def _test(self) -> float:
        """The MCC of the weights kept, on the test split; the report gets the counts too."""
        compute = choose_compute(self.device, threads=self.threads)
        model, _ = load_nine_label_model(self.output)
        model.to(compute.device)
        counts = confusion_of(model, self._tested, compute, part_bases_of(compute.device))
        facts = {"test_mcc": matthews(counts), "confusion": counts.tolist()}
        with atomic_output(self.report_folder / "test.json") as stream:
            json.dump(facts, stream, indent=1)
        return matthews(counts)

    def job(self, compute: Compute) -> Job[NineLabelModel]:
        data = read_bend_data(self.table, self.genomes, self.labels)
        self._tested = data.test
        train = some_of(data.train, self.label_fraction, self.seed)
        counts = {"train": len(train), "valid": len(data.valid), "test": len(data.test)}
        self.note("samples: " + ", ".join(f"{n:,} {split}" for split, n in counts.items()))
        part_bases = part_bases_of(compute.device)
        objective = BendObjective(self.batch, part_bases, compute.bf16, self.seed)
        losses = BendLosses(train, objective)
        model = self._model(train)
        start = start_facts(self.encoder)
        hashes = {Path(path).name: file_hash(Path(path)) for path in self._files}
        return Job(
            model,
            lambda _: losses,
            BendValidation(data.valid, compute, part_bases),
            fingerprint={
                "objective": asdict(objective),
                "data": hashes,
                "model": asdict(model.encoder.config),
                "crf": self.crf,
                "freeze": self.freeze,
                "label_fraction": self.label_fraction,
                "start": start,
            },
            card={"training_data": hashes, "start": start},
            data={self.table: counts},
            curves=Curves(axis="validation"),
        )

    def _model(self, train: Sequence[Sample]) -> NineLabelModel:
        if self.encoder is None:
            model = NineLabelModel(PRESETS[self.preset or "spt"], self.crf)
        else:
            model = with_encoder(
                self.encoder, self.preset, lambda config: NineLabelModel(config, self.crf)
            )
        if self.freeze:
            freeze_encoder(model)
        model.begin_with(sample.labels for sample in train)
        return model
