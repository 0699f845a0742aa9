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
        recompute: bool = False,
    ) -> None:
        super().__init__(embedding_dim)
        if not encodings:
            raise InputError("an embedding needs at least one encoding, got none")
        self.encodings = nn.ModuleList(cast("Sequence[nn.Module]", encodings))
        self.needs_vocabulary = any(
            isinstance(encoding, Embedding) and encoding.needs_vocabulary for encoding in encodings
        )
        self.recompute = recompute
        self.options: dict[str, Any] = {
            "hidden": list(hidden),
            "activation": activation,
            "norm": norm,
            "dropout": dropout,
            "skip": skip,
        }
        width = sum(code.width for code in encodings)
        self.network: EmbeddingNetwork | FrozenNetwork = EmbeddingNetwork(
            width,
            embedding_dim,
            code_std=(sum(code.width * code.std**2 for code in encodings) / width) ** 0.5,
            **self.options,
        )

    @classmethod
    def outline(cls, *, encodings: Sequence[Mapping[str, Any]], **arguments: Any) -> Self:
        """One over encodings that are given by what their `config` returned."""
        codes = [cast(Encoding, build(config)) for config in encodings]
        return cls(encodings=codes, **arguments)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Embed ids of any shape.

        Raises:
            InputError: ids that are no integers.
        """
        ids = tensor_ids(ids)
        network = self.network
        if isinstance(network, FrozenNetwork) and network.multiply_adds < _CHEAP:
            return self._embed_tiles(ids.flatten()).view(*ids.shape, self.embedding_dim)
        distinct, inverse = torch.unique(ids, return_inverse=True)
        if isinstance(network, FrozenNetwork):
            embeddings = self._embed_tiles(distinct)
        elif self.recompute and torch.is_grad_enabled():
            embeddings = network.recomputed(self._codes, distinct)
        else:
            embeddings = self._embed(distinct)
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
            "recompute": self.recompute,
        }

    @property
    def multiply_adds(self) -> int:
        """Those of the network and of the codes that are embeddings themselves."""
        of_codes = (code.multiply_adds for code in self.encodings if isinstance(code, Embedding))
        return self.network.multiply_adds + sum(of_codes)

    def _embed(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n embedding_dim"]:
        embeddings: Tensor = self.network(self._codes(ids))
        return embeddings

    def _codes(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n in_features"]:
        codes = [self._code(encoding, ids) for encoding in self.encodings]
        return codes[0] if len(codes) == 1 else torch.cat(codes, dim=-1)

    def _code(self, encoding: nn.Module, ids: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """The code, dense hashes at once in the dtype that the network wants."""
        dtype = self.network.code_dtype
        if isinstance(encoding, DenseHashEncoding):
            is_alone = len(self.encodings) == 1
            if dtype == torch.int8 and not (is_alone and encoding.transform == "uniform"):
                dtype = torch.float32  # the network finds a scale for each row
            codes: Tensor = encoding(ids, dtype=dtype)
        else:
            codes = encoding(ids)
        return codes

    def _embed_tiles(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n embedding_dim"]:
        """Embed tile by tile on the CPU, so that the memory for codes does not grow with n."""
        if ids.device.type != "cpu" or torch.compiler.is_compiling():
            return self._embed(ids)
        size = _TILE if self.network.multiply_adds >= _CHEAP else _CHEAP_TILE
        tiles = [self._embed(tile) for tile in torch.split(ids, size)]
        return tiles[0] if len(tiles) == 1 else torch.cat(tiles)
