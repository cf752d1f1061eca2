"""Memory of a GPU."""

from __future__ import annotations

import torch


def free_gpu_memory(device: torch.device | str) -> int:
    """Bytes free on a GPU, those that this process holds without using them among them."""
    free, _ = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
