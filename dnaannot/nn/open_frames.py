"""Start codons inside an open reading frame, which the network cannot count out by itself.

Where an ATG can be read on to from another ATG upstream, in frame and past no stop codon, the
annotated gene mostly begins at the other one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dnaannot.dna.sequence import A, G, N, T
from dnaannot.nn.encoder import other_strand

REACH = 900
"""Bases upstream that are searched for another start codon, at most."""


def inner_starts(tokens: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Where start codons have another one upstream in the same open frame.

    Args:
        tokens: (B, L) encoder tokens.
        reach: bases between the first bases of the two start codons, at most. What lies
            further away, and between the two, changes nothing: the frame is open from the
            nearest start codon upstream on if no stop codon and no unknown base is between.

    Returns:
        Two (B, L) bool, for the plus and the minus strand, on at the A of such an ATG.
    """
    return _inner_starts(tokens, reach), _inner_starts(other_strand(tokens), reach).flip(1)


def _inner_starts(tokens: Tensor, reach: int) -> Tensor:
    batch, length = tokens.shape
    codons = -(-length // 3)
    first, second, third = (
        F.pad(tokens, (0, 3 * codons + 2 - length), value=N)[:, offset : offset + 3 * codons]
        for offset in range(3)
    )
    is_start = (first == A) & (second == T) & (third == G)
    is_stop = (first == T) & (
        (second == A) & ((third == A) | (third == G)) | (second == G) & (third == A)
    )
    is_end = is_stop | (first >= N) | (second >= N) | (third >= N)
    # one row a frame, so that neighbours are codons of one frame
    starts, ends = (mask.view(batch, codons, 3).mT.contiguous() for mask in (is_start, is_end))
    number = torch.arange(codons, device=tokens.device, dtype=torch.int32)
    nearest = _last(F.pad(starts, (1, -1)), number - 1)
    is_open = (nearest > _last(ends, number)) & (number - nearest <= reach // 3)
    return (starts & is_open).mT.reshape(batch, 3 * codons)[:, :length]


def _last(mask: Tensor, number: Tensor) -> Tensor:
    """Number of the last codon up to each where the mask (B, 3, n) is on, -1 where none is."""
    return torch.where(mask, number, -1).cummax(-1).values
