"""The network as deployment wants it: batch norm folded away, in float32, bfloat16 or int8.

At inference batch norm is a fixed scale and shift of each unit, which the linear layer before it
can do. In int8, weights are rounded once with a scale for each output and activations, with a scale
for each row, as they come (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", 2018).
"""

import copy
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from tablefree.errors import InputError
from tablefree.kernels import op
from tablefree.network import ACTIVATIONS, BatchNorm, EmbeddingNetwork, RMSNorm

FROZEN_DTYPES = (torch.float32, torch.bfloat16, torch.int8)
_INT8_CODE = 1 / 127  # what 1 stands for in an int8 code
_FEWEST_CUDA_ROWS = 17


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
    """Folded layers, all of their numbers in buffers.

    Attributes:
        code_dtype: the dtype of codes that is the fastest to take; others are converted.
        activation: name of the hidden layers' activation.
        multiply_adds: those of one code.
    """

    code_dtype: torch.dtype
    activation: str
    multiply_adds: int

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__()
        self.activation, self.multiply_adds = network.activation, network.multiply_adds
        self.num_layers = 1 + sum(isinstance(layer, nn.Linear) for layer in network.hidden)

    @abstractmethod
    def forward(self, codes: Num[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        """Embed each code, in float32."""

    def _of_layers(self, name: str) -> list[Tensor]:
        """A buffer of each layer; `named_buffers` takes longer than a small product."""
        return [getattr(self, f"{name}{position}") for position in range(self.num_layers)]


class _FloatNetwork(FrozenNetwork):
    skip: Tensor | None

    def __init__(self, network: EmbeddingNetwork, dtype: torch.dtype) -> None:
        super().__init__(network)
        self.code_dtype = dtype
        self.activate = ACTIVATIONS[network.activation][0]()
        self.norms = nn.ModuleList()
        for position, (weight, bias, norm) in enumerate(_folded(network)):
            self.register_buffer(f"weight{position}", weight.to(dtype))
            self.register_buffer(f"bias{position}", bias.to(dtype))
            self.norms.append(nn.Identity() if norm is None else _as_buffers(norm, dtype))
        skip = None if network.skip is None else network.skip.weight.detach().to(dtype)
        self.register_buffer("skip", skip)

    def forward(self, codes: Num[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        codes = codes.to(self.code_dtype)
        embeddings = self._finish(F.linear(codes, *self._layers[0]))
        if self.skip is None:
            return embeddings
        if codes.dtype == torch.float32:
            return torch.addmm(embeddings, codes, self.skip.T)  # no pass of its own to add
        return embeddings + F.linear(codes, self.skip).float()

    @property
    def _layers(self) -> list[tuple[Tensor, Tensor]]:
        return list(zip(self._of_layers("weight"), self._of_layers("bias"), strict=True))

    def _finish(self, products: Tensor) -> Tensor:
        for norm, layer in zip(self.norms, self._layers[1:], strict=False):
            products = F.linear(self._activate(products, norm), *layer)
        return products.float()

    def _activate(self, products: Tensor, norm: nn.Module) -> Tensor:
        """In one pass, where there is a kernel for both: a fifth of the time of a sketch."""
        has_kernel = products.device.type == "cpu" and products.dtype == torch.float32
        is_plain = not products.requires_grad and not torch.compiler.is_compiling()
        activated: Tensor
        if has_kernel and is_plain and self.activation == "mish" and isinstance(norm, RMSNorm):
            activated = op.rms_norm_mish(products, norm.weight, norm.eps)
        else:
            activated = self.activate(norm(products))
        return activated


class _Int8Network(FrozenNetwork):
    weight_of_skip: Tensor
    scale_of_skip: Tensor
    code_dtype = torch.int8

    def __init__(self, network: EmbeddingNetwork) -> None:
        super().__init__(network)
        self.norms = nn.ModuleList()
        for position, (weight, bias, norm) in enumerate(_folded(network)):
            self._add_products(f"{position}", weight)
            self.register_buffer(f"bias{position}", bias)
            self.norms.append(nn.Identity() if norm is None else _as_buffers(norm, torch.float32))
        self.has_skip = network.skip is not None
        if network.skip is not None:
            self._add_products("_of_skip", network.skip.weight.detach().float())

    def _add_products(self, name: str, weight: Tensor) -> None:
        rounded, scale = _quantize(weight)
        self.register_buffer(f"weight{name}", rounded)
        self.register_buffer(f"scale{name}", scale)

    def forward(self, codes: Num[Tensor, "n in_features"]) -> Float[Tensor, "n embedding_dim"]:
        if codes.dtype == torch.int8:
            rows, row_scale = codes, torch.full(codes.shape[:1], _INT8_CODE, device=codes.device)
        else:
            rows, row_scale = _quantize(codes.float())
        code = rows, row_scale
        *hidden, last = zip(*map(self._of_layers, ("weight", "scale", "bias")), strict=True)
        for (weight, scale, bias), norm in zip(hidden, self.norms, strict=False):
            products = _int8_products(rows, weight)
            rows, row_scale = self._activate(products, row_scale, scale, bias, norm)
        weight, scale, bias = last
        embeddings: Tensor = _scaled_products(rows, row_scale, weight, scale) + bias
        if self.has_skip:
            skip = _scaled_products(*code, self.weight_of_skip, self.scale_of_skip)
            embeddings = embeddings + skip
        return embeddings

    def _activate(
        self, products: Tensor, row_scale: Tensor, scale: Tensor, bias: Tensor, norm: nn.Module
    ) -> tuple[Tensor, Tensor]:
        if products.device.type == "cpu" and isinstance(norm, nn.Identity):
            rows, scales = op.next_int8_rows(products, row_scale, scale, bias, self.activation)
            return rows, scales
        activate = ACTIVATIONS[self.activation][0]()
        return _quantize(activate(norm(products * (row_scale[:, None] * scale) + bias)))


def _scaled_products(rows: Tensor, row_scale: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    products: Tensor = _int8_products(rows, weight) * (row_scale[:, None] * scale)
    return products


def _int8_products(rows: Tensor, weight: Tensor) -> Tensor:
    """The int32 products of int8 rows [n, in_features] with a weight [outputs, in_features]."""
    products: Tensor
    if rows.device.type == "cpu":
        products = torch._int_mm(rows, weight.T)
        return products
    (num_rows, width), num_outputs = rows.shape, len(weight)
    # On CUDA torch takes more than 16 rows, and widths that are multiples of 8.
    rows = F.pad(rows, (0, -width % 8, 0, max(0, _FEWEST_CUDA_ROWS - num_rows)))
    weight = F.pad(weight, (0, -width % 8, 0, -num_outputs % 8))
    products = torch._int_mm(rows, weight.T)[:num_rows, :num_outputs]
    return products


def _as_buffers(norm: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a norm whose parameters are buffers."""
    norm = copy.deepcopy(norm)
    for name, parameter in list(norm.named_parameters()):
        delattr(norm, name)
        norm.register_buffer(name, parameter.detach().to(dtype))
    return norm


def _quantize(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Each row as whole numbers of at most 127 times its scale."""
    scale = rows.abs().amax(dim=-1).clamp_min(1e-12) / 127
    return (rows / scale[:, None]).round().to(torch.int8), scale


@torch.no_grad()
def _folded(network: EmbeddingNetwork) -> list[tuple[Tensor, Tensor, nn.Module | None]]:
    """Weight and bias in float32 of each linear layer, batch norm folded in, and any other norm."""
    folded: list[tuple[Tensor, Tensor, nn.Module | None]] = []
    for layer in (*network.hidden, network.output):
        if isinstance(layer, nn.Linear):
            folded.append((layer.weight.detach().float(), layer.bias.detach().float(), None))
        elif isinstance(layer, BatchNorm):
            folded[-1] = (*_fold(*folded[-1][:2], layer), None)
        elif isinstance(layer, nn.LayerNorm | nn.RMSNorm):
            folded[-1] = (*folded[-1][:2], layer)
    return folded


def _fold(weight: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    factor = norm.weight.float() * torch.rsqrt(norm.running_var.float() + norm.eps)
    return weight * factor[:, None], (bias - norm.running_mean.float()) * factor + norm.bias.float()
