"""What stands in the place of a table: an embedding with the call and the attributes of torch's.

It keeps what the table's users rely on (ids of any shape in, rows of the module's dtype out, a
padding of zeros) and has no `weight`, for there is no table.
"""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings import Embedding, EmbeddingBag
from tablefree.errors import InputError


class MissingTableError(InputError, AttributeError):
    """The weight of a table that was replaced; for `hasattr`, an attribute that is not there."""


class Converted(nn.Module):
    """Base of what replaces a table.

    Attributes:
        embedding: what computes the rows.
        num_embeddings: rows of the table that was replaced, which `materialize` computes again.
    """

    embedding: Embedding
    num_embeddings: int
    padding_idx: int | None

    def __getattr__(self, name: str) -> Any:
        if name == "weight":
            raise MissingTableError(
                "a converted table has no weight: call the module with ids for their rows, or "
                "tablefree.materialize(module).weight for all of them"
            )
        return super().__getattr__(name)

    def extra_repr(self) -> str:
        """The size of the table, shown when the module is printed."""
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding.embedding_dim}{padding}"

    def _in_own_dtype(self, rows: Tensor) -> Tensor:
        """As a lookup has it under autocast too, which gives products its own dtype."""
        return rows.to(next(self.parameters()).dtype)


class ConvertedEmbedding(Converted):
    """An embedding in the place of an `nn.Embedding`.

    Ids beyond the table that was replaced are embedded too, unless the method needs a vocabulary.

    Args:
        embedding: of the ids.
        num_embeddings: rows of the table that was replaced.
        padding_idx: an id whose row is zeros and has no gradient.

    Example:
        >>> from tablefree import HashingTrick, to_ids
        >>> embedding = ConvertedEmbedding(HashingTrick(100, 2, seed="tag"), 1000, padding_idx=7)
        >>> embedding(to_ids([7])).tolist()
        [[0.0, 0.0]]
    """

    def __init__(
        self, embedding: Embedding, num_embeddings: int, padding_idx: int | None = None
    ) -> None:
        super().__init__()
        self.embedding, self.embedding_dim = embedding, embedding.embedding_dim
        self.num_embeddings, self.padding_idx = num_embeddings, padding_idx

    def forward(self, input: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Embed ids of any shape, in the dtype of the module.

        Raises:
            InputError: ids that are no integers.
        """
        rows = self._in_own_dtype(self.embedding(input))
        if self.padding_idx is None:
            return rows
        return rows.masked_fill((input == self.padding_idx).unsqueeze(-1), 0.0)


class ConvertedEmbeddingBag(Converted, EmbeddingBag):
    """An embedding in the place of an `nn.EmbeddingBag`; the options are those of `EmbeddingBag`.

    Args:
        embedding: of the ids.
        num_embeddings: rows of the table that was replaced.
        options: of `EmbeddingBag`.
    """

    def __init__(self, embedding: Embedding, num_embeddings: int, **options: Any) -> None:
        super().__init__(embedding, **options)
        self.num_embeddings = num_embeddings

    def forward(
        self,
        input: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Float[Tensor, "bags embedding_dim"]:
        """Embed and pool, in the dtype of the module; see `EmbeddingBag.forward`."""
        return self._in_own_dtype(super().forward(input, offsets, per_sample_weights))

    def extra_repr(self) -> str:
        """The size of the table and the options, shown when the module is printed."""
        return f"{super().extra_repr()}, mode={self.mode!r}"


def replace_modules(model: nn.Module, replacements: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Put modules, in place, where others are, under each of their names; returns the model.

    Where the model itself is replaced, the replacement is returned.
    """
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in replacements:
                setattr(parent, name, replacements[child])
    return replacements.get(model, model)
