"""The hash functions compiled by Numba for the CPU, equal to the reference bit for bit.

The loops run id by id: a code row is written in sequence while the coefficients stay in cache,
and the inner loop is a plain one that the compiler vectorises.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tablefree.hashing import GOLDEN_GAMMA, MERSENNE_61, XXH_PRIMES, coefficients
from tablefree.kernels.bfloat16 import to_bfloat16
from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.threads import in_threads

# Numba turns a sum of uint64 and a Python int into a float: every constant is spelled as a word.
_U1, _U27, _U29, _U30, _U31, _U32, _U33, _U61 = (
    np.uint64(number) for number in (1, 27, 29, 30, 31, 32, 33, 61)
)
_LOW_29, _LOW_32 = np.uint64(2**29 - 1), np.uint64(2**32 - 1)
_PRIME_61 = np.uint64(MERSENNE_61)
_GAMMA = np.uint64(GOLDEN_GAMMA)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_X1, _X2, _X3, _X4, _X5 = (np.uint64(prime) for prime in XXH_PRIMES)
_TWO_PI = 2.0 * np.pi

_HASHES_PER_STRING = 16  # a short string costs about as much


def hash_buckets(
    ids: NDArray[np.int64],
    seed: int,
    family: str,
    num_hashes: int,
    num_buckets: int,
    num_threads: int,
) -> NDArray[np.int64]:
    """The buckets of ids [n] (contiguous) on up to `num_threads` threads: int64 [n, num_hashes]."""
    out = np.empty((ids.size, num_hashes), np.int64)
    rows = coefficients(seed, num_hashes, family).T
    prime, shift = family == "carter_wegman", shift_below(num_buckets)

    def fill(part: slice) -> None:
        _fill_buckets(ids[part], rows, np.uint64(num_buckets), shift, prime, out[part])

    in_threads(fill, ids.size, num_hashes, num_threads)
    return out


def dense_hash(
    ids: NDArray[np.int64],
    out: NDArray[Any],
    seed: int,
    family: str,
    num_buckets: int,
    transform: str,
    num_threads: int,
) -> None:
    """Write the codes of ids [n] into `out` [n, num_hashes], both contiguous.

    `out` is float32, bfloat16 as uint16, or for uniform codes int8: 127 times the code, rounded.
    """
    num_hashes = out.shape[1]
    rows = coefficients(seed, num_hashes, family).T
    prime = family == "carter_wegman"
    fill_codes = FILL_CODES[transform, out.dtype.name]
    shift = shift_below(num_buckets)

    def fill(part: slice) -> None:
        fill_codes(ids[part], rows, np.uint64(num_buckets), shift, prime, out[part])

    in_threads(fill, ids.size, num_hashes, num_threads)


def xxh64(
    data: NDArray[np.uint8], offsets: NDArray[np.int64], num_threads: int
) -> NDArray[np.int64]:
    """XXH64, seed 0, of each of the n strings data[offsets[i]:offsets[i + 1]]: int64 [n]."""
    out = np.empty(offsets.size - 1, np.uint64)

    def fill(part: slice) -> None:
        _fill_xxh64(data, offsets[part.start : part.stop + 1], out[part])

    in_threads(fill, out.size, _HASHES_PER_STRING, num_threads)
    return out.view(np.int64)


def shift_below(num_buckets: int) -> np.uint64:
    """What is left of 64 bits below the bucket where m is a power of two, else 0."""
    bits = num_buckets.bit_length() - 1
    return np.uint64(64 - bits if bits and num_buckets == 1 << bits else 0)


@compile_kernel
def mix64(word):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The finaliser of `tablefree.hashing.mix64`."""
    word = (word ^ (word >> _U30)) * _MIX_1
    word = (word ^ (word >> _U27)) * _MIX_2
    return word ^ (word >> _U31)


@compile_kernel
def _times_mod_61(a, half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The product a * half modulo 2^61 - 1, not fully reduced; a < 2^61, half < 2^32.

    2^61 is 1 here, so the product of the high part, t * 2^32, folds into t >> 29 and the low
    29 bits of t moved up by 32. Two such products and a word below 2^61 add up to less than 2^64.
    """
    top = (a >> _U32) * half
    bottom = (a & _LOW_32) * half
    return (top >> _U29) + ((top & _LOW_29) << _U32) + (bottom >> _U61) + (bottom & _PRIME_61)


@compile_kernel
def halves(identifier):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The 32 low and the 32 high bits of an id after the finaliser."""
    word = mix64(np.uint64(identifier) + _GAMMA)
    return word & _LOW_32, word >> _U32


@compile_kernel
def bucket_of(rows, j, low, high, num_buckets, shift, prime):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Bucket of an id under hash j; the compiler lifts the branches out of the loops over j."""
    if prime:
        value = _times_mod_61(rows[0, j], high) + _times_mod_61(rows[1, j], low) + rows[2, j]
        value = (value >> _U61) + (value & _PRIME_61)
        return (value - _PRIME_61 if value >= _PRIME_61 else value) % num_buckets
    value = (rows[0, j] + low) * (rows[1, j] + high) + rows[2, j]
    if shift:
        return value >> shift
    return ((value >> _U32) * num_buckets) >> _U32


@compile_kernel
def _fill_buckets(ids, rows, num_buckets, shift, prime, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(ids.size):
        low, high = halves(ids[i])
        row = out[i]
        for j in range(row.size):
            row[j] = bucket_of(rows, j, low, high, num_buckets, shift, prime)


@compile_kernel
def _to_int8(code):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return np.int8(np.rint(code * np.float32(127)))


@compile_kernel
def _to_float32(code):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return np.float32(code)


def _uniform_kernel(rounded: Any) -> Any:
    @compile_kernel
    def fill(ids, rows, num_buckets, shift, prime, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
        largest = np.int32(num_buckets - _U1)
        scale = np.float32(1.0 / largest)
        for i in range(ids.size):
            low, high = halves(ids[i])
            row = out[i]
            for j in range(row.size):
                bucket = np.int32(bucket_of(rows, j, low, high, num_buckets, shift, prime))
                row[j] = rounded(np.float32(np.int32(2 * bucket - largest)) * scale)

    return fill


def _gaussian_kernel(rounded: Any) -> Any:
    @compile_kernel
    def fill(ids, rows, num_buckets, shift, prime, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
        count = np.float64(num_buckets)
        for i in range(ids.size):
            low, high = halves(ids[i])
            row = out[i]
            for j in range(0, row.size, 2):
                first = bucket_of(rows, j, low, high, num_buckets, shift, prime) + _U1
                second = bucket_of(rows, j + 1, low, high, num_buckets, shift, prime) + _U1
                radius = np.sqrt(-2.0 * np.log(np.float64(first) / count))
                angle = _TWO_PI * (np.float64(second) / count)
                row[j] = rounded(np.float32(radius * np.cos(angle)))
                row[j + 1] = rounded(np.float32(radius * np.sin(angle)))

    return fill


# By transform and dtype of the output, bfloat16 as uint16.
FILL_CODES = {
    ("uniform", "float32"): _uniform_kernel(_to_float32),
    ("uniform", "uint16"): _uniform_kernel(to_bfloat16),
    ("uniform", "int8"): _uniform_kernel(_to_int8),
    ("gaussian", "float32"): _gaussian_kernel(_to_float32),
    ("gaussian", "uint16"): _gaussian_kernel(to_bfloat16),
}


@compile_kernel
def _rotate(word, bits):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return (word << np.uint64(bits)) | (word >> np.uint64(64 - bits))


@compile_kernel
def _xxh_round(lane, word):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return _rotate(lane + word * _X2, 31) * _X1


@compile_kernel
def _little_endian(data, position, size):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    word = np.uint64(0)
    for byte in range(size):
        word |= np.uint64(data[position + byte]) << np.uint64(8 * byte)
    return word


@compile_kernel
def _xxh64(data, position, stop):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    size = np.uint64(stop - position)
    if stop - position >= 32:
        lane1, lane2, lane3, lane4 = _X1 + _X2, _X2, np.uint64(0), np.uint64(0) - _X1
        while position + 32 <= stop:
            lane1 = _xxh_round(lane1, _little_endian(data, position, 8))
            lane2 = _xxh_round(lane2, _little_endian(data, position + 8, 8))
            lane3 = _xxh_round(lane3, _little_endian(data, position + 16, 8))
            lane4 = _xxh_round(lane4, _little_endian(data, position + 24, 8))
            position += 32
        state = _rotate(lane1, 1) + _rotate(lane2, 7) + _rotate(lane3, 12) + _rotate(lane4, 18)
        for lane in (lane1, lane2, lane3, lane4):
            state = (state ^ _xxh_round(np.uint64(0), lane)) * _X1 + _X4
    else:
        state = _X5
    state += size
    while position + 8 <= stop:
        state ^= _xxh_round(np.uint64(0), _little_endian(data, position, 8))
        state = _rotate(state, 27) * _X1 + _X4
        position += 8
    if position + 4 <= stop:
        state ^= _little_endian(data, position, 4) * _X1
        state = _rotate(state, 23) * _X2 + _X3
        position += 4
    while position < stop:
        state = _rotate(state ^ (np.uint64(data[position]) * _X5), 11) * _X1
        position += 1
    state = (state ^ (state >> _U33)) * _X2
    state = (state ^ (state >> _U29)) * _X3
    return state ^ (state >> _U32)


@compile_kernel
def _fill_xxh64(data, offsets, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(out.size):
        out[i] = _xxh64(data, offsets[i], offsets[i + 1])
