"""No table at all: a network decodes a dense hash code of the id.

Kang et al., "Learning to Embed Categorical Features without Embedding Tables for Recommendation",
2021: embedding = network(encoding(id)). Its size does not depend on the number of ids.
"""

import copy
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tablefree.embeddings.base import Embedding
from tablefree.encodings import DenseHashEncoding
from tablefree.errors import InputError
from tablefree.frozen_network import FrozenNetwork, freeze_network
from tablefree.ids import tensor_ids
from tablefree.network import UNIFORM_STD, EmbeddingNetwork

# Ids of a tile at inference: in float32 10 % faster than 4,096 (the codes stay in cache), in other
# dtypes as fast.
_TILE = 2048


class DeepHashEmbedding(Embedding):
    """The network's output for the dense hash code of an id.

    Each distinct id of a batch goes through the network once, in training too. So batch norm
    averages over the distinct ids of a batch, however often each occurs. A training batch of one
    distinct id has no variance and is normalised by the running statistics.

    Args:
        embedding_dim: width of an embedding.
        num_hashes: width of the code; even for the Gaussian transform.
        hidden: widths of the network's hidden layers.
        activation: "mish", "relu" or "gelu".
        norm: "batch" or "none".
        dropout: share of hidden units dropped in training.
        transform: "uniform" codes in [-1, 1] or "gaussian" codes.
        num_buckets: number of levels of each number of a code.
        seed: picks the hash functions; the name of the feature is a good seed.
        side_features: number of features that are given with each id and follow its code.
        recompute: whether a training step keeps no codes and no activations of the network, but
            computes them again when it needs them: less memory for one more forward pass.

    Raises:
        InputError: an option out of its range.

    Example:
        >>> embedding = DeepHashEmbedding(32, num_hashes=64, hidden=(64, 64), seed="item_id")
        >>> embedding(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        embedding_dim: int,
        *,
        num_hashes: int = 1024,
        hidden: Sequence[int] = (512, 512),
        activation: str = "mish",
        norm: str = "batch",
        dropout: float = 0.0,
        transform: str = "uniform",
        num_buckets: int = 2**20,
        seed: int | str,
        side_features: int = 0,
        recompute: bool = False,
    ) -> None:
        super().__init__(embedding_dim)
        if side_features < 0:
            raise InputError(f"side_features must be at least 0, got {side_features}")
        self.side_features = side_features
        self.hidden, self.activation = tuple(hidden), activation
        self.norm, self.dropout = norm, dropout
        self.recompute = recompute
        self.encoding = DenseHashEncoding(
            num_hashes, seed=seed, num_buckets=num_buckets, transform=transform
        )
        self.network: EmbeddingNetwork | FrozenNetwork = EmbeddingNetwork(
            self.encoding.width + side_features,
            embedding_dim,
            hidden=hidden,
            activation=activation,
            norm=norm,
            dropout=dropout,
            code_std=UNIFORM_STD if transform == "uniform" else 1.0,
        )

    def forward(
        self,
        ids: Int[Tensor, "*batch"],
        side: Float[Tensor, "*batch side_features"] | None = None,
    ) -> Float[Tensor, "*batch embedding_dim"]:
        """Embed ids of any shape.

        Args:
            ids: any 64-bit ids.
            side: the features of each id, when the module has `side_features`. They are a function
                of the id: an id that occurs twice has the same features twice.

        Raises:
            InputError: ids that are no integers; side features that are missing, not asked for, of
                another shape, not finite, or different for the same id.
        """
        ids = tensor_ids(ids)
        distinct, inverse = torch.unique(ids, return_inverse=True)
        features = None
        if side is not None or self.side_features:
            features = self._distinct_side(side, inverse, len(distinct))
        network = self.network
        if isinstance(network, FrozenNetwork):
            embeddings = self._embed_tiles(distinct, features)
        elif self.recompute and torch.is_grad_enabled():
            contexts = nullcontext(), network.second_pass()
            embeddings = checkpoint(
                self._embed, distinct, features, use_reentrant=False, context_fn=lambda: contexts
            )
        else:
            embeddings = self._embed(distinct, features)
        return F.embedding(inverse, embeddings)

    def freeze(self, dtype: torch.dtype = torch.float32) -> Self:
        """A copy for inference with the same call: batch norm folded, nothing left to train.

        Args:
            dtype: of the weights: float32, bfloat16, or int8 (a scale for each output; activations
                are rounded with a scale for each id). Embeddings are float32.

        Raises:
            InputError: another dtype, or an embedding that is frozen already.
        """
        if isinstance(self.network, FrozenNetwork):
            raise InputError("this embedding is frozen already: freeze the trained one")
        frozen = copy.deepcopy(self)
        frozen.network = freeze_network(self.network, dtype)
        return frozen.eval()

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "deep_hash",
            "embedding_dim": self.embedding_dim,
            "num_hashes": self.encoding.num_hashes,
            "hidden": list(self.hidden),
            "activation": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
            "transform": self.encoding.transform,
            "num_buckets": self.encoding.num_buckets,
            "seed": self.encoding.seed,
            "side_features": self.side_features,
            "recompute": self.recompute,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of the network."""
        return self.network.multiply_adds

    def _embed(
        self, ids: Int[Tensor, " n"], side: Float[Tensor, "n side_features"] | None
    ) -> Float[Tensor, "n embedding_dim"]:
        dtype = self.network.code_dtype
        if dtype == torch.int8 and (side is not None or self.encoding.transform != "uniform"):
            dtype = torch.float32  # the network finds a scale for each row
        codes: Tensor = self.encoding(ids, dtype=dtype)
        if side is not None:
            codes = torch.cat([codes, side], dim=-1)
        embeddings: Tensor = self.network(codes)
        return embeddings

    def _embed_tiles(
        self, ids: Int[Tensor, " n"], side: Float[Tensor, "n side_features"] | None
    ) -> Float[Tensor, "n embedding_dim"]:
        """Embed tile by tile on the CPU, so that the memory for codes does not grow with n."""
        if ids.device.type != "cpu" or torch.compiler.is_compiling():
            return self._embed(ids, side)
        tiles = [slice(start, start + _TILE) for start in range(0, max(1, len(ids)), _TILE)]
        return torch.cat(
            [self._embed(ids[tile], None if side is None else side[tile]) for tile in tiles]
        )

    def _distinct_side(
        self, side: Tensor | None, inverse: Tensor, num_distinct: int
    ) -> Float[Tensor, "distinct side_features"]:
        """The features of each distinct id, from its first occurrence."""
        shape = (*inverse.shape, self.side_features)
        if side is None or not self.side_features or side.shape != shape:
            got = "none" if side is None else f"shape {tuple(side.shape)}"
            wanted = f"shape {shape}" if self.side_features else "none (side_features=0)"
            raise InputError(f"side features must have {wanted} for these ids, got {got}")
        if not side.isfinite().all():
            raise InputError("side features must be finite, got NaN or infinity: fill them first")
        side, inverse = side.reshape(-1, self.side_features), inverse.flatten()
        order = torch.arange(len(inverse), device=inverse.device)
        first = order.new_empty(num_distinct).scatter_reduce_(
            0, inverse, order, "amin", include_self=False
        )
        features = side[first]
        if not torch.equal(features[inverse], side):
            raise InputError("side features must be a function of the id, got two for one id")
        return features
