"""Rows read from packed bytes, compiled by Numba: nothing is unpacked but the rows asked for."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from tablefree.hashing import coefficients
from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.cpu import halves
from tablefree.kernels.layout import CODES, GROUP, HALF, LEVELS, Layout
from tablefree.kernels.sketch import FIND_HASHES, WORK, bucket_at, fingerprint_of, place_in
from tablefree.kernels.threads import in_threads

_BLOCK = 64  # ids whose buckets are asked of the memory at once
_TO_FLOAT = np.float32(2.0**112)  # the difference of the exponents' biases


def packed_rows(
    places: NDArray[np.int64],
    data: NDArray[np.uint8],
    books: NDArray[np.float32],
    layout: Layout,
    width: int,
    num_threads: int,
) -> NDArray[np.float32]:
    """The rows at places [n], float32 [n, width].

    Args:
        places: numbers of rows, contiguous.
        data: all bytes, of one dimension.
        books: what levels and codes stand for, [codes, choices, width]; levels are [1, choices, 1].
        layout: of the bytes.
        width: numbers of a row.
        num_threads: as many as may run.
    """
    out = np.empty((places.size, width), np.float32)

    def fill(part: slice) -> None:
        _fill_rows(places[part], data, books, *layout, out[part])

    in_threads(fill, places.size, WORK, num_threads)
    return out


def packed_own_rows(
    ids: NDArray[np.int64],
    data: NDArray[np.uint8],
    books: NDArray[np.float32],
    seed: int,
    layout: Layout,
    width: int,
    num_threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The row that each id [n] owns, zeros where it owns none; and its place, -1 or -2.

    Args:
        ids: any ids, contiguous.
        data: a bucket a row, [num_buckets, bytes]: 16 fingerprints of 2 bytes, then 16 rows.
        books: see `packed_rows`.
        seed: of the hash functions that find own rows.
        layout: see `packed_rows`.
        width: numbers of a row.
        num_threads: as many as may run.
    """
    out = np.empty((ids.size, width), np.float32)
    places = np.empty(ids.size, np.int64)
    hashes = coefficients(seed, FIND_HASHES, "multiply_shift").T
    slots, flat = data.view(np.int16), data.reshape(-1)

    def fill(part: slice) -> None:
        _fill_own(ids[part], slots, hashes, flat, books, *layout, places[part], out[part])

    in_threads(fill, ids.size, WORK, num_threads)
    return out, places


@intrinsic
def _ask_for(_typing: Any, array: Any, index: Any) -> Any:
    """Ask the memory for the cache line of an array's element."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        found = context.make_array(array)(context, builder, arguments[0])
        address = builder.gep(found.data, [arguments[1]])
        pointer = builder.bitcast(address, cgutils.voidptr_t)
        word = cgutils.int32_t
        signature = ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, word, word, word])
        function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, signature, "llvm.prefetch.p0"
        )
        builder.call(function, [pointer, word(0), word(3), word(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


_prefetch: Any = _ask_for  # a call has the arguments after the context


@compile_kernel
def _to_float(low, high):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """A float16 from its two bytes, exactly."""
    half = np.uint32(low) | (np.uint32(high) << np.uint32(8))
    size = np.uint32((half & np.uint32(0x7FFF)) << np.uint32(13)).view(np.float32) * _TO_FLOAT
    return -size if half & np.uint32(0x8000) else size


@compile_kernel
def _bits_at(data, at, first, bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The number of `bits` bits that begins `first` bits after the byte `at`."""
    byte, shift = at + (first >> 3), first & 7
    word = np.int64(data[byte])
    if shift + bits > 8:
        word |= np.int64(data[byte + 1]) << 8
    return (word >> shift) & ((1 << bits) - 1)


@compile_kernel
def _decode(data, at, books, kind, bits, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    width = out.size
    if kind == CODES:
        for column in range(width):
            out[column] = np.float32(0)
        for code in range(books.shape[0]):
            if bits == 8:
                choice = np.int64(data[at + code])
            else:
                choice = _bits_at(data, at, code * bits, bits)
            for column in range(width):
                out[column] += books[code, choice, column]
    elif kind == LEVELS:
        for column in range(width):
            out[column] = books[0, _bits_at(data, at, column * bits, bits), 0]
    elif kind == HALF:
        for column in range(width):
            out[column] = _to_float(data[at + 2 * column], data[at + 2 * column + 1])
    else:
        end = at + ((width * bits + 7) >> 3)
        scale = _to_float(data[end], data[end + 1])
        zero = 1 << (bits - 1)
        for column in range(width):
            out[column] = np.float32(_bits_at(data, at, column * bits, bits) - zero) * scale


@compile_kernel
def _start(place, row_bytes, head):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return (place // GROUP) * (head + GROUP * row_bytes) + head + (place % GROUP) * row_bytes


@compile_kernel
def _fill_rows(places, data, books, kind, bits, row_bytes, head, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for first in range(0, places.size, _BLOCK):
        last = min(first + _BLOCK, places.size)
        for i in range(first, last):
            _prefetch(data, _start(places[i], row_bytes, head))
        for i in range(first, last):
            _decode(data, _start(places[i], row_bytes, head), books, kind, bits, out[i])


@compile_kernel
def _fill_own(ids, slots, hashes, data, books, kind, bits, row_bytes, head, places, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_buckets, stride = np.uint64(slots.shape[0]), head + GROUP * row_bytes
    buckets, fingerprints = np.empty((_BLOCK, 2), np.int64), np.empty(_BLOCK, np.int16)
    for first in range(0, ids.size, _BLOCK):
        size = min(_BLOCK, ids.size - first)
        for i in range(size):
            low, high = halves(ids[first + i])
            for j in range(2):
                buckets[i, j] = bucket_at(low, high, hashes, j, num_buckets)
                _prefetch(data, buckets[i, j] * stride)
            fingerprints[i] = fingerprint_of(low, high, hashes)
        for i in range(size):
            place = place_in(slots, buckets[i, 0], fingerprints[i])
            if place < 0:
                place = max(place, place_in(slots, buckets[i, 1], fingerprints[i]))
            places[first + i] = place
            if place >= 0:
                _prefetch(data, _start(place, row_bytes, head))
        for i in range(first, first + size):
            if places[i] >= 0:
                _decode(data, _start(places[i], row_bytes, head), books, kind, bits, out[i])
            else:
                for column in range(out.shape[1]):
                    out[i, column] = np.float32(0)
