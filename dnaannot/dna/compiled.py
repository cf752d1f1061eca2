"""How kernels are compiled: kept on disk, and without what Numba adds that nothing here calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "error_model": "numpy",
    "no_cfunc_wrapper": True,
}


def kernel(**options: Any) -> Callable[..., Any]:
    """Decorator of a function that Python calls, with more of Numba's options."""
    return njit(**_OPTIONS, **options)


def part(**options: Any) -> Callable[..., Any]:
    """Decorator of a function that only kernels call, with more of Numba's options."""
    return kernel(no_cpython_wrapper=True, **options)
