"""Training on BEND's gene finding as the paper does: nine labels, with or without a CRF."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dnaannot.dna.grammar import UNKNOWN
from dnaannot.dna.nine_labels import NINE, reverse_complement_nine
from dnaannot.dna.sequence import reverse_complement
from dnaannot.evaluate.bend_labels import matthews
from dnaannot.nn.encoder import PAD
from dnaannot.nn.nine_labels import NineLabelModel
from dnaannot.predict.scorer import Compute
from dnaannot.training.bend_data import Sample
from dnaannot.training.trainer import MicroLoss


@dataclass(frozen=True)
class BendObjective:
    """How samples become a loss.

    Attributes:
        batch: samples a step.
        part_bases: bases, padding included, that are computed together at most.
        bf16: compute the encoder in bfloat16.
        seed: of the data order.
        flip: reverse-complement half of the samples, chosen anew in each epoch.
    """

    batch: int = 8
    part_bases: int = 1
    bf16: bool = False
    seed: int = 1
    flip: bool = True


class BendLosses:
    """Losses of a step's samples: nats per base of the whole step.

    Each epoch takes every sample once, in an order of its own; what a step sees is a pure
    function of seed and step.

    Args:
        samples: at least one.
        objective: how they become a loss.
    """

    def __init__(self, samples: Sequence[Sample], objective: BendObjective) -> None:
        self.samples, self.objective = samples, objective

    @property
    def steps_per_epoch(self) -> int:
        """Steps in which every sample is taken once, rounded up."""
        return -(-len(self.samples) // self.objective.batch)

    @property
    def bases_per_step(self) -> float:
        """Mean bases of a step."""
        bases = sum(len(sample.codes) for sample in self.samples)
        return self.objective.batch * bases / len(self.samples)

    def draw(self, step: int) -> list[Sample]:
        """The samples of a step, by descending length."""
        size = self.objective.batch
        chosen = [self._sample(number) for number in range(step * size, (step + 1) * size)]
        return sorted(chosen, key=lambda sample: -len(sample.codes))

    def _sample(self, number: int) -> Sample:
        """A sample by its number in the order of all epochs."""
        epoch, turn = divmod(number, len(self.samples))
        random = np.random.Generator(
            np.random.Philox(key=self.objective.seed, counter=[0, 0, 0, epoch])
        )
        order = random.permutation(len(self.samples))
        flips = random.random(len(self.samples)) < 0.5
        sample = self.samples[order[turn]]
        if not (self.objective.flip and flips[turn]):
            return sample
        return Sample(reverse_complement(sample.codes), reverse_complement_nine(sample.labels))

    def __call__(self, model: NineLabelModel, step: int) -> list[MicroLoss]:
        chosen = self.draw(step)
        parts = in_parts(chosen, self.objective.part_bases)
        bases = sum(len(sample.codes) for sample in chosen)
        weight = len(parts) / bases  # the trainer takes the mean of the parts' losses
        return [partial(self._loss, model, part, weight) for part in parts]

    def _loss(self, model: NineLabelModel, part: Sequence[Sample], weight: float) -> Tensor:
        tokens, labels = padded(part, model.encoder.config.stride)
        device = model.head.linear.weight.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.objective.bf16):
            scores = model(torch.from_numpy(tokens).to(device))
        return model.nats(scores, torch.from_numpy(labels).to(device)) * weight


def in_parts(samples: Sequence[Sample], bases: int) -> list[list[Sample]]:
    """Samples, by descending length, in parts of at most `bases` padded bases, or of one sample."""
    parts: list[list[Sample]] = []
    for sample in samples:
        if parts and (len(parts[-1]) + 1) * len(parts[-1][0].codes) <= bases:
            parts[-1].append(sample)
        else:
            parts.append([sample])
    return parts


def padded(samples: Sequence[Sample], stride: int) -> tuple[np.ndarray, np.ndarray]:
    """Tokens and labels (B, L) uint8, L a multiple of the stride."""
    longest = max(len(sample.codes) for sample in samples)
    shape = len(samples), -(-longest // stride) * stride
    tokens, labels = np.full(shape, PAD, np.uint8), np.full(shape, UNKNOWN, np.uint8)
    for row, sample in enumerate(samples):
        tokens[row, : len(sample.codes)] = sample.codes
        labels[row, : len(sample.codes)] = sample.labels
    return tokens, labels


def confusion_of(
    model: NineLabelModel, samples: Sequence[Sample], compute: Compute, part_bases: int = 1
) -> np.ndarray:
    """Bases (9, 9) int64 by true label (row) and by the model's (column)."""
    ordered = sorted(samples, key=lambda sample: -len(sample.codes))
    model.eval()
    with compute.workers() as pool:
        counts = pool.map(partial(_confusion, model, compute), in_parts(ordered, part_bases))
        return sum(counts, np.zeros((NINE, NINE), np.int64))


def _confusion(model: NineLabelModel, compute: Compute, part: Sequence[Sample]) -> np.ndarray:
    tokens, _ = padded(part, model.encoder.config.stride)
    with (
        torch.inference_mode(),
        torch.autocast(compute.device, torch.bfloat16, enabled=compute.bf16),
    ):
        scores = model(torch.from_numpy(tokens).to(compute.device))
        found = model.decode(scores, [len(sample.codes) for sample in part])
    counts = np.zeros(NINE**2, np.int64)
    for sample, labels in zip(part, found, strict=True):
        counts += np.bincount(sample.labels.astype(np.int64) * NINE + labels, minlength=NINE**2)
    return counts.reshape(NINE, NINE)


class BendValidation:
    """The nine-label MCC (scikit-learn's) over all bases of the samples together."""

    def __init__(self, samples: Sequence[Sample], compute: Compute, part_bases: int = 1) -> None:
        self.samples, self.compute, self.part_bases = samples, compute, part_bases

    def __call__(self, model: NineLabelModel) -> dict[str, float]:
        counts = confusion_of(model, self.samples, self.compute, self.part_bases)
        correct = float(np.trace(counts) / counts.sum())
        mcc = matthews(counts)
        return {"mcc": mcc, "accuracy": correct, "score": mcc}


def part_bases_of(device: str) -> int:
    """Bases computed together: one sample on CPU workers, many on a GPU."""
    return 1 << 17 if device == "cuda" else 1
