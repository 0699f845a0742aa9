"""One narrow row an id and a shared linear map up to the embedding's width.

A full table of low rank: n rows of r numbers and an r x d matrix. It needs a vocabulary, ids
numbered 0..n-1, and one more row, the last, for ids outside it.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.checks import check_positive
from tablefree.embeddings.base import Embedding, check_positions, table
from tablefree.registry import registered


@registered(method="narrow_table")
class NarrowTable(Embedding):
    """A row of `rank` numbers for each of `num_embeddings` ids, projected to `embedding_dim`.

    Args:
        num_embeddings: number of ids in the vocabulary, n. Row n is for unknown ids; it starts at
            zero.
        embedding_dim: width of an embedding.
        rank: width of a row.

    Example:
        >>> NarrowTable(1000, 32, rank=4)(torch.tensor([0, 999, 1000])).shape
        torch.Size([3, 32])
    """

    needs_vocabulary = True

    def __init__(self, num_embeddings: int, embedding_dim: int, rank: int) -> None:
        super().__init__(embedding_dim)
        check_positive(num_embeddings=num_embeddings, rank=rank)
        self.num_embeddings = num_embeddings
        # Rows start as any table's do; the projection keeps their scale.
        self.rows = table(num_embeddings + 1, rank)
        nn.init.zeros_(self.rows.weight[-1])
        self.projection = nn.Linear(rank, embedding_dim, bias=False)
        nn.init.normal_(self.projection.weight, std=rank**-0.5)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up the row of each id and project it.

        Raises:
            InputError: ids that are no integers or outside 0..num_embeddings.
        """
        embeddings: Tensor = self.projection(self.rows(check_positions(ids, self.num_embeddings)))
        return embeddings

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "narrow_table",
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
            "rank": self.projection.in_features,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of the projection."""
        return self.projection.weight.numel()
