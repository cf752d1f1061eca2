"""Several GPUs: one process each, started by torchrun, that share the parts of every step.

All processes draw the same data and hold the same weights; each computes the gradients of its
own parts of a batch. The first decides and writes, the others follow.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import distributed, nn

Item = TypeVar("Item")


@dataclass(frozen=True)
class Processes:
    """The processes of a run.

    Attributes:
        rank: number of this one.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this one writes the files and speaks to the user."""
        return self.rank == 0

    def mine(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's share of items that all of them hold."""
        return items[self.rank :: self.count]

    def add_up(self, loss: float, parameters: Sequence[nn.Parameter]) -> float:
        """Sum gradients over all processes, in place; returns the sum of their losses.

        A parameter that no process has a gradient of has none afterwards either.
        """
        if self.count == 1:
            return loss
        device = parameters[0].device
        counts = torch.tensor([p.grad is not None for p in parameters], device=device).int()
        distributed.all_reduce(counts)
        for parameter, count in zip(parameters, counts.tolist(), strict=True):
            if count:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
        total = torch.tensor(loss, device=device)
        distributed.all_reduce(total)
        return total.item()

    def from_first(self, value: Any) -> Any:
        """What the first process has for `value`."""
        if self.count == 1:
            return value
        shared = [value]
        distributed.broadcast_object_list(shared)
        return shared[0]


ALONE = Processes()


def join_processes() -> Processes:
    """The processes that torchrun started, this one joined to them; alone without torchrun.

    Where there are GPUs, this process computes on the one of its own.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ALONE
    if not distributed.is_initialized():
        has_gpu = torch.cuda.is_available()
        if has_gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("nccl" if has_gpu else "gloo")
        atexit.register(distributed.destroy_process_group)  # its threads abort a process that ends
    return Processes(distributed.get_rank(), count)
