"""A code of an id and a network that decodes it: embedding = network(code).

The view of Kang et al., "Learning to Embed Categorical Features without Embedding Tables for
Recommendation", 2021, in which all methods differ in their code only. The code may be fixed (dense
hashes), learned and bounded (a sketch), learned with a row an id (a table), or several of them side
by side. A narrow code with a decoder beats wide rows on sparse data.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings.base import Embedding
from tablefree.encodings import DenseHashEncoding, Encoding
from tablefree.errors import InputError
from tablefree.frozen_network import FrozenNetwork, freeze_network
from tablefree.ids import tensor_ids
from tablefree.network import EmbeddingNetwork
from tablefree.registry import build, registered

# Ids of a tile at inference: in float32 10 % faster than 4,096 (the codes stay in cache), in other
# dtypes as fast.
_TILE = 2048
# A frozen network of fewer multiply-adds costs less than finding the distinct ids of a batch, of
# which it could spare half.
_CHEAP, _CHEAP_TILE = 4096, 65_536


@registered(method="decoded")
class DecodedEmbedding(Embedding):
    """The network's output for the codes of an id, side by side.

    Each distinct id of a batch is encoded and decoded once, in training too. So batch norm averages
    over the distinct ids of a batch, however often each occurs. A training batch of one distinct id
    has no variance and is normalised by the running statistics.

    Args:
        embedding_dim: width of an embedding.
        encodings: modules with a `width` and a `config`, from ids to codes; every `Embedding` is
            one.
        hidden: widths of the decoder's hidden layers.
        activation: "mish", "relu" or "gelu".
        norm: "batch", "layer", "rms" or "none". Batch norm harms learned codes; without any, strong
            decay of the codes makes the decoder linear.
        dropout: share of hidden units dropped in training.
        skip: whether a linear map goes from the code straight to the embedding.
        side_features: number of features that are given with each id and follow its code.
        recompute: whether a training step keeps only the output of each hidden layer, and computes
            the code and all else again when it needs them: a third of the memory for one more
            forward pass.

    Raises:
        InputError: no encoding, or an option out of its range.

    Example:
        >>> code = SketchEncoding(1000, 4, seed="item_id")
        >>> DecodedEmbedding(32, [code], hidden=(64,))(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self,
        embedding_dim: int,
        encodings: Sequence[Encoding],
        *,
        hidden: Sequence[int] = (64,),
        activation: str = "mish",
        norm: str = "rms",
        dropout: float = 0.0,
        skip: bool = True,
        side_features: int = 0,
        recompute: bool = False,
    ) -> None:
        super().__init__(embedding_dim)
        if not encodings:
            raise InputError("an embedding needs at least one encoding, got none")
        if side_features < 0:
            raise InputError(f"side_features must be at least 0, got {side_features}")
        self.encodings = nn.ModuleList(cast("Sequence[nn.Module]", encodings))
        self.needs_vocabulary = any(
            isinstance(encoding, Embedding) and encoding.needs_vocabulary for encoding in encodings
        )
        self.side_features, self.recompute = side_features, recompute
        self.options: dict[str, Any] = {
            "hidden": list(hidden),
            "activation": activation,
            "norm": norm,
            "dropout": dropout,
            "skip": skip,
        }
        width = sum(code.width for code in encodings)
        self.network: EmbeddingNetwork | FrozenNetwork = EmbeddingNetwork(
            width + side_features,
            embedding_dim,
            code_std=(sum(code.width * code.std**2 for code in encodings) / width) ** 0.5,
            **self.options,
        )

    @classmethod
    def outline(cls, *, encodings: Sequence[Mapping[str, Any]], **arguments: Any) -> Self:
        """One over encodings that are given by what their `config` returned."""
        codes = [cast(Encoding, build(config)) for config in encodings]
        return cls(encodings=codes, **arguments)

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
        network = self.network
        is_plain = side is None and not self.side_features
        if is_plain and isinstance(network, FrozenNetwork) and network.multiply_adds < _CHEAP:
            return self._embed_tiles(ids.flatten(), None).view(*ids.shape, self.embedding_dim)
        distinct, inverse = torch.unique(ids, return_inverse=True)
        features = None
        if not is_plain:
            features = self._distinct_side(side, inverse, len(distinct))
        if isinstance(network, FrozenNetwork):
            embeddings = self._embed_tiles(distinct, features)
        elif self.recompute and torch.is_grad_enabled():
            embeddings = network.recomputed(lambda part: self._codes(part, features), distinct)
        else:
            embeddings = self._embed(distinct, features)
        if torch.compiler.is_compiling():  # which has no gradient of F.embedding of unknown size
            return embeddings[inverse]
        return F.embedding(inverse, embeddings)

    def freeze(self, dtype: torch.dtype = torch.float32) -> Self:
        """A copy for inference with the same call: batch norm folded, nothing left to train.

        Args:
            dtype: of the network's weights: float32, bfloat16, or int8 (a scale for each output;
                activations are rounded with a scale for each id), which is fast on a CPU alone.
                Learned rows of the encodings, most bytes of a sketch, stay in float32 whatever it
                is. So are embeddings.

        Raises:
            InputError: another dtype, or an embedding that is frozen already.
        """
        if isinstance(self.network, FrozenNetwork):
            raise InputError("this embedding is frozen already: freeze the trained one")
        frozen = copy.deepcopy(self)
        frozen.network = freeze_network(self.network, dtype)
        frozen.options["frozen"] = str(dtype).removeprefix("torch.")  # for whoever loads it
        return frozen.requires_grad_(False).eval()

    def output_weights(self) -> list[Tensor]:
        """The last layer's, and those of the skip."""
        network = self.network
        if isinstance(network, FrozenNetwork):
            raise InputError("a frozen embedding has no weights to scale: scale the trained one")
        return network.output_weights()

    def config(self) -> dict[str, object]:
        """The method and its arguments."""
        return {
            "method": "decoded",
            "embedding_dim": self.embedding_dim,
            "encodings": [cast(Encoding, encoding).config() for encoding in self.encodings],
            **self.options,
            "side_features": self.side_features,
            "recompute": self.recompute,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of the network and of the codes that are embeddings themselves."""
        of_codes = (code.multiply_adds for code in self.encodings if isinstance(code, Embedding))
        return self.network.multiply_adds + sum(of_codes)

    def _embed(
        self, ids: Int[Tensor, " n"], side: Float[Tensor, "n side_features"] | None
    ) -> Float[Tensor, "n embedding_dim"]:
        embeddings: Tensor = self.network(self._codes(ids, side))
        return embeddings

    def _codes(
        self, ids: Int[Tensor, " n"], side: Float[Tensor, "n side_features"] | None
    ) -> Float[Tensor, "n in_features"]:
        codes = [self._code(encoding, ids) for encoding in self.encodings]
        if side is not None:
            codes.append(side)
        return codes[0] if len(codes) == 1 else torch.cat(codes, dim=-1)

    def _code(self, encoding: nn.Module, ids: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """The code, dense hashes at once in the dtype that the network wants."""
        dtype = self.network.code_dtype
        if isinstance(encoding, DenseHashEncoding):
            is_alone = len(self.encodings) == 1 and not self.side_features
            if dtype == torch.int8 and not (is_alone and encoding.transform == "uniform"):
                dtype = torch.float32  # the network finds a scale for each row
            codes: Tensor = encoding(ids, dtype=dtype)
        else:
            codes = encoding(ids)
        return codes

    def _embed_tiles(
        self, ids: Int[Tensor, " n"], side: Float[Tensor, "n side_features"] | None
    ) -> Float[Tensor, "n embedding_dim"]:
        """Embed tile by tile on the CPU, so that the memory for codes does not grow with n."""
        if ids.device.type != "cpu" or torch.compiler.is_compiling():
            return self._embed(ids, side)
        size = _TILE if self.network.multiply_adds >= _CHEAP else _CHEAP_TILE
        tiles = [slice(start, start + size) for start in range(0, max(1, len(ids)), size)]
        embeddings = [
            self._embed(ids[tile], None if side is None else side[tile]) for tile in tiles
        ]
        return embeddings[0] if len(tiles) == 1 else torch.cat(embeddings)

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
