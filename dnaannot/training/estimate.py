"""What training will take on this machine, from a try on a short window."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from dnaannot.machine import free_host_memory
from dnaannot.nn.gpu_memory import free_gpu_memory
from dnaannot.predict.scorer import single_threaded
from dnaannot.training.trainer import MicroLoss

_BYTES_A_WEIGHT = 20  # the weight, its gradient, its worker's, an optimizer's averages, 2 at most
_SPARE = 1.3  # buffers that live for one operation


class Cost(NamedTuple):
    """What forward and backward pass take.

    Attributes:
        seconds: for one base, of one worker.
        kept_bytes: for one base, of activations that wait for the backward pass.
        fixed_bytes: weights, gradients and the optimizer's state.
    """

    seconds: float
    kept_bytes: float
    fixed_bytes: int

    def memory(self, bases: int) -> int:
        """Bytes for `bases` in flight at a time."""
        return round(_SPARE * (self.kept_bytes * bases) + self.fixed_bytes)


def measure(model: nn.Module, loss: MicroLoss, bases: int) -> Cost:
    """The cost of a base, by the second of two passes over a window of `bases`.

    Args:
        loss: of that window.
    """
    with single_threaded(1) as pool:
        seconds, kept = pool.submit(_timed, model, loss).result()
    weights = sum(parameter.numel() for parameter in model.parameters())
    return Cost(seconds / bases, kept / bases, _BYTES_A_WEIGHT * weights)


def _timed(model: nn.Module, loss: MicroLoss) -> tuple[float, int]:
    """Seconds of a pass forward and back, and the bytes kept between the two."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    owned = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    _pass(loss, parameters)
    kept: dict[int, int] = {}

    def note_size(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note_size, _same):
        began = time.monotonic()
        _pass(loss, parameters)
    return time.monotonic() - began, sum(kept.values())


def _pass(loss: Callable[[], Tensor], parameters: list[nn.Parameter]) -> None:
    gradients = torch.autograd.grad(loss(), parameters, allow_unused=True)
    next(each for each in gradients if each is not None).sum().item()  # waits for a GPU


def _same(tensor: Any) -> Any:
    return tensor


def free_memory(device: str) -> int:
    """Bytes that this process may still take: of the GPU, or of the machine and its container."""
    if device == "cuda":
        return free_gpu_memory(device)
    return free_host_memory()


def taken_memory() -> int:
    """Bytes of the machine's memory that this process has taken so far, at most."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_memory(device: str) -> int:
    """Bytes of the device's memory that this process has taken so far, at most."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else taken_memory()


def gigabytes(size: float) -> str:
    """A size in bytes as it is told."""
    return f"{size / 1e9:.2g} GB" if size < 10e9 else f"{size / 1e9:,.0f} GB"
