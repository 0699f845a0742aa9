"""DeepFM: a factorization machine and a perceptron over the same vectors, added.

Guo et al., "DeepFM: A Factorization-Machine based Neural Network for CTR Prediction", 2017. Every
field, a category or a number, has a weight of its own and a vector: the machine adds the weights
and the dot products of all pairs of vectors, and the perceptron sees the vectors side by side.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.checks import check_memory
from tablefree.embeddings import EmbeddingCollection
from tablefree.errors import InputError
from tablefree.models.field_model import Embeddings, FieldModel, common_width, scorer, stacked
from tablefree.scales import INITIAL_STD


class DeepFM(FieldModel):
    """The score is sum of weights + sum of dot products of pairs + deep(vectors).

    The last number of an embedding is the weight, those before it are the vector. So one collection
    holds both, whatever its method: rows of a table are the paper's two tables side by side, and a
    weight costs a table-free id one number more, not a second structure to hash, claim and pack.

    A dense feature is a field too: it has an embedding, which is multiplied by its value.

    Args:
        embeddings: of the sparse features, all of one width: tables, table-free or both.
        num_dense: number of dense features.
        hidden: widths of the perceptron's hidden layers; its last has one unit.

    Raises:
        InputError: embeddings of different widths or of one number, or a size that is none.

    Example:
        >>> shape = {"method": "deep_hash", "embedding_dim": 8, "num_hashes": 64, "hidden": [32]}
        >>> embeddings = EmbeddingCollection({"user": shape, "item": shape, "city": shape})
        >>> model = DeepFM(embeddings, num_dense=2)
        >>> model(torch.randint(100, (5, 3)), torch.randn(5, 2)).shape
        torch.Size([5])
    """

    sizes = ("hidden",)

    def __init__(
        self,
        embeddings: EmbeddingCollection,
        num_dense: int = 0,
        *,
        hidden: Sequence[int] = (64, 32),
    ) -> None:
        super().__init__(embeddings, num_dense, hidden=hidden)
        embedding_dim = common_width(embeddings)
        if embedding_dim < 2:
            raise InputError(
                "an embedding holds a vector and a weight, and got 1 number: choose a larger "
                "embedding_dim"
            )
        check_memory(num_dense, embedding_dim)
        numbers = torch.empty(num_dense, embedding_dim).normal_(std=INITIAL_STD)
        self.numbers = nn.Parameter(numbers) if num_dense else None
        num_fields = len(embeddings.names) + num_dense
        self.deep = scorer(num_fields * (embedding_dim - 1), *hidden)

    def score(
        self, embeddings: Embeddings, dense: Float[Tensor, "*batch num_dense"] | None
    ) -> Float[Tensor, "*batch"]:
        """The machine's sums and the perceptron's output."""
        fields = stacked(embeddings)
        if self.numbers is not None and dense is not None:
            fields = torch.cat([fields, dense.unsqueeze(-1) * self.numbers], dim=-2)
        vectors, weights = fields[..., :-1], fields[..., -1]
        # All pairs at once: the square of the sum has each twice, and the squares.
        pairs = (vectors.sum(-2).square() - vectors.square().sum(-2)).sum(-1) / 2
        deep: Tensor = self.deep(vectors.flatten(-2))
        return weights.sum(-1) + pairs + deep.squeeze(-1)
