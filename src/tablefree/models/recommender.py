"""What every recommender is: a score for a pair of a user's and an item's embedding."""

from abc import ABC, abstractmethod

from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings import Embedding
from tablefree.errors import InputError


class Recommender(nn.Module, ABC):
    """Base of the recommenders over two embeddings of equal width.

    Args:
        users: embedding of the users.
        items: embedding of the items, of any method.

    Raises:
        InputError: embeddings of different widths.
    """

    def __init__(self, users: Embedding, items: Embedding) -> None:
        super().__init__()
        if users.embedding_dim != items.embedding_dim:
            raise InputError(
                f"users and items need embeddings of one width, got {users.embedding_dim} and "
                f"{items.embedding_dim}: choose one embedding_dim"
            )
        self.users = users
        self.items = items

    @abstractmethod
    def score(
        self,
        users: Float[Tensor, "*batch embedding_dim"],
        items: Float[Tensor, "*batch embedding_dim"],
    ) -> Float[Tensor, "*batch"]:
        """Logits of pairs of embeddings."""

    def forward(
        self, users: Int[Tensor, "*batch"], items: Int[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch"]:
        """Logits of pairs of ids (positions, where an embedding needs a vocabulary)."""
        return self.score(self.users(users), self.items(items))
