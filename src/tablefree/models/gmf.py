"""Generalised matrix factorisation: a weighted inner product of user and item.

He et al., "Neural Collaborative Filtering", 2017, section 3.2.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.embeddings import Embedding
from tablefree.models.recommender import Recommender


class GMF(Recommender, name="gmf"):
    """The score is w · (user * item) + b, with learned w and b.

    Args:
        users: embedding of the users.
        items: embedding of the items, of the same width.

    Example:
        >>> from tablefree.embeddings import HashingTrick
        >>> model = GMF(HashingTrick(100, 8, seed="user_id"), HashingTrick(100, 8, seed="item_id"))
        >>> model(torch.tensor([1, 2]), torch.tensor([3, 4])).shape
        torch.Size([2])
    """

    def __init__(self, users: Embedding, items: Embedding) -> None:
        super().__init__(users, items)
        # Plain matrix factorisation at the start.
        self.weight = nn.Parameter(torch.ones(users.embedding_dim))
        self.bias = nn.Parameter(torch.zeros(()))

    def score(
        self,
        users: Float[Tensor, "*batch embedding_dim"],
        items: Float[Tensor, "*batch embedding_dim"],
    ) -> Float[Tensor, "*batch"]:
        """Weighted inner products."""
        return (users * items * self.weight).sum(-1) + self.bias
