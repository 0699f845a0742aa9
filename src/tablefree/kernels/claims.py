"""The lookup of `tablefree.encodings.row_claims`, compiled by Numba: two cache lines an id."""

import numpy as np
from numpy.typing import NDArray

from tablefree.hashing import coefficients
from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.cpu import halves
from tablefree.kernels.threads import in_threads

_WORK = 32  # an id costs about as much as so many hashes
_U32 = np.uint64(32)
_RANGE = np.uint64(2**16 - 1)


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
    rows = np.empty(ids.size, np.int64)
    hashes = coefficients(seed, 3, "multiply_shift").T
    in_threads(
        lambda part: _find_rows(ids[part], slots, hashes, rows[part]), ids.size, _WORK, num_threads
    )
    return rows


@compile_kernel
def _hash(hashes, j, low, high):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    return ((hashes[0, j] + low) * (hashes[1, j] + high) + hashes[2, j]) >> _U32


@compile_kernel
def _find_rows(ids, slots, hashes, rows):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_buckets, num_slots = slots.shape
    for i in range(ids.size):
        low, high = halves(ids[i])
        fingerprint = np.int16(((_hash(hashes, 2, low, high) * _RANGE) >> _U32) + np.uint64(1))
        row = np.int64(-2)
        for j in range(2):
            bucket = np.int64((_hash(hashes, j, low, high) * np.uint64(num_buckets)) >> _U32)
            for slot in range(num_slots):
                if slots[bucket, slot] == fingerprint and row < 0:
                    row = bucket * num_slots + slot
                elif slots[bucket, slot] == 0 and row == -2:
                    row = np.int64(-1)
        rows[i] = row
