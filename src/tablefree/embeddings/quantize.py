"""Rows in fewer bits, after training: what an embedding costs in bytes and in accuracy.

Each row is rounded to whole multiples of a scale of its own, or each number to the nearest of
sixteen that all rows share, which suits narrow rows, for a scale is as large as half of one (both:
Guan et al., "Post-Training 4-bit Quantization on Embedding Tables", 2019). The rounding is
simulated: values are those that a store of the dtype would return, held as float32.
"""

import copy
from math import prod
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tablefree.checks import check_choice
from tablefree.embeddings.stacked import FrozenStack, StackedLinear, StackedNetwork
from tablefree.encodings.hot_sketch import ID_BYTES, HotSketch
from tablefree.encodings.levels import least_squares_levels
from tablefree.errors import InputError
from tablefree.frozen_network import FrozenNetwork
from tablefree.network import EmbeddingNetwork

BITS = {"float32": 32, "float16": 16, "int8": 8, "int4": 4, "codebook": 4}
LARGEST = {"int8": 127, "int4": 7}  # whole numbers from -n to n
SCALE_BYTES = 2  # float16
LEVELS = 2 ** BITS["codebook"]

ModuleType = TypeVar("ModuleType", bound=nn.Module)


def quantize_rows(module: ModuleType, dtype: str) -> ModuleType:
    """A copy for inference whose learned rows are rounded to a dtype.

    The rows are the weights of all `nn.Embedding` modules. Where there are none, as in an embedding
    of dense hashes, the matrices of the networks of embeddings take their place, a row for each
    output. All other parameters, such as a decoder and biases, are rounded to float16 when the
    dtype is smaller than float32. Buffers and activations stay as they are.

    Args:
        module: an embedding; a collection of them; or a whole model, in which embeddings may share
            their rows.
        dtype: "float32"; "float16"; "int8" or "int4" with a float16 scale for each row, its largest
            magnitude / 127 or 7; or "codebook", 4 bits that pick one of a matrix's 16 float16
            values, those of least squared error (Lloyd, "Least Squares Quantization in PCM", 1982).

    Raises:
        InputError: another dtype, or a module with a frozen network.

    Example:
        >>> rows = quantize_rows(FullTable(1000, 32), "int4")(torch.tensor([7]))
        >>> len(rows.unique()) <= 15
        True
    """
    rows = _rows(module, dtype)
    if dtype == "float32":
        return copy.deepcopy(module).requires_grad_(False).eval()
    names = {name for name, parameter in module.named_parameters() if id(parameter) in rows}
    rounded = copy.deepcopy(module).requires_grad_(False).eval()
    for name, parameter in rounded.named_parameters():
        if name in names and dtype in LARGEST:
            parameter.copy_(_round_rows(parameter, LARGEST[dtype]))
        elif name in names and dtype == "codebook":
            for matrix in parameter.view(-1, *parameter.shape[-2:]):
                matrix.copy_(_round_to_codebook(matrix))
        else:
            parameter.copy_(parameter.half())
    return rounded


def deployed_bytes(module: nn.Module, dtype: str, vocabulary_bytes: int) -> int:
    """Bytes of a module as it would be held in deployment, its rows in a dtype.

    Rows fill whole bytes, and each has its scale, or each matrix its codebook. Other parameters
    count as `quantize_rows` rounds them, and buffers of the state dict, such as frequent ids, as
    they are. Buffers that are not in it are data and do not count; of a `HotSketch`, which only
    learning needs, the ids of the hot rows count.

    Args:
        module: as in `quantize_rows`; parameters that are shared count once.
        dtype: likewise.
        vocabulary_bytes: of the map from ids to rows, keys and index (see `Vocabulary.num_bytes`);
            0 without one.

    Raises:
        InputError: as `quantize_rows`.

    Example:
        >>> deployed_bytes(FullTable(999, 32), "int4", vocabulary_bytes=8 * 999)
        25992
    """
    rows = _rows(module, dtype)
    scale_bytes = SCALE_BYTES if dtype in LARGEST else 0
    codebook_bytes = SCALE_BYTES * LEVELS if dtype == "codebook" else 0
    total = vocabulary_bytes
    for parameter in module.parameters():
        if id(parameter) in rows:
            *matrices, num_rows, width = parameter.shape
            row_bytes = -(-width * BITS[dtype] // 8) + scale_bytes
            total += prod(matrices) * (num_rows * row_bytes + codebook_bytes)
        else:
            total += parameter.numel() * (4 if dtype == "float32" else 2)
    sketches = [part for part in module.modules() if isinstance(part, HotSketch)]
    of_learning = {id(buffer) for sketch in sketches for buffer in sketch.buffers()}
    total += sum(ID_BYTES * sketch.num_rows for sketch in sketches)
    state = module.state_dict()
    return total + sum(
        buffer.nbytes
        for name, buffer in module.named_buffers()
        if name in state and id(buffer) not in of_learning
    )


def _rows(module: nn.Module, dtype: str) -> set[int]:
    """The identities of the parameters that are held in the dtype."""
    check_choice("dtype", dtype, tuple(BITS))
    parts = list(module.modules())
    if any(isinstance(part, FrozenNetwork | FrozenStack) for part in parts):
        raise InputError("a frozen network has its dtype already: quantize the trained module")
    tables = {id(part.weight) for part in parts if isinstance(part, nn.Embedding)}
    return tables or {
        id(layer.weight)
        for network in parts
        if isinstance(network, EmbeddingNetwork | StackedNetwork)
        for layer in network.modules()
        if isinstance(layer, nn.Linear | StackedLinear)
    }


def _round_rows(rows: Float[Tensor, "*n width"], largest: int) -> Float[Tensor, "*n width"]:
    scale = (rows.abs().amax(dim=-1, keepdim=True) / largest).half().float()
    steps = rows / torch.where(scale > 0, scale, 1.0)  # a scale of zero makes a row of zeros
    return steps.round().clamp(-largest, largest) * scale


def _round_to_codebook(matrix: Float[Tensor, "n width"]) -> Float[Tensor, "n width"]:
    levels = torch.unique(matrix)
    if len(levels) > LEVELS:
        levels = least_squares_levels(matrix.flatten().sort().values.double(), LEVELS)
    levels = levels.half().to(matrix.dtype)
    rounded: Tensor = levels[torch.bucketize(matrix, (levels[1:] + levels[:-1]) / 2)]
    return rounded
