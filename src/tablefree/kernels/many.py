"""What many features need before and between their batched products, compiled by Numba.

One call serves all features: their distinct ids, their codes, and batch norm over the distinct ids
of each. Features have different numbers of ids; arrays are as long as the longest, and a count says
how many rows of each are its own.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tablefree.hashing import coefficients
from tablefree.kernels.compiling import compile_kernel
from tablefree.kernels.cpu import FILL_CODES, mix64, shift_below
from tablefree.kernels.threads import in_threads

_WORK_PER_ID = 16  # to find an id costs about as much as so many hashes
_WORK_PER_VALUE = 2  # as does a value of batch norm
_U32 = np.uint64(32)


def distinct(
    ids: NDArray[np.int64], sizes: list[int], num_threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The distinct ids of each feature, in the order in which they come.

    Args:
        ids: of all features [total], contiguous, feature after feature.
        sizes: number of ids of each of the F features.
        num_threads: as many as may run.

    Returns:
        Distinct ids [F, n], n being the largest number of them and other places 0; the place of
        each id [total] in that array, flat; the number of distinct ids of each feature [F].
    """
    starts = np.concatenate([[0], np.cumsum(np.array(sizes, np.int64))])
    places, counts = np.empty(ids.size, np.int64), np.empty(len(sizes), np.int64)
    firsts = np.empty(ids.size, np.int64)  # the distinct ids of a feature, where its ids are

    def find(part: slice) -> None:
        _find_distinct(ids, starts, part.start, part.stop, firsts, places, counts)

    in_threads(find, len(sizes), _WORK_PER_ID * max(sizes), num_threads)
    found = np.zeros((len(sizes), counts.max()), np.int64)
    _spread(firsts, starts, counts, found, places)
    return found, places, counts


def dense_hash(
    ids: NDArray[np.int64],
    out: NDArray[Any],
    seeds: list[int],
    family: str,
    num_buckets: int,
    transform: str,
    num_threads: int,
) -> None:
    """Write the codes of ids [F, n] into `out` [F, n, num_hashes], a seed for each feature.

    `out` is float32, or bfloat16 as uint16. Both are contiguous.
    """
    num_features, num_ids, num_hashes = out.shape
    rows = np.stack([coefficients(seed, num_hashes, family).T for seed in seeds])
    fill_codes = _FILL_MANY[transform, out.dtype.name]
    prime, shift = family == "carter_wegman", shift_below(num_buckets)

    def fill(part: slice) -> None:
        fill_codes(ids, rows, np.uint64(num_buckets), shift, prime, part.start, part.stop, out)

    in_threads(fill, num_features * num_ids, num_hashes, num_threads)


def batch_norm(
    rows: NDArray[np.float32],
    counts: NDArray[np.int64],
    fallback: tuple[NDArray[np.float32], NDArray[np.float32]],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    eps: float,
    num_threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Normalise the first counts[f] rows of each feature by their mean and variance.

    Args:
        rows: [F, n, width], contiguous like all others.
        counts: rows of each feature [F]; further ones come out as zeros.
        fallback: mean and variance [F, width] for features of fewer than two rows.
        weight: [F, width].
        bias: [F, width].
        eps: added to variances.
        num_threads: as many as may run.

    Returns:
        The normalised rows, and the mean and (biased) variance [F, width] that were used.
    """
    out, mean, variance = np.empty_like(rows), np.empty_like(weight), np.empty_like(weight)

    def fill(part: slice) -> None:
        _norm(
            rows[part], counts[part], fallback[0][part], fallback[1][part], weight[part],
            bias[part], eps, out[part], mean[part], variance[part],
        )  # fmt: skip

    in_threads(fill, len(rows), _WORK_PER_VALUE * rows[0].size, num_threads)
    return out, mean, variance


def batch_norm_backward(
    grad: NDArray[np.float32],
    rows: NDArray[np.float32],
    counts: NDArray[np.int64],
    mean: NDArray[np.float32],
    variance: NDArray[np.float32],
    weight: NDArray[np.float32],
    eps: float,
    num_threads: int,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """The gradients of rows, weight and bias, given that of the normalised rows."""
    out, of_weight, of_bias = np.empty_like(rows), np.empty_like(weight), np.empty_like(weight)

    def fill(part: slice) -> None:
        _norm_backward(
            grad[part], rows[part], counts[part], mean[part], variance[part], weight[part], eps,
            out[part], of_weight[part], of_bias[part],
        )  # fmt: skip

    in_threads(fill, len(rows), _WORK_PER_VALUE * rows[0].size, num_threads)
    return out, of_weight, of_bias


@compile_kernel
def _find_distinct(ids, starts, first, last, firsts, places, counts):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """By a hash table with linear probing, of which at most half is taken."""
    for feature in range(first, last):
        start, stop = starts[feature], starts[feature + 1]
        capacity = 2
        while capacity < 2 * (stop - start):
            capacity *= 2
        table = np.full(capacity, -1, np.int32)
        count = 0
        for i in range(start, stop):
            slot = np.int64(mix64(np.uint64(ids[i])) >> _U32) & (capacity - 1)
            while table[slot] >= 0 and firsts[start + table[slot]] != ids[i]:
                slot = (slot + 1) & (capacity - 1)
            if table[slot] < 0:
                table[slot] = count
                firsts[start + count] = ids[i]
                count += 1
            places[i] = table[slot]
        counts[feature] = count


@compile_kernel
def _spread(firsts, starts, counts, found, places):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Move each feature's distinct ids to its row of `found`, and places with them."""
    num_features, longest = found.shape
    for feature in range(num_features):
        start, stop = starts[feature], starts[feature + 1]
        found[feature, : counts[feature]] = firsts[start : start + counts[feature]]
        places[start:stop] += feature * longest


def _many(fill_codes: Any) -> Any:
    @compile_kernel
    def fill(ids, rows, num_buckets, shift, prime, first, last, out):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
        """The codes `first` to `last` of all, counted over features and ids."""
        num_ids = ids.shape[1]
        while first < last:
            feature = first // num_ids
            start = first - feature * num_ids
            stop = min(num_ids, start + last - first)
            fill_codes(
                ids[feature][start:stop],
                rows[feature],
                num_buckets,
                shift,
                prime,
                out[feature][start:stop],
            )
            first += stop - start

    return fill


_FILL_MANY = {key: _many(fill) for key, fill in FILL_CODES.items() if key[1] != "int8"}


@compile_kernel
def _norm(rows, counts, old_mean, old_variance, weight, bias, eps, out, mean, variance):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Sums are float64: they are long, and the processor's cache holds the rows of a feature."""
    num_features, _, width = rows.shape
    sums = np.empty(width, np.float64)
    factor = np.empty(width, np.float32)
    for f in range(num_features):
        count = counts[f]
        mean[f], variance[f] = old_mean[f], old_variance[f]
        if count > 1:
            sums[:] = 0
            for i in range(count):
                for j in range(width):
                    sums[j] += rows[f, i, j]
            for j in range(width):
                mean[f, j] = sums[j] / count
            sums[:] = 0
            for i in range(count):
                for j in range(width):
                    centred = rows[f, i, j] - mean[f, j]
                    sums[j] += centred * centred
            for j in range(width):
                variance[f, j] = sums[j] / count
        for j in range(width):
            factor[j] = weight[f, j] / np.sqrt(variance[f, j] + eps)
        for i in range(count):
            for j in range(width):
                out[f, i, j] = (rows[f, i, j] - mean[f, j]) * factor[j] + bias[f, j]
        out[f, count:] = 0


@compile_kernel
def _norm_backward(grad, rows, counts, mean, variance, weight, eps, out, of_weight, of_bias):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    num_features, _, width = rows.shape
    sums, products = np.empty(width, np.float64), np.empty(width, np.float64)
    inverse, factor = np.empty(width, np.float32), np.empty(width, np.float32)
    along_ones, along_rows = np.empty(width, np.float32), np.empty(width, np.float32)
    for f in range(num_features):
        count = counts[f]
        sums[:] = 0
        products[:] = 0
        for i in range(count):
            for j in range(width):
                sums[j] += grad[f, i, j]
                products[j] += grad[f, i, j] * (rows[f, i, j] - mean[f, j])
        for j in range(width):
            inverse[j] = 1 / np.sqrt(variance[f, j] + eps)
            factor[j] = weight[f, j] * inverse[j]
            of_bias[f, j] = sums[j]
            of_weight[f, j] = products[j] * inverse[j]
            # Mean and variance depend on the rows, unless these are too few to have any.
            along_ones[j] = sums[j] / count if count > 1 else 0.0
            along_rows[j] = products[j] * inverse[j] * inverse[j] / count if count > 1 else 0.0
        for i in range(count):
            for j in range(width):
                centred = rows[f, i, j] - mean[f, j]
                out[f, i, j] = factor[j] * (grad[f, i, j] - along_ones[j] - centred * along_rows[j])
        out[f, count:] = 0
