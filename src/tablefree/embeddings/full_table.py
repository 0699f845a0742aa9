"""One learned row an id: what every other method is compared with.

It needs a vocabulary, ids numbered 0..n-1, and one more row, the last, for ids outside it.
"""

from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.checks import check_positive
from tablefree.embeddings.base import Embedding, check_positions, table
from tablefree.registry import registered


@registered(method="full_table")
class FullTable(Embedding):
    """A row of `embedding_dim` numbers for each of `num_embeddings` ids.

    Args:
        num_embeddings: number of ids in the vocabulary, n. Row n is for unknown ids; it starts at
            zero.
        embedding_dim: width of a row.

    Example:
        >>> FullTable(1000, 32)(torch.tensor([0, 999, 1000])).shape
        torch.Size([3, 32])
    """

    needs_vocabulary = True

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__(embedding_dim)
        check_positive(num_embeddings=num_embeddings)
        self.num_embeddings = num_embeddings
        self.rows = table(num_embeddings + 1, embedding_dim)
        nn.init.zeros_(self.rows.weight[-1])

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up the row of each id.

        Raises:
            InputError: ids that are no integers or outside 0..num_embeddings.
        """
        embeddings: Tensor = self.rows(check_positions(ids, self.num_embeddings))
        return embeddings

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "full_table",
            "num_embeddings": self.num_embeddings,
            "embedding_dim": self.embedding_dim,
        }

    @property
    def multiply_adds(self) -> int:
        """None: a lookup."""
        return 0
