"""The paper's gene finder: encoder, head of BEND's nine labels and, if wanted, a CRF."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.dna.grammar import UNKNOWN
from dnaannot.dna.nine_labels import NINE, NINE_LABELS
from dnaannot.nn.crf import LinearChainCRF
from dnaannot.nn.encoder import EncoderConfig
from dnaannot.nn.model import LabelModel, TaskModel

_PSEUDO_COUNT = 0.5


class NineLabelModel(LabelModel):
    """Scores (B, L, 9) of tokens (B, L), as Mupparapu et al. (2025) train them on BEND.

    Args:
        config: the encoder.
        crf: put a linear-chain CRF (pytorch-crf's) on the scores.
    """

    task = "bend"

    def __init__(self, config: EncoderConfig, crf: bool = False) -> None:
        super().__init__(config, NINE)
        self.crf = LinearChainCRF(NINE, batch_first=True) if crf else None

    def facts(self) -> dict[str, Any]:
        return {"labels": list(NINE_LABELS), "crf": self.crf is not None}

    def begin_with(self, labels: Iterable[np.ndarray]) -> None:
        """Set the CRF's scores to the log-frequencies of what follows what in labels (L_i,).

        Learning rates that suit the encoder move a score by less than one in a short run, and
        those of rare transitions are far from 0.
        """
        if self.crf is None:
            return
        pairs = np.full((NINE, NINE), _PSEUDO_COUNT)
        first, last = np.full(NINE, _PSEUDO_COUNT), np.full(NINE, _PSEUDO_COUNT)
        for each in labels:
            steps = each[:-1].astype(np.int64) * NINE + each[1:]
            pairs += np.bincount(steps, minlength=NINE**2).reshape(NINE, NINE)
            first[each[0]] += 1
            last[each[-1]] += 1
        with torch.no_grad():
            for parameter, counts in (
                (self.crf.transitions, pairs),
                (self.crf.start_transitions, first),
                (self.crf.end_transitions, last),
            ):
                shares = counts / counts.sum(axis=-1, keepdims=True)
                parameter.copy_(torch.from_numpy(np.log(shares)))

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores (B, L, 9) float32 of tokens (B, L), L a multiple of the stride."""
        return self.label_scores(tokens)

    def nats(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Negative log-likelihood, summed over bases, of labels (B, L) uint8 given scores.

        Args:
            labels: `UNKNOWN` at padding, which lies behind the labels; nowhere else.
        """
        known = labels != UNKNOWN
        targets = torch.where(known, labels, 0).long()
        if self.crf is not None:
            return -self.crf(scores, targets, mask=known, reduction="sum")
        losses = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")
        return (losses * known.flatten()).sum()

    def decode(self, scores: Tensor, lengths: list[int]) -> list[np.ndarray]:
        """Best labels (L_i,) uint8 of each row of scores (B, L, 9), the first L_i bases of it."""
        if self.crf is None:
            best = scores.argmax(-1).to("cpu", torch.uint8).numpy()
            return [row[:length] for row, length in zip(best, lengths, strict=True)]
        at = torch.arange(scores.shape[1], device=scores.device)
        mask = at < torch.tensor(lengths, device=scores.device).unsqueeze(1)
        return [np.array(row, np.uint8) for row in self.crf.decode(scores, mask=mask)]


def freeze_encoder(model: TaskModel) -> nn.Module:
    """Keep the encoder's weights as they are; returns the encoder."""
    return model.encoder.requires_grad_(False)
