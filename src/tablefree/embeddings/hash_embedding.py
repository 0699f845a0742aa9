"""Several hashes pick rows of a shared pool; learned importance weights sum them.

Svenstrup, Hansen and Winther, "Hash Embeddings for Efficient Word Representations", 2017. One more
hash picks the weights from a table of its own, so that ids with the same rows may still differ.
"""

from jaxtyping import Float, Int
from torch import Tensor

from tablefree.checks import check_positive
from tablefree.embeddings.base import FACTOR_STD, Embedding, table
from tablefree.encodings import HashBuckets
from tablefree.hashing import seed_from
from tablefree.registry import registered
from tablefree.scales import INITIAL_STD


@registered(method="hash_embedding")
class HashEmbedding(Embedding):
    """The weighted sum of the rows that several hashes of an id pick.

    Args:
        num_rows: rows of the shared pool.
        embedding_dim: width of an embedding.
        num_importance_rows: rows of the table of importance weights, `num_hashes` numbers each.
        num_hashes: rows of the pool an id has.
        seed: picks the hash functions; the name of the feature is a good seed.

    Example:
        >>> hashed = HashEmbedding(1000, 32, num_importance_rows=10_000, seed="item_id")
        >>> hashed(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        num_rows: int,
        embedding_dim: int,
        *,
        num_importance_rows: int,
        num_hashes: int = 2,
        seed: int | str,
    ) -> None:
        super().__init__(embedding_dim)
        check_positive(
            num_rows=num_rows, num_importance_rows=num_importance_rows, num_hashes=num_hashes
        )
        self.num_hashes = num_hashes
        self.buckets = HashBuckets(num_hashes, num_rows, seed=seed)
        # A seed of its own: under the same seed both hashes would fall together.
        self.importance_buckets = HashBuckets(
            1, num_importance_rows, seed=f"importance of {seed_from(seed)}"
        )
        self.rows = table(num_rows, embedding_dim, std=INITIAL_STD / num_hashes**0.5)
        self.importance = table(num_importance_rows, num_hashes, mean=1.0, std=FACTOR_STD)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up each id's rows and weights and sum them."""
        rows: Tensor = self.rows(self.buckets(ids))
        weights: Tensor = self.importance(self.importance_buckets(ids).squeeze(-1))
        return (weights.unsqueeze(-1) * rows).sum(-2)

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "hash_embedding",
            "num_rows": self.buckets.num_buckets,
            "num_importance_rows": self.importance_buckets.num_buckets,
            "embedding_dim": self.embedding_dim,
            "num_hashes": self.num_hashes,
            "seed": self.buckets.seed,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of the weighted sum."""
        return self.num_hashes * self.embedding_dim
