"""A multi-layer perceptron over the concatenated embeddings of user and item.

He et al., "Neural Collaborative Filtering", 2017, section 3.3: a tower that halves its width from
layer to layer, with ReLU.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.embeddings import Embedding
from tablefree.errors import InputError
from tablefree.models.recommender import Recommender

NUM_LAYERS = 3


class MLP(Recommender, name="mlp"):
    """The score is a tower's output for user and item side by side.

    Its hidden layers have the width of one embedding, a half and a quarter of it.

    Args:
        users: embedding of the users.
        items: embedding of the items, of the same width.

    Raises:
        InputError: embeddings too narrow to be halved twice.

    Example:
        >>> from tablefree.embeddings import HashingTrick
        >>> model = MLP(HashingTrick(100, 8, seed="user_id"), HashingTrick(100, 8, seed="item_id"))
        >>> model(torch.tensor([1, 2]), torch.tensor([3, 4])).shape
        torch.Size([2])
    """

    def __init__(self, users: Embedding, items: Embedding) -> None:
        super().__init__(users, items)
        width = users.embedding_dim
        if width < 2 ** (NUM_LAYERS - 1):
            raise InputError(
                f"the MLP halves its width twice and needs an embedding_dim of at least "
                f"{2 ** (NUM_LAYERS - 1)}, got {width}"
            )
        widths = [2 * width, *(width >> layer for layer in range(NUM_LAYERS))]
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(widths):
            layers += [nn.Linear(width_in, width_out), nn.ReLU()]
        self.tower = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def score(
        self,
        users: Float[Tensor, "*batch embedding_dim"],
        items: Float[Tensor, "*batch embedding_dim"],
    ) -> Float[Tensor, "*batch"]:
        """The tower's output."""
        score: Tensor = self.tower(torch.cat([users, items], dim=-1))
        return score.squeeze(-1)
