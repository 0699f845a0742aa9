"""Encoding against writing the same bytes, and against the formula in plain torch."""

from collections.abc import Callable
from itertools import repeat
from typing import Literal

import torch
from torch import Tensor

from tablefree.bench.case import Case, Measurement, Shape, dtype_text
from tablefree.bench.eager_hash import EagerDenseHash
from tablefree.bench.timing import alternate
from tablefree.encodings import DenseHashEncoding

Call = Callable[[Tensor], object]


def encode_cases(shape: Shape) -> list[Case]:
    """Codes of distinct ids; the shape has no hidden layers."""
    encoding = DenseHashEncoding(shape.num_hashes, seed="item_id")

    def case(
        name: str,
        dtype: torch.dtype,
        calls: Callable[[Tensor], tuple[Call, Call]],
        better: Literal["lower", "higher"] = "lower",
    ) -> Case:
        """A case whose two calls are made from the codes of its ids."""

        def measure(seconds: float) -> Measurement:
            ids = shape.distinct_ids()
            ours, against = calls(encoding(ids, dtype=dtype))
            times = alternate(ours, against, repeat(ids), seconds=seconds, device=shape.device)
            return Measurement(*times)

        return Case(f"{name}, {dtype_text(dtype)}", "encode", shape, dtype, measure, better)

    def clone(codes: Tensor) -> tuple[Call, Call]:
        return lambda ids: encoding(ids, dtype=codes.dtype), lambda _: codes.clone()

    def copy(codes: Tensor) -> tuple[Call, Call]:
        out = torch.empty_like(codes)
        return lambda ids: encoding(ids, out=out), lambda _: out.copy_(codes)

    def eager(codes: Tensor) -> tuple[Call, Call]:
        return encoding, EagerDenseHash(encoding, codes.device)

    return [
        case("encode / clone", torch.float32, clone),
        case("encode / clone", torch.bfloat16, clone),
        case("encode into out / copy_", torch.float32, copy),
        case("eager torch int64 / encode", torch.float32, eager, better="higher"),
    ]
