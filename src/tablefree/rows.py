"""Learned rows of which all can decay at the cost of one number.

A row is `scale * weight[i]`, with one scale for all rows, so that multiplying every row by a factor
touches the scale only (Bottou, "Stochastic Gradient Descent Tricks", 2012, section 5.1). No row is
ever behind: whoever looks a row up reads what a pass over all rows would have left there.
"""

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function

# Below it the scale goes into the weights: far from the ends of float32, for weights are divided by
# it, and rare (every 4,200 steps of rate .1 and decay .1), for that is a pass over all rows.
SMALLEST_SCALE = 2.0**-60


class Rows(nn.Embedding):
    """An `nn.Embedding` with a scale, which `RowAdam` trains at the cost of the rows looked up.

    Its gradient is that of the rows themselves, whatever the scale, so that it can be clipped or
    summed over several passes. The scale is 1 except between training steps: saving, loading,
    `eval()` and moves to another device or dtype put it into the weight first, so that checkpoints
    are those of an `nn.Embedding`. Elsewhere, call `flush()` before you read the weight itself.

    Args:
        num_rows: number of rows.
        width: numbers of a row.
        sparse: whether the gradient is sparse, as `RowAdam` wants it.

    Example:
        >>> rows = Rows(1000, 4)
        >>> rows.decay(0.5)
        >>> bool((rows(torch.tensor([7])) == rows.weight[7] / 2).all())
        True
    """

    def __init__(self, num_rows: int, width: int, *, sparse: bool = False) -> None:
        super().__init__(num_rows, width, sparse=sparse)
        self.scale = 1.0

    def forward(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Look rows up."""
        return self._scaled(super().forward(indices))

    def sums(self, indices: Int[Tensor, "n bag"]) -> Float[Tensor, "n width"]:
        """The sum of the rows of each bag."""
        return self._scaled(F.embedding_bag(indices, self.weight, mode="sum", sparse=self.sparse))

    def decay(self, factor: float) -> None:
        """Multiply all rows by a factor."""
        self.scale *= factor
        if self.scale < SMALLEST_SCALE:
            self.flush()

    @torch.no_grad()
    def add(self, indices: Int[Tensor, " n"], values: Float[Tensor, "n width"]) -> None:
        """Add to some rows, all of them different."""
        # `index_add_` would take repeated rows, and ten times as long on the CPU.
        added = self.weight.index_select(0, indices).add_(values, alpha=1 / self.scale)
        self.weight.index_copy_(0, indices, added)

    @torch.no_grad()
    def flush(self) -> None:
        """Put the scale into the weight, so that the weight is the rows."""
        if self.scale != 1:
            self.weight.mul_(self.scale)
            self.scale = 1.0

    def train(self, mode: bool = True) -> Self:
        """As every module's; in evaluation the weight is the rows."""
        if not mode:
            self.flush()
        return super().train(mode)

    def _scaled(self, rows: Tensor) -> Tensor:
        if self.scale == 1:
            return rows
        scaled: Tensor = _Scale.apply(rows, self.scale)  # type: ignore[no-untyped-call]
        return scaled

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.flush()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _save_to_state_dict(self, *arguments: Any) -> None:
        self.flush()
        super()._save_to_state_dict(*arguments)

    def _load_from_state_dict(self, *arguments: Any) -> None:
        self.flush()
        super()._load_from_state_dict(*arguments)


class _Scale(Function):
    """Rows from weights, with the gradient of the rows, not of the weights."""

    @staticmethod
    def forward(_context: Any, weights: Tensor, scale: float) -> Tensor:
        return weights * scale

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None
