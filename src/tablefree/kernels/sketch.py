"""The codes of a sketch at inference, compiled by Numba: two cache lines and a row an id."""

import numpy as np
from numpy.typing import NDArray

from tablefree.hashing import coefficients
from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.cpu import bucket_of, halves, shift_below
from tablefree.kernels.threads import in_threads

_SLOTS = 16  # of a bucket, as in `encodings.row_claims`
FIND_HASHES = 3
WORK = 400  # an id costs about as much as so many hashes, for it waits for memory
_FREE_SLOT = np.int16(0)
_WORDS = _SLOTS // 4
_LANES, _HIGHEST = np.uint64(0x0001000100010001), np.uint64(0x8000800080008000)
_LANE_0, _LANE_1, _LANE_2 = np.uint64(2**16 - 1), np.uint64(2**32 - 1), np.uint64(2**48 - 1)
_FREE, _REFUSED = np.int64(-1), np.int64(-2)
_U1, _U32 = np.uint64(1), np.uint64(32)
_FINGERPRINTS, _NO_SHIFT = np.uint64(2**16 - 1), np.uint64(32)


def find_rows(
    ids: NDArray[np.int64], slots: NDArray[np.int16], seed: int, num_threads: int
) -> NDArray[np.int64]:
    """The row of each id [n], or -1 where it would find a free one, or -2 where it would not.

    Args:
        ids: any ids, contiguous.
        slots: fingerprints of the rows' owners, [num_buckets, 16]; 0 is a free row.
        seed: of the three hash functions.
        num_threads: as many as may run.
    """
    rows, words = np.empty(ids.size, np.int64), slots.view(np.uint64)
    hashes = coefficients(seed, FIND_HASHES, "multiply_shift").T
    in_threads(
        lambda part: _find_rows(ids[part], words, hashes, rows[part]), ids.size, WORK, num_threads
    )
    return rows


def give_rows(ids: NDArray[np.int64], slots: NDArray[np.int16], seed: int) -> None:
    """Give a row to each of the distinct ids [n] that has none, as far as there are any.

    In rounds: each id asks the emptier of its two buckets, or the first, and of those that ask the
    same bucket the first id gets a row, so that the order of other ids changes nothing.

    Args:
        ids: distinct ids, contiguous.
        slots: see `find_rows`; written to.
        seed: of the three hash functions.
    """
    _give_rows(ids, slots, coefficients(seed, FIND_HASHES, "multiply_shift").T)


def sketch_codes(
    ids: NDArray[np.int64],
    slots: NDArray[np.int16],
    seed: int,
    shared_seed: int,
    num_hashes: int,
    num_rows: int,
    rows: NDArray[np.float32],
    num_threads: int,
) -> NDArray[np.float32]:
    """The code of each id [n]: its own row, or zeros, or the sum of the rows that it shares.

    Args:
        ids: any ids, contiguous.
        slots: see `find_rows`; without buckets all ids share rows.
        seed: of the hash functions that find own rows.
        shared_seed: of those that pick shared rows.
        num_hashes: shared rows an id has.
        num_rows: rows of each shared table.
        rows: the shared tables one under the other, and below them the own rows, [rows, width].
        num_threads: as many as may run.
    """
    codes = np.empty((ids.size, rows.shape[1]), np.float32)
    hashes = coefficients(seed, FIND_HASHES, "multiply_shift").T
    shared = coefficients(shared_seed, num_hashes, "multiply_shift").T
    sizes, words = (np.uint64(num_rows), shift_below(num_rows)), slots.view(np.uint64)

    def fill(part: slice) -> None:
        _fill_codes(ids[part], words, hashes, shared, *sizes, rows, codes[part])

    in_threads(fill, ids.size, WORK, num_threads)
    return codes


@compile_kernel
def bucket_at(low, high, hashes, choice, num_buckets):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The first or the second bucket of an id."""
    hashed = bucket_of(hashes, choice, low, high, _U1, _NO_SHIFT, False)
    return np.int64((hashed * num_buckets) >> _U32)


@compile_kernel
def fingerprint_of(low, high, hashes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """What an id is known by in its buckets; never that of a free row."""
    hashed = bucket_of(hashes, 2, low, high, _U1, _NO_SHIFT, False)
    return np.int16(((hashed * _FINGERPRINTS) >> _U32) + _U1)


@compile_kernel
def slot_in(words, bucket, fingerprint):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The first slot of a bucket that holds a fingerprint, or -1."""
    # Four slots at once: a lane that is equal borrows, so its highest bit is set (Lamport,
    # "Multiple Byte Processing with Full-Word Instructions", 1975). The lowest such bit is right.
    wanted = np.uint64(np.uint16(fingerprint)) * _LANES
    is_there = np.uint64(0)
    for one in range(_WORDS):
        differs = words[bucket, one] ^ wanted
        is_there |= (differs - _LANES) & ~differs & _HIGHEST
    if is_there == 0:
        return np.int64(-1)
    for one in range(_WORDS):
        differs = words[bucket, one] ^ wanted
        equal = (differs - _LANES) & ~differs & _HIGHEST
        if equal:
            lowest = equal & (~equal + _U1)
            lane = np.int64(lowest > _LANE_0) + np.int64(lowest > _LANE_1)
            return np.int64(4 * one) + lane + np.int64(lowest > _LANE_2)
    return np.int64(-1)


@compile_kernel
def place_without(words, bucket):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """`_FREE` where a bucket has a free row, `_REFUSED` where it has none."""
    return _FREE if slot_in(words, bucket, _FREE_SLOT) >= 0 else _REFUSED


@compile_kernel
def _find(low, high, words, hashes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_buckets, fingerprint = np.uint64(words.shape[0]), fingerprint_of(low, high, hashes)
    first = bucket_at(low, high, hashes, 0, num_buckets)
    slot = slot_in(words, first, fingerprint)
    if slot >= 0:
        return first * _SLOTS + slot
    second = bucket_at(low, high, hashes, 1, num_buckets)
    slot = slot_in(words, second, fingerprint)
    if slot >= 0:
        return second * _SLOTS + slot
    return max(place_without(words, first), place_without(words, second))


@compile_kernel
def _find_rows(ids, words, hashes, rows):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    for i in range(ids.size):
        low, high = halves(ids[i])
        rows[i] = _find(low, high, words, hashes)


@compile_kernel
def _num_free(slots, bucket):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_free = 0
    for slot in range(_SLOTS):
        num_free += slots[bucket, slot] == _FREE_SLOT
    return num_free


@compile_kernel
def _give_rows(ids, slots, hashes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_buckets = np.uint64(slots.shape[0])
    buckets = np.empty((ids.size, 2), np.int64)
    fingerprints = np.empty(ids.size, np.int16)
    for i in range(ids.size):
        low, high = halves(ids[i])
        for j in range(2):
            buckets[i, j] = bucket_at(low, high, hashes, j, num_buckets)
        fingerprints[i] = fingerprint_of(low, high, hashes)
    waiting, asked = np.arange(ids.size), np.empty(ids.size, np.int64)
    while waiting.size:
        num_asking = 0
        for i in waiting:
            first, second = _num_free(slots, buckets[i, 0]), _num_free(slots, buckets[i, 1])
            if first or second:
                waiting[num_asking] = i
                asked[num_asking] = buckets[i, 0] if first >= second else buckets[i, 1]
                num_asking += 1
        order = np.argsort(asked[:num_asking], kind="mergesort")
        is_served = np.zeros(num_asking, np.bool_)
        before = np.int64(-1)
        for position in order:
            bucket = asked[position]
            if bucket != before:
                slot = 0
                while slots[bucket, slot] != _FREE_SLOT:
                    slot += 1
                slots[bucket, slot] = fingerprints[waiting[position]]
                is_served[position] = True
                before = bucket
        waiting = waiting[:num_asking][~is_served]


@compile_kernel
def _fill_codes(ids, words, hashes, shared, num_rows, shift, rows, codes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_hashes, width = shared.shape[1], rows.shape[1]
    first_own = np.int64(num_rows) * num_hashes
    # First all places, then all rows: then the processor waits for many rows at once.
    found = np.full(ids.size, _REFUSED)
    if words.shape[0]:
        _find_rows(ids, words, hashes, found)
    for i in range(ids.size):
        if found[i] >= 0:
            for column in range(width):
                codes[i, column] = rows[first_own + found[i], column]
        else:
            for column in range(width):
                codes[i, column] = np.float32(0)
    for i in range(ids.size):
        if found[i] == _REFUSED:
            low, high = halves(ids[i])
            for j in range(num_hashes):
                picked = np.int64(bucket_of(shared, j, low, high, num_rows, shift, False))
                picked += j * np.int64(num_rows)
                for column in range(width):
                    codes[i, column] += rows[picked, column]
