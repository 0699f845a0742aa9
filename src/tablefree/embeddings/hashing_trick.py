"""One hash picks one row of a table smaller than the number of ids.

Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009. Ids that share a
bucket share an embedding.
"""

from jaxtyping import Float, Int
from torch import Tensor

from tablefree.checks import check_positive
from tablefree.embeddings.base import Embedding, table
from tablefree.encodings import HashBuckets
from tablefree.registry import registered


@registered(method="hashing_trick")
class HashingTrick(Embedding):
    """The row that the hash of an id picks.

    Args:
        num_rows: rows of the table.
        embedding_dim: width of a row.
        seed: picks the hash function; the name of the feature is a good seed.

    Example:
        >>> HashingTrick(1000, 32, seed="item_id")(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(self, num_rows: int, embedding_dim: int, *, seed: int | str) -> None:
        super().__init__(embedding_dim)
        check_positive(num_rows=num_rows)
        self.buckets = HashBuckets(1, num_rows, seed=seed)
        self.rows = table(num_rows, embedding_dim)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up the row of each id's bucket."""
        embeddings: Tensor = self.rows(self.buckets(ids).squeeze(-1))
        return embeddings

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "hashing_trick",
            "num_rows": self.buckets.num_buckets,
            "embedding_dim": self.embedding_dim,
            "seed": self.buckets.seed,
        }

    @property
    def multiply_adds(self) -> int:
        """None: a lookup."""
        return 0
