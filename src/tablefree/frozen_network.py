"""The network as deployment wants it: batch norm folded away, in float32, bfloat16 or int8.

At inference batch norm is a fixed scale and shift of each unit, which the linear layer before it
can do. In int8, weights are rounded once with a scale for each output and activations, with a scale
for each row, as they come (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018).
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from tablefree.errors import InputError
from tablefree.kernels import op
from tablefree.network import ACTIVATIONS, BatchNorm, EmbeddingNetwork

FROZEN_DTYPES = (torch.float32, torch.bfloat16, torch.int8)
_INT8_CODE = 1 / 127  # what 1 stands for in an int8 code


def freeze_network(network: EmbeddingNetwork, dtype: torch.dtype) -> "FrozenNetwork":
    """A copy of a network for inference: it has no parameters and does not train.

    Args:
        network: the network, whose running statistics count.
        dtype: of the weights: float32, bfloat16 or int8.

    Raises:
        InputError: another dtype.
    """
    if dtype not in FROZEN_DTYPES:
        names = ", ".join(map(str, FROZEN_DTYPES))
        raise InputError(f"a frozen network has one of the dtypes {names}; got {dtype}")
    return _Int8Network(network) if dtype == torch.int8 else _FloatNetwork(network, dtype)


class FrozenNetwork(nn.Module, ABC):
    """Folded layers: `weights`, `biases` and what else is needed, all buffers.

    Attributes:
        code_dtype: the dtype of codes that is the fastest to take; others are converted.
        activation: name of the hidden layers' activation.
    """

    code_dtype: torch.dtype
    activation: str

    @abstractmethod
    def forward(self, codes: Num[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        """Embed each code, in float32."""

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one code."""
        return sum(weight.numel() for weight in _buffers(self, "weight"))


class _FloatNetwork(FrozenNetwork):
    def __init__(self, network: EmbeddingNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.code_dtype, self.activation = dtype, network.activation
        self.activate = ACTIVATIONS[network.activation][0]()
        for position, (weight, bias) in enumerate(_folded(network)):
            self.register_buffer(f"weight{position}", weight.to(dtype))
            self.register_buffer(f"bias{position}", bias.to(dtype))

    def forward(self, codes: Num[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        rows = codes.to(self.code_dtype)
        *hidden, output = zip(_buffers(self, "weight"), _buffers(self, "bias"), strict=True)
        for weight, bias in hidden:
            rows = self.activate(F.linear(rows, weight, bias))
        return F.linear(rows, *output).float()


class _Int8Network(FrozenNetwork):
    code_dtype = torch.int8

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.activation = network.activation
        for position, (weight, bias) in enumerate(_folded(network)):
            rounded, scale = _quantize(weight)
            # Outputs in the second dimension, and column by column in memory, as products want.
            self.register_buffer(f"weight{position}", rounded.T)
            self.register_buffer(f"scale{position}", scale)
            self.register_buffer(f"bias{position}", bias)

    def forward(self, codes: Num[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        if codes.dtype == torch.int8:
            rows, row_scale = codes, torch.full(codes.shape[:1], _INT8_CODE, device=codes.device)
        else:
            rows, row_scale = _quantize(codes.float())
        names = ("weight", "scale", "bias")
        *hidden, output = zip(*(_buffers(self, name) for name in names), strict=True)
        for weight, scale, bias in hidden:
            rows, row_scale = self._activate(torch._int_mm(rows, weight), row_scale, scale, bias)
        weight, scale, bias = output
        embeddings: Tensor = torch._int_mm(rows, weight) * (row_scale[:, None] * scale) + bias
        return embeddings

    def _activate(
        self, products: Tensor, row_scale: Tensor, scale: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor]:
        if products.device.type == "cpu":
            rows, scales = op.next_int8_rows(products, row_scale, scale, bias, self.activation)
            return rows, scales
        activate = ACTIVATIONS[self.activation][0]()
        return _quantize(activate(products * (row_scale[:, None] * scale) + bias))


def _quantize(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each row as whole numbers of at most 127 times its scale."""
    scale = rows.abs().amax(dim=-1).clamp_min(1e-12) / 127
    return (rows / scale[:, None]).round().to(torch.int8), scale


def _buffers(module: nn.Module, name: str) -> list[Tensor]:
    return [buffer for key, buffer in module.named_buffers() if key.startswith(name)]


@torch.no_grad()
def _folded(network: EmbeddingNetwork) -> list[tuple[Tensor, Tensor]]:
    """Weight and bias in float32 of each linear layer, batch norm folded in."""
    folded: list[tuple[Tensor, Tensor]] = []
    for layer in (*network.hidden, network.output):
        if isinstance(layer, nn.Linear):
            folded.append((layer.weight.detach().float(), layer.bias.detach().float()))
        elif isinstance(layer, BatchNorm):
            folded[-1] = _fold(*folded[-1], layer)
    return folded


def _fold(weight: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.float() * torch.rsqrt(norm.running_var.float() + norm.eps)
    return weight * factor[:, None], (bias - norm.running_mean.float()) * factor + norm.bias.float()
