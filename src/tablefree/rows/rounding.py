"""Stochastic rounding to bfloat16: up or down by chance, so that on average nothing is lost.

A step of learning is often smaller than half of the distance of two neighbours in bfloat16, and
rounding to the nearest would drop it every time (Gupta et al., "Deep Learning with Limited
Numerical Precision", 2015; tables of embeddings: Li et al., "Adaptive Low-Precision Training for
Embeddings in Click-Through Rate Prediction", 2023).
"""

import torch
from jaxtyping import BFloat16, Float
from torch import Generator, Tensor

_CUT = 2**16  # the bits that float32 has and bfloat16 has not


def generator(seed: int, device: torch.device) -> Generator:
    """Random numbers of a seed, on a device."""
    return Generator(device).manual_seed(seed)


def rounded(values: Float[Tensor, "*shape"], random: Generator) -> BFloat16[Tensor, "*shape"]:
    """Values in bfloat16, each one of its two neighbours, which are as likely as they are near.

    Args:
        values: float32.
        random: where chance comes from.
    """
    noise = torch.empty_like(values, dtype=torch.int32).random_(0, _CUT, generator=random)
    # Of a float's bits the last tell how far it is from one neighbour to the next.
    bits = noise.add_(values.view(torch.int32)).bitwise_and_(-_CUT)
    return bits.view(torch.float32).bfloat16()
