"""Deep hash embeddings of many features as one module: every layer is one batched product.

Features of one shape have weights [F, ...] and ids [F, n]. They differ in the number of their
distinct ids, so n is the largest one; what is computed in the places beyond is never read, and
batch norm in training does not count it.
"""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings.deep_hash import DeepHashEmbedding
from tablefree.encodings import DenseHashEncoding
from tablefree.kernels import many_op
from tablefree.network import ACTIVATIONS, BatchNorm, EmbeddingNetwork

# Bytes of a tile at inference, for each feature and number of a code. The codes of 26 features with
# 256 numbers then take 27 MB, which the C library keeps for the next call; blocks above 32 MB come
# from the system page by page, and a forward took 20 % longer.
_TILE_BYTES = 4096


class StackedDeepHash(nn.Module):
    """Several `DeepHashEmbedding`s that differ in their seeds and weights only.

    Args:
        embeddings: whose weights are copied; see `can_stack`.
    """

    def __init__(self, embeddings: Sequence[DeepHashEmbedding]) -> None:
        super().__init__()
        self.embedding_dim = embeddings[0].embedding_dim
        # They have no numbers, but the contract of each feature's hashes for checkpoints.
        self.encodings = nn.ModuleList(embedding.encoding for embedding in embeddings)
        networks = [cast(EmbeddingNetwork, embedding.network) for embedding in embeddings]
        self.network: StackedNetwork | FrozenStack = StackedNetwork(networks)

    def forward(
        self, ids: Int[Tensor, " total"], sizes: list[int]
    ) -> tuple[Float[Tensor, "rows embedding_dim"], Int[Tensor, " total"]]:
        """Embed the ids of all features, each distinct id of a feature once.

        Args:
            ids: int64, feature after feature.
            sizes: number of ids of each feature.

        Returns:
            The embeddings of distinct ids, and the row of each id among them.
        """
        distinct, places, counts = many_op.distinct_ids(ids, sizes)
        if self.training or torch.is_grad_enabled() or torch.compiler.is_compiling():
            embeddings = self._embed(distinct, counts)
        else:
            tiles = distinct.split(_TILE_BYTES // self.network.code_dtype.itemsize, dim=1)
            embeddings = torch.cat([self._embed(tile, counts) for tile in tiles], dim=1)
        return embeddings.flatten(0, 1), places

    def freeze(self, dtype: torch.dtype) -> None:
        """Fold batch norm into the products, in place, and hold all numbers in buffers."""
        self.network = FrozenStack(cast(StackedNetwork, self.network), dtype)

    @property
    def multiply_adds(self) -> int:
        """Those of one id of each feature."""
        return self.network.multiply_adds

    def _embed(
        self, ids: Int[Tensor, "features n"], counts: Int[Tensor, " features"]
    ) -> Float[Tensor, "features n embedding_dim"]:
        encodings = [cast(DenseHashEncoding, encoding) for encoding in self.encodings]
        first = encodings[0]
        codes = many_op.dense_hash_many(
            ids,
            [encoding.signed_seed for encoding in encodings],
            first.family,
            first.num_hashes,
            first.num_buckets,
            first.transform,
            self.network.code_dtype,
        )
        embeddings: Tensor = self.network(codes, counts)
        return embeddings


def can_stack(embedding: nn.Module) -> bool:
    """Whether an embedding is one that `StackedDeepHash` knows how to compute."""
    return (
        isinstance(embedding, DeepHashEmbedding)
        and isinstance(embedding.network, EmbeddingNetwork)
        and embedding.options["norm"] in ("batch", "none")
        and not embedding.recompute
    )


class StackedNetwork(nn.Module):
    """`EmbeddingNetwork`s of one shape; parameters have their names and a leading dimension."""

    def __init__(self, networks: Sequence[EmbeddingNetwork]) -> None:
        super().__init__()
        self.activation = networks[0].activation
        layers = zip(*(network.hidden for network in networks), strict=True)
        self.hidden = nn.ModuleList(map(_stacked, layers))
        self.output = StackedLinear([network.output for network in networks])
        self.skip: StackedLinear | None = None
        if networks[0].skip is not None:
            self.skip = StackedLinear([cast(nn.Linear, network.skip) for network in networks])

    def forward(
        self, codes: Float[Tensor, "features n in_features"], counts: Int[Tensor, " features"]
    ) -> Float[Tensor, "features n embedding_dim"]:
        """Embed codes, of which the first counts[f] of each feature count for batch norm."""
        codes = codes.to(self.output.weight.dtype)
        skip = None if self.skip is None else self.skip.weight
        if not self.training:
            return _embed(codes, self.folded(), ACTIVATIONS[self.activation][0](), skip)
        rows = codes
        for layer in self.hidden:
            rows = layer(rows, counts) if isinstance(layer, _StackedBatchNorm) else layer(rows)
        embeddings: Tensor = self.output(rows)
        return embeddings if skip is None else embeddings + codes @ skip.mT

    def folded(self) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each product, batch norm as in evaluation folded in."""
        folded: list[tuple[Tensor, Tensor]] = []
        for layer in (*self.hidden, self.output):
            if isinstance(layer, StackedLinear):
                assert layer.bias is not None
                folded.append((layer.weight, layer.bias))
            elif isinstance(layer, _StackedBatchNorm):
                folded[-1] = layer.fold(*folded[-1])
        return folded

    @property
    def code_dtype(self) -> torch.dtype:
        """The dtype of codes that is the fastest to take here and now; others are converted."""
        weight = self.output.weight
        dtype = weight.dtype
        if torch.is_autocast_enabled(weight.device.type):
            dtype = torch.get_autocast_dtype(weight.device.type)
        return torch.bfloat16 if dtype == torch.bfloat16 else torch.float32

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one code of each feature."""
        return sum(m.weight.numel() for m in self.modules() if isinstance(m, StackedLinear))


class FrozenStack(nn.Module):
    """A stacked network for inference: batch norm folded, all numbers in buffers."""

    skip: Tensor | None

    def __init__(self, network: StackedNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.code_dtype, self.activation = dtype, network.activation
        layers = network.folded()
        self.num_layers = len(layers)
        for position, (weight, bias) in enumerate(layers):
            self.register_buffer(f"weight{position}", weight.detach().to(dtype))
            self.register_buffer(f"bias{position}", bias.detach().to(dtype))
        skip = None if network.skip is None else network.skip.weight.detach().to(dtype)
        self.register_buffer("skip", skip)

    def forward(
        self,
        codes: Float[Tensor, "features n in_features"],
        counts: Int[Tensor, " features"],  # noqa: ARG002
    ) -> Float[Tensor, "features n embedding_dim"]:
        """Embed codes, in float32."""
        positions = range(self.num_layers)
        layers = [(getattr(self, f"weight{i}"), getattr(self, f"bias{i}")) for i in positions]
        codes = codes.to(self.code_dtype)
        return _embed(codes, layers, ACTIVATIONS[self.activation][0](), self.skip).float()

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one code of each feature."""
        return sum(
            buffer.numel()
            for name, buffer in self.named_buffers()
            if name.startswith(("weight", "skip"))
        )


class StackedLinear(nn.Module):
    """`nn.Linear`s of one shape; weight [features, out, in]."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(_stack([layer.weight for layer in layers]))
        self.bias: nn.Parameter | None = None
        if layers[0].bias is not None:
            self.bias = nn.Parameter(_stack([layer.bias for layer in layers]))

    def forward(self, rows: Float[Tensor, "features n width"]) -> Float[Tensor, "features n out"]:
        """Multiply the rows of each feature by its weight."""
        assert self.bias is not None
        return _product(rows, self.weight, self.bias)


class _StackedBatchNorm(nn.Module):
    """`network.BatchNorm` of each feature over its own rows."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, layers: Sequence[BatchNorm]) -> None:
        super().__init__()
        assert layers[0].momentum is not None
        self.eps, self.momentum = layers[0].eps, layers[0].momentum
        self.weight = nn.Parameter(_stack([layer.weight for layer in layers]))
        self.bias = nn.Parameter(_stack([layer.bias for layer in layers]))
        for name in ("running_mean", "running_var", "num_batches_tracked"):
            self.register_buffer(name, _stack([getattr(layer, name) for layer in layers]))

    def forward(
        self, rows: Float[Tensor, "features n width"], counts: Int[Tensor, " features"]
    ) -> Float[Tensor, "features n width"]:
        """Normalise by the statistics of the rows, and let them move the running ones."""
        options = self.running_mean, self.running_var, self.weight, self.bias, self.eps
        is_fast = rows.device.type == "cpu" and self.weight.dtype == torch.float32
        norm = many_op.batch_norm_many if is_fast else batch_norm
        normalised, mean, variance = norm(rows.float(), counts, *options)
        self._track(counts, mean.detach(), variance.detach())
        return normalised.to(rows.dtype)

    def fold(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias of the product before, with the normalisation of evaluation."""
        factor = self.weight.float() * torch.rsqrt(self.running_var.float() + self.eps)
        shift = self.bias.float() - self.running_mean.float() * factor
        new_weight = (weight.float() * factor[..., None]).to(weight.dtype)
        return new_weight, torch.addcmul(shift, bias.float(), factor).to(bias.dtype)

    @torch.no_grad()
    def _track(self, counts: Tensor, mean: Tensor, variance: Tensor) -> None:
        has_statistics = counts > 1
        unbiased = variance * (counts / (counts - 1).clamp(min=1))[:, None]
        rate = (self.momentum * has_statistics)[:, None]
        for running, new in ((self.running_mean, mean), (self.running_var, unbiased)):
            running.add_((rate * (new - running)).to(running.dtype))
        self.num_batches_tracked += has_statistics


def batch_norm(
    rows: Float[Tensor, "features n width"],
    counts: Int[Tensor, " features"],
    running_mean: Float[Tensor, "features width"],
    running_var: Float[Tensor, "features width"],
    weight: Float[Tensor, "features width"],
    bias: Float[Tensor, "features width"],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """`many_op.batch_norm_many` in operators of torch, for any device."""
    row_counts = torch.arange(rows.shape[1], device=rows.device) < counts[:, None]
    counted = row_counts[..., None]
    size = counts.clamp(min=1)[:, None]
    has_statistics = (counts > 1)[:, None]
    mean = torch.where(has_statistics, (rows * counted).sum(1) / size, running_mean.float())
    centred = (rows - mean[:, None]) * counted
    variance = torch.where(has_statistics, centred.square().sum(1) / size, running_var.float())
    factor = weight * torch.rsqrt(variance + eps)
    return (centred * factor[:, None] + bias[:, None]) * counted, mean, variance


def _embed(
    codes: Tensor, layers: list[tuple[Tensor, Tensor]], activate: nn.Module, skip: Tensor | None
) -> Float[Tensor, "features n embedding_dim"]:
    *hidden, output = layers
    rows = codes
    for weight, bias in hidden:
        rows = activate(_product(rows, weight, bias))
    embeddings = _product(rows, *output)
    return embeddings if skip is None else embeddings + codes @ skip.mT


def _product(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias[:, None], rows, weight.mT)


def _stacked(layers: Sequence[nn.Module]) -> nn.Module:
    first = layers[0]
    if isinstance(first, nn.Linear):
        return StackedLinear([cast(nn.Linear, layer) for layer in layers])
    if isinstance(first, BatchNorm):
        return _StackedBatchNorm([cast(BatchNorm, layer) for layer in layers])
    return first  # an activation or dropout, which have nothing to stack


def _stack(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack([tensor.detach() for tensor in tensors])
