"""Between two int8 products: back to real numbers, activation, and int8 again, in one pass.

A row of real numbers never leaves the processor's cache. Each row gets a scale of its own, its
largest magnitude over 127 (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018).
"""

from functools import partial
from math import erf, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.mish import mish_of
from tablefree.kernels.threads import in_threads

_WORK = 6  # a value costs about as much as six hashes
_MOST = np.float32(127)
_SMALLEST_SCALE = np.float32(1e-12)
_SQRT_HALF, _HALF, _ZERO, _ONE = (np.float32(number) for number in (sqrt(0.5), 0.5, 0, 1))

_compile = partial(compile_kernel, fastmath=frozenset({"contract"}))


def next_rows(
    products: NDArray[np.int32],
    row_scale: NDArray[np.float32],
    scale: NDArray[np.float32],
    bias: NDArray[np.float32],
    activation: str,
    num_threads: int,
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The activations, as int8 [n, width] and a scale for each row [n].

    Args:
        products: of int8 rows and int8 weights, [n, width].
        row_scale: of the rows, [n].
        scale: of the outputs, [width].
        bias: of the outputs, [width].
        activation: "mish", "relu" or "gelu".
        num_threads: as many as may run.
    """
    rows = np.empty(products.shape, np.int8)
    scales = np.empty(len(products), np.float32)
    fill = _FILL[activation]

    def fill_part(part: slice) -> None:
        fill(products[part], row_scale[part], scale, bias, rows[part], scales[part])

    num_rows, width = products.shape
    in_threads(fill_part, num_rows, width * _WORK, num_threads)
    return rows, scales


@_compile
def _relu_of(x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return max(x, _ZERO)


@_compile
def _gelu_of(x):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return x * _HALF * (_ONE + np.float32(erf(x * _SQRT_HALF)))


def _kernel(activate: Any) -> Any:
    @_compile
    def fill(products, row_scale, scale, bias, rows, scales):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
        values = np.empty(scale.size, np.float32)
        for i in range(len(products)):
            for j in range(values.size):
                value = np.float32(products[i, j]) * (row_scale[i] * scale[j]) + bias[j]
                values[j] = activate(value)
            largest = _ZERO
            for j in range(values.size):
                largest = max(largest, abs(values[j]))
            scales[i] = max(largest / _MOST, _SMALLEST_SCALE)
            inverse = _ONE / scales[i]
            for j in range(values.size):
                rows[i, j] = np.int8(np.rint(values[j] * inverse))

    return fill


_FILL = {"mish": _kernel(mish_of), "relu": _kernel(_relu_of), "gelu": _kernel(_gelu_of)}
