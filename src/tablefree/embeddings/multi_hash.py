"""Several hashes pick several rows, added or concatenated.

Also known as Bloom embeddings (Serra and Karatzoglou, "Getting Deep Recommenders Fit", 2017). Two
ids share an embedding only when all their hashes agree.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.checks import check_choice, check_positive
from tablefree.embeddings.base import Embedding, table
from tablefree.encodings import HashBuckets
from tablefree.errors import InputError
from tablefree.registry import registered
from tablefree.scales import INITIAL_STD


@registered(method="multi_hash")
class MultiHash(Embedding):
    """The rows that several hashes of an id pick.

    Args:
        num_rows: rows of each table.
        embedding_dim: width of an embedding.
        num_hashes: rows an id has.
        shared: whether all hashes pick from one table; otherwise each has its own.
        combine: "add" rows of `embedding_dim` numbers, or "concat" rows of
            `embedding_dim / num_hashes` numbers.
        seed: picks the hash functions; the name of the feature is a good seed.

    Example:
        >>> MultiHash(1000, 32, seed="item_id")(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        num_rows: int,
        embedding_dim: int,
        *,
        num_hashes: int = 2,
        shared: bool = False,
        combine: str = "add",
        seed: int | str,
    ) -> None:
        super().__init__(embedding_dim)
        check_positive(num_rows=num_rows, num_hashes=num_hashes)
        check_choice("combine", combine, ("add", "concat"))
        if combine == "concat" and embedding_dim % num_hashes:
            raise InputError(
                f"embedding_dim must be a multiple of num_hashes to concatenate rows, "
                f"got {embedding_dim} and {num_hashes}"
            )
        self.num_rows, self.num_hashes = num_rows, num_hashes
        self.shared, self.combine = shared, combine
        self.buckets = HashBuckets(num_hashes, num_rows, seed=seed)
        width, std = embedding_dim // num_hashes, INITIAL_STD
        if combine == "add":
            width, std = embedding_dim, INITIAL_STD / num_hashes**0.5
        # Separate tables lie one under the other.
        self.rows = table(num_rows if shared else num_hashes * num_rows, width, std=std)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up the rows of each id's buckets and combine them."""
        picked = self.buckets(ids)
        if not self.shared:
            picked = picked + self.num_rows * torch.arange(self.num_hashes, device=picked.device)
        rows: Tensor = self.rows(picked)
        return rows.sum(-2) if self.combine == "add" else rows.flatten(-2)

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "multi_hash",
            "num_rows": self.num_rows,
            "embedding_dim": self.embedding_dim,
            "num_hashes": self.num_hashes,
            "shared": self.shared,
            "combine": self.combine,
            "seed": self.buckets.seed,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of adding the rows."""
        return (self.num_hashes - 1) * self.embedding_dim if self.combine == "add" else 0
