"""The two ceilings of a machine, arithmetic and memory, and how near a network comes to them.

The roofline of Williams, Waterman and Patterson (2009): what is measured here is torch's product of
two large matrices in each dtype, and a copy that no cache holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat

import torch
from torch import Tensor

from tablefree.bench.case import Case
from tablefree.bench.timing import alternate

SIDE = {"cpu": 2048, "cuda": 8192}  # of the square matrices
COPIED = 2**27  # bytes
DTYPES = (torch.float32, torch.bfloat16, torch.int8)


@dataclass(frozen=True)
class Ceilings:
    """What the machine can do.

    Attributes:
        gflops: dtype → billions of operations a second of a matrix product, a multiply-add being
            two of them.
        copy_gigabytes: billions of bytes a second of a copy, read and written.
    """

    gflops: Mapping[torch.dtype, float]
    copy_gigabytes: float


@dataclass(frozen=True)
class Roofline:
    """Where a case is below the ceilings.

    Attributes:
        operations: of the matrix products, a multiply-add being two.
        num_bytes: of the codes and the weights, each once.
        gflops: billions of operations a second that were reached.
        share: of what the ceilings allow: the time that they leave over the time that it took.
    """

    operations: int
    num_bytes: int
    gflops: float
    share: float


def measure_ceilings(device: torch.device, seconds: float) -> Ceilings:
    """Measure them, each dtype for so many seconds; the fastest repetition counts."""
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    gflops, copies = {}, []
    side = SIDE[device.type]
    numbers = torch.randn(side, side, generator=torch.Generator().manual_seed(0)).to(device)
    for dtype in DTYPES:

        def product(matrix: Tensor) -> Tensor:
            return (torch._int_mm if matrix.dtype == torch.int8 else torch.mm)(matrix, matrix)

        products, copied = alternate(
            product,
            lambda _: target.copy_(source),
            repeat(numbers.to(dtype)),
            seconds=seconds,
            device=device,
        )
        gflops[dtype] = 2 * side**3 / min(products) / 1e6
        copies += copied
    return Ceilings(gflops, 2 * COPIED / min(copies) / 1e6)


def roofline(case: Case, milliseconds: float, ceilings: Ceilings) -> Roofline | None:
    """Where a case that took so long is; None for one that counts no multiply-adds."""
    if case.multiply_adds is None:
        return None
    operations = 2 * case.multiply_adds * case.shape.batch
    numbers = case.shape.batch * case.shape.num_hashes + case.multiply_adds
    num_bytes = numbers * case.dtype.itemsize
    fewest_milliseconds = max(
        operations / ceilings.gflops[case.dtype] / 1e6, num_bytes / ceilings.copy_gigabytes / 1e6
    )
    return Roofline(
        operations, num_bytes, operations / milliseconds / 1e6, fewest_milliseconds / milliseconds
    )
