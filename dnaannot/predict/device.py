"""Where to compute, and how precisely."""

from __future__ import annotations

import torch

from dnaannot.errors import DataError
from dnaannot.predict.replicas import has_fast_bf16
from dnaannot.predict.scorer import Compute


def choose_compute(
    device: str = "auto", precision: str = "auto", threads: int = 1, ahead: int = 0
) -> Compute:
    """How to compute with what this machine has.

    Args:
        device: "auto" takes the GPUs where there are any; "cpu" or "cuda".
        precision: "auto" takes bfloat16 where the hardware multiplies it; "bf16" or "fp32".

    Raises:
        DataError: if CUDA is asked for and there is none.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise DataError("no CUDA device is available.", remedy="Use --device cpu.")
    bf16 = has_fast_bf16(device) if precision == "auto" else precision == "bf16"
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    return Compute(device, bf16, threads, ahead, gpus)
