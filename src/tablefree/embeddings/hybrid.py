"""Frequent ids have rows of their own; the rest share a table by double hashing.

Zhang et al., "Model Size Reduction Using Frequency Based Double Hashing for Recommender Systems",
2020. Only the frequent ids are stored, so the method needs no vocabulary of the others.
"""

from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.checks import check_positive
from tablefree.embeddings.base import Embedding, table
from tablefree.encodings import HashBuckets
from tablefree.errors import InputError
from tablefree.ids import tensor_ids
from tablefree.registry import first_id, registered
from tablefree.scales import INITIAL_STD


@registered(method="hybrid_hash")
class HybridHash(Embedding):
    """A row of its own for each frequent id, the sum of shared rows for any other.

    Args:
        num_rows: rows of the shared table.
        embedding_dim: width of an embedding.
        frequent_ids: distinct ids, in any order, shape [n]. They are kept, sorted, in the state
            dict, and their bytes count.
        num_hashes: shared rows that another id has.
        seed: picks the hash functions; the name of the feature is a good seed.

    Example:
        >>> hybrid = HybridHash(1000, 32, frequent_ids=torch.tensor([7, 42]), seed="item_id")
        >>> hybrid(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    frequent_ids: Tensor

    def __init__(
        self,
        num_rows: int,
        embedding_dim: int,
        *,
        frequent_ids: Int[Tensor, " n"],
        num_hashes: int = 2,
        seed: int | str,
    ) -> None:
        super().__init__(embedding_dim)
        check_positive(num_rows=num_rows, num_hashes=num_hashes)
        distinct = torch.unique(tensor_ids(frequent_ids))
        if frequent_ids.ndim != 1 or not 0 < len(distinct) == len(frequent_ids):
            raise InputError(
                f"frequent_ids must be a vector of at least one distinct id, got shape "
                f"{tuple(frequent_ids.shape)} with {len(distinct)} distinct ids"
            )
        self.register_buffer("frequent_ids", distinct)
        self.frequent_rows = table(len(distinct), embedding_dim)
        self.buckets = HashBuckets(num_hashes, num_rows, seed=seed)
        self.rows = table(num_rows, embedding_dim, std=INITIAL_STD / num_hashes**0.5)

    @classmethod
    def outline(cls, *, num_frequent_ids: int, **arguments: Any) -> Self:
        """One of the same shape, whose frequent ids come with the state dict."""
        check_positive(num_frequent_ids=num_frequent_ids)
        embedding = cls(frequent_ids=first_id(), **arguments)
        embedding.frequent_ids = torch.zeros(num_frequent_ids, dtype=torch.int64)
        embedding.frequent_rows = table(num_frequent_ids, embedding.embedding_dim)
        return embedding

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up the own row of a frequent id, and the sum of the shared rows of another."""
        ids = tensor_ids(ids)
        position = torch.searchsorted(self.frequent_ids, ids).clamp(max=len(self.frequent_ids) - 1)
        frequent = self.frequent_ids[position] == ids
        own: Tensor = self.frequent_rows(position)
        shared: Tensor = self.rows(self.buckets(ids)).sum(-2)
        return torch.where(frequent.unsqueeze(-1), own, shared)

    def config(self) -> dict[str, object]:
        """The method and its arguments; the frequent ids themselves are in the state dict."""
        return {
            "method": "hybrid_hash",
            "num_frequent_ids": len(self.frequent_ids),
            "num_rows": self.buckets.num_buckets,
            "embedding_dim": self.embedding_dim,
            "num_hashes": self.buckets.num_hashes,
            "seed": self.buckets.seed,
        }

    def output_weights(self) -> list[Tensor]:
        """Both tables'."""
        return [self.frequent_rows.weight, self.rows.weight]

    @property
    def multiply_adds(self) -> int:
        """Those of adding the rows that an infrequent id shares."""
        return (self.buckets.num_hashes - 1) * self.embedding_dim
