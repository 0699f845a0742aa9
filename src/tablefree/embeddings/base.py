"""What every embedding is: a module that turns ids of any shape into vectors.

All methods share one call, one count of their cost and one scale at initialisation, so that a
comparison of them compares the methods.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.checks import check_positive
from tablefree.errors import CheckpointError, InputError
from tablefree.ids import tensor_ids
from tablefree.pretrained import Pretrained
from tablefree.registry import build
from tablefree.rows import Rows
from tablefree.scales import INITIAL_STD

# Rows that multiply others start near one: enough spread to tell them apart, no change of scale.
FACTOR_STD = 0.1


@dataclass(frozen=True)
class Description:
    """What an embedding costs.

    Attributes:
        num_parameters: learned numbers.
        num_bytes: bytes of the parameters and buffers, as they are stored now.
        multiply_adds: multiply-adds of one id; a pure lookup has none, and hashing is not counted.
    """

    num_parameters: int
    num_bytes: int
    multiply_adds: int


class Embedding(Pretrained):
    """Base of the embeddings: a drop-in for a call of `nn.Embedding`.

    As any module, they are built on a device by `with torch.device("cuda"):`, and cast by `.to`.

    Attributes:
        embedding_dim: width of an embedding.
        needs_vocabulary: whether ids must be numbered 0..n-1; otherwise any 64-bit id will do.
        std: standard deviation of an embedding's components at the start.
    """

    embedding_dim: int
    rows: Rows
    needs_vocabulary: bool = False

    def __init__(self, embedding_dim: int) -> None:
        super().__init__()
        check_positive(embedding_dim=embedding_dim)
        self.embedding_dim = embedding_dim
        self.std = INITIAL_STD

    @abstractmethod
    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Embed ids of any shape and integer dtype.

        Raises:
            InputError: ids that are no tensor of integers.
        """

    @property
    @abstractmethod
    def multiply_adds(self) -> int:
        """Multiply-adds of one id; a pure lookup has none, and hashing is not counted."""

    @abstractmethod
    def config(self) -> dict[str, object]:
        """What `from_config` builds an embedding of the same shape and hash functions from.

        The name of the method and the arguments of the constructor, in types that JSON has.
        """

    def saved_config(self) -> dict[str, object]:
        """What `config.json` says of the embedding."""
        return {"embedding": self.config()}

    @classmethod
    def from_saved_config(cls, config: Mapping[str, Any]) -> "Embedding":
        """An embedding of the same shape and hash functions."""
        return from_config(config["embedding"])

    @property
    def width(self) -> int:
        """Numbers of an embedding, as of any code: an embedding can be decoded further."""
        return self.embedding_dim

    def output_weights(self) -> list[Tensor]:
        """Weights whose common factor is one of the embeddings: a table's rows."""
        return [self.rows.weight]

    @torch.no_grad()
    def rescale(self, factor: float) -> None:
        """Multiply all embeddings by a factor.

        Raises:
            InputError: a factor that is not finite.
        """
        if not (isinstance(factor, Real) and abs(factor) < 1e38):  # the end of float32
            raise InputError(f"a factor must be finite, got {factor}")
        for weight in self.output_weights():
            weight.mul_(factor)
        self.std *= factor

    @property
    def num_parameters(self) -> int:
        """Learned numbers, all parameters together."""
        return sum(parameter.numel() for parameter in self.parameters())

    def describe(self) -> Description:
        """Parameters, bytes and multiply-adds of this embedding."""
        return Description(
            num_parameters=self.num_parameters,
            num_bytes=sum(t.nbytes for t in (*self.parameters(), *self.buffers())),
            multiply_adds=self.multiply_adds,
        )


def from_config(config: Mapping[str, object]) -> Embedding:
    """Build an embedding from what `Embedding.config` returned: independent of any budget.

    It has the shape and the hash functions of the original, and is frozen if that was; its weights,
    the frequent ids of "hybrid_hash" and the features of ids come with the state dict.

    Raises:
        CheckpointError: an unknown method, or a field that is missing, unknown or out of range.

    Example:
        >>> from tablefree import HashingTrick
        >>> from_config(HashingTrick(100, 8, seed="item_id").config()).num_parameters
        800
    """
    embedding = build(config)
    if not isinstance(embedding, Embedding):
        raise CheckpointError(f"a {type(embedding).__name__} is no embedding: wrap it in one")
    return embedding


def table(num_rows: int, width: int, *, mean: float = 0.0, std: float = INITIAL_STD) -> Rows:
    """A table of learned rows, drawn from a normal distribution."""
    rows = Rows(num_rows, width)
    with torch.no_grad():
        rows.weight.mul_(std).add_(mean)  # standard normal as torch makes it
    return rows


def check_positions(ids: Tensor, num_embeddings: int) -> Int[Tensor, "*batch"]:
    """The ids as int64, or an InputError when one is outside 0..num_embeddings."""
    ids = tensor_ids(ids)
    if ids.numel() and not torch.compiler.is_compiling():
        low, high = (int(bound) for bound in torch.aminmax(ids))
        if low < 0 or high > num_embeddings:
            raise InputError(
                f"ids of a table of {num_embeddings} must be 0..{num_embeddings - 1}, or "
                f"{num_embeddings} for an unknown id; got {low if low < 0 else high}"
            )
    return ids
