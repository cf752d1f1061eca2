"""Heads: features (B, L, C) to label scores (B, L, K)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.nn.encoder import convolve

HEAD_CHANNELS, HEAD_KERNEL = 64, 3


class LabelHead(nn.Module):
    """Two convolutions of width 3 with GELU and a linear map, as in BEND's downstream CNN."""

    halo = 2 * (HEAD_KERNEL // 2)
    """Bases to each side that a score depends on."""

    def __init__(self, channels: int, labels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(channels, HEAD_CHANNELS, HEAD_KERNEL, padding=1)
        self.conv2 = nn.Conv1d(HEAD_CHANNELS, HEAD_CHANNELS, HEAD_KERNEL, padding=1)
        self.linear = nn.Linear(HEAD_CHANNELS, labels)

    def forward(self, features: Tensor, bases: Tensor | None = None) -> Tensor:
        """Scores (B, L, K); `bases` (B, L, 1) is 0 at padding, None where there is none."""
        x = F.gelu(convolve(features, self.conv1))
        if bases is not None:
            x = x * bases.to(x.dtype)
        return self.linear(F.gelu(convolve(x, self.conv2)))
