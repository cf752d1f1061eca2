"""What a track model learns: the labels of all positions in a stretch, weighed label by label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dnaannot.datasets.tracks import (
    Stretch,
    StretchSampler,
    TrackRegion,
    cut_stretch,
    is_known,
    is_positive,
)
from dnaannot.errors import DataError
from dnaannot.evaluate.ranking import Ranking, pearson
from dnaannot.nn.tracks import TrackLabel, TrackModel, WindowScores
from dnaannot.predict.scorer import Compute
from dnaannot.training.trainer import MicroLoss

_VALIDATION_CORE = 16_384
_NEWTON_STEPS = 30
_LEAST_VARIANCE = 1e-9  # less is rounding


@dataclass(frozen=True)
class TrackObjective:
    """How stretches become a loss.

    Attributes:
        stretch: bases a stretch, a multiple of the encoder's stride.
        margin: bases of a stretch's ends that give context alone.
        batch: stretches a step.
        positive_share: share of the stretches placed around a positive.
        weights: of each label in the loss.
        bf16: compute in bfloat16.
        seed: of the data order.
    """

    stretch: int
    margin: int
    batch: int
    positive_share: float
    weights: tuple[float, ...]
    bf16: bool = False
    seed: int = 1


class TrackLosses:
    """Losses of a step's stretches, each computed on its own."""

    def __init__(
        self, objective: TrackObjective, kinds: Sequence[str], sampler: StretchSampler
    ) -> None:
        self.objective, self.sampler = objective, sampler
        self._weights = torch.tensor(objective.weights)
        self._is_binary = torch.tensor([kind == "binary" for kind in kinds])

    def __call__(self, model: TrackModel, step: int) -> list[MicroLoss]:
        batch = self.sampler.batch(step, self.objective.batch)
        return [partial(self._loss, model, stretch) for stretch in batch]

    def _loss(self, model: TrackModel, stretch: Stretch) -> Tensor:
        weight = model.head.linear.weight
        tokens = torch.from_numpy(stretch.tokens[None]).to(weight.device)
        with torch.autocast(weight.device.type, torch.bfloat16, enabled=self.objective.bf16):
            cells = model(tokens)[0]
        if not len(stretch.centres):
            return 0.0 * cells.sum()
        cells = cells[: -(-stretch.bases // model.stride)]
        centres = torch.from_numpy(stretch.centres).to(weight.device)
        logits = model.window_logits(cells, centres)
        known = torch.from_numpy(is_known(stretch.targets)).to(weight.device)
        targets = torch.from_numpy(stretch.targets).to(weight.device, torch.float32)
        losses = self._losses(logits, torch.where(known, targets, 0.0))
        weights = known * self._weights.to(weight.device)
        return (losses * weights).sum() / weights.sum().clamp(min=1e-9)

    def _losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Losses (n, K): cross-entropy of binary labels, squared error of log1p of quantities."""
        entropy = F.binary_cross_entropy_with_logits(logits, targets.clamp(0, 1), reduction="none")
        if bool(self._is_binary.all()):
            return entropy
        squares = (logits - targets) ** 2
        return torch.where(self._is_binary.to(logits.device), entropy, squares)


def label_weights(
    rates: Sequence[float], variances: Sequence[float], kinds: Sequence[str]
) -> tuple[float, ...]:
    """Weights (K,), mean 1, that make labels of any base rate or scale count alike.

    A binary label is weighed by the inverse of the entropy of its base rate, a quantity by the
    inverse of its variance, so that the loss of knowing no more than the mean is the same for
    each.

    Args:
        rates: base rate of each binary label.
        variances: of each quantity; one that does not vary counts as if its variance were 1.
        kinds: "binary" or "quantity".
    """
    shares = np.clip(np.asarray(rates, np.float64), 1e-4, 1 - 1e-4)
    entropy = -shares * np.log(shares) - (1 - shares) * np.log(1 - shares)
    spread = np.asarray(variances, np.float64)
    spread = np.where(spread > _LEAST_VARIANCE, spread, 1.0)
    weights = 1 / np.where([kind == "binary" for kind in kinds], entropy, spread)
    return tuple((weights / weights.mean()).tolist())


class TrackValidation:
    """How well a model tells the windows of held-out regions, on their natural distribution.

    Pieces are spread evenly over the regions, each with all the sequence around it that its
    windows depend on. The score is the mean over labels of (AUROC + AUPRC) / 2 (of Pearson's r
    of log1p values for quantities). Binary labels are calibrated on the way, and the model's
    `tracks` set to what was fitted.

    Args:
        regions: held out.
        labels: of the model, not yet calibrated.
        model: whose stride, window and halo fix the pieces.
        compute: how to compute.
        bases: look at about so many bases at most.

    Raises:
        DataError: nothing there is labelled, or no label varies there.
    """

    def __init__(
        self,
        regions: Sequence[TrackRegion],
        labels: Sequence[TrackLabel],
        model: TrackModel,
        compute: Compute,
        bases: int = 8_000_000,
    ) -> None:
        self.labels, self.compute = tuple(labels), compute
        flank = -(-(model.halo + model.window) // model.stride) * model.stride
        core = _VALIDATION_CORE // model.stride * model.stride
        places = [(r, at) for r in regions for at in range(r.start, r.end, core)]
        share = min(1.0, bases / max(1, core * len(places)))
        count = max(1, round(share * len(places)))
        chosen = np.unique(np.linspace(0, len(places) - 1, count).round().astype(int))
        pieces = [
            _piece(region, at, core, flank, model.stride)
            for region, at in (places[n] for n in chosen)
        ]
        self.pieces = [piece for piece in pieces if len(piece.centres)]
        if not self.pieces:
            raise DataError(
                "no labelled position lies in the validation regions.",
                remedy="Give others with --validation.",
            )
        self.targets = np.concatenate([piece.targets for piece in self.pieces])
        if not any(_varies(label, self.targets[:, k]) for k, label in enumerate(self.labels)):
            raise DataError(
                "no label varies in the validation regions, so that nothing there tells which "
                "weights are better.",
                remedy="Give others with --validation: with positives and negatives of a label.",
            )

    def __call__(self, model: TrackModel) -> dict[str, float]:
        logits = self.logits(model)
        model.tracks = tuple(
            calibrated(label, logits[:, k], self.targets[:, k])
            for k, label in enumerate(self.labels)
        )
        return track_metrics(self.labels, logits, self.targets)

    def logits(self, model: TrackModel) -> np.ndarray:
        """Logits (n, K) of all positions looked at."""
        piece_logits = partial(self._logits, model, WindowScores.of(model))
        with self.compute.workers() as pool:
            return np.concatenate(list(pool.map(piece_logits, self.pieces)))

    def _logits(self, model: TrackModel, scores: WindowScores, piece: Stretch) -> np.ndarray:
        device = self.compute.device
        tokens = torch.from_numpy(piece.tokens[None]).to(device)
        with (
            torch.inference_mode(),
            torch.autocast(device, torch.bfloat16, enabled=self.compute.bf16),
        ):
            cells = model(tokens)[0, : -(-piece.bases // model.stride)].cpu().numpy()
        return scores(cells, piece.centres)


def _varies(label: TrackLabel, targets: np.ndarray) -> bool:
    """Whether targets (n,) of a label tell one position from another."""
    known = targets[is_known(targets)]
    return len(np.unique(known if label.kind == "quantity" else is_positive(known))) > 1


def _piece(region: TrackRegion, at: int, core: int, flank: int, stride: int) -> Stretch:
    """The positions of [at, at + core) of a region, with `flank` bases or more around them."""
    start = max(0, (at - flank) // stride * stride)
    length = -(-(at + core + flank - start) // stride) * stride
    inside = TrackRegion(region.sequence, at, min(at + core, region.end))
    return cut_stretch(region.sequence, start, length, 0, inside.rows)


def track_metrics(
    labels: Sequence[TrackLabel], logits: np.ndarray, targets: np.ndarray
) -> dict[str, float]:
    """Metrics of each label, their means over groups, and the `score`.

    Where a label is called as a group is, the mean stands.

    Labels that nothing is known of, or of which all is alike, are left out.

    Args:
        logits: (n, K).
        targets: (n, K), as in `TrackSequence`.
    """
    of_label: dict[str, float] = {}
    groups: dict[str, list[float]] = {}
    scores = []
    known = is_known(targets)
    for k, label in enumerate(labels):
        found = _label_metrics(label, logits[known[:, k], k], targets[known[:, k], k])
        if not found:
            continue
        scores.append(sum(found.values()) / len(found))
        for name, value in found.items():
            of_label[f"{label.name}.{name}"] = value
            groups.setdefault(f"{group_of(label)}.{name}", []).append(value)
    means = {name: float(np.mean(values)) for name, values in groups.items()}
    return {**of_label, **means, "score": float(np.mean(scores)) if scores else 0.0}


def group_of(label: TrackLabel) -> str:
    """What a label's metrics are averaged over: what stands before `__` in its name, or its task.

    So `dnase__k562` and `dnase__skin` are of one group.
    """
    mark, separator, _ = label.name.partition("__")
    return mark if separator else label.task


def _label_metrics(label: TrackLabel, logits: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    if label.kind == "quantity":
        if math.isnan(pearson(targets, targets)):
            return {}
        correlation = pearson(logits, targets)  # none where all logits are alike
        return {"pearson": 0.0 if math.isnan(correlation) else correlation}
    ranking = Ranking.of(logits, is_positive(targets))
    if not ranking.positives or not ranking.negatives:
        return {}
    return {"auroc": ranking.auroc, "auprc": ranking.auprc}


def calibrated(label: TrackLabel, logits: np.ndarray, targets: np.ndarray) -> TrackLabel:
    """The label with the scale and shift that make its logits probabilities.

    Platt's sigmoid, fitted by Newton's method; as it was for quantities, where nothing is known
    or all is alike, and where the labels do not rise with the logits.

    Args:
        logits: (n,).
        targets: (n,) as in `TrackSequence`.
    """
    known = is_known(targets)
    if label.kind != "binary" or len(np.unique(targets[known])) < 2:
        return label
    scale, shift = platt(logits[known], targets[known].astype(np.float64))
    return replace(label, scale=scale, shift=shift) if scale > 0 else label


def platt(logits: np.ndarray, targets: np.ndarray) -> tuple[float, float]:
    """Scale and shift whose sigmoid(scale * logit + shift) fits targets (n,) from 0 to 1 best.

    As in Platt (1999), targets are drawn in a little, so that labels that logits separate fully
    have a finite fit.
    """
    positives = targets.sum()
    low, high = 1 / (len(targets) - positives + 2), (positives + 1) / (positives + 2)
    drawn = low + targets * (high - low)
    inputs = np.stack((logits.astype(np.float64), np.ones(len(logits))), axis=1)
    spread = max(float(logits.std()), 1e-6)
    inputs[:, 0] /= spread
    rate = float(np.clip(drawn.mean(), 1e-6, 1 - 1e-6))
    weights = np.array([0.0, np.log(rate / (1 - rate))])
    loss = _log_loss(inputs @ weights, drawn)
    for _ in range(_NEWTON_STEPS):
        probabilities = 1 / (1 + np.exp(-(inputs @ weights)))
        gradient = inputs.T @ (probabilities - drawn)
        curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs
        move = np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
        while (tried := _log_loss(inputs @ (weights - move), drawn)) > loss and np.any(move):
            move = np.where(np.abs(move) > 1e-9, move / 2, 0.0)
        weights, gain, loss = weights - move, loss - tried, tried
        if gain < 1e-12 * abs(loss):
            break
    return float(weights[0] / spread), float(weights[1])


def _log_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    return float((np.logaddexp(0, logits) - targets * logits).sum())
