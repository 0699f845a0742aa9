"""Bags of ids: the embeddings of each bag's ids, pooled into one.

The call of `torch.nn.EmbeddingBag` over any embedding. Its kernel pools rows of a table; here the
table is that of the batch's distinct ids, each embedded once.
"""

from dataclasses import dataclass
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings.base import Embedding
from tablefree.errors import InputError
from tablefree.ids import tensor_ids, to_ids

POOLINGS = ("sum", "mean", "max")


class EmbeddingBag(nn.Module):
    """Pool the embeddings of each bag of ids: a drop-in for a call of `nn.EmbeddingBag`.

    It differs in that `mode` is "sum" unless told otherwise, that a negative `padding_idx` is that
    very id, and that offsets which torch would read as other bags than were meant are refused.
    Batch norm of the embedding averages over the distinct ids of a batch.

    Args:
        embedding: of the ids; a submodule.
        mode: "sum", "mean" or "max".
        padding_idx: an id that counts as absent; as `to_ids` takes it, so a string will do.
        include_last_offset: whether offsets end with the number of ids.

    Raises:
        InputError: an embedding that needs more than ids, another mode, or a padding that is no id.

    Example:
        >>> tags = EmbeddingBag(HashingTrick(100, 8, seed="tag"), mode="mean", padding_idx=-1)
        >>> tags(torch.tensor([[7, 8, -1], [9, -1, -1]])).shape
        torch.Size([2, 8])
        >>> tags(torch.tensor([7, 8, 9]), offsets=torch.tensor([0, 2, 2])).shape  # one is empty
        torch.Size([3, 8])
    """

    def __init__(
        self,
        embedding: Embedding,
        *,
        mode: str = "sum",
        padding_idx: int | str | None = None,
        include_last_offset: bool = False,
    ) -> None:
        super().__init__()
        has_side_features = bool(getattr(embedding, "side_features", 0))
        if not isinstance(embedding, Embedding) or has_side_features:
            raise InputError(
                "bags are pooled from a tablefree Embedding without side features, got "
                f"{type(embedding).__name__}"
            )
        check_pooling(mode)
        self.embedding = embedding
        self.embedding_dim = embedding.embedding_dim
        self.mode = mode
        self.padding_idx = None if padding_idx is None else int(to_ids(padding_idx))
        self.include_last_offset = include_last_offset

    def forward(
        self,
        ids: Int[Tensor, "bags size"] | Int[Tensor, " n"],
        offsets: Int[Tensor, " bags"] | None = None,
        per_sample_weights: Float[Tensor, "bags size"] | Float[Tensor, " n"] | None = None,
    ) -> Float[Tensor, "bags embedding_dim"]:
        """Embed the distinct ids and pool them by bag; an empty bag is zeros.

        Args:
            ids: a bag a row; a nested tensor of jagged layout [bags, jagged]; or the ids of all
                bags, one bag after the other.
            offsets: where each bag starts in `ids` of one dimension, int32 or int64.
            per_sample_weights: of each id in a sum; of the shape, or the jagged sizes, of `ids`.
                They are cast to the dtype of the embeddings.

        Raises:
            InputError: ids that are no integers or of another shape; offsets that do not divide
                them; weights of another shape, or for "mean" or "max".
        """
        bags = self._bags(ids, offsets, per_sample_weights)
        if bags.weights is not None and self.mode != "sum":
            raise InputError(
                f"per_sample_weights are for the mode 'sum', this is {self.mode!r}: pass none, or "
                "pool by a weighted sum"
            )
        if self.padding_idx is not None:
            bags = bags.without(self.padding_idx)
        distinct, places = torch.unique(bags.ids, return_inverse=True)
        return pool(self.embedding(distinct), places, bags, self.mode)

    def _bags(self, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> "Bags":
        if not isinstance(ids, Tensor) or ids.ndim != 1:
            if offsets is not None:
                raise InputError(
                    f"ids with a bag a row take no offsets, got both, and ids of {_shape(ids)}: "
                    "pass no offsets, or ids of one dimension"
                )
            return Bags.from_rows(ids, weights)
        if offsets is None:
            raise InputError(
                "ids of one dimension need offsets, where each bag starts, got None: pass them, or "
                "ids of two dimensions, a bag a row"
            )
        if not self.include_last_offset:
            _check_offsets_type(offsets)
            if len(offsets) or not len(ids):  # without offsets, ids would be in no bag
                offsets = F.pad(offsets, (0, 1), value=len(ids))
        return Bags(ids, offsets, weights)

    def extra_repr(self) -> str:
        """The options, shown when the module is printed."""
        names = ("mode", "padding_idx", "include_last_offset")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)


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
        _check_offsets(self.offsets, len(self.ids))
        if self.weights is not None:
            _check_weights(self.weights, self.ids)

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
                f"bags are ids of shape [bags, size], jagged or not; got {_shape(ids)}"
            )
        if weights is not None:
            _check_weights(weights, ids)
            weights = weights.reshape(-1)
        num_bags, size = ids.shape
        offsets = torch.arange(num_bags + 1, device=ids.device) * size
        return cls(ids.reshape(-1), offsets, weights)

    def __len__(self) -> int:
        """The number of bags."""
        return len(self.offsets) - 1

    def without(self, absent: int) -> Self:
        """The same bags without one id."""
        is_present = self.ids != absent
        weights = None if self.weights is None else self.weights[is_present]
        offsets = F.pad(is_present.cumsum(0), (1, 0))[self.offsets]
        return type(self)(self.ids[is_present], offsets, weights)


def pool(
    rows: Float[Tensor, "distinct embedding_dim"],
    places: Int[Tensor, " n"],
    bags: Bags,
    mode: str,
) -> Float[Tensor, "bags embedding_dim"]:
    """Pool rows by bag.

    Args:
        rows: embeddings of distinct ids.
        places: the row of each id of the bags.
        bags: their offsets and weights; weights for "sum" alone.
        mode: one of `POOLINGS`.
    """
    weights = None if bags.weights is None else bags.weights.to(rows.dtype)
    return F.embedding_bag(
        places, rows, bags.offsets, mode=mode, per_sample_weights=weights, include_last_offset=True
    )


def check_pooling(mode: object) -> None:
    """Raise an InputError for what is no pooling."""
    if mode not in POOLINGS:
        raise InputError(f"bags are pooled by {', '.join(POOLINGS)}, got {mode!r}")


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
