"""What a gene model learns: cross-entropy of labels first, then the grammar's likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from dnaannot.datasets.genes import Region
from dnaannot.datasets.windows import Batch, WindowSampler
from dnaannot.dna.grammar import GENE_BEGINS, MIRRORED_LABEL
from dnaannot.dna.interval import Interval
from dnaannot.dna.sequence import N
from dnaannot.dna.transcript import Transcript, is_cut_short
from dnaannot.evaluate.gene_metrics import compare
from dnaannot.evaluate.intervals import Regions
from dnaannot.nn.crf import crf_divergence, crf_log_likelihood
from dnaannot.nn.encoder import other_strand
from dnaannot.nn.model import GeneModel
from dnaannot.nn.objectives import label_cross_entropy, label_weights
from dnaannot.predict.choice import mean_exon_posterior
from dnaannot.predict.genes import GenePredictor
from dnaannot.predict.scorer import Compute
from dnaannot.training.trainer import MicroLoss


@dataclass(frozen=True)
class GeneObjective:
    """How windows become a loss.

    Attributes:
        window: bases a window, a multiple of the encoder's stride.
        batch: windows a step.
        genic_share: share of the windows placed around a gene.
        exon_share: share of those placed around a coding base of it.
        site_weight: weight of starts, stops, donors and acceptors in the cross-entropy.
        crf_start: share of the steps after which the CRF likelihood replaces cross-entropy.
        label_share: weight of the cross-entropy beside the likelihood.
        strand_share: weight of the strands' divergence from their mean beside the likelihood;
            where it is not 0, each window is read on both strands, at twice the cost.
        divergence: most substitutions a neutral base by which a window differs from the genome.
        condensed_share: share of the windows with long introns and intergenic stretches shortened.
        bf16: compute the encoder in bfloat16.
        seed: of the data order.
    """

    window: int = 13_824
    batch: int = 4
    genic_share: float = 0.6
    exon_share: float = 0.0
    site_weight: float = 10.0
    crf_start: float = 0.2
    label_share: float = 0.0
    strand_share: float = 0.0
    divergence: float = 0.0
    condensed_share: float = 0.0
    bf16: bool = False
    seed: int = 1


class GeneLosses:
    """Losses of a step's windows, each computed on its own.

    Args:
        objective: how windows become a loss.
        sampler: draws windows.
        steps: optimizer steps in all.
        on_impossible: called with the number of windows whose known labels fit no path; they
            give no gradient.
    """

    def __init__(
        self,
        objective: GeneObjective,
        sampler: WindowSampler,
        steps: int,
        on_impossible: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.objective, self.sampler, self.steps = objective, sampler, steps
        self.on_impossible = on_impossible
        self._weights = label_weights(objective.site_weight)

    def __call__(self, model: GeneModel, step: int) -> list[MicroLoss]:
        batch = self.sampler.batch(step, self.objective.batch)
        uses_crf = step >= self.objective.crf_start * self.steps
        rows = [Batch(*(part[i : i + 1] for part in batch)) for i in range(len(batch.tokens))]
        if uses_crf and self.objective.strand_share:
            first, stride = step * len(rows), model.encoder.config.stride
            shifts = [(first + number) % stride for number in range(len(rows))]
            return [
                partial(self._loss_of_strands, model, row, shift)
                for row, shift in zip(rows, shifts, strict=True)
            ]
        return [partial(self._loss, model, row, uses_crf) for row in rows]

    def _loss(self, model: GeneModel, row: Batch, uses_crf: bool) -> Tensor:
        emissions = self._emissions(model, torch.from_numpy(row.tokens))
        if not uses_crf:
            return self._cross_entropy(emissions, row)
        return self._path_loss(model, emissions, row)

    def _loss_of_strands(self, model: GeneModel, row: Batch, shift: int) -> Tensor:
        """Mean loss of both strands, and how far each is from the mean of their scores.

        The other strand's cells begin `shift` bases off, as they may in a sequence of any
        length; so many of the window's first bases are left out.
        """
        read = torch.from_numpy(row.tokens)
        read = torch.cat((read, _other_strand(read, shift)))
        emissions = self._emissions(model, read)[:, shift:]
        emissions = torch.stack((emissions[0], emissions[1].flip(0)[:, MIRRORED_LABEL.tolist()]))
        tokens, labels, words, allowed = (part[:, shift:].repeat(2, 0) for part in row[:-1])
        seen = Batch(tokens, labels, words, allowed, row.enrichment.repeat(2))
        apart = crf_divergence(
            emissions, emissions.mean(0, keepdim=True).expand_as(emissions),
            _pair_weights(model, row), seen.words, model.grammar,
        )  # fmt: skip
        loss = self._path_loss(model, emissions, seen)
        return loss + self.objective.strand_share * apart.mean() / emissions.shape[1]

    def _emissions(self, model: GeneModel, tokens: Tensor) -> Tensor:
        device = model.pair_weights.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.objective.bf16):
            return model(tokens.to(device))

    def _cross_entropy(self, emissions: Tensor, rows: Batch) -> Tensor:
        labels = torch.from_numpy(rows.labels).to(emissions.device)
        return label_cross_entropy(emissions, labels, self._weights.to(emissions.device))

    def _path_loss(self, model: GeneModel, emissions: Tensor, rows: Batch) -> Tensor:
        """Mean negative log-likelihood per base, and the cross-entropy by its share."""
        values, possible = crf_log_likelihood(
            emissions, _pair_weights(model, rows), rows.words, rows.allowed, model.grammar
        )
        if not bool(possible.all()):
            self.on_impossible(int((~possible).sum()))
        loss = -values.mean() / emissions.shape[1]
        if self.objective.label_share == 0:
            return loss
        return loss + self.objective.label_share * self._cross_entropy(emissions, rows)


def _pair_weights(model: GeneModel, rows: Batch) -> Tensor:
    """Label-pair weights (P,) for readings of one window, where genes are more frequent.

    The model's own weights then learn how frequent genes are in the genome, as in logit
    adjustment (Menon et al. 2021, "Long-tail learning via logit adjustment").
    """
    extra = torch.zeros_like(model.pair_weights)
    extra[model.grammar.pairs.index(GENE_BEGINS)] = float(rows.enrichment[0])
    return model.pair_weights + extra


def _other_strand(tokens: Tensor, shift: int) -> Tensor:
    """Tokens (B, L) of the reverse complement, moved on by `shift` unknown bases."""
    complement = other_strand(tokens)[:, : tokens.shape[1] - shift]
    return F.pad(complement, (shift, 0), value=N)


class GeneValidation:
    """Gene-level accuracy on whole regions.

    The score is the mean over pairs of the mean F1 of nucleotides, exons and genes.

    Args:
        held_out: validation regions, by genome and annotation pair.
        references: the transcripts annotated there, by pair.
        compute: how to compute.
    """

    def __init__(
        self,
        held_out: Sequence[Sequence[Region]],
        references: Sequence[Sequence[Transcript]],
        compute: Compute,
    ) -> None:
        self.held_out, self.references, self.compute = held_out, references, compute
        names = [regions[0].sequence.name for regions in held_out]
        self.names = [
            name if names.count(name) == 1 else f"{number}:{name}"
            for number, name in enumerate(names, start=1)
        ]

    def __call__(self, model: GeneModel) -> dict[str, float]:
        predictor = GenePredictor(model, self.compute)
        metrics: dict[str, float] = {}
        scores, found = [], []
        for pair, regions, reference in zip(
            self.names, self.held_out, self.references, strict=True
        ):
            predicted, expected, counted = _side_by_side(predictor, regions, reference)
            levels = compare(predicted, expected, counted)
            found += predicted
            for name in ("nucleotide", "exon", "gene"):
                metrics[f"{pair}.{name}_f1"] = levels[name].f1
            scores.append(sum(levels[n].f1 for n in ("nucleotide", "exon", "gene")) / 3)
        metrics["confidence"] = mean_exon_posterior(found)
        return {**metrics, "score": sum(scores) / len(scores)}


def _side_by_side(
    predictor: GenePredictor, regions: Sequence[Region], reference: Sequence[Transcript]
) -> tuple[list[Transcript], list[Transcript], Regions]:
    """Predicted and reference transcripts in region coordinates, and those regions.

    Neither side has genes that the border of a region inside its sequence cuts.
    """
    predicted, expected, intervals = [], [], []
    for number, region in enumerate(regions):
        name = f"{region.sequence.name}/{number}"
        piece = region.sequence.codes[region.start : region.end]
        intervals.append(Interval(name, 0, len(piece)))
        goes_on = region.start > 0, region.end < len(region.sequence.codes)
        for genes in predictor.predict([(name, piece)]):
            predicted += [t for t in genes.transcripts if not is_cut_short(t, piece, goes_on)]
        expected += [
            t.moved(-region.start, name)
            for t in reference
            if t.sequence == region.sequence.name
            and t.start >= region.start
            and t.end <= region.end
        ]
    return predicted, expected, Regions.of_intervals(intervals)
