"""How kernels are compiled: kept on disk if they can be, without what Numba adds for nothing."""

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

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        settings = {**_OPTIONS, **options}
        try:
            return njit(**settings)(function)
        except RuntimeError:  # there is no folder to keep it in: each run compiles it
            return njit(**{**settings, "cache": False})(function)

    return compiled


def part(**options: Any) -> Callable[..., Any]:
    """Decorator of a function that only kernels call, with more of Numba's options."""
    return kernel(no_cpython_wrapper=True, **options)
