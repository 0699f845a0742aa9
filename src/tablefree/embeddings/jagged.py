"""Bags of ids, one after the other, and the pooling of rows by bag.

Offsets say where each bag starts, as in the compressed rows of a sparse matrix, so that bags of any
sizes take no padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.errors import InputError
from tablefree.ids import tensor_ids

POOLINGS = ("sum", "mean", "max")


@dataclass
class Bags:
    """Ids of many bags, one bag after the other.

    Args:
        ids: of all bags [n], of any integer dtype; held as int64.
        offsets: where each bag starts in `ids`, and n at the end [bags + 1]; int32 or int64.
        weights: of each id in a sum [n].

    Raises:
        InputError: ids that are no integers, offsets that do not divide them, or weights that are
            no floats or not as many.

    Example:
        >>> len(Bags(torch.tensor([7, 8, 9]), torch.tensor([0, 2, 2, 3])))
        3
    """

    ids: Int[Tensor, " n"]
    offsets: Int[Tensor, " bags_plus_one"]
    weights: Float[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        self.ids = tensor_ids(self.ids)
        if self.ids.ndim != 1:
            raise InputError(f"ids of bags must be of one dimension, got {_shape(self.ids)}")
        _check_offsets(self.offsets, self.ids.shape[0])
        if self.weights is not None:
            _check_weights(self.weights, self.ids)

    @classmethod
    def from_starts(cls, ids: Tensor, starts: Tensor, weights: Tensor | None = None) -> Self:
        """Bags from the offsets where they start, without that of the end.

        Raises:
            InputError: as the constructor does.
        """
        _check_offsets_type(starts)
        num_ids = ids.shape[0] if ids.ndim else 0  # what is no vector is refused below
        if starts.numel() or not num_ids:  # ids without a bag are refused below
            starts = torch.cat([starts, starts.new_full((1,), num_ids)])
        return cls(ids, starts, weights)

    @classmethod
    def from_rows(cls, ids: Tensor, weights: Tensor | None = None) -> Self:
        """Bags from ids with a bag a row.

        Args:
            ids: [bags, size], or a nested tensor of jagged layout [bags, jagged].
            weights: of each id, likewise.

        Raises:
            InputError: as the constructor does, or ids or weights of another shape or layout.
        """
        if isinstance(ids, Tensor) and ids.is_nested:
            values, offsets = _jagged("ids", ids)
            if weights is not None:
                weights, its_offsets = _jagged("weights", weights)
                if not torch.equal(offsets, its_offsets):
                    raise InputError(
                        f"weights must be of the jagged sizes of ids, {offsets.diff().tolist()}; "
                        f"got {its_offsets.diff().tolist()}"
                    )
            return cls(values, offsets, weights)
        ids = tensor_ids(ids)
        if ids.ndim != 2:
            raise InputError(
                "ids without offsets must have a bag a row, [bags, size], jagged or not; got "
                f"{_shape(ids)}"
            )
        if weights is not None:
            _check_weights(weights, ids)
            weights = weights.reshape(-1)
        num_bags, size = ids.shape
        offsets = torch.arange(num_bags + 1, device=ids.device) * size
        return cls(ids.reshape(-1), offsets, weights)

    def __len__(self) -> int:
        """The number of bags."""
        return self.num_bags

    @property
    def num_bags(self) -> int:
        """The same, for graphs, in which `len` would be one number."""
        return self.offsets.shape[0] - 1

    def check_mode(self, mode: str | None) -> None:
        """Raise an InputError when they have weights that a pooling does not take."""
        if self.weights is not None and mode != "sum":
            raise InputError(
                f"weights are for the mode 'sum', this is {mode!r}: pass none, or pool by a "
                "weighted sum"
            )

    def to(self, device: torch.device) -> Self:
        """The same bags on another device."""
        weights = None if self.weights is None else self.weights.to(device)
        return type(self)(self.ids.to(device), self.offsets.to(device), weights)

    def at(self, places: Int[Tensor, " m"]) -> Self:
        """Some of the bags, in this order."""
        sizes = self.offsets.diff()[places]
        offsets = F.pad(sizes.cumsum(0), (1, 0))
        shifts = (self.offsets[places] - offsets[:-1]).repeat_interleave(sizes)
        picked = torch.arange(int(offsets[-1]), device=offsets.device) + shifts
        weights = None if self.weights is None else self.weights[picked]
        return type(self)(self.ids[picked], offsets, weights)

    def without(self, absent: int) -> Self:
        """The same bags without one id."""
        is_present = self.ids != absent
        weights = None if self.weights is None else self.weights[is_present]
        offsets = F.pad(is_present.cumsum(0), (1, 0))[self.offsets]
        return type(self)(self.ids[is_present], offsets, weights)


def pool(
    rows: Float[Tensor, "distinct embedding_dim"],
    places: Int[Tensor, " n"],
    features: Sequence[Bags],
    mode: str,
) -> Float[Tensor, "bags embedding_dim"]:
    """Pool the rows of each bag of one or several features, one feature after the other.

    Args:
        rows: embeddings of distinct ids.
        places: the row of each id of the bags.
        features: offsets and weights of their bags; weights for "sum" alone.
        mode: one of `POOLINGS`.
    """
    starts = torch.cat([bags.offsets[:-1] for bags in features])
    if len(features) > 1:
        device = places.device
        sizes = torch.tensor([bags.ids.shape[0] for bags in features], device=device)
        num_bags = torch.tensor([bags.num_bags for bags in features], device=device)
        starts = starts + (sizes.cumsum(0) - sizes).repeat_interleave(num_bags)
    weights = None
    if any(bags.weights is not None for bags in features):
        weights = torch.cat([_weights(bags, rows.dtype) for bags in features])
    return F.embedding_bag(places, rows, starts, mode=mode, per_sample_weights=weights)


def checked_pooling(mode: object) -> str:
    """The mode, or an InputError when it is none of `POOLINGS`."""
    if isinstance(mode, str) and mode in POOLINGS:
        return mode
    raise InputError(f"bags are pooled by {', '.join(POOLINGS)}, got {mode!r}")


def _weights(bags: Bags, dtype: torch.dtype) -> Float[Tensor, " n"]:
    if bags.weights is None:
        return torch.ones(bags.ids.shape[0], dtype=dtype, device=bags.ids.device)
    return bags.weights.to(dtype)


def _jagged(name: str, tensor: Tensor) -> tuple[Tensor, Tensor]:
    """The values of a nested tensor of jagged layout, without holes, and its offsets."""
    if not isinstance(tensor, Tensor) or tensor.layout != torch.jagged or tensor.ndim != 2:
        raise InputError(
            f"{name} must be a nested tensor [bags, jagged] with layout=torch.jagged, as ids are; "
            f"got {_shape(tensor)}"
        )
    packed: Any = tensor.contiguous()  # one with lengths has holes between its bags
    return packed.values(), packed.offsets()


def _check_offsets_type(offsets: Tensor) -> None:
    is_tensor = isinstance(offsets, Tensor)
    if not is_tensor or offsets.ndim != 1 or offsets.dtype not in (torch.int32, torch.int64):
        raise InputError(
            "offsets must be a tensor of one dimension, int32 or int64, where each bag starts; got "
            f"{_shape(offsets)}"
        )


def _check_offsets(offsets: Tensor, num_ids: int) -> None:
    _check_offsets_type(offsets)
    if torch.compiler.is_compiling():
        return
    if not len(offsets) or offsets[0] != 0:
        got = int(offsets[0]) if len(offsets) else "none"
        raise InputError(
            f"offsets must begin with 0, where the first of the bags of {num_ids} ids starts; got "
            f"{got}"
        )
    is_wrong = offsets > num_ids
    if is_wrong.any():
        position = int(is_wrong.nonzero()[0])
        raise InputError(
            f"offsets must not exceed the number of ids, {num_ids}; got {int(offsets[position])} "
            f"at position {position}"
        )
    is_wrong = offsets.diff() < 0
    if is_wrong.any():
        position = int(is_wrong.nonzero()[0]) + 1
        raise InputError(
            f"offsets must not decrease; got {int(offsets[position])} after "
            f"{int(offsets[position - 1])} at position {position}"
        )
    if offsets[-1] != num_ids:
        raise InputError(
            f"the last offset must be the number of ids, {num_ids}; got {int(offsets[-1])}: where "
            "offsets are the starts of bags alone, set include_last_offset=False"
        )


def _check_weights(weights: Tensor, ids: Tensor) -> None:
    is_float = isinstance(weights, Tensor) and weights.is_floating_point()
    if not is_float or weights.shape != ids.shape:
        raise InputError(
            f"weights must be floats of the shape of ids, {tuple(ids.shape)}; got {_shape(weights)}"
        )


def _shape(value: object) -> str:
    """What was got in the place of a tensor of another shape or dtype."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_nested and value.layout != torch.jagged:
        return f"a nested tensor of layout {value.layout}"
    return f"shape {tuple(value.shape)} of {value.dtype}"
