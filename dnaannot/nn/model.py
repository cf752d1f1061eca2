"""The gene model: encoder, label head and the weights of the grammar's label pairs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dnaannot.dna.grammar import LABELS, Grammar, gene_grammar
from dnaannot.nn.encoder import PAD, EncoderConfig, build_encoder
from dnaannot.nn.heads import LabelHead


class GeneModel(nn.Module):
    """Emissions (B, L, 17) of tokens (B, L), and label-pair weights for the grammar.

    Args:
        config: the encoder.
        min_intron: least intron length in bases, for the grammar.
    """

    def __init__(self, config: EncoderConfig, min_intron: int = 20) -> None:
        super().__init__()
        self.grammar: Grammar = gene_grammar(min_intron)
        self.encoder = build_encoder(config)
        self.head = LabelHead(self.encoder.channels, len(LABELS))
        self.pair_weights = nn.Parameter(torch.zeros(len(self.grammar.pairs)))

    @property
    def halo(self) -> int:
        """Bases to each side of a window that its emissions depend on, a multiple of the stride."""
        stride = self.encoder.config.stride
        return self.encoder.halo + -(-self.head.halo // stride) * stride

    def forward(self, tokens: Tensor) -> Tensor:
        """Emissions (B, L, 17) float32 of tokens (B, L), L a multiple of the stride."""
        padding = tokens == PAD
        bases = ~padding.unsqueeze(-1) if bool(padding.any()) else None
        return self.head(self.encoder(tokens), bases).float()
