"""A network on the devices that compute: one CPU, or a copy on each GPU.

On a GPU a batch is halved as often as memory wants, and computed on the CPU when not even one row
fits, so that a result always comes. Two threads feed each GPU, each with a stream of its own and
pinned memory, so that tokens go in and results come out while the other's batch is computed. The
kernels of a batch of a million bases run far longer than they take to launch, so neither CUDA
graphs nor compilation pay here.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dnaannot.errors import lacks_memory
from dnaannot.nn.gpu_memory import free_gpu_memory
from dnaannot.nn.residual import Kept, keeping

WORKERS_PER_GPU = 2
_MOST_BASES = 1 << 21
"""In a batch on a GPU: more would not make it faster."""
_MEMORY_SHARE = 0.5
"""Of a GPU's free memory that batches may take."""


def has_fast_bf16(device: str) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


class Replicas:
    """A network that any number of threads may call, each served by one of its devices.

    Args:
        network: in evaluation mode, its weights as they will stay; takes tokens (B, L) and gives
            a tensor (B, rows, ...).
        devices: "cpu", or GPUs as "cuda:0".
        bf16: compute in bfloat16.
    """

    def __init__(self, network: torch.nn.Module, devices: Sequence[str], bf16: bool) -> None:
        self._copies = {
            device: (copy.deepcopy(network) if number else network).to(device)
            for number, device in enumerate(devices)
        }
        self._bf16, self._chosen = bf16, frozenset(devices)
        self._kept: Kept = {}
        self._most_bases: dict[str, int] = {}  # of a batch, where memory has run out
        self._next_device = itertools.cycle(devices)
        self._mine = threading.local()
        self._lock = threading.Lock()

    def __call__(self, tokens: np.ndarray) -> np.ndarray:
        """The network's float32 output for tokens (B, L) uint8."""
        device, parts, at = self._device(), [], 0
        while at < len(tokens):
            fitting = min(len(tokens) - at, self._rows(device, tokens.shape[1]))
            place, rows = (device, fitting) if fitting else ("cpu", 1)
            try:
                parts.append(self._compute(place, tokens[at : at + rows]))
                at += rows
            except RuntimeError as error:
                if place == "cpu" or not lacks_memory(error):
                    raise
                self._give_way(device, rows * tokens.shape[1] // 2)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _device(self) -> str:
        """That of the calling thread."""
        if not hasattr(self._mine, "device"):
            with self._lock:
                self._mine.device = next(self._next_device)
        return self._mine.device

    def _rows(self, device: str, length: int) -> int:
        """Rows of this length that may be computed together, 0 if not even one."""
        return self._most_bases.get(device, 1 << 62) // length

    def _give_way(self, device: str, bases: int) -> None:
        with self._lock:
            self._most_bases[device] = min(bases, self._most_bases.get(device, bases))
        if device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _network(self, device: str) -> torch.nn.Module:
        with self._lock:
            if device not in self._copies:
                self._copies[device] = _on_cpu(next(iter(self._copies.values())))
            return self._copies[device]

    def _compute(self, device: str, tokens: np.ndarray) -> np.ndarray:
        network, batch = self._network(device), torch.from_numpy(tokens)
        if not device.startswith("cuda"):
            return self._scores(network, batch, device).numpy()
        if not hasattr(self._mine, "stream"):
            self._mine.stream = torch.cuda.Stream(device)
            torch.cuda.synchronize(device)  # the copies of the weights have arrived
        with torch.cuda.stream(self._mine.stream):
            batch = batch.pin_memory().to(device, non_blocking=True)
            scores = self._scores(network, batch, device)
            arrived = torch.empty(scores.shape, dtype=scores.dtype, pin_memory=True)
            arrived.copy_(scores, non_blocking=True)
            self._mine.stream.synchronize()
        return arrived.numpy()

    def _scores(self, network: torch.nn.Module, batch: Tensor, device: str) -> Tensor:
        # the CPU may stand in for a GPU and have no bfloat16 of its own
        bf16 = self._bf16 and (device in self._chosen or has_fast_bf16(device))
        kind = batch.device.type
        with (
            torch.inference_mode(),
            torch.autocast(kind, torch.bfloat16, enabled=bf16),
            keeping(self._kept),
        ):
            return network(batch).float()


def _on_cpu(network: torch.nn.Module) -> torch.nn.Module:
    """A copy on the CPU that takes no memory of the GPU on its way."""
    copies: dict[int, Any] = {id(each): each.detach().cpu() for each in network.buffers()}
    for each in network.parameters():
        copies[id(each)] = torch.nn.Parameter(each.detach().cpu(), each.requires_grad)
    return copy.deepcopy(network, copies).to("cpu")


def bases_at_once(encoder: Any, devices: Sequence[str]) -> int:
    """Bases of a batch on GPUs, by the free memory of the least of them; a power of two.

    Args:
        encoder: with `config`, whose layers say what a base needs.
    """
    config = encoder.config
    channels = 8 * (config.stem_channels + config.channels / config.stride) + 4 * 64
    a_base = 4 * channels * WORKERS_PER_GPU  # float32 and more tensors than are alive at a time
    least = min(free_gpu_memory(device) for device in devices)
    bases = max(1, int(_MEMORY_SHARE * least / a_base))
    return min(_MOST_BASES, 1 << (bases.bit_length() - 1))
