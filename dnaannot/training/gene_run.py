"""One run of gene training: inputs, settings and what they make a run of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dnaannot.catalog import find
from dnaannot.datasets.condensed import condensed, is_sparse
from dnaannot.datasets.genes import Region
from dnaannot.datasets.loci import with_fewer_labels
from dnaannot.datasets.windows import WindowSampler
from dnaannot.dna.grammar import Grammar
from dnaannot.dna.names import counted, listed
from dnaannot.errors import SettingsError
from dnaannot.nn.checkpoint import load_gene_model
from dnaannot.nn.encoder import PRESETS
from dnaannot.nn.model import GeneModel
from dnaannot.predict.scorer import Compute
from dnaannot.training.gene_data import GeneData, Pair, read_gene_data
from dnaannot.training.genes import GeneLosses, GeneObjective, GeneValidation
from dnaannot.training.run import Job, Run, folder_and_name, refuse_repeats
from dnaannot.training.start import (
    check_preset,
    check_start,
    start_facts,
    start_files,
    with_encoder,
)
from dnaannot.training.told_regions import read_told_regions, region_text

LEAST_INTRON = 20
"""Least intron length of a model that starts from no other."""
CONDENSED_SHARE = 0.5
"""Share of the windows that are condensed where genes are sparse."""
FEW_GENES = 20
"""Fewer genes than these are too few to validate on."""


@dataclass(kw_only=True)
class GeneRun(Run[GeneModel]):
    """Settings of one run; see `dnaannot train genes --help`.

    Attributes:
        encoder: a model file (or name) whose encoder is taken and nothing else.
        freeze: keep that encoder as it is.
        label_fraction: share of the genes to learn from; see `with_fewer_labels`.
        crf_start: as `GeneObjective` has it; by default 0 with `init`, whose weights know the
            labels.
        condensed_share: as `GeneObjective` has it; by default `CONDENSED_SHARE` of the windows of
            stretches where genes are sparse.
        min_intron: least intron length; by default that of `init`, else `LEAST_INTRON`.
    """

    files: Sequence[str]
    encoder: str | None = None
    freeze: bool = False
    label_fraction: float = 1.0
    preset: str | None = None
    validation: Sequence[str] = ()
    exclude: Sequence[str] = ()
    shares: str | None = None
    window_bases: int = 13_824
    batch: int = 4
    genic_share: float = 0.6
    exon_share: float = 0.0
    site_weight: float = 10.0
    crf_start: float | None = None
    label_share: float = 0.0
    strand_share: float = 0.0
    divergence: float = 0.0
    condensed_share: float | None = None
    min_intron: int | None = None

    @property
    def inputs(self) -> list[str | Path]:
        told = (*self.validation, *self.exclude)
        regions = [region_text(text, self.files[::2]) for text in told]
        return [*self.files, *regions, *start_files(self.encoder, self.init)]

    def check(self) -> None:
        check_start(self.encoder, self.init, self.freeze)
        refuse_repeats(f"{pair.genome} with {pair.annotation}" for pair in self._pairs())
        super().check()

    def job(self, compute: Compute) -> Job[GeneModel]:
        model = self._model()
        model.encoder.requires_grad_(not self.freeze)
        data = self._data(model.grammar)
        self._tell(data)
        objective = self._objective(model, compute.bf16)
        train = self._labelled(data, objective.window)
        twins, share = self._twins(train)
        objective = replace(objective, condensed_share=share)
        start = start_facts(self.encoder or self.init)
        impossible = _Count()

        def losses(steps: int) -> GeneLosses:
            impossible.windows = 0
            sampler = WindowSampler(
                train,
                objective.window,
                genic_share=objective.genic_share,
                exon_share=objective.exon_share,
                seed=objective.seed,
                divergence=objective.divergence,
                condensed=twins,
                condensed_share=objective.condensed_share,
            )
            return GeneLosses(objective, sampler, steps, impossible.add)

        return Job(
            model,
            losses,
            GeneValidation(data.validation, data.references, compute),
            fingerprint={
                "objective": {**asdict(objective), "gene_frequency": "of the genome"},
                "data": data.hashes,
                "model": asdict(model.encoder.config),
                "regions": [list(self.validation), list(self.exclude)],
                "shares": self.shares,
                "min_intron": model.grammar.min_intron,
                "start": start,
                "freeze": self.freeze,
                "label_fraction": self.label_fraction,
            },
            card={
                "training_data": data.hashes,
                "start": start,
                "frozen_encoder": self.freeze,
                "label_fraction": self.label_fraction,
                "condensed_share": share,
                "divergence": self.divergence,
                "validation": list(map(folder_and_name, self.validation)),
                "excluded": list(map(folder_and_name, self.exclude)),
                **asdict(data.signatures),
            },
            data={
                report.name: {
                    "genes": report.labels.genes,
                    "used": report.labels.used,
                    "left_out": dict(report.labels.rejected),
                }
                for report in data.reports
            },
            remarks=impossible.remarks,
            is_trained=self.init is not None,
        )

    def _data(self, grammar: Grammar) -> GeneData:
        told = read_told_regions(self.validation, self.exclude, self.files[::2])
        pairs = [
            replace(pair, validation=validation, excluded=excluded)
            for pair, validation, excluded in zip(
                self._pairs(), told.validation, told.excluded, strict=True
            )
        ]
        data = read_gene_data(pairs, grammar)
        told.add_hashes(data.hashes)
        return data

    def _labelled(self, data: GeneData, window: int) -> list[Region]:
        """The regions to train on, with labels for as many genes as wanted."""
        if self.label_fraction == 1:
            return data.train
        regions, genes = with_fewer_labels(data.train, self.label_fraction, window // 2, self.seed)
        self.note(f"learning from {counted(genes, 'gene')} ({self.label_fraction:.3g} of them)")
        return regions

    def _twins(self, regions: Sequence[Region]) -> tuple[list[Region | None], float]:
        """The regions condensed, and the share of their windows that is cut from these."""
        if self.condensed_share == 0:
            return [], 0.0
        pairs = [(region, condensed(region)) for region in regions]
        if self.condensed_share is not None:
            return [twin for _, twin in pairs], self.condensed_share
        twins = [twin if is_sparse(region, twin) else None for region, twin in pairs]
        names = list(dict.fromkeys(twin.sequence.name for twin in twins if twin is not None))
        if not names:
            return [], 0.0
        self.note(
            f"genes are sparse in {listed(names)}: {CONDENSED_SHARE:.0%} of its windows have long "
            "introns and intergenic stretches cut short (--condensed-share)"
        )
        return twins, CONDENSED_SHARE

    def _model(self) -> GeneModel:
        least = self.min_intron or LEAST_INTRON
        if self.encoder is not None:
            return with_encoder(self.encoder, self.preset, lambda config: GeneModel(config, least))
        if self.init is None:
            return GeneModel(PRESETS[self.preset or "strided"], least)
        model, _ = load_gene_model(find(self.init).path)
        check_preset(model, self.preset, self.init)
        if self.min_intron in (None, model.grammar.min_intron):
            return model
        other = GeneModel(model.encoder.config, least, model.reach)
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
                raise SettingsError(
                    f"--shares needs {len(pairs)} positive numbers, one for each genome.",
                    remedy="Put commas between them, as in --shares 2,1.",
                )
        return [
            Pair(Path(genome), Path(annotation), share)
            for (genome, annotation), share in zip(pairs, shares, strict=True)
        ]

    def _objective(self, model: GeneModel, bf16: bool) -> GeneObjective:
        stride = model.encoder.config.stride
        by_default = GeneObjective.crf_start if self.init is None else 0.0
        return GeneObjective(
            window=max(1, self.window_bases // stride) * stride,
            batch=self.batch,
            genic_share=self.genic_share,
            exon_share=self.exon_share,
            site_weight=self.site_weight,
            crf_start=by_default if self.crf_start is None else self.crf_start,
            label_share=self.label_share,
            strand_share=self.strand_share,
            divergence=self.divergence,
            bf16=bf16,
            seed=self.seed,
        )

    def _tell(self, data: GeneData) -> None:
        for report in data.reports:
            labels = report.labels
            left_out = ", ".join(f"{n} {reason}" for reason, n in labels.rejected.items())
            self.note(
                f"{report.name}: {labels.used:,} of {labels.genes:,} genes used, "
                f"{report.to_validate_on:,} of them to validate on"
                + (f"; left out: {left_out}" if left_out else "")
            )
            for reason, at in report.skipped.items():
                self.warn(f"{report.name}, line {at[0]}: {reason} ({len(at)} transcripts skipped)")
        if (genes := sum(report.to_validate_on for report in data.reports)) < FEW_GENES:
            self.warn(
                f"only {counted(genes, 'gene')} to validate on, too few to tell which weights are "
                "best: hold out more with --validation."
            )


@dataclass
class _Count:
    """How many windows fitted no path of the grammar."""

    windows: int = 0

    def add(self, windows: int) -> None:
        """Take in the windows of one step."""
        self.windows += windows

    def remarks(self, _: object = None) -> list[str]:
        """What to tell the user of them."""
        return [f"{self.windows:,} windows fitted no path of the grammar"] if self.windows else []
