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
from tablefree.kernels.cpu import bucket_of, halves, shift_below
from tablefree.kernels.layout import CODES, GROUP, HALF, LEVELS, Layout
from tablefree.kernels.sketch import (
    FIND_HASHES,
    WORK,
    bucket_at,
    fingerprint_of,
    place_without,
    slot_in,
)
from tablefree.kernels.threads import in_threads

_LANES = 16  # numbers that are added at once
_BLOCK = 64  # ids whose buckets are asked of the memory at once
_REFUSED = np.int64(-2)
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
    words, flat = data.view(np.uint64), data.reshape(-1)

    def fill(part: slice) -> None:
        _fill_own(ids[part], words, hashes, flat, books, *layout, places[part], out[part])

    in_threads(fill, ids.size, WORK, num_threads)
    return out, places


def packed_codes(
    ids: NDArray[np.int64],
    data: NDArray[np.uint8],
    books: NDArray[np.float32],
    seed: int,
    shared: NDArray[np.uint8],
    shared_seed: int,
    num_hashes: int,
    layout: Layout,
    width: int,
    num_threads: int,
) -> NDArray[np.float32]:
    """What `packed_own_rows` gives, and the sums of shared rows where it says -2.

    Args:
        ids: as all that follow, see `packed_own_rows`.
        data: likewise.
        books: likewise.
        seed: likewise.
        shared: the shared tables one under the other, of one dimension.
        shared_seed: of the hash functions that pick shared rows.
        num_hashes: shared rows an id has.
        layout: of own rows.
        width: likewise.
        num_threads: likewise.
    """
    out = np.empty((ids.size, width), np.float32)
    places = np.empty(ids.size, np.int64)
    hashes = coefficients(seed, FIND_HASHES, "multiply_shift").T
    picks = coefficients(shared_seed, num_hashes, "multiply_shift").T
    words, flat = data.view(np.uint64), data.reshape(-1)
    num_rows = shared.size // (layout.row_bytes * num_hashes)
    sizes = np.uint64(num_rows), shift_below(num_rows)

    def fill(part: slice) -> None:
        _fill_own(ids[part], words, hashes, flat, books, *layout, places[part], out[part])
        _add_shared(ids[part], places[part], picks, *sizes, shared, books, *layout[:3], out[part])

    in_threads(fill, ids.size, WORK, num_threads)
    return out


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


@intrinsic
def _add_up(_typing: Any, books: Any, starts: Any, count: Any, out: Any, column: Any) -> Any:
    """Write 16 numbers of a row, from a column on: sums over `count` codes, in registers.

    Numba's own loop adds each code to what lies in memory, and takes twice as long.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        books, starts, count, out, column = arguments
        read, began, written = (
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(
                (signature.args[0], signature.args[1], signature.args[3]),
                (books, starts, out),
                strict=True,
            )
        )
        vector = ir.VectorType(ir.FloatType(), _LANES)
        zeros = ir.Constant(vector, [0.0] * _LANES)
        total = cgutils.alloca_once_value(builder, zeros)  # type: ignore[no-untyped-call]

        def at(array: Any, index: Any) -> Any:
            return builder.bitcast(builder.gep(array, [index]), vector.as_pointer())

        with cgutils.for_range(builder, count) as loop:
            start = builder.load(builder.gep(began, [loop.index]))
            numbers = builder.load(at(read, builder.add(start, column)), align=4)
            builder.store(builder.fadd(builder.load(total), numbers), total)
        builder.store(builder.load(total), at(written, column), align=4)
        return context.get_dummy_value()

    return types.void(books, starts, count, out, column), generate


# A call has the arguments after the context.
_prefetch: Any = _ask_for
_sum_16: Any = _add_up


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
def _decode(data, at, numbers, kind, bits, starts, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Write a row. Of codes `numbers` are all books, and `starts` has room for a number a code."""
    width = out.size
    if kind == CODES:
        for code in range(starts.size):
            if bits == 8:
                choice = np.int64(data[at + code])
            else:
                choice = _bits_at(data, at, code * bits, bits)
            starts[code] = ((code << bits) + choice) * width
        whole = width - width % _LANES
        for column in range(0, whole, _LANES):
            _sum_16(numbers, starts, starts.size, out, column)
        for column in range(whole, width):
            total = np.float32(0)
            for code in range(starts.size):
                total += numbers[starts[code] + column]
            out[column] = total
    elif kind == LEVELS:
        for column in range(width):
            out[column] = numbers[_bits_at(data, at, column * bits, bits)]
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
    numbers, starts = books.reshape(-1), np.empty(books.shape[0], np.int64)
    for first in range(0, places.size, _BLOCK):
        last = min(first + _BLOCK, places.size)
        for i in range(first, last):
            _prefetch(data, _start(places[i], row_bytes, head))
        for i in range(first, last):
            _decode(data, _start(places[i], row_bytes, head), numbers, kind, bits, starts, out[i])


@compile_kernel
def _fill_own(ids, words, hashes, data, books, kind, bits, row_bytes, head, places, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    numbers, starts = books.reshape(-1), np.empty(books.shape[0], np.int64)
    stride = head + GROUP * row_bytes
    for first in range(0, ids.size, _BLOCK):
        last = min(first + _BLOCK, ids.size)
        _find_block(
            ids[first:last], words, hashes, data, stride, row_bytes, head, places[first:last]
        )
        for i in range(first, last):
            if places[i] >= 0:
                at = _start(places[i], row_bytes, head)
                _decode(data, at, numbers, kind, bits, starts, out[i])
            else:
                for column in range(out.shape[1]):
                    out[i, column] = np.float32(0)


@compile_kernel
def _add_shared(ids, places, picks, num_rows, shift, data, books, kind, bits, row_bytes, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    numbers, starts = books.reshape(-1), np.empty(books.shape[0], np.int64)
    row = np.empty(out.shape[1], np.float32)
    for i in range(ids.size):
        if places[i] == _REFUSED:
            low, high = halves(ids[i])
            for pick in range(picks.shape[1]):
                picked = np.int64(bucket_of(picks, pick, low, high, num_rows, shift, False))
                at = (picked + pick * np.int64(num_rows)) * row_bytes
                _decode(data, at, numbers, kind, bits, starts, row)
                for column in range(row.size):
                    out[i, column] += row[column]


@compile_kernel
def _find_block(ids, words, hashes, data, stride, row_bytes, head, places):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The places of at most `_BLOCK` ids: the second bucket is read where the first has none."""
    num_buckets = np.uint64(words.shape[0])
    buckets, fingerprints = np.empty((_BLOCK, 2), np.int64), np.empty(_BLOCK, np.int16)
    for i in range(ids.size):
        low, high = halves(ids[i])
        for choice in range(2):
            buckets[i, choice] = bucket_at(low, high, hashes, choice, num_buckets)
        fingerprints[i] = fingerprint_of(low, high, hashes)
        _prefetch(data, buckets[i, 0] * stride)
    for i in range(ids.size):
        slot = slot_in(words, buckets[i, 0], fingerprints[i])
        places[i] = buckets[i, 0] * GROUP + slot if slot >= 0 else -1
        _prefetch(data, _start(places[i], row_bytes, head) if slot >= 0 else buckets[i, 1] * stride)
    for i in range(ids.size):
        if places[i] < 0:
            slot = slot_in(words, buckets[i, 1], fingerprints[i])
            if slot >= 0:
                places[i] = buckets[i, 1] * GROUP + slot
                _prefetch(data, _start(places[i], row_bytes, head))
            else:
                free = place_without(words, buckets[i, 0])
                places[i] = max(free, place_without(words, buckets[i, 1]))
