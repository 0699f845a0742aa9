"""Encoding against writing the same bytes, and against the formula in plain torch."""

from itertools import repeat

import torch

from tablefree.benchmark.case import Case, Measurement, Shape, dtype_text
from tablefree.benchmark.eager_hash import EagerDenseHash
from tablefree.benchmark.timing import alternate
from tablefree.encodings import DenseHashEncoding


def encode_cases(shape: Shape) -> list[Case]:
    """Codes of distinct ids; the hidden layers of the shape do not matter."""
    ids, device = shape.distinct_ids(), shape.device
    encoding = DenseHashEncoding(shape.num_hashes, seed="item_id")
    size = f"{shape.batch}x{shape.num_hashes}"

    def against_clone(dtype: torch.dtype) -> Case:
        def measure(seconds: float) -> Measurement:
            codes = encoding(ids, dtype=dtype)
            return Measurement(
                *alternate(
                    lambda ids: encoding(ids, dtype=dtype),
                    lambda _: codes.clone(),
                    repeat(ids),
                    seconds=seconds,
                    device=device,
                )
            )

        return Case(f"encode / clone, {size}, {dtype_text(dtype)}", "encode", shape, dtype, measure)

    def against_copy(seconds: float) -> Measurement:
        codes = encoding(ids)
        out = torch.empty_like(codes)
        return Measurement(
            *alternate(
                lambda ids: encoding(ids, out=out),
                lambda _: out.copy_(codes),
                repeat(ids),
                seconds=seconds,
                device=device,
            )
        )

    def against_eager(seconds: float) -> Measurement:
        eager = EagerDenseHash(encoding, device)
        return Measurement(*alternate(encoding, eager, repeat(ids), seconds=seconds, device=device))

    return [
        against_clone(torch.float32),
        against_clone(torch.bfloat16),
        Case(
            f"encode into out / copy_, {size}, float32",
            "encode",
            shape,
            torch.float32,
            against_copy,
        ),
        Case(
            f"eager torch int64 / encode, {size}, float32",
            "encode",
            shape,
            torch.float32,
            against_eager,
            better="higher",
        ),
    ]
