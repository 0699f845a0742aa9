"""How the CPU kernels are compiled: by Numba, without the interpreter's lock."""

from collections.abc import Callable
from typing import Any

from numba import njit


def compile_kernel(function: Callable[..., Any], *, fastmath: frozenset[str] = frozenset()) -> Any:
    """Compile, and keep the machine code on disk where a folder for it can be written.

    Args:
        function: a kernel in the part of Python that Numba knows.
        fastmath: the liberties that the compiler may take with floats; none by default.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": set(fastmath)}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # Numba found no folder to write to
        return njit(**options)(function)
