"""What a conversion starts from: the rows of a table, their ids, and how much each id counts."""

from typing import NamedTuple, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.errors import InputError
from tablefree.ids import tensor_ids


class Targets(NamedTuple):
    """Rows to represent.

    Attributes:
        rows: float32 [n, width].
        ids: int64 [n], all different.
        weights: float32 [n], of mean 1.
    """

    rows: Float[Tensor, "n width"]
    ids: Int[Tensor, " n"]
    weights: Float[Tensor, " n"]

    @classmethod
    def of(
        cls,
        table: Tensor | nn.Embedding,
        width: int,
        *,
        ids: Tensor | None,
        weights: Tensor | None,
        device: torch.device,
    ) -> Self:
        """Read a table; all tensors are on the given device.

        Raises:
            InputError: a table that is empty, not finite or of another width; ids that are not one
                a row, or not distinct; weights that are not one a row, negative, not finite, or all
                zero.
        """
        rows = _rows(table).detach()
        if rows.ndim != 2 or not rows.is_floating_point() or rows.shape[1] != width:
            raise InputError(
                f"the table must be of floats, with rows of {width} numbers, as the embedding's; "
                f"got {rows.dtype} of shape {tuple(rows.shape)}"
            )
        n = len(rows)
        if not n:
            raise InputError("the table has no rows: nothing to learn from")
        _check_finite("the table", rows)
        ids = torch.arange(n) if ids is None else tensor_ids(ids)
        weights = torch.ones(n) if weights is None else weights.detach()
        for name, given in (("ids", ids), ("weights", weights)):
            if given.shape != (n,):
                raise InputError(f"{name} must have shape ({n},), got {tuple(given.shape)}")
        num_distinct = len(torch.unique(ids))
        if num_distinct < n:
            raise InputError(f"ids must be distinct, got {num_distinct} different ones of {n}")
        _check_finite("weights", weights)
        if (weights < 0).any() or not weights.any():
            raise InputError("weights must be at least 0, and some above 0: got others")
        weights = weights.to(device, torch.float64)
        return cls(
            rows.to(device, torch.float32), ids.to(device), (weights / weights.mean()).float()
        )

    def variance_kept(self, errors: Float[Tensor, "n width"], *, weighted: bool) -> float:
        """One less the errors' squares as a share of the rows' around their mean."""
        rows, errors = self.rows.double(), errors.double()
        weights = self.weights.double() if weighted else torch.ones_like(rows[:, 0])
        mean = weights @ rows / weights.sum()
        lost, variance = ((weights @ part.square()).sum() for part in (errors, rows - mean))
        return float(1 - lost / variance)


def _rows(table: Tensor | nn.Embedding) -> Tensor:
    if isinstance(table, Tensor):
        return table
    if isinstance(table, nn.Embedding):
        with torch.no_grad():
            rows: Tensor = table(torch.arange(table.num_embeddings, device=table.weight.device))
        return rows
    raise InputError(
        f"the table must be a tensor or an nn.Embedding, got {type(table).__name__}: pass its rows"
    )


def _check_finite(name: str, values: Tensor) -> None:
    if not values.isfinite().all():
        raise InputError(f"{name} must be finite, got NaN or infinity")
