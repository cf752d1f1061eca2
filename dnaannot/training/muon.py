"""Muon: steps on matrices by momentum whose singular values are made equal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_RMS_OF_ADAMW = 0.2

Map = Callable[[Callable[[Tensor], None], Iterable[Tensor]], Iterable[None]]
"""Applies a function to many things, as `map` does or side by side."""


class Muon(torch.optim.Optimizer):
    """Steps along Nesterov momentum made orthogonal (Jordan et al. 2024; Liu et al. 2025).

    Directions that few examples show are learned as fast as those that all show, which serves
    splice sites among thousands of other bases. A step has the root mean square that AdamW's
    have, so that one learning rate serves both.

    Args:
        matrices: parameters of two dimensions, or kernels, which count as a matrix with a row
            for each output channel.
        lr: learning rate; may be set anew in `param_groups` before each step.
        weight_decay: decoupled, as AdamW's.
        momentum: decay of the momentum.
        dtype: of the computation that makes a matrix orthogonal.
    """

    def __init__(
        self,
        matrices: Iterable[Tensor],
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: None = None, each: Map = map) -> None:  # type: ignore[override]
        """Move every matrix that has a gradient; `each` may do several at a time."""
        for group in self.param_groups:
            moved = [matrix for matrix in group["params"] if matrix.grad is not None]
            list(each(partial(self._move, group), moved))

    @torch.no_grad()
    def _move(self, group: dict[str, Any], matrix: Tensor) -> None:
        assert matrix.grad is not None
        state = self.state[matrix]
        if not state:
            state["exp_avg"] = torch.zeros_like(matrix)
        mean, share = state["exp_avg"], 1 - group["momentum"]
        mean.lerp_(matrix.grad, share)
        ahead = mean.lerp(matrix.grad, share).flatten(1)
        size = _RMS_OF_ADAMW * math.sqrt(max(ahead.shape))
        matrix.mul_(1 - group["lr"] * group["weight_decay"])
        direction = orthogonal(ahead, self.dtype).view_as(matrix)
        matrix.add_(direction, alpha=-group["lr"] * size)


def orthogonal(matrix: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """About U V' of a matrix (M, N) = U S V': its singular values become .7 to 1.2.

    By Newton-Schulz iterations of the fifth order (Jordan et al. 2024). A matrix of zeros stays
    as it is, singular values far under the largest do not get so far.
    """
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if is_tall else matrix).to(dtype)
    x = x / x.norm().clamp_min(1e-12)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if is_tall else x).to(matrix.dtype)
