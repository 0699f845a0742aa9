"""Mish, x tanh(ln(1 + e^x)), and its derivative, each with one exponential and one division.

Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019. With e = e^x and
n = e (e + 2), tanh(ln(1 + e)) is n / (n + 2): no logarithm, and nothing cancels for small e. The
exponential is a polynomial that the compiler vectorises.
"""

from functools import partial
from math import factorial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tablefree.kernels.bfloat16 import from_bfloat16, to_bfloat16
from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.threads import in_threads

_WORK = 2  # a value costs about as much as two hashes
_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)  # has so few digits that its product with k is exact
_LN2_LOW = np.float32(-2.12194440e-4)
_C2, _C3, _C4, _C5, _C6, _C7 = (np.float32(1 / factorial(n)) for n in range(2, 8))
_ONE, _TWO, _FOUR = np.float32(1), np.float32(2), np.float32(4)
_LOWEST, _HIGHEST = np.float32(-88), np.float32(40)  # e^x is 0 below; tanh is 1 above
_BIAS, _MANTISSA = np.int32(127), np.int32(23)

_compile = partial(compile_kernel, fastmath=frozenset({"contract"}))


def mish(values: NDArray[Any], out: NDArray[Any], num_threads: int) -> None:
    """Write the Mish of each value; arrays [n] of float32, or of bfloat16 as uint16."""
    fill = _mish_bfloat16 if values.dtype == np.uint16 else _mish_float32
    in_threads(lambda part: fill(values[part], out[part]), values.size, _WORK, num_threads)


def rms_norm_mish(
    rows: NDArray[np.float32],
    weight: NDArray[np.float32],
    eps: float,
    out: NDArray[np.float32],
    num_threads: int,
) -> None:
    """Write the Mish of each row [n, width], divided by its root mean square and times `weight`.

    Zhang and Sennrich, "Root Mean Square Layer Normalization", 2019; `eps` is added to the mean.
    """
    num_rows, width = rows.shape
    in_threads(
        lambda part: _rms_norm_mish(rows[part], weight, np.float32(eps), out[part]),
        num_rows,
        width * _WORK,
        num_threads,
    )


def mish_backward(
    values: NDArray[Any], grad: NDArray[Any], out: NDArray[Any], num_threads: int
) -> None:
    """Write the gradient of each value, given that of its Mish; arrays as for `mish`."""
    fill = _backward_bfloat16 if values.dtype == np.uint16 else _backward_float32
    in_threads(
        lambda part: fill(values[part], grad[part], out[part]), values.size, _WORK, num_threads
    )


@_compile
def _exp(x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """e^x for x cut to [_LOWEST, _HIGHEST]: 2^k times a Taylor polynomial, |r| < 0.35."""
    x = min(max(x, _LOWEST), _HIGHEST)
    k = np.rint(x * _LOG2_E)
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    power = np.int32((np.int32(k) + _BIAS) << _MANTISSA).view(np.float32)
    return power * (
        ((((((_C7 * r + _C6) * r + _C5) * r + _C4) * r + _C3) * r + _C2) * r + _ONE) * r + _ONE
    )


@_compile
def mish_of(x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Mish of one float32."""
    e = _exp(x)
    n = e * (e + _TWO)
    return x * (n / (n + _TWO))


@_compile
def _slope(x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The derivative: t + x (1 - t^2) sigmoid(x), where t is the tanh."""
    e = _exp(x)
    n = e * (e + _TWO)
    inverse = _ONE / (n + _TWO)
    # Far to the right the second term vanishes, but not its product with an x that is huge.
    return n * inverse + min(x, _HIGHEST) * (_FOUR * e * (e + _ONE) * inverse * inverse)


@_compile
def _mish_float32(values, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(values.size):
        out[i] = mish_of(values[i])


@partial(compile_kernel, fastmath=frozenset({"contract", "reassoc"}))  # as a sum of vectors
def _sum_of_squares(row):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    total = np.float32(0)
    for j in range(row.size):
        total += row[j] * row[j]
    return total


@_compile
def _rms_norm_mish(rows, weight, eps, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_rows, width = rows.shape
    for i in range(num_rows):
        row, activated = rows[i], out[i]
        total = _sum_of_squares(row)
        inverse = _ONE / np.sqrt(total / np.float32(width) + eps)
        for j in range(width):
            activated[j] = mish_of(row[j] * inverse * weight[j])


@_compile
def _mish_bfloat16(values, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(values.size):
        out[i] = to_bfloat16(mish_of(from_bfloat16(values[i])))


@_compile
def _backward_float32(values, grad, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(values.size):
        out[i] = _slope(values[i]) * grad[i]


@_compile
def _backward_bfloat16(values, grad, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(values.size):
        out[i] = to_bfloat16(_slope(from_bfloat16(values[i])) * from_bfloat16(grad[i]))
