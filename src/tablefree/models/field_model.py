"""What every model over many fields is: a score for the embeddings of its fields and for numbers.

And the two things that such models are made of: vectors of the fields, and perceptrons.
"""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.checks import check_memory, check_positive
from tablefree.embeddings import EmbeddingCollection
from tablefree.errors import InputError
from tablefree.pretrained import Pretrained

Embeddings = Tensor | dict[str, Tensor]
"""What a collection returns: a tensor [*batch, fields, dim], or a tensor [*batch, dim] a field."""


class FieldModel(Pretrained):
    """Base of the models over a collection of embeddings and any number of dense features.

    Args:
        embeddings: of the sparse features: tables, table-free or both.
        num_dense: number of dense features.
        sizes: those of layers, by the names of the constructor's other arguments.

    Attributes:
        sizes: the names of these arguments.

    Raises:
        InputError: what is no collection, or no number of features.
    """

    sizes: ClassVar[tuple[str, ...]]

    def __init__(
        self, embeddings: EmbeddingCollection, num_dense: int, **sizes: int | Sequence[int]
    ) -> None:
        super().__init__()
        if not isinstance(embeddings, EmbeddingCollection):
            kind = type(embeddings).__name__
            raise InputError(f"embeddings must be an EmbeddingCollection, got {kind}")
        if num_dense != 0:
            check_positive(num_dense=num_dense)
        self.embeddings = embeddings
        self.num_dense = num_dense
        self._sizes = {
            name: tuple(size) if isinstance(size, Iterable) else size
            for name, size in sizes.items()
        }

    @abstractmethod
    def score(self, embeddings: Embeddings, dense: Tensor | None) -> Float[Tensor, "*batch"]:
        """Logits of embeddings and of dense features of their dtype, if there are any."""

    def forward(
        self, ids: Any, dense: Float[Tensor, "*batch num_dense"] | None = None
    ) -> Float[Tensor, "*batch"]:
        """Logits.

        Args:
            ids: what the `EmbeddingCollection` takes: a tensor [*batch, fields], ids by the names
                of the features, or a table with a column for each. Bags need a pooling.
            dense: numbers of a scale of about one, if the model has dense features.

        Raises:
            InputError: dense features for a model without them, none or another number of them, or
                what are no floats; rows of one feature without those of another.
        """
        embeddings = self.embeddings(ids)
        self._check_dense(dense)
        _check_batch(embeddings, dense)
        one = embeddings if isinstance(embeddings, Tensor) else next(iter(embeddings.values()))
        return self.score(embeddings, None if dense is None else dense.to(one.dtype))

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the model."""
        return self.embeddings.saved_config() | {"num_dense": self.num_dense} | self._sizes

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> Self:
        """A model of the same shape and hash functions."""
        embeddings = EmbeddingCollection.from_saved_config(config)
        return cls(embeddings, config["num_dense"], **{name: config[name] for name in cls.sizes})

    def _check_dense(self, dense: Tensor | None) -> None:
        if dense is None and self.num_dense == 0:
            return
        if dense is not None and not isinstance(dense, Tensor):
            kind = type(dense).__name__
            raise InputError(f"dense features are a tensor of floats, got {kind}")
        if dense is None or dense.shape[-1:] != (self.num_dense,):
            got = "none" if dense is None else f"shape {tuple(dense.shape)}"
            raise InputError(f"this model takes {self.num_dense} dense features, got {got}")
        if not dense.is_floating_point():
            raise InputError(f"dense features are floats, got {dense.dtype}: pass .float() of them")


def widths_of(embeddings: EmbeddingCollection) -> list[int]:
    """The width of each feature's embedding, in their order."""
    configs: Mapping[str, Mapping[str, Any]] = embeddings.config()
    return [
        configs[config.get("shared_with", name)]["embedding_dim"]
        for name, config in configs.items()
    ]


def common_width(embeddings: EmbeddingCollection) -> int:
    """The width of all features' embeddings.

    Raises:
        InputError: they have several.
    """
    width, *others = sorted(set(widths_of(embeddings)))
    if others:
        widths = ", ".join(map(str, [width, *others]))
        raise InputError(
            f"dot products need embeddings of one width, got {widths}: choose one embedding_dim"
        )
    return width


def stacked(embeddings: Embeddings) -> Float[Tensor, "*batch fields dim"]:
    """Embeddings of one width in one tensor."""
    if isinstance(embeddings, Tensor):
        return embeddings
    return torch.stack(list(embeddings.values()), dim=-2)


def perceptron(*widths: int) -> nn.Sequential:
    """Linear layers, each with ReLU.

    Raises:
        InputError: a width that is none, or weights that the machine has no memory for.
    """
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        check_positive(width=width_out)
        check_memory(width_in, width_out)
        layers += [nn.Linear(width_in, width_out), nn.ReLU()]
    return nn.Sequential(*layers)


def scorer(*widths: int) -> nn.Sequential:
    """A perceptron, and a linear layer of one unit."""
    return nn.Sequential(perceptron(*widths), nn.Linear(widths[-1], 1))


def _check_batch(embeddings: Embeddings, dense: Tensor | None) -> None:
    """An InputError when features come for different rows."""
    if isinstance(embeddings, Tensor):
        batches = {"ids": embeddings.shape[:-2]}
    else:
        for name, one in embeddings.items():
            if one.is_nested:
                raise InputError(
                    f"feature {name!r} has bags of ids, and a model takes one embedding for each "
                    "feature: give it a pooling"
                )
        batches = {f"feature {name!r}": one.shape[:-1] for name, one in embeddings.items()}
    if dense is not None:
        batches["the dense features"] = dense.shape[:-1]
    (first, batch), *others = batches.items()
    for name, other in others:
        if other != batch:
            raise InputError(
                f"all features must be of the same rows, got {first} of shape {tuple(batch)} and "
                f"{name} of shape {tuple(other)}"
            )
