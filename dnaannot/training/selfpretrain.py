"""What self-pretraining learns: to name hidden bases, beside what k-mers know of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dnaannot.datasets.unlabelled import Masked, MaskedSampler, Window, hide_bases, tiles
from dnaannot.dna.context_models import ContextModel, markov_models, two_sided_models
from dnaannot.dna.grammar import UNKNOWN
from dnaannot.nn.encoder import PAD
from dnaannot.nn.masked import MaskedModel
from dnaannot.nn.objectives import masked_cross_entropy
from dnaannot.predict.scorer import Compute
from dnaannot.training.trainer import MicroLoss

VALIDATION_BASES = 300_000
"""So much of what is held out is looked at, evenly spread."""

SURE = 2.0
"""A gain counts where it is more than so many standard errors."""

_LENGTHS = 16  # windows are padded to a multiple of so many strides: few shapes to compile


@dataclass(frozen=True)
class MaskedObjective:
    """How windows become a loss.

    Attributes:
        window: most bases a window, a multiple of the encoder's stride.
        rows: windows a step.
        bf16: compute the network in bfloat16.
        seed: of the order, places and masks.
    """

    window: int
    rows: int
    bf16: bool = False
    seed: int = 1


class MaskedLosses:
    """Losses of a step's windows: nats a hidden base of the whole step.

    Windows are computed together where they are short, at most `window` bases at once.
    """

    def __init__(self, objective: MaskedObjective, sampler: MaskedSampler) -> None:
        self.objective, self.sampler = objective, sampler

    def __call__(self, model: MaskedModel, step: int) -> list[MicroLoss]:
        rows = self.sampler.draw(step * self.objective.rows, self.objective.rows)
        hidden = max(1, sum(np.count_nonzero(row.targets != UNKNOWN) for row in rows))
        quantum = _LENGTHS * model.encoder.config.stride
        groups = list(_grouped(rows, self.objective.window, quantum))
        weight = len(groups) / hidden  # the trainer takes the mean of the groups' losses
        return [partial(self._loss, model, group, weight) for group in groups]

    def _loss(self, model: MaskedModel, group: Masked, weight: float) -> Tensor:
        device = model.mlm.dense.weight.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.objective.bf16):
            scores = model(torch.from_numpy(group.tokens).to(device))
        return (
            masked_cross_entropy(scores, torch.from_numpy(group.targets).to(device)).sum() * weight
        )


def _grouped(rows: Sequence[Masked], most_bases: int, quantum: int) -> Iterator[Masked]:
    """Windows (B, L) of similar length, padded, B * L at most `most_bases` where B > 1."""
    group: list[Masked] = []
    longest = 0
    for row in sorted(rows, key=lambda row: -len(row.tokens)):
        if group and (len(group) + 1) * longest > most_bases:
            yield stacked(group, longest)
            group = []
        if not group:
            longest = -(-len(row.tokens) // quantum) * quantum
        group.append(row)
    if group:
        yield stacked(group, longest)


def stacked(rows: Sequence[Masked], length: int) -> Masked:
    """Windows as one batch: tokens (B, L) padded with PAD, targets (B, L) with `UNKNOWN`."""
    tokens = np.full((len(rows), length), PAD, np.uint8)
    targets = np.full((len(rows), length), UNKNOWN, np.uint8)
    for number, row in enumerate(rows):
        tokens[number, : len(row.tokens)] = row.tokens
        targets[number, : len(row.targets)] = row.targets
    return Masked(tokens, targets)


@dataclass(frozen=True)
class Baseline:
    """What a k-mer model knows of the validation's hidden bases.

    Attributes:
        name: what it is, in words.
        losses: bits (n,) of each hidden base.
    """

    name: str
    losses: np.ndarray

    @property
    def bits(self) -> float:
        """Mean bits a base."""
        return float(self.losses.mean())


class MaskedValidation:
    """How well hidden bases of held-out sequence are named, in bits a base.

    The same bases are hidden in every validation and for every seed, all behind [MASK]. The
    k-mer models, fitted on the training sequence, see the true bases around each hidden one,
    the encoder what masking leaves of them. The score is minus the encoder's bits.

    Args:
        train, held_out: (L_i,) codes.
        window: bases scored at once.
    """

    def __init__(
        self,
        train: Sequence[np.ndarray],
        held_out: Sequence[np.ndarray],
        window: int,
        compute: Compute,
    ) -> None:
        self.compute = compute
        self.windows = tiles(held_out, window, VALIDATION_BASES)
        random = np.random.default_rng(0)
        self.rows = [
            hide_bases(held_out[each.stretch][each.start : each.end], random, wholly=True)
            for each in self.windows
        ]
        models = [*markov_models(train), *two_sided_models(train)]
        self.baselines = [self._baseline(model, held_out) for model in models]
        self.best = min(self.baselines, key=lambda baseline: baseline.bits)

    @property
    def hidden(self) -> int:
        """Hidden bases in all."""
        return sum(int((row.targets != UNKNOWN).sum()) for row in self.rows)

    def __call__(self, model: MaskedModel) -> dict[str, float]:
        with self.compute.workers() as pool:
            losses = list(pool.map(partial(self._bits, model), self.rows))
        bits = float(np.concatenate(losses).mean())
        gain, error = self._gain(losses)
        return {"bits": bits, "gain": gain, "gain_error": error, "score": -bits}

    def _bits(self, model: MaskedModel, row: Masked) -> np.ndarray:
        device, stride = self.compute.device, model.encoder.config.stride
        batch = stacked([row], -(-len(row.tokens) // stride) * stride)
        with (
            torch.inference_mode(),
            torch.autocast(device, torch.bfloat16, enabled=self.compute.bf16),
        ):
            scores = model(torch.from_numpy(batch.tokens).to(device))
            losses = masked_cross_entropy(scores, torch.from_numpy(batch.targets).to(device))
        return losses[0].cpu().numpy()[batch.targets[0] != UNKNOWN] / np.log(2)

    def _gain(self, losses: Sequence[np.ndarray]) -> tuple[float, float]:
        """Bits a base below the best k-mer model, and its standard error over windows.

        Of one window, the error is over its hidden bases.
        """
        ends = np.cumsum([len(each) for each in losses])
        gains = self.best.losses - np.concatenate(losses)
        mean = gains.mean()
        parts = np.split(gains - mean, ends[:-1]) if len(losses) > 1 else (gains - mean)[:, None]
        sums = np.array([part.sum() for part in parts])
        return float(mean), float(np.sqrt((sums**2).sum()) / max(1, len(gains)))

    def _baseline(self, model: ContextModel, held_out: Sequence[np.ndarray]) -> Baseline:
        losses = [
            model.bits(held_out[window.stretch], _hidden_at(window, row))
            for window, row in zip(self.windows, self.rows, strict=True)
        ]
        return Baseline(model.name, np.concatenate(losses))


def _hidden_at(window: Window, row: Masked) -> np.ndarray:
    """Positions (n,) of a window's hidden bases in its stretch."""
    return window.start + np.flatnonzero(row.targets != UNKNOWN)


def verdict(metrics: dict[str, float], best: Baseline) -> str:
    """In a sentence, what the encoder has learned beyond k-mers, or that it has not."""
    gain, error = metrics["gain"], metrics["gain_error"]
    figures = (
        f"{metrics['bits']:.3f} bits a hidden base against {best.bits:.3f} of the best k-mer "
        f"model ({best.name}), {abs(gain):.3f} +- {error:.3f} {'fewer' if gain > 0 else 'more'}"
    )
    if gain > SURE * error:
        return f"The encoder has learned what k-mers do not know: {figures}."
    return (
        f"The encoder has NOT learned more than k-mers know: {figures}. "
        "It can be a better start than random weights all the same; to learn more, train for "
        "longer, on more sequence, or from a bundled model (--init)."
    )
