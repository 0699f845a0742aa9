"""Rows read from packed bytes, in Triton for GPUs: what `packed` does on CPUs, bit for bit."""

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from tablefree.kernels.cuda import functions_of, halves
from tablefree.kernels.cuda_claims import NUM_HASHES, hashed_by, own_place
from tablefree.kernels.layout import CODES, GROUP, HALF, LEVELS, Layout

_CODES, _HALF, _LEVELS = tl.constexpr(CODES), tl.constexpr(HALF), tl.constexpr(LEVELS)
_GROUP = tl.constexpr(GROUP)
_REFUSED = tl.constexpr(-2)

_NUMBERS_PER_PROGRAM = 2048  # 16 for each of 128 threads
_MOST_IDS = 64  # of a program, whose two buckets have 16 fingerprints each


def packed_rows(places: Tensor, data: Tensor, books: Tensor, layout: Layout, width: int) -> Tensor:
    """The rows at places [n], float32 [n, width]; arguments as of `packed.packed_rows`."""
    out = torch.empty(len(places), width, device=places.device)
    _launch(_row_kernel, (places, data, books, out), books, layout, width)
    return out


def packed_own_rows(
    ids: Tensor, data: Tensor, books: Tensor, seed: int, layout: Layout, width: int
) -> tuple[Tensor, Tensor]:
    """The row that each id [n] owns, zeros where it owns none; and its place, -1 or -2.

    Arguments as of `packed.packed_own_rows`.
    """
    out = torch.empty(len(ids), width, device=ids.device)
    places = torch.empty_like(ids)
    functions = functions_of(seed, NUM_HASHES, "multiply_shift", ids.device)
    tensors = (ids, data, books, out, places, data.view(torch.int16), functions)
    sizes = (functions.shape[1], len(data))
    _launch(_own_kernel, (*tensors, *sizes), books, layout, width)
    return out, places


def packed_codes(
    ids: Tensor,
    data: Tensor,
    books: Tensor,
    seed: int,
    shared: Tensor,
    shared_seed: int,
    num_hashes: int,
    layout: Layout,
    width: int,
) -> Tensor:
    """The code of each id [n]; arguments as of `packed.packed_codes`."""
    out = torch.empty(len(ids), width, device=ids.device)
    functions = functions_of(seed, NUM_HASHES, "multiply_shift", ids.device)
    picks = functions_of(shared_seed, num_hashes, "multiply_shift", ids.device)
    tensors = (ids, data, books, out, data.view(torch.int16), functions, shared, picks)
    num_rows = shared.numel() // (layout.row_bytes * num_hashes)
    sizes = (functions.shape[1], picks.shape[1], len(data), num_rows)
    _launch(_codes_kernel, (*tensors, *sizes), books, layout, width, num_hashes=num_hashes)
    return out


def _launch(
    kernel: Any,
    arguments: tuple[Any, ...],
    books: Tensor,
    layout: Layout,
    width: int,
    **options: int,
) -> None:
    """Have a kernel write the rows of ids, the first of its arguments, block by block."""
    ids = arguments[0]
    if len(ids) == 0:
        return
    block_width = triton.next_power_of_2(width)
    block_ids = max(1, min(_MOST_IDS, _NUMBERS_PER_PROGRAM // block_width))
    with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
        kernel[(triton.cdiv(len(ids), block_ids),)](
            *arguments,
            len(ids),
            **layout._asdict(),
            num_codes=len(books),
            width=width,
            block_ids=block_ids,
            block_width=block_width,
            enable_fp_fusion=False,
            **options,
        )


# In the kernels ids and all that there is one of for each are [ids, 1].


@triton.jit
def _to_float(data, at, mask):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Float16 numbers from their two bytes, in float32."""
    low = tl.load(data + at, mask, 0).to(tl.uint16)
    high = tl.load(data + at + 1, mask, 0).to(tl.uint16)
    return (low | (high << 8)).to(tl.float16, bitcast=True).to(tl.float32)


@triton.jit  # type: ignore[untyped-decorator]
def _bits_at(data, at, first, bits: tl.constexpr, mask):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The numbers of `bits` bits that begin `first` bits after the bytes `at`."""
    byte, shift = at + (first >> 3), first & 7
    word = tl.load(data + byte, mask, 0).to(tl.int32)
    if 8 % bits != 0:
        word |= tl.load(data + byte + 1, mask & (shift + bits > 8), 0).to(tl.int32) << 8
    return (word >> shift) & ((1 << bits) - 1)


@triton.jit  # type: ignore[untyped-decorator]
def _decoded(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    places,
    is_there,
    data,
    books,
    kind: tl.constexpr,
    bits: tl.constexpr,
    row_bytes: tl.constexpr,
    head: tl.constexpr,
    num_codes: tl.constexpr,
    width: tl.constexpr,
    block_width: tl.constexpr,
):
    """The rows at places, zeros where there is none; nothing else is read."""
    group_bytes = head + _GROUP * row_bytes
    at = (places // _GROUP) * group_bytes + head + (places % _GROUP) * row_bytes
    columns = tl.arange(0, block_width)[None, :]
    inside = is_there & (columns < width)
    if kind == _CODES:
        numbers = tl.full([places.shape[0], block_width], 0, tl.float32)
        for code in range(num_codes):
            choice = (code << bits) + _bits_at(data, at, code * bits, bits, is_there)
            numbers += tl.load(books + choice * width + columns, inside, 0)
    elif kind == _LEVELS:
        level = _bits_at(data, at, columns * bits, bits, inside)
        numbers = tl.load(books + level, inside, 0)
    elif kind == _HALF:
        numbers = _to_float(data, at + 2 * columns, inside)
    else:
        scale = _to_float(data, at + (width * bits + 7) // 8, is_there)
        level = _bits_at(data, at, columns * bits, bits, inside) - (1 << (bits - 1))
        numbers = tl.where(is_there, level.to(tl.float32) * scale, 0.0)  # no negative zeros
    return numbers


@triton.jit  # type: ignore[untyped-decorator]
def _write(out, rows, numbers, num_ids, width: tl.constexpr, block_width: tl.constexpr):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    columns = tl.arange(0, block_width)[None, :]
    within = (rows < num_ids) & (columns < width)
    tl.store(out + rows.to(tl.int64) * width + columns, numbers, within)


@triton.jit  # type: ignore[untyped-decorator]
def _row_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    places,
    data,
    books,
    out,
    num_ids,
    kind: tl.constexpr,
    bits: tl.constexpr,
    row_bytes: tl.constexpr,
    head: tl.constexpr,
    num_codes: tl.constexpr,
    width: tl.constexpr,
    block_ids: tl.constexpr,
    block_width: tl.constexpr,
):
    """The rows at places, a block of them a program."""
    rows = (tl.program_id(0) * block_ids + tl.arange(0, block_ids))[:, None]
    is_there = rows < num_ids
    place = tl.load(places + rows, is_there, 0)
    numbers = _decoded(
        place, is_there, data, books, kind, bits, row_bytes, head, num_codes, width, block_width
    )
    _write(out, rows, numbers, num_ids, width, block_width)


@triton.jit(do_not_specialize=["num_buckets"])  # type: ignore[untyped-decorator]
def _own_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    data,
    books,
    out,
    places,
    slots,
    functions,
    num_functions,
    num_buckets,
    num_ids,
    kind: tl.constexpr,
    bits: tl.constexpr,
    row_bytes: tl.constexpr,
    head: tl.constexpr,
    num_codes: tl.constexpr,
    width: tl.constexpr,
    block_ids: tl.constexpr,
    block_width: tl.constexpr,
):
    """The rows that ids own, and their places, a block of them a program."""
    rows = (tl.program_id(0) * block_ids + tl.arange(0, block_ids))[:, None]
    mask = rows < num_ids
    low, high = halves(tl.load(ids + rows, mask, 0))
    group_bytes: tl.constexpr = head + _GROUP * row_bytes
    place = own_place(low, high, mask, slots, functions, num_functions, num_buckets, group_bytes)
    tl.store(places + rows, place, mask)
    is_there = mask & (place >= 0)
    numbers = _decoded(
        place, is_there, data, books, kind, bits, row_bytes, head, num_codes, width, block_width
    )
    _write(out, rows, numbers, num_ids, width, block_width)


@triton.jit(do_not_specialize=["num_buckets", "num_rows"])  # type: ignore[untyped-decorator]
def _codes_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    data,
    books,
    out,
    slots,
    functions,
    shared,
    picks,
    num_functions,
    num_picks,
    num_buckets,
    num_rows,
    num_ids,
    kind: tl.constexpr,
    bits: tl.constexpr,
    row_bytes: tl.constexpr,
    head: tl.constexpr,
    num_codes: tl.constexpr,
    width: tl.constexpr,
    num_hashes: tl.constexpr,
    block_ids: tl.constexpr,
    block_width: tl.constexpr,
):
    """The rows that ids own, or the sums of those that they share, a block of ids a program."""
    rows = (tl.program_id(0) * block_ids + tl.arange(0, block_ids))[:, None]
    mask = rows < num_ids
    low, high = halves(tl.load(ids + rows, mask, 0))
    group_bytes: tl.constexpr = head + _GROUP * row_bytes
    place = own_place(low, high, mask, slots, functions, num_functions, num_buckets, group_bytes)
    is_there = mask & (place >= 0)
    numbers = _decoded(
        place, is_there, data, books, kind, bits, row_bytes, head, num_codes, width, block_width
    )
    is_refused = mask & (place == _REFUSED)
    for pick in tl.static_range(num_hashes):
        hashed = hashed_by(low, high, picks, num_picks, pick)
        row = ((hashed * num_rows.to(tl.uint64)) >> 32).to(tl.int64) + pick * num_rows.to(tl.int64)
        part = _decoded(
            row, is_refused, shared, books, kind, bits, row_bytes, 0, num_codes, width, block_width
        )
        numbers = tl.where(is_refused, numbers + part, numbers)
    _write(out, rows, numbers, num_ids, width, block_width)
