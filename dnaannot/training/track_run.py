"""One run of track training: inputs, settings and what they make a run of."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path

from dnaannot.catalog import find
from dnaannot.datasets.tracks import StretchSampler
from dnaannot.dna.names import counted, listed
from dnaannot.errors import DataError, ModelError, SettingsError
from dnaannot.formats.label_files import label_files
from dnaannot.nn.checkpoint import load_track_model, read_facts
from dnaannot.nn.encoder import PRESETS, EncoderConfig
from dnaannot.nn.motifs import MotifScores
from dnaannot.nn.tracks import WINDOW, TrackLabel, TrackModel
from dnaannot.predict.scorer import Compute
from dnaannot.predict.track_choice import TASKS
from dnaannot.training.motif_start import MOTIF_STEPS, PeakMiddles, learn_motifs, renew_motifs
from dnaannot.training.report import Curves
from dnaannot.training.run import Job, Run, folder_and_name
from dnaannot.training.start import (
    check_preset,
    check_start,
    start_facts,
    start_files,
    with_encoder,
)
from dnaannot.training.told_regions import read_told_regions
from dnaannot.training.track_data import Assembly, TrackData, read_track_data
from dnaannot.training.track_labels import LabelRules
from dnaannot.training.tracks import (
    TrackLosses,
    TrackObjective,
    TrackValidation,
    group_of,
    label_weights,
)


@dataclass(kw_only=True)
class TrackRun(Run[TrackModel]):
    """Settings of one run; see `dnaannot train tracks --help`."""

    genomes: Sequence[str]
    labels: Sequence[str]
    tasks: Sequence[str] = ()
    encoder: str | None = None
    freeze: bool = False
    preset: str | None = None
    validation: Sequence[str] = ()
    exclude: Sequence[str] = ()
    validation_genomes: Sequence[str] = ()
    validation_labels: str | None = None
    validation_bases: int = 8_000_000
    window: int = WINDOW
    coverage: float | None = None
    min_reads: int = 5
    soft: bool = False
    threshold: float | None = None
    matched_negatives: int = 0
    stretch_bases: int = 16_384
    margin: int = 1_024
    batch: int = 4
    positive_share: float = 0.5
    motif_steps: int | None = None

    @property
    def inputs(self) -> list[str | Path]:
        held_out = self._held_out()
        return [
            *self.genomes,
            *self._label_files(),
            *self.validation,
            *self.exclude,
            *((*held_out.genomes, *held_out.labels) if held_out else ()),
            *start_files(self.encoder, self.init),
        ]

    def job(self, compute: Compute) -> Job[TrackModel]:
        self._warn_of_tasks()
        data = self._data()
        self._warn_of_patterns(data)
        model = self._model(data)
        model.encoder.requires_grad_(not self.freeze)
        self._tell(data)
        began = time.monotonic()
        self._start_motifs(data, model)
        self.spent = time.monotonic() - began
        objective = self._objective(data, model, compute)
        start = start_facts(self.encoder or self.init)
        validation = TrackValidation(
            data.validation, data.labels, model, compute, self.validation_bases
        )

        def losses(steps: int) -> TrackLosses:
            sampler = StretchSampler(
                data.train,
                objective.stretch,
                objective.margin,
                model.stride,
                objective.positive_share,
                objective.seed,
            )
            return TrackLosses(objective, [label.kind for label in data.labels], sampler)

        return Job(
            model,
            losses,
            validation,
            fingerprint={
                "objective": asdict(objective),
                "data": data.hashes,
                "model": asdict(model.encoder.config),
                "rules": asdict(self._rules()),
                "regions": [list(self.validation), list(self.exclude)],
                "negatives": self.matched_negatives,
                "motif_steps": self.motif_steps,
                "freeze": self.freeze,
                "start": start,
                "validation_bases": self.validation_bases,
            },
            card={
                "training_data": data.hashes,
                "start": start,
                "frozen_encoder": self.freeze,
                "validation": [
                    folder_and_name(each) for each in (*self.validation, *self.validation_genomes)
                ],
                "excluded": list(map(folder_and_name, self.exclude)),
                "labels": data.counts,
                "rules": asdict(self._rules()),
                **asdict(data.signatures),
            },
            data=data.counts,
            curves=_curves(data.labels),
            remarks=partial(_remarks, data.labels),
            is_trained=self.init is not None,
        )

    def check(self) -> None:
        """As `Run.check`; the options of the starting point exclude each other.

        Raises:
            SettingsError: they do not fit together.
        """
        check_start(self.encoder, self.init, self.freeze)
        if bool(self.validation_genomes) != bool(self.validation_labels):
            raise SettingsError(
                "--validation-genome and --validation-labels go together.", remedy="Give both."
            )
        if 2 * self.margin >= self.stretch_bases:
            raise SettingsError(
                "nothing of a stretch is left between its margins.",
                remedy="Give a longer --stretch-bases or a shorter --margin.",
            )
        super().check()

    def _data(self) -> TrackData:
        told = read_told_regions(self.validation, self.exclude, self.genomes, are_one=True)
        data = read_track_data(
            Assembly(_paths(self.genomes), self._label_files()),
            self._rules(),
            told.validation[0],
            told.excluded[0],
            self._held_out(),
            self.matched_negatives,
            self.seed,
        )
        told.add_hashes(data.hashes)
        return data

    def _label_files(self) -> list[Path]:
        return [path for text in self.labels for path in label_files(text)]

    def _rules(self) -> LabelRules:
        tasks = []
        for text in self.tasks:
            pattern, separator, task = text.rpartition("=")
            tasks.append((pattern if separator else "*", task))
        return LabelRules(
            self.window, tasks, self.coverage, self.min_reads, self.soft, self.threshold
        )

    def _warn_of_tasks(self) -> None:
        """Tell of tasks of the user's own that are almost those with rules of their own."""
        for _, task in self._rules().tasks:
            close = get_close_matches(task.lower(), TASKS, n=1)
            if close and task not in TASKS:
                self.warn(f"'{task}' is a task of its own. Did you mean --task {close[0]}?")

    def _warn_of_patterns(self, data: TrackData) -> None:
        """Tell of `--task PATTERN=TASK` that no label has the name of."""
        names = [label.name for label in data.labels]
        for pattern, task in self._rules().tasks:
            if not any(fnmatchcase(name, pattern) for name in names):
                self.warn(f"--task {pattern}={task}: no label is called so.")

    def _held_out(self) -> Assembly | None:
        if self.validation_labels is None:
            return None
        folder = Path(self.validation_labels)
        if not folder.is_dir():
            raise DataError(
                "is no folder of label files.",
                path=folder,
                remedy="Put them into one, named as those to train on.",
            )
        return Assembly(_paths(self.validation_genomes), label_files(folder))

    def _model(self, data: TrackData) -> TrackModel:
        names = [label.name for label in data.labels]
        if self.init is not None:
            model, _ = load_track_model(find(self.init).path)
            kinds = [label.kind for label in data.labels]
            if (
                [track.name for track in model.tracks] != names
                or [track.kind for track in model.tracks] != kinds
                or model.sites != data.sites
            ):
                raise ModelError(
                    "predicts other labels than these.",
                    path=self.init,
                    remedy="--encoder takes its encoder alone, for any labels.",
                )
            if model.window != self.window:
                raise ModelError(
                    f"is about windows of {model.window} bases, not of {self.window}.",
                    path=self.init,
                    remedy=f"Give --window {model.window}.",
                )
            check_preset(model, self.preset, self.init)
            return model

        def build(config: EncoderConfig) -> TrackModel:
            return TrackModel(config, len(names), self.window, data.sites)

        if self.encoder is None:
            model = build(PRESETS[self.preset or "regulatory"])
        else:
            model = with_encoder(self.encoder, self.preset, build)
        model.tracks = data.labels
        model.start_at(
            [_start(label, rate) for label, rate in zip(data.labels, data.rates, strict=True)]
        )
        return model

    def _start_motifs(self, data: TrackData, model: TrackModel) -> None:
        """Motifs of the model that the encoder is of, else those of what stands at peaks."""
        is_new = model.motifs is None or self.init is None
        if not is_new and not self.motif_steps:
            return
        model.add_motifs()
        assert model.motifs is not None
        known = None
        if self.encoder is not None and not self.from_scratch:
            known = _motifs_of(self.encoder)
        if known is not None and known.scan.weight.shape == model.motifs.scan.weight.shape:
            model.motifs.scan.load_state_dict(known.scan.state_dict())
            return
        if self.resume:
            return
        columns = [k for k, label in enumerate(data.labels) if label.kind == "binary"]
        peaks = PeakMiddles.of(data.train, columns if data.is_dense else [])
        steps = self._motif_steps()
        if not (peaks and steps):
            if self.motif_steps:
                self.warn("no label has narrow peaks: there is nothing to learn motifs from.")
            return
        self.note(
            f"motifs first learn what stands at the peaks of {counted(len(peaks.columns), 'label')}"
            f", for {counted(steps, 'step')}"
        )
        if is_new:
            learn_motifs(model.motifs, peaks, steps, self.seed, self.threads)
        else:
            renewed = renew_motifs(model.motifs, peaks, steps, self.seed, self.threads)
            self.note(f"{counted(renewed, 'motif')} that had counted for little learned anew")

    def _motif_steps(self) -> int:
        """As told, or few beside what follows: a step takes about a third of a second."""
        if self.motif_steps is not None:
            return self.motif_steps
        most = self.steps or self.time_budget or math.inf
        return int(min(MOTIF_STEPS, most // 4))

    def _objective(self, data: TrackData, model: TrackModel, compute: Compute) -> TrackObjective:
        kinds = [label.kind for label in data.labels]
        return TrackObjective(
            stretch=-(-self.stretch_bases // model.stride) * model.stride,
            margin=self.margin,
            batch=self.batch,
            positive_share=self.positive_share,
            weights=label_weights(data.rates, data.variances, kinds),
            bf16=compute.bf16,
            seed=self.seed,
        )

    def _tell(self, data: TrackData) -> None:
        for note in data.notes:
            self.note(note)
        bases = sum(region.end - region.start for region in data.train)
        labels = counted(len(data.labels), "label")
        tasks = ", ".join(dict.fromkeys(label.task for label in data.labels))
        self.note(f"{labels} ({tasks}); {bases / 1e6:,.1f} Mb to train on")
        for label in data.labels:
            counts = data.counts[label.name]
            positives = counts["validation_positives"]
            if label.kind == "binary" and positives in (0, counts["validation_known"]):
                what = "negative" if positives else "positive"
                self.warn(f"{label.name} has no {what} to validate on; it is not calibrated")


def _motifs_of(name: str) -> MotifScores | None:
    """The motifs of a track model, by its name or path; None where it has none."""
    path = find(name).path
    return load_track_model(path)[0].motifs if read_facts(path).get("motifs") else None


def _start(label: TrackLabel, rate: float) -> float:
    """Logit of the base rate, or the mean of a quantity."""
    if label.kind == "quantity":
        return rate
    share = min(max(rate, 1e-4), 1 - 1e-4)
    return math.log(share / (1 - share))


def _remarks(labels: Sequence[TrackLabel], metrics: Mapping[str, float]) -> list[str]:
    """What to tell of labels that the best weights know nothing of."""
    unknown = [label.name for label in labels if metrics.get(f"{label.name}.auroc", 1.0) <= 0.5]
    if not unknown:
        return []
    return [f"No better than chance on validation, and not calibrated: {listed(unknown)}."]


def _curves(labels: Sequence[TrackLabel]) -> Curves:
    groups = list(dict.fromkeys(group_of(label) for label in labels))
    keys = [f"{group}.{name}" for name in ("auroc", "auprc", "pearson") for group in groups]
    return Curves(axis="validation, mean over labels", keys=keys)


def _paths(texts: Sequence[str]) -> list[Path]:
    return [Path(text) for text in texts]
