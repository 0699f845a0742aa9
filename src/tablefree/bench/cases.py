"""Which comparisons are made."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch

from tablefree.bench.case import Case, Shape
from tablefree.bench.encode import encode_cases
from tablefree.bench.graphs import LATENCY_BATCH, latency_case
from tablefree.bench.memory import memory_case
from tablefree.bench.networks import compiled_case, frozen_case, training_case
from tablefree.bench.traffic import repeated_case, traffic_cases
from tablefree.errors import InputError

DEFAULT_BATCH = {"cpu": 4096, "cuda": 65_536}
DEFAULT_HASHES = 1024
REPEATED = 16  # times as many ids in the batch of which most are repeated
SWEPT_BATCHES, SWEPT_HASHES = (256, 4096, 65_536), (256, 1024)
TRAINING_DTYPES = (torch.float32, torch.bfloat16)
FROZEN_DTYPES = (*TRAINING_DTYPES, torch.int8)


def choose_device(name: str) -> torch.device:
    """The device of this name.

    Raises:
        InputError: neither cpu nor cuda, or a GPU that torch does not find.
    """
    if name not in DEFAULT_BATCH:
        raise InputError(f"device must be cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("torch finds no CUDA device here: choose --device cpu")
    return torch.device(name)


def default_cases(
    device: torch.device,
    networks: Sequence[tuple[int, ...]],
    *,
    batch: int | None = None,
    num_hashes: int | None = None,
) -> list[Case]:
    """Each comparison at one size; encoding and ids that repeat with the first network only.

    Args:
        device: CPU or CUDA.
        networks: the hidden layers of each.
        batch: ids a batch; `DEFAULT_BATCH` of the device by default.
        num_hashes: width of a code; `DEFAULT_HASHES` by default.
    """
    batch, num_hashes = batch or DEFAULT_BATCH[device.type], num_hashes or DEFAULT_HASHES
    shapes = [Shape(batch, num_hashes, hidden, device) for hidden in networks]
    first = shapes[0]
    many = replace(first, batch=REPEATED * batch)
    cases = [
        *encode_cases(replace(first, hidden=())),
        *(frozen_case(shape, dtype) for shape in shapes for dtype in FROZEN_DTYPES),
        *(training_case(shape, dtype) for shape in shapes for dtype in TRAINING_DTYPES),
        compiled_case(first),
        *(repeated_case(many, training=training) for training in (False, True)),
        *traffic_cases(first),
        *(memory_case(shape, recompute=r) for shape in shapes for r in (False, True)),
    ]
    if device.type == "cuda":
        cases += [latency_case(replace(shape, batch=LATENCY_BATCH)) for shape in shapes]
    return cases


def swept_cases(
    device: torch.device,
    networks: Sequence[tuple[int, ...]],
    *,
    batch: int | None = None,
    num_hashes: int | None = None,
) -> list[Case]:
    """Inference and training by network, width of the code and batch.

    Args:
        device: CPU or CUDA.
        networks: the hidden layers of each.
        batch: the only one; `SWEPT_BATCHES` by default.
        num_hashes: the only one; `SWEPT_HASHES` by default.
    """
    batches = (batch,) if batch else SWEPT_BATCHES
    widths = (num_hashes,) if num_hashes else SWEPT_HASHES
    shapes = [
        Shape(batch, width, hidden, device)
        for hidden, width, batch in product(networks, widths, batches)
    ]
    cases = [
        case(shape, dtype)
        for case in (frozen_case, training_case)
        for shape in shapes
        for dtype in TRAINING_DTYPES
    ]
    return [
        replace(case, name=f"{case.name}, {case.shape.batch}x{case.shape.num_hashes}")
        for case in cases
    ]
