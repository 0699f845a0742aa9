"""Codes of rows: which rows of a few codebooks make up each of them.

A code is what k hashes into k tables are, with learned hashes: a row of each table, added.
"""

from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from tablefree.errors import InputError

Matrix = Float[Tensor, "n width"]
MOST_SAMPLES = 2**17  # rows that codebooks are learned from
FREQUENCY_POWER = 0.5  # a row counts as the root of how often it is looked up


class Codes(NamedTuple):
    """Rows in codes.

    Attributes:
        indices: the choice of each code of each row.
        books: float32 tensors, from which `Form` says how rows are made.
        spans: where the numbers of each product code begin, and the width at the end; else empty.
    """

    indices: UInt8[Tensor, "n num_codes"]
    books: list[Tensor]
    spans: list[int]


def faiss() -> ModuleType:
    """The library that finds codebooks.

    Raises:
        InputError: it is not installed.
    """
    try:
        import faiss
    except ModuleNotFoundError as error:
        raise InputError(
            "codes are learned by FAISS, which is not installed: "
            '`pip install "tablefree[codes]"`, or choose a form without codes, such as levels-4; '
            "rows that are packed already need no FAISS"
        ) from error
    module: ModuleType = faiss
    return module


def score_space(
    metric: Float[Tensor, "width width"] | None, width: int
) -> tuple[Float[Tensor, "width width"], Float[Tensor, "width width"]]:
    """The matrices that take rows into a space in which each direction counts alike, and back.

    Args:
        metric: what an error in each direction costs, positive semi-definite; None for alike.
        width: of a row.
    """
    eye = torch.eye(width, dtype=torch.float64)
    if metric is None or not metric.trace() > 0:
        return eye.float(), eye.float()
    metric = metric.double() / metric.double().trace() * width
    # A direction that no score has depended on so far is not free of error.
    into = torch.linalg.cholesky(0.99 * metric + 0.01 * eye)
    return into.float(), torch.linalg.inv(into).float()


def sampled(rows: Matrix, counts: Float[Tensor, " n"] | None) -> NDArray[np.float32]:
    """Rows to learn codebooks from, frequent ones more often; a function of the arguments."""
    rng = np.random.default_rng(0)
    if counts is not None and counts.sum() > 0:
        weights = counts.double().numpy() ** FREQUENCY_POWER
        # Rows that were not looked up in the examples are in the tables all the same.
        weights = weights + weights[weights > 0].min() / 2
        size = min(len(rows), MOST_SAMPLES)
        picked = rng.choice(len(rows), size, p=weights / weights.sum())
        return np.ascontiguousarray(rows.numpy()[picked])
    if len(rows) > MOST_SAMPLES:
        return np.ascontiguousarray(rows.numpy()[rng.permutation(len(rows))[:MOST_SAMPLES]])
    return rows.numpy()


def in_chunks(
    rows: Matrix, encode: Callable[[NDArray[np.float32]], NDArray[np.uint8]], num_codes: int
) -> UInt8[Tensor, "n num_codes"]:
    """The codes of all rows, some at a time."""
    indices = torch.empty(len(rows), num_codes, dtype=torch.uint8)
    for part in torch.split(torch.arange(len(rows)), MOST_SAMPLES):
        indices[part] = torch.from_numpy(encode(np.ascontiguousarray(rows[part].numpy())))
    return indices
