"""Product codes: each code stands for some of a row's numbers, in a basis that the rows choose.

The basis is that of the rows' principal directions, where errors count as they do in the score. Its
directions are shared out among the codes so that each has about as much to tell, which is the
allotment of bits of transform coding (Huang and Schultheiss, 1963; Brandt, "Transform Coding for
Fast Approximate Nearest Neighbor Search in High Dimensions", 2010; product codes: Jégou, Douze and
Schmid, 2011). The codebooks of all codes together are as large as one of residual codes.
"""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from tablefree.encodings.code_books import Codes, faiss, in_chunks, sampled, score_space
from tablefree.errors import InputError

_ROUNDS = 25
_SEED = 1234


def product_codes(
    rows: Float[Tensor, "n width"],
    num_codes: int,
    bits: int,
    *,
    metric: Float[Tensor, "width width"] | None = None,
    counts: Float[Tensor, " n"] | None = None,
) -> Codes:
    """Learn codebooks, by FAISS, and code rows; arguments as of `residual_codes`.

    Returns:
        Codes whose books are the choices, `[2^bits, width]`, a column for each direction, and the
        basis, `[width, width]`, a row for each direction.

    Raises:
        InputError: more codes than numbers in a row; FAISS is not installed.
    """
    width = rows.shape[1]
    if num_codes > width:
        raise InputError(
            f"product codes of rows of {width} numbers are at most {width}, got {num_codes}"
        )
    into, back = score_space(metric, width)
    aligned = rows @ into
    samples = sampled(aligned, counts)
    squares = samples.T.astype(np.float64) @ samples / len(samples)
    variances, vectors = np.linalg.eigh(squares)
    directions = torch.from_numpy(vectors[:, ::-1].astype(np.float32))
    spans = _spans(variances[::-1], num_codes, bits)
    turned = np.ascontiguousarray(samples @ directions.numpy())
    books = np.zeros((1 << bits, width), np.float32)
    for first, last in pairwise(spans):
        books[:, first:last] = _means(turned[:, first:last], 1 << bits)

    def encode(some: NDArray[np.float32]) -> NDArray[np.uint8]:
        parts = [
            faiss().knn(
                np.ascontiguousarray(some[:, first:last]),
                np.ascontiguousarray(books[:, first:last]),
                1,
            )[1]
            for first, last in pairwise(spans)
        ]
        return np.concatenate(parts, axis=1).astype(np.uint8)

    indices = in_chunks(aligned @ directions, encode, num_codes)
    return Codes(indices, [torch.from_numpy(books), directions.T @ back], spans)


def _means(rows: NDArray[np.float32], num_means: int) -> NDArray[np.float32]:
    """Means of clusters of rows; where there are fewer rows than means, the rows."""
    if len(rows) <= num_means:
        return np.resize(rows, (num_means, rows.shape[1]))
    clusters = faiss().Kmeans(
        rows.shape[1],
        num_means,
        niter=_ROUNDS,
        seed=_SEED,
        min_points_per_centroid=1,
        max_points_per_centroid=len(rows),
    )
    clusters.train(np.ascontiguousarray(rows))
    means: NDArray[np.float32] = clusters.centroids
    return means


def _spans(variances: NDArray[np.float64], num_codes: int, bits: int) -> list[int]:
    """Where each code's directions begin, and the width: each code has about equal rates.

    The rate of a direction of variance v is max(0, log2(v / level) / 2), with the level at which
    the rates add up to all bits.
    """
    variances = np.maximum(variances, 1e-12 * max(variances.max(), 1e-30))
    low, high = variances.min() * 2.0 ** (-4 * bits), variances.max()
    rates = np.zeros_like(variances)
    for _ in range(100):
        level = np.sqrt(low * high)
        rates = np.maximum(0, np.log2(variances / level) / 2)
        low, high = (level, high) if rates.sum() > num_codes * bits else (low, level)
    total = rates.cumsum()
    spans = [0]
    for code in range(1, num_codes):
        end = int(np.abs(total - total[-1] * code / num_codes).argmin()) + 1
        spans.append(min(max(end, spans[-1] + 1), len(variances) - (num_codes - code)))
    return [*spans, len(variances)]
