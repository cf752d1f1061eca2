from __future__ import annotations

import pytest
import torch

from dnaannot.errors import lacks_memory


class OutOfCards(torch.cuda.OutOfMemoryError):
    """A kind of it."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("allocation failed"),
        OutOfCards("none"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
    ],
)
def test_lack_of_memory_is_told_by_kind_or_words(error):
    assert lacks_memory(error)


@pytest.mark.parametrize(
    "error", [RuntimeError("wrong shape"), ValueError("out of memory"), KeyboardInterrupt()]
)
def test_other_errors_are_no_lack_of_memory(error):
    assert not lacks_memory(error)
