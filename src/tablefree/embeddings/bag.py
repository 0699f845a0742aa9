"""Bags of ids: the embeddings of each bag's ids, pooled into one.

The call of `torch.nn.EmbeddingBag` over any embedding. Its kernel pools rows of a table; here the
table is that of the batch's distinct ids, each embedded once.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings.base import Embedding
from tablefree.embeddings.jagged import Bags, checked_pooling, pool
from tablefree.errors import InputError
from tablefree.ids import to_ids


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
        if not isinstance(embedding, Embedding):
            raise InputError(
                f"bags are pooled from a tablefree Embedding, got {type(embedding).__name__}"
            )
        self.mode = checked_pooling(mode)
        self.embedding = embedding
        self.embedding_dim = embedding.embedding_dim
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
        bags.check_mode(self.mode)
        if self.padding_idx is not None:
            bags = bags.without(self.padding_idx)
        if torch.compiler.is_compiling():  # no graph has two sizes that depend on values
            distinct, places = bags.ids, torch.arange(bags.ids.shape[0], device=bags.ids.device)
        else:
            distinct, places = torch.unique(bags.ids, return_inverse=True)
        return pool(self.embedding(distinct), places, [bags], self.mode)

    def _bags(self, ids: Tensor, offsets: Tensor | None, weights: Tensor | None) -> Bags:
        if offsets is None:
            return Bags.from_rows(ids, weights)
        if isinstance(ids, Tensor) and ids.ndim != 1:
            raise InputError(
                f"ids of {ids.ndim} dimensions have a bag a row and take no offsets, got both: "
                "pass no offsets, or ids of one dimension"
            )
        if self.include_last_offset:
            return Bags(ids, offsets, weights)
        return Bags.from_starts(ids, offsets, weights)

    def extra_repr(self) -> str:
        """The options, shown when the module is printed."""
        names = ("mode", "padding_idx", "include_last_offset")
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
