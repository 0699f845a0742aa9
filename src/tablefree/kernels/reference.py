"""The hash functions in plain NumPy: the law that every other kernel must equal.

Slow and obvious on purpose. multiply_shift is the pair-multiply-shift of Thorup, *High Speed
Hashing for Integers and Strings* (2015); carter_wegman is Carter and Wegman, *Universal classes
of hash functions* (1979), on the two halves of an id.
"""

import numpy as np
from numpy.typing import NDArray

from tablefree.hashing import GOLDEN_GAMMA, MERSENNE_61, coefficients, mix64


def hash_buckets(
    ids: NDArray[np.int64], seed: int, family: str, num_hashes: int, num_buckets: int
) -> NDArray[np.int64]:
    """The bucket, 0 to num_buckets - 1, of each id [*batch] under each hash: [*batch, num_hashes].

    Every id is first renamed by a bijection of the 64-bit words, so that neither family sees the
    arithmetic structure of consecutive ids.
    """
    words = mix64(ids.astype(np.int64).view(np.uint64) + np.uint64(GOLDEN_GAMMA))[..., None]
    low, high = words & np.uint64(0xFFFFFFFF), words >> np.uint64(32)
    first, second, third = coefficients(seed, num_hashes, family).T
    if family == "multiply_shift":
        value = (first + low) * (second + high) + third
        buckets = ((value >> np.uint64(32)) * np.uint64(num_buckets)) >> np.uint64(32)
    else:  # Python's integers, so that nothing overflows
        low, high = low.astype(object), high.astype(object)
        value = first.astype(object) * high + second.astype(object) * low + third.astype(object)
        buckets = value % MERSENNE_61 % num_buckets
    return np.asarray(buckets, np.int64)


def dense_hash(
    ids: NDArray[np.int64],
    seed: int,
    family: str,
    num_hashes: int,
    num_buckets: int,
    transform: str,
) -> NDArray[np.float32]:
    """The dense code of each id [*batch]: float32 [*batch, num_hashes].

    `"uniform"` spreads the buckets over [-1, 1]; `"gaussian"` makes N(0, 1) of each pair of
    hashes by Box and Muller (1958).
    """
    buckets = hash_buckets(ids, seed, family, num_hashes, num_buckets)
    if transform == "uniform":
        steps = (2 * buckets - (num_buckets - 1)).astype(np.float32)
        return steps * np.float32(1.0 / (num_buckets - 1))
    uniform = (buckets + 1) / np.float64(num_buckets)
    radius = np.sqrt(-2.0 * np.log(uniform[..., 0::2]))
    angle = (2.0 * np.pi) * uniform[..., 1::2]
    pairs = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
    return pairs.reshape(buckets.shape).astype(np.float32)
