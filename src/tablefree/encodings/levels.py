"""The levels to which numbers are rounded with the least squared error."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_STEPS_PER_SPLIT, _LAST_STEPS = 10, 300  # cheap, and outer levels need many


def least_squares_levels(
    values: Float[Tensor, " n"], num_levels: int
) -> Float[Tensor, " num_levels"]:
    """The levels of sorted values, float64 (Lloyd, "Least Squares Quantization in PCM", 1982).

    One level after the other is split, always that of the largest error (Linde, Buzo and Gray, "An
    Algorithm for Vector Quantizer Design", 1980), so that neither many equal values nor a single
    large one take the levels of all others.
    """
    sums, squares = (F.pad(x.cumsum(0), (1, 0)) for x in (values, values.square()))
    levels = values.mean()[None]
    for step in range(_STEPS_PER_SPLIT * (num_levels - 1) + _LAST_STEPS):
        inner = torch.searchsorted(values, (levels[1:] + levels[:-1]) / 2)
        ends = torch.cat([inner.new_zeros(1), inner, inner.new_tensor([len(values)])])
        counts = ends.diff()
        levels = torch.where(counts > 0, sums[ends].diff() / counts, levels)
        if step % _STEPS_PER_SPLIT == 0 and len(levels) < num_levels:
            errors = squares[ends].diff() - counts * levels.square()
            worst = int(errors.argmax())
            deviation = (errors[worst] / counts[worst]).clamp(min=0).sqrt()
            split = torch.stack([levels[worst] - deviation, levels[worst] + deviation])
            levels = torch.cat([levels[:worst], split, levels[worst + 1 :]])
    return levels
