"""DLRM: dot products of all pairs of features' vectors, between two perceptrons.

Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation Systems",
2019. Categories and numbers meet as vectors of one width, and their dot products, not their
coordinates, are what the upper perceptron sees.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.embeddings import EmbeddingCollection
from tablefree.errors import InputError
from tablefree.pretrained import Pretrained


class DLRM(Pretrained):
    """The score is top(dense vector, dot products of all pairs of vectors).

    The vectors are the embeddings of the features and, with dense features, the output of the
    bottom perceptron for these.

    Args:
        embeddings: of the sparse features, all of one width: tables, table-free or both.
        num_dense: number of dense features; with none there is no bottom perceptron.
        bottom: widths of the bottom perceptron's hidden layers; its last has the embeddings' width.
        top: widths of the top perceptron's hidden layers; its last has one unit.

    Raises:
        InputError: embeddings of different widths, or less than two vectors.

    Example:
        >>> shape = {"method": "deep_hash", "embedding_dim": 8, "num_hashes": 64, "hidden": [32]}
        >>> embeddings = EmbeddingCollection({"user": shape, "item": shape, "city": shape})
        >>> model = DLRM(embeddings, num_dense=2)
        >>> model(torch.randint(100, (5, 3)), torch.randn(5, 2)).shape
        torch.Size([5])
    """

    def __init__(
        self,
        embeddings: EmbeddingCollection,
        num_dense: int = 0,
        *,
        bottom: Sequence[int] = (64,),
        top: Sequence[int] = (64, 32),
    ) -> None:
        super().__init__()
        if not isinstance(embeddings, EmbeddingCollection):
            kind = type(embeddings).__name__
            raise InputError(f"embeddings must be an EmbeddingCollection, got {kind}")
        configs = embeddings.config().values()
        embedding_dim, *others = {
            cast(int, one["embedding_dim"]) for one in configs if "embedding_dim" in one
        }
        if others:
            widths = ", ".join(map(str, sorted([embedding_dim, *others])))
            raise InputError(
                f"dot products need embeddings of one width, got {widths}: choose one embedding_dim"
            )
        num_vectors = len(embeddings.names) + (num_dense > 0)
        if num_vectors < 2:
            raise InputError("a dot product needs two vectors, got one feature: add another")
        self.embeddings = embeddings
        self.num_dense, self.widths = num_dense, (tuple(bottom), tuple(top))
        self.bottom = _perceptron(num_dense, *bottom, embedding_dim) if num_dense else None
        num_pairs = num_vectors * (num_vectors - 1) // 2
        width_in = num_pairs + (embedding_dim if num_dense else 0)
        self.top = nn.Sequential(_perceptron(width_in, *top), nn.Linear([width_in, *top][-1], 1))

    def forward(
        self, ids: Any, dense: Float[Tensor, "*batch num_dense"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Logits.

        Args:
            ids: what the `EmbeddingCollection` takes: a tensor [*batch, fields], ids by the names
                of the features, or a table with a column for each.
            dense: numbers of a scale of about one, if the model has dense features.

        Raises:
            InputError: dense features for a model without them, or none or another number of them.
        """
        embeddings = self.embeddings(ids)
        if not isinstance(embeddings, Tensor):
            embeddings = torch.stack(list(embeddings.values()), dim=-2)
        if (0 if dense is None else dense.shape[-1]) != self.num_dense:
            got = "none" if dense is None else f"shape {tuple(dense.shape)}"
            raise InputError(f"this model takes {self.num_dense} dense features, got {got}")
        if self.bottom is None:
            return self._score(_dot_products(embeddings))
        vector = self.bottom(dense)
        vectors = torch.cat([vector.unsqueeze(-2), embeddings], dim=-2)
        return self._score(torch.cat([vector, _dot_products(vectors)], dim=-1))

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the model."""
        bottom, top = self.widths
        of_model = {"num_dense": self.num_dense, "bottom": bottom, "top": top}
        return self.embeddings.saved_config() | of_model

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> "DLRM":
        """A model of the same shape and hash functions."""
        embeddings = EmbeddingCollection.from_saved_config(config)
        return cls(embeddings, config["num_dense"], bottom=config["bottom"], top=config["top"])

    def _score(self, interactions: Tensor) -> Tensor:
        score: Tensor = self.top(interactions)
        return score.squeeze(-1)


def _dot_products(
    vectors: Float[Tensor, "*batch vectors dim"],
) -> Float[Tensor, "*batch pairs"]:
    """Dot products of all pairs of different vectors."""
    products = vectors @ vectors.mT
    count = products.shape[-1]
    first, second = torch.triu_indices(count, count, offset=1, device=vectors.device)
    return products[..., first, second]


def _perceptron(*widths: int) -> nn.Sequential:
    """Linear layers, each with ReLU."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers)
