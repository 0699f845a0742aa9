"""The hash contract: how a seed becomes the coefficients of k universal hash functions.

Everything here is a function of integers alone, spelled out in `docs/hash-contract.md`:
SplitMix64 (Steele, Lea and Flood, 2014) draws the coefficients and XXH64 (Collet, 2012) turns
names into seeds, so that a checkpoint means the same on every machine and for years.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tablefree.errors import InputError

CONTRACT_VERSION = 1
FAMILIES = ("multiply_shift", "carter_wegman")
TRANSFORMS = ("uniform", "gaussian")
MAX_BUCKETS = 2**32
MAX_CODE_BUCKETS = 2**24  # beyond it float32 cannot hold every 2H - (m - 1)
MERSENNE_61 = 2**61 - 1  # the prime p of carter_wegman
GOLDEN_GAMMA = 0x9E3779B97F4A7C15  # SplitMix64's increment: 2^64 / golden ratio, odd
COEFFICIENTS_PER_HASH = 3  # (a, b, c) of multiply_shift; (a1, a2, b) of carter_wegman

_WORD = 2**64 - 1
XXH_PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def mix64(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The bijective finaliser of SplitMix64 (Stafford's variant 13), word by word."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def splitmix64(seed: int, count: int) -> NDArray[np.uint64]:
    """The first `count` outputs of SplitMix64 started at `seed`."""
    steps = np.arange(1, count + 1, dtype=np.uint64)
    return mix64(np.uint64(seed & _WORD) + steps * np.uint64(GOLDEN_GAMMA))


@lru_cache(maxsize=256)
def coefficients(seed: int, num_hashes: int, family: str) -> NDArray[np.uint64]:
    """The coefficients of `num_hashes` hash functions, one row a function.

    Args:
        seed: 64 bits; only its value modulo 2^64 counts.
        num_hashes: number of hash functions k, at least 1.
        family: `"multiply_shift"` (rows a, b, c) or `"carter_wegman"` (rows a1, a2, b).

    Returns:
        A read-only uint64 array [num_hashes, 3], each column contiguous. The rows for k hashes
        are the first k rows for any larger number.

    Raises:
        InputError: the family is unknown or `num_hashes` is below 1.

    Example:
        >>> coefficients(seed_from("item"), 1024, "multiply_shift").shape
        (1024, 3)
    """
    check_hashes(family, num_hashes)
    draws = splitmix64(seed, num_hashes * COEFFICIENTS_PER_HASH)
    rows = np.asfortranarray(draws.reshape(num_hashes, COEFFICIENTS_PER_HASH))
    if family == "carter_wegman":
        rows[:, :2] = rows[:, :2] % np.uint64(MERSENNE_61 - 1) + np.uint64(1)
        rows[:, 2] %= np.uint64(MERSENNE_61)
    rows.setflags(write=False)
    return rows


SECRET = "secret:"  # the start of a name that stands for a seed that is not told


def seed_from(seed: int | str) -> int:
    """The 64-bit seed, 0 to 2^64 - 1, that an integer or a feature name stands for.

    Args:
        seed: an integer, taken modulo 2^64, or a name, hashed by XXH64 of its UTF-8 bytes.

    Raises:
        InputError: `seed` is neither (a bool is not an integer here), or not valid Unicode, or
            a secret one where none is taken.

    Example:
        >>> seed_from(-1) == 2**64 - 1
        True
    """
    if isinstance(seed, str):
        if seed.startswith(SECRET):
            raise InputError(f"a secret seed cannot be used here, got {seed}: pass a name")
        try:
            return xxh64(seed.encode())
        except UnicodeEncodeError as error:
            raise InputError(
                f"seed {seed!r} is not valid Unicode (a lone surrogate at character "
                f"{error.start}): use a name that UTF-8 can encode"
            ) from None
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise InputError(
            f"a seed is an integer or a feature name, got {type(seed).__name__} {seed!r}: "
            'pass seed=0 or seed="item"'
        )
    return int(seed) & _WORD


def xxh64(data: bytes) -> int:
    """XXH64, seed 0, of `data`: the plain version, which every kernel must equal."""
    prime1, prime2, prime3, prime4, prime5 = XXH_PRIMES
    position = 0
    if len(data) >= 32:
        lanes = [(prime1 + prime2) & _WORD, prime2, 0, -prime1 & _WORD]
        while position + 32 <= len(data):
            for lane in range(4):
                lanes[lane] = _xxh_round(lanes[lane], _little_endian(data, position, 8))
                position += 8
        shifts = (1, 7, 12, 18)
        state = sum(_rotate(lane, shift) for lane, shift in zip(lanes, shifts, strict=True))
        for lane in lanes:
            state = ((state ^ _xxh_round(0, lane)) * prime1 + prime4) & _WORD
    else:
        state = prime5
    state = (state + len(data)) & _WORD
    while position + 8 <= len(data):
        state ^= _xxh_round(0, _little_endian(data, position, 8))
        state = (_rotate(state, 27) * prime1 + prime4) & _WORD
        position += 8
    if position + 4 <= len(data):
        state ^= _little_endian(data, position, 4) * prime1 & _WORD
        state = (_rotate(state, 23) * prime2 + prime3) & _WORD
        position += 4
    for byte in data[position:]:
        state = _rotate(state ^ (byte * prime5 & _WORD), 11) * prime1 & _WORD
    state = (state ^ (state >> 33)) * prime2 & _WORD
    state = (state ^ (state >> 29)) * prime3 & _WORD
    return state ^ (state >> 32)


def check_hashes(family: str, num_hashes: int, num_buckets: int = 1) -> None:
    """Refuse hash functions that the contract does not define, with an InputError."""
    if family not in FAMILIES:
        raise InputError(f"unknown hash family {family!r}: choose one of {', '.join(FAMILIES)}")
    _check_integer("num_hashes", num_hashes, 1, None)
    _check_integer("num_buckets", num_buckets, 1, MAX_BUCKETS)


def check_codes(num_hashes: int, num_buckets: int, transform: str) -> None:
    """Refuse dense codes that the contract does not define, with an InputError."""
    if transform not in TRANSFORMS:
        raise InputError(f"unknown transform {transform!r}: choose one of {', '.join(TRANSFORMS)}")
    _check_integer("num_buckets of a dense code", num_buckets, 2, MAX_CODE_BUCKETS)
    if transform == "gaussian" and num_hashes % 2:
        raise InputError(
            f"the gaussian transform pairs hashes, got num_hashes={num_hashes}: "
            "use an even number of hashes"
        )


def _check_integer(name: str, value: int, smallest: int, largest: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} must be an int, got {type(value).__name__} {value!r}")
    if value < smallest or (largest is not None and value > largest):
        bounds = f"at least {smallest}" if largest is None else f"{smallest} to {largest}"
        raise InputError(f"{name} must be {bounds}, got {value}")


def _xxh_round(lane: int, word: int) -> int:
    lane = (lane + word * XXH_PRIMES[1]) & _WORD
    return _rotate(lane, 31) * XXH_PRIMES[0] & _WORD


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _WORD


def _little_endian(data: bytes, position: int, size: int) -> int:
    return int.from_bytes(data[position : position + size], "little")
