"""From rows to bytes, in any form."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from tablefree.encodings.levels import least_squares_levels
from tablefree.encodings.product_codes import product_codes
from tablefree.encodings.residual_codes import residual_codes
from tablefree.errors import InputError
from tablefree.packing.bits import pack_bits
from tablefree.packing.forms import Form

_MOST_NUMBERS = 2**22  # from which levels are found


class Statistics(NamedTuple):
    """What is known of the use of a table's rows.

    Attributes:
        metric: what an error in each direction costs in the score, positive semi-definite.
        counts: how often each row is looked up.
    """

    metric: Float[Tensor, "width width"] | None = None
    counts: Float[Tensor, " n"] | None = None


class Encoded(NamedTuple):
    """Rows in a form.

    Attributes:
        data: the bytes of each row.
        books: float32 tensors, from which `Form` says how rows are made.
        spans: see `Codes`.
    """

    data: UInt8[Tensor, "n row_bytes"]
    books: list[Tensor]
    spans: list[int]


def encoded(rows: Float[Tensor, "n width"], form: Form, statistics: Statistics) -> Encoded:
    """Pack rows.

    Args:
        rows: on the CPU.
        form: of the bytes.
        statistics: of the rows.

    Raises:
        InputError: numbers that are not finite, or too large for float16; more product codes than
            numbers in a row; codes without FAISS.
    """
    rows = rows.float().contiguous()
    if len(rows) and not all(end.isfinite() for end in torch.aminmax(rows)):
        raise InputError("rows with NaN or infinity cannot be packed: train anew at a lower rate")
    match form.kind:
        case "float16":
            return Encoded(_halves(rows).view(torch.uint8), [], [])
        case "int8" | "int4":
            return Encoded(_scaled(rows, 8 if form.kind == "int8" else 4), [], [])
        case "levels":
            return _in_levels(rows, form.bits)
        case _:
            learn = product_codes if form.kind == "product" else residual_codes
            # Squares of rows of any size are numbers then.
            size = max(float(rows.abs().max()), 1e-37) if len(rows) else 1.0
            indices, (first, *others), spans = learn(
                rows / size,
                form.num_codes,
                form.bits,
                metric=statistics.metric,
                counts=statistics.counts,
            )
            return Encoded(pack_bits(indices, form.bits), [first * size, *others], spans)


def _halves(values: Tensor) -> Tensor:
    halves = values.half()
    if not halves.isfinite().all():
        raise InputError(
            f"rows of magnitude {float(values.abs().max()):.3g} do not fit float16, whose largest "
            "number is 65504: rescale them"
        )
    return halves


def _scaled(rows: Float[Tensor, "n width"], bits: int) -> UInt8[Tensor, "n row_bytes"]:
    """Whole multiples of a scale a row (Guan et al., "Post-Training 4-bit Quantization", 2019)."""
    largest = (1 << (bits - 1)) - 1
    scales = _halves(rows.abs().amax(dim=-1, keepdim=True) / largest)
    steps = rows / torch.where(scales > 0, scales, 1.0).float()
    numbers = steps.round().clamp(-largest, largest) * (scales > 0) + (1 << (bits - 1))
    return torch.cat([pack_bits(numbers.to(torch.uint8), bits), scales.view(torch.uint8)], dim=1)


def _in_levels(rows: Float[Tensor, "n width"], bits: int) -> Encoded:
    numbers = rows.flatten()
    if len(numbers) > _MOST_NUMBERS:
        numbers = numbers[:: -(-len(numbers) // _MOST_NUMBERS)]
    levels = torch.unique(numbers)
    if len(levels) > 1 << bits:
        levels = least_squares_levels(numbers.sort().values.double(), 1 << bits).float()
    nearest = torch.bucketize(rows, (levels[1:] + levels[:-1]) / 2)
    book = F.pad(levels, (0, (1 << bits) - len(levels)))[None, :, None]
    return Encoded(pack_bits(nearest.to(torch.uint8), bits), [book], [])
