"""Motifs: what a factor binds, wherever in a window it stands.

Each is a row of `MOTIF_WIDTH` weights a base, scanned at every base of both strands; how well it
fits where it fits best in the window adds to the window's logit (DeepBind, Alipanahi et al. 2015).
The trunk of a strided encoder would have to learn a motif anew for each base of a cell that it can
begin at, and the mean over a window dilutes what one cell knows.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dnaannot.dna.sequence import N
from dnaannot.nn.encoder import one_hot

MOTIFS, MOTIF_WIDTH = 128, 19
"""A model's motifs, unless it says another number; and the bases of one."""
_SPREAD, _BIAS = 0.15, -1.0


class MotifScores(nn.Module):
    """Motifs of `MOTIF_WIDTH` bases on either strand, and what the best fit of each is worth.

    Args:
        labels: K.
        stride: bases a cell.
        motifs: M.

    Attributes:
        of_best: K scores of the best fits (n, M) in windows; 0 at first.
    """

    def __init__(self, labels: int, stride: int, motifs: int) -> None:
        super().__init__()
        self.stride = stride
        self.scan = nn.Conv1d(N, motifs, MOTIF_WIDTH)
        self.of_best = nn.Linear(motifs, labels, bias=False)
        nn.init.normal_(self.scan.weight, std=_SPREAD)
        assert self.scan.bias is not None
        nn.init.constant_(self.scan.bias, _BIAS)
        nn.init.zeros_(self.of_best.weight)

    def forward(self, tokens: Tensor, is_base: Tensor | None) -> Tensor:
        """Best fits (B, L / stride, M), 0 or more, of motifs centred in each cell.

        Args:
            tokens: (B, L), L a multiple of the stride.
            is_base: (B, L / stride, 1), off where a cell has no base, which fits nothing (0);
                None where each has one.
        """
        weight, bias = self.scan.weight, self.scan.bias
        assert bias is not None
        bases = one_hot(tokens, N, weight.dtype).transpose(1, 2).unsqueeze(2)
        both = torch.cat((weight, weight.flip(1, 2))).unsqueeze(2)
        fits = F.conv2d(
            bases.contiguous(memory_format=torch.channels_last),
            both.contiguous(memory_format=torch.channels_last),
            torch.cat((bias, bias)),
            padding=(0, MOTIF_WIDTH // 2),
        )
        best = F.max_pool2d(fits, (1, self.stride)).squeeze(2)
        best = F.softplus(torch.maximum(*best.chunk(2, 1)).float()).transpose(1, 2)
        return best if is_base is None else best * is_base

    def fits_of_best_sites(self) -> Tensor:
        """What the site that fits each motif best fits it by (M,)."""
        weight, bias = self.scan.weight, self.scan.bias
        assert bias is not None
        return F.softplus(weight.amax(1).sum(1) + bias)


def best_fits(fits: np.ndarray, low: np.ndarray, cells: int) -> np.ndarray:
    """The greatest of the fits (m, M) in each window (n, M).

    Args:
        low: (n,) first cells of the windows; negative, or too near the end, where a window goes
            beyond the cells that there are, of which it holds one at least.
        cells: of a window.
    """
    outside = np.full((cells, fits.shape[1]), -np.inf, fits.dtype)
    best, span = np.concatenate((outside, fits, outside)), 1
    while 2 * span <= cells:
        best = np.maximum(best[:-span], best[span:])
        span *= 2
    return np.maximum(best[low + cells], best[low + 2 * cells - span])


def best_fits_torch(fits: Tensor, low: Tensor, cells: int) -> Tensor:
    """The greatest of the fits (m, M) in each window (n, M), as `best_fits`, for a loss."""
    inside = low[:, None] + torch.arange(cells, device=fits.device)
    return fits[inside.clamp(0, len(fits) - 1)].amax(1)
