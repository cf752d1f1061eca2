"""Self-pretraining: an encoder with a head that names the bases hidden from it."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.nn.encoder import VOCABULARY, EncoderConfig, build_encoder
from dnaannot.nn.model import TaskModel


class MaskedHead(nn.Module):
    """Features (B, L, C) to scores (B, L, 7) of the vocabulary: Linear, GELU, LN, Linear."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dense = nn.Linear(channels, channels)
        self.norm = nn.LayerNorm(channels)
        self.vocabulary = nn.Linear(channels, VOCABULARY)

    def forward(self, features: Tensor) -> Tensor:
        return self.vocabulary(self.norm(F.gelu(self.dense(features))))


class MaskedModel(TaskModel):
    """Scores (B, L, 7) of what each token was before masking (Mupparapu et al. 2025, 4.1)."""

    task = "encoder"
    output_layer = "mlm.vocabulary"

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.mlm = MaskedHead(self.encoder.channels)

    @property
    def halo(self) -> int:
        """Bases to each side of a window that its scores depend on, a multiple of the stride."""
        return self.encoder.halo

    def facts(self) -> dict[str, Any]:
        return {}

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores (B, L, 7) float32 of tokens (B, L), L a multiple of the stride."""
        return self.mlm(self.encoder(tokens)).float()
