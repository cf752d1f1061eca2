"""The track model: scores of trunk cells, and the logits of windows centred anywhere.

A window's logit is the mean `pooled` score of its cells plus the `centre` score of the cell at
its centre. As average pooling after a linear map is linear, that is the paper's head (two
convolutions, average pooling over the window, a linear map) with a term for what stands at the
centre; and as cells do not depend on windows, windows that overlap share all their work.

Beside the encoder, each word of six bases adds a number of its own to `pooled`: a logistic
regression on k-mers, which ranks the many windows without any motif better than an encoder that
has little time to learn; and the best fit in the window of each of some motifs (`nn.motifs`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.dna.kmers import kmer_classes
from dnaannot.dna.sequence import N
from dnaannot.nn.encoder import PAD, EncoderConfig, build_encoder
from dnaannot.nn.heads import LabelHead
from dnaannot.nn.model import TaskModel
from dnaannot.nn.motifs import MOTIF_WIDTH, MOTIFS, MotifScores, best_fits, best_fits_torch

WINDOW = 512
WORD = 6
"""Bases of a word; one and its reverse complement count as one."""
_WORD_SCALE = 64.0


@dataclass(frozen=True)
class TrackLabel:
    """One track that a model predicts.

    Attributes:
        task: what it is about: accessibility, histone, ctcf, methylation and so on.
        name: of the track, such as `dnase__k562`.
        kind: "binary", whose value is the probability sigmoid(scale * logit + shift); or
            "quantity", whose value is exp(logit) - 1.
        scale, shift: calibration of a binary label, fitted on validation.
    """

    task: str
    name: str
    kind: str = "binary"
    scale: float = 1.0
    shift: float = 0.0


class WordScores(nn.Module):
    """Scores (B, L / stride, K) of cells by the words that stand in them."""

    classes: Tensor

    def __init__(self, labels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        classes = torch.from_numpy(kmer_classes(WORD))
        none = int(classes.max()) + 1
        self.register_buffer("classes", F.pad(classes, (0, 1), value=none), persistent=False)
        self.of_word = nn.EmbeddingBag(none + 1, labels, mode="sum", padding_idx=none)
        nn.init.zeros_(self.of_word.weight)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores of tokens (B, L), L a multiple of the stride; a word with an N counts nothing."""
        batch, length = tokens.shape
        around = F.pad(tokens, (WORD // 2, (WORD - 1) // 2), value=PAD)
        word = torch.zeros_like(tokens, dtype=torch.int64)
        is_known = torch.ones_like(tokens, dtype=torch.bool)
        for offset in range(WORD):
            bases = around[:, offset : offset + length]
            word = 4 * word + bases
            is_known &= bases < N
        classes = self.classes[torch.where(is_known, word, 4**WORD)]
        scores = self.of_word(classes.view(-1, self.stride))
        return scores.view(batch, -1, scores.shape[-1]) * (_WORD_SCALE / self.stride)


class TrackModel(TaskModel):
    """Cell scores (B, L / stride, 2 K + M) of tokens (B, L), which `split` takes apart.

    Args:
        config: the encoder.
        labels: K, how many tracks it predicts.
        window: bases of the window around a position that its value is about.
        sites: "grid" where values stand on a grid, "cpg" where at CpGs only.
        words: score words too; files of older versions do not.
        motifs: M, how many motifs to look for; files of older versions have none.

    Attributes:
        tracks: the K labels; set by who knows them.
    """

    task = "tracks"

    def __init__(
        self,
        config: EncoderConfig,
        labels: int,
        window: int = WINDOW,
        sites: str = "grid",
        words: bool = True,
        motifs: int = MOTIFS,
    ) -> None:
        super().__init__()
        self.labels, self.window, self.sites = labels, window, sites
        self.tracks = tuple(TrackLabel("tracks", f"track{n}") for n in range(1, labels + 1))
        self.encoder = build_encoder(config)
        self.head = LabelHead(self.encoder.coarse_channels, 2 * labels)
        self.words = WordScores(labels, config.stride) if words else None
        self.motifs = MotifScores(labels, config.stride, motifs) if motifs else None

    @classmethod
    def of_facts(cls, facts: dict[str, Any], config: EncoderConfig) -> TrackModel:
        """The model, its weights still random, that a file's header describes.

        Raises:
            KeyError, TypeError: the header lacks something.
        """
        tracks = tuple(TrackLabel(**label) for label in facts["labels"])
        words = facts.get("word", 0) == WORD
        motifs = facts.get("motifs", 0)
        model = cls(config, len(tracks), facts["window"], facts["sites"], words, motifs)
        model.tracks = tracks
        return model

    def facts(self) -> dict[str, Any]:
        labels = [asdict(track) for track in self.tracks]
        word = 0 if self.words is None else WORD
        motifs = 0 if self.motifs is None else self.motifs.scan.out_channels
        return {
            "labels": labels,
            "window": self.window,
            "sites": self.sites,
            "word": word,
            "motifs": motifs,
        }

    def add_motifs(self) -> None:
        """Look for motifs, still random ones, where it does not; its logits stay as they are."""
        if self.motifs is None:
            self.motifs = MotifScores(self.labels, self.stride, MOTIFS)

    def hidden_matrices(self) -> list[str]:
        return [name for name in super().hidden_matrices() if not name.startswith("motifs.")]

    def start_at(self, values: Sequence[float]) -> None:
        """Make the logits (K,) of untrained weights those of the labels' means."""
        with torch.no_grad():
            self.head.linear.bias[: self.labels] = 0
            self.head.linear.bias[self.labels :] = torch.tensor(values)

    @property
    def stride(self) -> int:
        """Bases a cell."""
        return self.encoder.config.stride

    @property
    def cells(self) -> int:
        """Cells of a window."""
        return self.window // self.stride

    @property
    def halo(self) -> int:
        """Bases to each side of a cell that its scores depend on, a multiple of the stride."""
        stride = self.stride
        halo = -(-self.encoder.halo // stride) * stride + self.head.halo * stride
        return halo if self.motifs is None else max(halo, -(-MOTIF_WIDTH // 2 // stride) * stride)

    def forward(self, tokens: Tensor) -> Tensor:
        """Cell scores (B, L / stride, 2 K + M) float32; L is a multiple of the stride.

        Cells without a base score 0.
        """
        batch, length = tokens.shape
        is_base = (tokens != PAD).view(batch, length // self.stride, self.stride).any(-1)
        bases = None if bool(is_base.all()) else is_base.unsqueeze(-1)
        scores = self.head(self.encoder.coarse(tokens), bases).float()
        if bases is not None:
            scores = scores * bases
        pooled, centre = scores.chunk(2, -1)
        if self.words is not None:
            pooled = pooled + self.words(tokens)
        parts = [pooled, centre]
        if self.motifs is not None:
            parts.append(self.motifs(tokens, bases))
        return torch.cat(parts, -1)

    def window_logits(self, cells: Tensor, centres: Tensor) -> Tensor:
        """Logits (n, K) of windows around positions (n,), of cells (m, 2 K + M) from 0 on."""
        scores, fits = split(cells, self.labels)
        logits = window_logits_torch(scores, centres, self.window, self.stride)
        if self.motifs is None:
            return logits
        low = first_cells(centres, self.window, self.stride)
        best = best_fits_torch(fits, low, self.cells)
        return logits + best @ self.motifs.of_best.weight.T


Cells = TypeVar("Cells", np.ndarray, Tensor)


def split(cells: Cells, labels: int) -> tuple[Cells, Cells]:
    """`pooled` and `centre` scores (m, 2, K) and fits of motifs (m, M) of cells (m, 2 K + M)."""
    return cells[:, : 2 * labels].reshape(-1, 2, labels), cells[:, 2 * labels :]


@dataclass(frozen=True)
class WindowScores:
    """Logits of windows from cells, on the CPU and alike for a window whatever is beside it.

    Attributes:
        labels: K, of the model.
        window, stride: of the model.
        chosen: indices of the labels that are wanted.
        of_best: (chosen, M) what the best fits of motifs are worth.
    """

    labels: int
    window: int
    stride: int
    chosen: Sequence[int]
    of_best: np.ndarray

    @classmethod
    def of(cls, model: TrackModel, chosen: Sequence[int] | None = None) -> WindowScores:
        """Those of a model, for all of its labels by default."""
        chosen = range(model.labels) if chosen is None else chosen
        weight = np.empty((model.labels, 0), np.float32)
        if model.motifs is not None:
            weight = model.motifs.of_best.weight.detach().float().cpu().numpy()
        return cls(model.labels, model.window, model.stride, chosen, weight[list(chosen)])

    def __call__(self, cells: np.ndarray, centres: np.ndarray, first: int = 0) -> np.ndarray:
        """Logits (n, chosen) float32; arguments as `window_logits`, cells (m, 2 K + M)."""
        scores, fits = split(cells, self.labels)
        scores = scores[:, :, list(self.chosen)]
        logits = window_logits(scores, centres, self.window, self.stride, first)
        if not fits.shape[1]:
            return logits
        low = first_cells(centres, self.window, self.stride) - first
        best = best_fits(fits, low, self.window // self.stride)
        # not a matrix product, whose rounding depends on how many rows there are
        return logits + np.einsum("nm,km->nk", best, self.of_best)


def first_cells(centres: Cells, window: int, stride: int) -> Cells:
    """First cell (n,) of the window around each position (n,); negative before the sequence."""
    return (centres - window // 2) // stride


def window_logits(
    cells: np.ndarray, centres: np.ndarray, window: int, stride: int, first: int = 0
) -> np.ndarray:
    """Logits (n, K) float32 of the windows around positions.

    Args:
        cells: (m, 2, K) scores of consecutive cells of a sequence, cut at its ends alone where
            they do not hold all that the windows need: a cell that is not there is not counted
            in its window's mean.
        centres: (n,) positions in the sequence, each in one of the cells.
        first: index in the sequence of the first of `cells`.
    """
    low = first_cells(centres, window, stride) - first
    high = np.clip(low + window // stride, 0, len(cells))
    low = np.clip(low, 0, len(cells))
    sums = np.zeros((len(cells) + 1, cells.shape[2]))
    np.cumsum(cells[:, 0], axis=0, dtype=np.float64, out=sums[1:])
    means = (sums[high] - sums[low]) / np.maximum(high - low, 1)[:, None]
    return (means + cells[centres // stride - first, 1]).astype(np.float32)


def window_logits_torch(cells: Tensor, centres: Tensor, window: int, stride: int) -> Tensor:
    """Logits (n, K) of the windows around positions, as `window_logits`, for a loss.

    Args:
        cells: (m, 2, K) scores of cells that begin at position 0.
        centres: (n,) int64 positions, each in one of the cells.
    """
    low = first_cells(centres, window, stride)
    high = (low + window // stride).clamp(0, len(cells))
    low = low.clamp(0, len(cells))
    sums = torch.cat((cells.new_zeros(1, cells.shape[2]), cells[:, 0].cumsum(0)))
    means = (sums[high] - sums[low]) / (high - low).clamp(min=1).unsqueeze(1)
    return means + cells[centres // stride, 1]
