"""Inference and training against the matrix products that they cannot do without."""

from collections.abc import Callable
from itertools import pairwise, repeat

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tablefree.bench.case import (
    EMBEDDING_DIM,
    Case,
    LeftOutError,
    Measurement,
    Shape,
    dtype_text,
)
from tablefree.bench.timing import alternate
from tablefree.embeddings import DeepHashEmbedding


def frozen_case(shape: Shape, dtype: torch.dtype) -> Case:
    """The frozen embedding of distinct ids / the bare products of ready-made codes.

    Int8 is compared with the bare products in bfloat16.
    """
    bare_dtype = torch.bfloat16 if dtype == torch.int8 else dtype

    def measure(seconds: float) -> Measurement:
        ids = shape.distinct_ids()
        embedding = shape.embedding()
        codes = embedding.encoding(ids).to(bare_dtype)
        bare = BareProducts(shape, bare_dtype)
        return Measurement(
            *alternate(
                inference(embedding.freeze(dtype)),
                lambda _: bare(codes),
                repeat(ids),
                seconds=seconds,
                device=shape.device,
            )
        )

    against = "bare bfloat16 products" if dtype == torch.int8 else "bare products"
    return Case(
        f"frozen / {against}, {shape.network}, {dtype_text(dtype)}",
        "inference",
        shape,
        dtype,
        measure,
        multiply_adds=sum(a * b for a, b in pairwise(shape.widths)),
    )


def training_case(shape: Shape, dtype: torch.dtype) -> Case:
    """A training step on distinct ids / that of a plain `nn.Sequential` on ready-made codes."""

    def measure(seconds: float) -> Measurement:
        ids = shape.distinct_ids()
        embedding = shape.embedding()
        codes = embedding.encoding(ids)
        step = training_step(embedding, shape, dtype)
        plain = training_step(sequential(shape), shape, dtype)
        return Measurement(
            *alternate(
                step, lambda _: plain(codes), repeat(ids), seconds=seconds, device=shape.device
            )
        )

    name = f"training step / Sequential, {shape.network}, {dtype_text(dtype)}"
    return Case(name, "training", shape, dtype, measure)


def compiled_case(shape: Shape) -> Case:
    """A training step under `torch.compile` / the same as it is."""

    def measure(seconds: float) -> Measurement:
        ids = shape.distinct_ids()
        embedding = shape.embedding()
        compiled = training_step(embedding, shape, torch.float32)
        try:
            embedding.compile()
            compiled(ids)
        except RuntimeError as error:  # as all errors of the compiler are
            raise LeftOutError(
                f"torch.compile failed: {str(error).partition(chr(10))[0]}"
            ) from error
        eager = training_step(shape.embedding(), shape, torch.float32)
        return Measurement(
            *alternate(compiled, eager, repeat(ids), seconds=seconds, device=shape.device)
        )

    name = f"training step compiled / eager, {shape.network}, float32"
    return Case(name, "training", shape, torch.float32, measure)


class BareProducts:
    """Linear layers and Mish on ready-made codes, with random weights."""

    def __init__(self, shape: Shape, dtype: torch.dtype) -> None:
        self._layers = [
            nn.Linear(*widths, device=shape.device, dtype=dtype)
            for widths in pairwise(shape.widths)
        ]

    @torch.inference_mode()
    def __call__(self, rows: Tensor) -> Tensor:
        """The embeddings that codes would have."""
        *hidden, last = self._layers
        for layer in hidden:
            rows = F.mish(F.linear(rows, layer.weight, layer.bias))
        return F.linear(rows, last.weight, last.bias)


def sequential(shape: Shape) -> nn.Sequential:
    """The plain network: Linear, batch norm, Mish; then a Linear."""
    *hidden, last = pairwise(shape.widths)
    layers = nn.Sequential()
    for width, next_width in hidden:
        layers.extend((nn.Linear(width, next_width), nn.BatchNorm1d(next_width), nn.Mish()))
    return layers.append(nn.Linear(*last)).to(shape.device)


def inference(embedding: nn.Module) -> Callable[[Tensor], Tensor]:
    """The embedding, called without gradients."""

    @torch.inference_mode()
    def call(ids: Tensor) -> Tensor:
        rows: Tensor = embedding(ids)
        return rows

    return call


def every_row(embedding: DeepHashEmbedding) -> Callable[[Tensor], Tensor]:
    """The frozen embedding of ids one by one as they come, repeated or not."""

    @torch.inference_mode()
    def call(ids: Tensor) -> Tensor:
        codes = embedding.encoding(ids, dtype=embedding.network.code_dtype)
        rows: Tensor = embedding.network(codes)
        return rows

    return call


def training_step(network: nn.Module, shape: Shape, dtype: torch.dtype) -> Callable[[Tensor], None]:
    """Forward and backward of a network, without an optimizer; bfloat16 is autocast."""
    generator = torch.Generator().manual_seed(0)
    gradient = torch.randn(shape.batch, EMBEDDING_DIM, generator=generator).to(shape.device)

    def step(inputs: Tensor) -> None:
        network.zero_grad()
        with torch.autocast(shape.device.type, torch.bfloat16, enabled=dtype == torch.bfloat16):
            outputs = network(inputs)
        outputs.backward(gradient[: len(outputs)].to(outputs.dtype))

    return step
