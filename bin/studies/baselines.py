"""Simple models of labelled windows, which a track model must beat: k-mers and a small CNN."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.dna.kmers import kmer_classes, kmer_numbers
from dnaannot.dna.sequence import N
from dnaannot.evaluate.ranking import Ranking
from dnaannot.nn.encoder import other_strand

LONGEST_KMER = 5
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
"""Inverse strengths, scikit-learn's C."""


@dataclass(frozen=True)
class Windows:
    """Windows of one length with labels.

    Attributes:
        sequences: codes (L,) of each sequence.
        which, starts: (n,) sequence and first base of each window.
        labels: (n, K) int8, 1, 0 or -1 where not known.
        length: bases of a window.
    """

    sequences: tuple[np.ndarray, ...]
    which: np.ndarray
    starts: np.ndarray
    labels: np.ndarray
    length: int

    def __len__(self) -> int:
        return len(self.starts)

    def tokens(self, rows: np.ndarray) -> np.ndarray:
        """Codes (B, length) uint8, 4 where not known or outside the sequence."""
        found = np.full((len(rows), self.length), N, np.uint8)
        for index, row in enumerate(rows):
            codes, start = self.sequences[self.which[row]], int(self.starts[row])
            piece = codes[max(start, 0) : start + self.length]
            found[index, max(-start, 0) : max(-start, 0) + len(piece)] = piece
        return np.minimum(found, N)

    def __getitem__(self, rows: np.ndarray) -> Windows:
        return replace(
            self, which=self.which[rows], starts=self.starts[rows], labels=self.labels[rows]
        )


@dataclass(frozen=True)
class Split:
    """Windows to train on and to choose by."""

    train: Windows
    validation: Windows


def rankings(scores: np.ndarray, labels: np.ndarray) -> Iterator[Ranking]:
    """The ranking of each label (n, K) by scores (n, K), unknown labels left out."""
    for column, truth in zip(scores.T, labels.T, strict=True):
        known = truth >= 0
        yield Ranking.of(column[known], truth[known] == 1)


def aurocs(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """AUROC (K,) of each label, NaN where it has one class alone."""
    return np.array([ranking.auroc for ranking in rankings(scores, labels)])


def kmer_frequencies(windows: Windows, chunk: int = 2_000) -> np.ndarray:
    """Frequencies (n, F) float32 of the k-mers of 1 to LONGEST_KMER bases, k by k."""
    tables = [kmer_classes(k) for k in range(1, LONGEST_KMER + 1)]
    found = np.empty((len(windows), sum(int(t.max()) + 1 for t in tables)), np.float32)
    for low in range(0, len(windows), chunk):
        rows = np.arange(low, min(low + chunk, len(windows)))
        tokens = windows.tokens(rows)
        parts = [_frequencies(tokens, k, table) for k, table in enumerate(tables, 1)]
        found[rows] = np.concatenate(parts, axis=1)
    return found


def _frequencies(tokens: np.ndarray, k: int, classes: np.ndarray) -> np.ndarray:
    n_windows, n_classes = len(tokens), int(classes.max()) + 1
    words, is_known = kmer_numbers(tokens, k)
    cells = classes[words] + n_classes * np.arange(n_windows)[:, None]
    counts = np.bincount(cells[is_known], minlength=n_windows * n_classes)
    return counts.reshape(n_windows, -1) / np.maximum(is_known.sum(1), 1)[:, None]


def fit_logistic(
    features: Tensor, labels: Tensor, inverse_penalty: float, start: Tensor, steps: int
) -> Tensor:
    """Weights (F + 1, K), intercepts last, of one logistic regression for each label.

    The objective is that of scikit-learn's LogisticRegression: the sum of the losses plus half
    the squared weights by `inverse_penalty`, intercepts free; labels (n, K) below 0 are left out.
    """
    weights = start.clone().requires_grad_()
    known, targets = (labels >= 0).float(), labels.clamp(min=0).float()
    scale = 1 / known.sum(0).clamp(min=1)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=steps, history_size=10, line_search_fn="strong_wolfe",
        tolerance_grad=1e-7, tolerance_change=1e-10,
    )  # fmt: skip

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = features @ weights[:-1] + weights[-1]
        losses = F.binary_cross_entropy_with_logits(logits, targets, known, reduction="none")
        penalties = weights[:-1].square().sum(0) / (2 * inverse_penalty)
        loss = ((losses.sum(0) + penalties) * scale).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def score_kmers(split: Split, test: Windows, steps: int = 100) -> np.ndarray:
    """Logits (n, K) of the test windows; each label's penalty is that of the best validation."""
    train = kmer_frequencies(split.train)
    mean, spread = train.mean(0), np.maximum(train.std(0), 1e-6)

    def scaled(windows: Windows) -> Tensor:
        return torch.from_numpy((kmer_frequencies(windows) - mean) / spread)

    train -= mean
    train /= spread
    features, labels = torch.from_numpy(train), torch.from_numpy(split.train.labels)
    validation = scaled(split.validation)
    weights = torch.zeros(features.shape[1] + 1, labels.shape[1])
    best, chosen = np.full(labels.shape[1], -np.inf), weights.clone()
    for inverse_penalty in PENALTIES:
        weights = fit_logistic(features, labels, inverse_penalty, weights, steps)
        areas = aurocs((validation @ weights[:-1] + weights[-1]).numpy(), split.validation.labels)
        is_better = np.nan_to_num(areas, nan=-1) > best
        best[is_better] = areas[is_better]
        chosen[:, is_better] = weights[:, is_better]
    return (scaled(test) @ chosen[:-1] + chosen[-1]).numpy()


class Basset(nn.Module):
    """Logits (B, K) of tokens (B, L): Basset's layers, `width` times its channels."""

    def __init__(self, labels: int, length: int, width: float) -> None:
        super().__init__()
        first, second, dense = (round(channels * width) for channels in (300, 200, 1000))

        def block(inside: int, outside: int, kernel: int, pool: int) -> list[nn.Module]:
            convolution = nn.Conv1d(inside, outside, kernel, padding=kernel // 2)
            return [convolution, nn.BatchNorm1d(outside), nn.ReLU(), nn.MaxPool1d(pool)]

        cells = length // 3 // 4 // 4
        self.layers = nn.Sequential(
            *block(4, first, 19, 3),
            *block(first, second, 11, 4),
            *block(second, second, 7, 4),
            nn.Flatten(),
            nn.Linear(second * cells, dense), nn.BatchNorm1d(dense), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(dense, dense), nn.BatchNorm1d(dense), nn.ReLU(), nn.Dropout(0.3),
            nn.Linear(dense, labels),
        )  # fmt: skip

    def forward(self, tokens: Tensor) -> Tensor:
        bases = F.one_hot(tokens.long(), 5)[..., :4].transpose(1, 2)
        return self.layers(bases.float())


@dataclass(frozen=True)
class CnnBudget:
    """How long and how a CNN is trained.

    Attributes:
        minutes: of training, validation included.
        width: part of Basset's channels.
        batch: windows a step.
        learning_rate: at its start; it falls to none in a line.
        looks: validations.
        seed: of weights and data order.
    """

    minutes: float
    width: float = 0.5
    batch: int = 128
    learning_rate: float = 1e-3
    looks: int = 10
    seed: int = 1


def train_cnn(
    split: Split, budget: CnnBudget, on_look: Callable[[int, float], None] = lambda seen, area: None
) -> Basset:
    """A CNN trained for its time, with the weights of the best mean AUROC on validation.

    Args:
        on_look: called with the windows seen and that AUROC.
    """
    torch.manual_seed(budget.seed)
    random = np.random.default_rng(budget.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    labels, length = split.train.labels, split.train.length
    model = Basset(labels.shape[1], length, budget.width).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), budget.learning_rate, weight_decay=1e-3)
    began, seconds = time.monotonic(), 60 * budget.minutes
    best, chosen, looks, done = -np.inf, model.state_dict(), 0, 0.0
    seen = 0
    while done < 1:
        for group in optimizer.param_groups:
            group["lr"] = budget.learning_rate * (1 - done)
        rows = draw(labels, budget.batch, random)
        _step(model, optimizer, split.train, rows, flip=bool(random.random() < 0.5))
        seen += len(rows)
        done = (time.monotonic() - began) / seconds
        if done >= (looks + 1) / budget.looks:
            looks = int(done * budget.looks)
            scores = predict(model, split.validation)
            area = float(np.nanmean(aurocs(scores, split.validation.labels)))
            on_look(seen, area)
            if area > best:
                best = area
                chosen = {key: value.clone() for key, value in model.state_dict().items()}
    model.load_state_dict(chosen)
    return model


def _step(
    model: nn.Module, optimizer: torch.optim.Optimizer, train: Windows, rows: np.ndarray, flip: bool
) -> None:
    device = next(model.parameters()).device
    tokens = torch.from_numpy(train.tokens(rows)).to(device)
    labels = torch.from_numpy(train.labels[rows]).to(device)
    model.train()
    optimizer.zero_grad()
    with torch.autocast(device.type, torch.bfloat16):
        logits = model(other_strand(tokens) if flip else tokens).float()
    known, targets = (labels >= 0).float(), labels.clamp(min=0).float()
    losses = F.binary_cross_entropy_with_logits(logits, targets, known, reduction="sum")
    (losses / known.sum().clamp(min=1)).backward()
    optimizer.step()


def draw(labels: np.ndarray, size: int, random: np.random.Generator) -> np.ndarray:
    """Rows of a batch: half from anywhere, half from windows with a positive."""
    positive = np.flatnonzero((labels == 1).any(1))
    half = size // 2 if len(positive) else 0
    return np.concatenate(
        (random.integers(len(labels), size=size - half), random.choice(positive, half))
        if half
        else (random.integers(len(labels), size=size),)
    )


@torch.inference_mode()
def predict(model: nn.Module, windows: Windows, batch: int = 512) -> np.ndarray:
    """Logits (n, K), both strands averaged."""
    model.eval()
    device = next(model.parameters()).device
    found = []
    for low in range(0, len(windows), batch):
        rows = np.arange(low, min(low + batch, len(windows)))
        tokens = torch.from_numpy(windows.tokens(rows)).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(tokens).float() + model(other_strand(tokens)).float()
        found.append((logits / 2).cpu().numpy())
    return np.concatenate(found)
