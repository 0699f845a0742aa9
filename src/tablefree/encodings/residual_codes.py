"""Residual codes: a row is the sum of one row of each of several codebooks.

The first codebook stands for the rows, each other for what those before it leave over, with several
candidates kept at each step (Chen, Guan and Wang, "Approximate Nearest Neighbor Search by Residual
Vector Quantization", 2010; Babenko and Lempitsky, "Additive Quantization", 2014). It is the method
of k hashes into k added tables, with learned codes where that has hashes.
"""

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from tablefree.encodings.code_books import Codes, faiss, in_chunks, sampled, score_space

BEAM = 8  # candidates


def residual_codes(
    rows: Float[Tensor, "n width"],
    num_codes: int,
    bits: int,
    *,
    metric: Float[Tensor, "width width"] | None = None,
    counts: Float[Tensor, " n"] | None = None,
) -> Codes:
    """Learn codebooks, by FAISS, and code rows.

    Args:
        rows: float32, on the CPU.
        num_codes: codes of a row.
        bits: of a code, 2 to 8.
        metric: see `score_space`.
        counts: how often each row is looked up.

    Raises:
        InputError: FAISS is not installed.
    """
    width = rows.shape[1]
    into, back = score_space(metric, width)
    aligned = rows @ into
    quantizer = faiss().ResidualQuantizer(width, num_codes, bits)
    quantizer.max_beam_size = BEAM
    samples = sampled(aligned, counts)
    if len(samples) < 1 << bits:  # FAISS wants as many rows as choices
        samples = np.resize(samples, (1 << bits, width))
    quantizer.train(np.ascontiguousarray(samples))

    def encode(some: NDArray[np.float32]) -> NDArray[np.uint8]:
        packed = quantizer.compute_codes(some)
        ones = np.unpackbits(packed, axis=1, count=num_codes * bits, bitorder="little")
        split = ones.reshape(len(some), num_codes, bits)
        return np.packbits(split, axis=2, bitorder="little")[:, :, 0]

    books = faiss().vector_to_array(quantizer.codebooks).reshape(num_codes, 1 << bits, width)
    return Codes(in_chunks(aligned, encode, num_codes), [torch.from_numpy(books) @ back], [])
