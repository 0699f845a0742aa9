"""bfloat16 in Numba, which does not know the type: the upper half of a float32, held as uint16."""

import numpy as np

from tablefree.kernels.compiling import compile_kernel

_U1, _U16 = np.uint32(1), np.uint32(16)
_ALMOST_HALF = np.uint32(0x7FFF)
_NAN = np.uint16(0x7FC0)


@compile_kernel
def from_bfloat16(half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The float32 of the same value."""
    return np.uint32(np.uint32(half) << _U16).view(np.float32)


@compile_kernel
def to_bfloat16(value):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The nearest bfloat16 of a float32, ties to even."""
    bits = np.float32(value).view(np.uint32)
    rounded = np.uint16((bits + _ALMOST_HALF + ((bits >> _U16) & _U1)) >> _U16)
    return rounded if value == value else _NAN
