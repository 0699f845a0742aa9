"""The network as deployment wants it: batch norm folded away, in float32, bfloat16 or int8.

Folding: at inference batch norm is a fixed scale and shift of each unit, which the linear layer
before it can do. Int8: weights rounded once with a scale for each output, activations with a scale
for each row when they come (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.errors import InputError
from tablefree.network import BatchNorm, EmbeddingNetwork

FROZEN_DTYPES = (torch.float32, torch.bfloat16, torch.int8)


class FrozenNetwork(nn.Module):
    """A copy of a network for inference: it has no parameters and does not train.

    Args:
        network: the network, whose running statistics count.
        dtype: of the weights: float32, bfloat16 or int8.

    Raises:
        InputError: another dtype.
    """

    def __init__(self, network: EmbeddingNetwork, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        if dtype not in FROZEN_DTYPES:
            names = ", ".join(map(str, FROZEN_DTYPES))
            raise InputError(f"a frozen network has one of the dtypes {names}; got {dtype}")
        self.dtype = torch.float32 if dtype == torch.int8 else dtype  # of the activations
        self.layers = nn.Sequential()
        for linear, norm, activation in _blocks(network):
            weight, bias = _fold(linear, norm)
            is_int8 = dtype == torch.int8
            self.layers.append(
                _Int8Linear(weight, bias) if is_int8 else _Linear(weight.to(dtype), bias.to(dtype))
            )
            if activation is not None:
                self.layers.append(activation)

    def forward(self, codes: Float[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        """Embed each code, in float32."""
        embeddings: Tensor = self.layers(codes.to(self.dtype))
        return embeddings.float()

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one code."""
        linear = (layer for layer in self.layers if isinstance(layer, _Linear | _Int8Linear))
        return sum(layer.weight.numel() for layer in linear)


class _Linear(nn.Module):
    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)

    def forward(self, rows: Tensor) -> Tensor:
        return nn.functional.linear(rows, self.weight, self.bias)


class _Int8Linear(nn.Module):
    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        rounded, scale = _quantize(weight)
        self.register_buffer("weight", rounded.to(torch.int8).T.contiguous())
        self.register_buffer("scale", scale.T.contiguous())
        self.register_buffer("bias", bias)

    def forward(self, rows: Tensor) -> Tensor:
        rounded, scale = _quantize(rows)
        products = torch._int_mm(rounded.to(torch.int8), self.weight)
        return products * (scale * self.scale) + self.bias


def _quantize(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each row as whole numbers of at most 127 times its scale."""
    scale = rows.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / 127
    return (rows / scale).round(), scale


def _blocks(
    network: EmbeddingNetwork,
) -> list[tuple[nn.Linear, BatchNorm | None, nn.Module | None]]:
    """Each linear layer with the batch norm and the activation that follow it, if any."""
    blocks: list[tuple[nn.Linear, BatchNorm | None, nn.Module | None]] = []
    for layer in (*network.hidden, network.output):
        if isinstance(layer, nn.Linear):
            blocks.append((layer, None, None))
        elif isinstance(layer, BatchNorm):
            blocks[-1] = (blocks[-1][0], layer, None)
        elif not isinstance(layer, nn.Dropout):
            blocks[-1] = (*blocks[-1][:2], layer)
    return blocks


@torch.no_grad()
def _fold(linear: nn.Linear, norm: BatchNorm | None) -> tuple[Tensor, Tensor]:
    """Weight and bias in float32 of a linear layer with its batch norm folded in."""
    weight, bias = linear.weight.detach().float(), linear.bias.detach().float()
    if norm is None:
        return weight, bias
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.float() * torch.rsqrt(norm.running_var.float() + norm.eps)
    return weight * factor[:, None], (bias - norm.running_mean.float()) * factor + norm.bias.float()
