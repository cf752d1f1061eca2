"""What a model file can hold, and the gene model: encoder, label head, label-pair weights."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dnaannot.dna.grammar import LABELS, MINUS, START, Grammar, gene_grammar
from dnaannot.nn.encoder import PAD, Encoder, EncoderConfig, build_encoder
from dnaannot.nn.heads import LabelHead
from dnaannot.nn.open_frames import REACH, inner_starts


class TaskModel(nn.Module):
    """An encoder with what a task needs on top.

    Attributes:
        task: what it is for, as model files name it.
        output_layer: name of the layer that gives scores.
        encoder: its tensors are called `encoder.*`.
    """

    task: ClassVar[str]
    output_layer: ClassVar[str] = "head.linear"
    encoder: Encoder

    @property
    @abstractmethod
    def halo(self) -> int:
        """Bases to each side of a window that its scores depend on."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the header of its file says beside its task, encoder and halo, as JSON."""

    def hidden_matrices(self) -> list[str]:
        """Names of the weights between hidden features: not of what reads bases or gives scores."""
        outer = ("encoder.embed", self.output_layer)
        return [
            f"{name}.weight"
            for name, layer in self.named_modules()
            if isinstance(layer, nn.Conv1d | nn.Linear) and name not in outer
        ]


class LabelModel(TaskModel):
    """An encoder with a head that scores K labels a base.

    Args:
        config: the encoder.
        labels: K.
    """

    def __init__(self, config: EncoderConfig, labels: int) -> None:
        super().__init__()
        self.encoder = build_encoder(config)
        self.head = LabelHead(self.encoder.channels, labels)

    @property
    def halo(self) -> int:
        """Bases to each side of a window that its scores depend on, a multiple of the stride."""
        stride = self.encoder.config.stride
        return self.encoder.halo + -(-self.head.halo // stride) * stride

    def label_scores(self, tokens: Tensor) -> Tensor:
        """Scores (B, L, K) float32 of tokens (B, L), L a multiple of the stride."""
        padding = tokens == PAD
        bases = ~padding.unsqueeze(-1) if bool(padding.any()) else None
        return self.head(self.encoder(tokens), bases).float()


class GeneModel(LabelModel):
    """Emissions (B, L, 17) of tokens (B, L), and label-pair weights for the grammar.

    Args:
        config: the encoder.
        min_intron: least intron length in bases, for the grammar.
        reach: bases upstream that are searched for another start codon; as far as the encoder
            sees, `REACH` at most, by default.

    Attributes:
        inner_start: (1,) parameter, added to the score of a start codon that can be read on to
            from another one upstream; 0 at first, and in files that do not hold it.
    """

    task = "genes"

    def __init__(
        self, config: EncoderConfig, min_intron: int = 20, reach: int | None = None
    ) -> None:
        super().__init__(config, len(LABELS))
        self.grammar: Grammar = gene_grammar(min_intron)
        self.pair_weights = nn.Parameter(torch.zeros(len(self.grammar.pairs)))
        self.inner_start = nn.Parameter(torch.zeros(1))
        self.reach = max(0, min(REACH, self.halo - 3)) if reach is None else reach
        if not 0 <= self.reach <= self.halo - 3:
            raise ValueError(f"start codons {self.reach} bases away lie past the halo")
        self.register_load_state_dict_pre_hook(_without_inner_start)

    def facts(self) -> dict[str, Any]:
        grammar = {"min_intron": self.grammar.min_intron, "pairs": self.grammar.pairs}
        return {"labels": list(LABELS), "grammar": grammar, "start_reach": self.reach}

    def forward(self, tokens: Tensor) -> Tensor:
        """Emissions (B, L, 17) float32 of tokens (B, L), L a multiple of the stride."""
        scores = self.label_scores(tokens)
        plus, minus = inner_starts(tokens, self.reach)
        own = self.inner_start.float()
        starts = torch.stack((plus * own, minus * own), -1)  # (B, L, 2)
        columns = torch.tensor((START, START + MINUS), device=scores.device)
        return scores.index_add(2, columns, starts)


def _without_inner_start(
    model: nn.Module, tensors: dict[str, Tensor], prefix: str, *_: object
) -> None:
    """Fill in what files of older versions lack."""
    tensors.setdefault(f"{prefix}inner_start", torch.zeros(1))
