"""The optimizers of a run: Muon for the parameters that it is told, AdamW for the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dnaannot.nn.model import TaskModel
from dnaannot.training.muon import Map, Muon

STATE = ("step", "exp_avg", "exp_avg_sq")
"""What may be kept of a parameter from step to step."""


@dataclass(frozen=True)
class ByMuon:
    """What Muon moves.

    Attributes:
        names: of parameters.
        bf16: it computes in bfloat16.
    """

    names: Collection[str] = ()
    bf16: bool = False

    @classmethod
    def of(cls, optimizer: str, model: TaskModel, bf16: bool) -> ByMuon:
        """Of a model's weights by "muon" those between hidden features, by "adamw" none."""
        return cls(model.hidden_matrices() if optimizer == "muon" else (), bf16)


class Optimizers:
    """One optimizer for each parameter of a module that needs a gradient.

    Args:
        module: whose parameters are moved.
        weight_decay: of matrices and kernels.
        by_muon: what Muon moves.
    """

    def __init__(self, module: nn.Module, weight_decay: float, by_muon: ByMuon) -> None:
        free = {name: p for name, p in module.named_parameters() if p.requires_grad}
        rest = [p for name, p in free.items() if name not in by_muon.names]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.adamw = torch.optim.AdamW(groups, betas=(0.9, 0.98))
        matrices = [p for name, p in free.items() if name in by_muon.names]
        dtype = torch.bfloat16 if by_muon.bf16 else torch.float32
        self.muon = Muon(matrices, weight_decay=weight_decay, dtype=dtype) if matrices else None
        self._of_muon = {id(matrix) for matrix in matrices}

    def step(self, rate: float, each: Map = map) -> None:
        """Move every parameter that has a gradient; `each` may do several at a time."""
        for optimizer in (self.adamw, self.muon):
            for group in optimizer.param_groups if optimizer else ():
                group["lr"] = rate
        self.adamw.step()
        if self.muon is not None:
            self.muon.step(each=each)

    def state_of(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What is kept of a parameter from step to step."""
        return dict(self._of(parameter).state.get(parameter, {}))

    def load_state(self, parameter: nn.Parameter, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state_of` gave; where it gave nothing, `state` is empty."""
        if state:
            self._of(parameter).state[parameter] = {
                key: value.to(parameter.device if key != "step" else "cpu")
                for key, value in state.items()
            }

    def _of(self, parameter: nn.Parameter) -> torch.optim.Optimizer:
        if self.muon is not None and id(parameter) in self._of_muon:
            return self.muon
        return self.adamw
