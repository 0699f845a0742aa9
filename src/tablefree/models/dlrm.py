"""DLRM: dot products of all pairs of features' vectors, between two perceptrons.

Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation Systems",
2019. Categories and numbers meet as vectors of one width, and their dot products, not their
coordinates, are what the upper perceptron sees.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from tablefree.embeddings import EmbeddingCollection
from tablefree.errors import InputError
from tablefree.models.field_model import (
    Embeddings,
    FieldModel,
    common_width,
    perceptron,
    scorer,
    stacked,
)


class DLRM(FieldModel):
    """The score is top(dense vector, dot products of all pairs of vectors).

    The vectors are the embeddings of the features and, with dense features, the output of the
    bottom perceptron for these.

    Args:
        embeddings: of the sparse features, all of one width: tables, table-free or both.
        num_dense: number of dense features; with none there is no bottom perceptron.
        bottom: widths of the bottom perceptron's hidden layers; its last has the embeddings' width.
        top: widths of the top perceptron's hidden layers; its last has one unit.

    Raises:
        InputError: embeddings of different widths, less than two vectors, or a size that is none.

    Example:
        >>> shape = {"method": "deep_hash", "embedding_dim": 8, "num_hashes": 64, "hidden": [32]}
        >>> embeddings = EmbeddingCollection({"user": shape, "item": shape, "city": shape})
        >>> model = DLRM(embeddings, num_dense=2)
        >>> model(torch.randint(100, (5, 3)), torch.randn(5, 2)).shape
        torch.Size([5])
    """

    sizes = ("bottom", "top")

    def __init__(
        self,
        embeddings: EmbeddingCollection,
        num_dense: int = 0,
        *,
        bottom: Sequence[int] = (64,),
        top: Sequence[int] = (64, 32),
    ) -> None:
        super().__init__(embeddings, num_dense, bottom=bottom, top=top)
        embedding_dim = common_width(embeddings)
        num_vectors = len(embeddings.names) + (num_dense > 0)
        if num_vectors < 2:
            raise InputError("a dot product needs two vectors, got one feature: add another")
        self.bottom = perceptron(num_dense, *bottom, embedding_dim) if num_dense else None
        num_pairs = num_vectors * (num_vectors - 1) // 2
        self.top = scorer(num_pairs + (embedding_dim if num_dense else 0), *top)

    def score(
        self, embeddings: Embeddings, dense: Float[Tensor, "*batch num_dense"] | None
    ) -> Float[Tensor, "*batch"]:
        """The top's output."""
        vectors = stacked(embeddings)
        if self.bottom is None:
            interactions = _dot_products(vectors)
        else:
            vector = self.bottom(dense)
            vectors = torch.cat([vector.unsqueeze(-2), vectors], dim=-2)
            interactions = torch.cat([vector, _dot_products(vectors)], dim=-1)
        score: Tensor = self.top(interactions)
        return score.squeeze(-1)


def _dot_products(
    vectors: Float[Tensor, "*batch vectors dim"],
) -> Float[Tensor, "*batch pairs"]:
    """Dot products of all pairs of different vectors."""
    products = vectors @ vectors.mT
    count = products.shape[-1]
    first, second = torch.triu_indices(count, count, offset=1, device=vectors.device)
    # One index: its gradient takes half the time of that of two.
    return products.flatten(-2).index_select(-1, first * count + second)
