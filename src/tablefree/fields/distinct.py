"""How many distinct values there are, and how often they occur, in one pass of bounded memory.

The k smallest of the values' 64-bit hashes are kept (Bar-Yossef et al., "Counting Distinct Elements
in a Data Stream", 2002). Where the k-th smallest is the share u of all 2^64, there are about
(k - 1) / u distinct values, which is unbiased with an error of 1 / sqrt(k - 2) (Beyer et al., "On
Synopses for Distinct-Value Estimation Under Multiset Operations", 2007). What is kept depends on
the set of values alone: not on their order, nor on how they were divided. The values behind it are
a uniform sample of all, and each was counted from its first occurrence on.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from tablefree.hashing import GOLDEN_GAMMA, mix64
from tablefree.ids import to_ids

SIZE = 8_192  # an error of 1.1 %


class DistinctCounter:
    """Counts distinct 64-bit hashes: exactly below `size`, within about 1 % from there on.

    Args:
        size: how many hashes are kept, of 16 bytes each with their occurrences.

    Attributes:
        occurrences: int64 [at most size], of each hash that is kept.
    """

    def __init__(self, size: int = SIZE) -> None:
        self.size = size
        self._smallest, self.occurrences = np.zeros(0, np.uint64), np.zeros(0, np.int64)

    @property
    def is_exact(self) -> bool:
        """Whether the count is no estimate."""
        return len(self._smallest) < self.size

    def add(self, hashes: NDArray[np.uint64], times: NDArray[np.int64] | None = None) -> None:
        """Count hashes [n], of which some may have come before.

        Args:
            hashes: of values.
            times: how often each occurs; once by default.
        """
        times = np.ones(len(hashes), np.int64) if times is None else times
        if not self.is_exact:
            is_kept = hashes <= self._smallest[-1]
            hashes, times = hashes[is_kept], times[is_kept]
        if len(hashes):
            both = np.concatenate([self._smallest, hashes])
            order = np.argsort(both)
            ordered = both[order]
            first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
            sums = np.add.reduceat(np.concatenate([self.occurrences, times])[order], first)
            self._smallest = ordered[first][: self.size]
            self.occurrences = sums[: self.size]

    def merge(self, other: "DistinctCounter") -> None:
        """Count what another counter of the same size has counted too."""
        self.add(other._smallest, other.occurrences)

    def count(self) -> int:
        """The number of distinct hashes so far."""
        if self.is_exact:
            return len(self._smallest)
        return round((self.size - 1) / (float(self._smallest[-1]) / 2.0**64))


def hashes(values: pa.Array) -> NDArray[np.uint64]:
    """64-bit hashes of the values of an array without nulls.

    Strings are hashed by XXH64, as ids are; numbers and dates by the finaliser of the hash
    contract. A whole number has one hash, as an integer or as a float.
    """
    kind = values.type
    if types.is_string(kind) or types.is_large_string(kind):
        return to_ids(values).numpy().view(np.uint64)
    if types.is_decimal(kind) or types.is_floating(kind):
        return _mixed(_words(values.cast(pa.float64()).to_numpy()))
    if types.is_integer(kind):
        return _mixed(to_ids(values).numpy())
    if types.is_date32(kind) or types.is_boolean(kind):
        values = values.cast(pa.int32())
    return _mixed(compute.cast(values, pa.int64()).to_numpy())


def _words(numbers: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole numbers as integers, others by their bits."""
    is_whole = (np.abs(numbers) < 2.0**63) & (np.trunc(numbers) == numbers)
    return np.where(
        is_whole, np.where(is_whole, numbers, 0).astype(np.int64), numbers.view(np.int64)
    )


def _mixed(words: NDArray[np.int64]) -> NDArray[np.uint64]:
    return mix64(words.view(np.uint64) + np.uint64(GOLDEN_GAMMA))
