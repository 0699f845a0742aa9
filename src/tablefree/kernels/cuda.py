"""The hash functions in Triton for GPUs, alone and inside the matrix product of a first layer.

The fused product follows the idea of FlashAttention (Dao et al., 2022): a tile of codes is made in
registers from the ids, multiplied and forgotten, and the weight gradient makes it again.
Everything is a function of integers up to one rounded product, so the bits are the reference's.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from tablefree.hashing import GOLDEN_GAMMA, MERSENNE_61, coefficients

_GAMMA = tl.constexpr(GOLDEN_GAMMA)
_MIX_1, _MIX_2 = tl.constexpr(0xBF58476D1CE4E5B9), tl.constexpr(0x94D049BB133111EB)
_LOW_29, _LOW_32 = tl.constexpr(2**29 - 1), tl.constexpr(2**32 - 1)
_PRIME_61 = tl.constexpr(MERSENNE_61)
_TWO_PI = tl.constexpr(2.0 * np.pi)
_TO_INTEGER = tl.constexpr(1.5 * 2**23)  # a small float32 plus this is rounded to an integer

# Hashes lie along the threads: in a wide row a thread has several hashes of an id to rename it for.
_WIDEST_ROW = 512
_HASHES_PER_PROGRAM = 4096  # 32 for each of 128 threads
_GAUSSIANS_PER_PROGRAM = 1024  # which take many registers


class _Tile(NamedTuple):
    """What one program of a matrix product computes, and by how many warps.

    Rows are ids, or hashes in the gradient of the weights.
    """

    rows: int
    outputs: int
    num_warps: int


# Every tile of outputs makes its codes anew, and a code takes about a dozen integer instructions,
# by count the time of 400 bfloat16 multiply-adds on an H100: tiles are as wide in outputs as the
# registers that accumulate them allow (128 in each of 256 threads). With more than two of them side
# by side, codes written and read once would be the cheaper ones, at the price of their memory.
# Smaller tiles serve batches that would leave multiprocessors idle; there are no larger ones for
# IEEE float32, which has no tensor cores.
_TILES = (_Tile(128, 256, 8), _Tile(64, 256, 8), _Tile(64, 128, 4), _Tile(16, 128, 4))
_IEEE_TILES = (_Tile(64, 128, 8), _Tile(32, 64, 4), _Tile(16, 64, 4))

_ROW_BYTES = 64  # of codes, a step of the sum: twice as many spill registers on an H100


def hash_buckets(ids: Tensor, seed: int, family: str, num_hashes: int, num_buckets: int) -> Tensor:
    """The bucket of each id [*batch] under each hash: int64 [*batch, num_hashes]."""
    out = ids.new_empty((*ids.shape, num_hashes), dtype=torch.int64)
    _launch_rows(_bucket_kernel, ids, out, seed, family, num_buckets)
    return out


def dense_hash_out(
    ids: Tensor, out: Tensor, seed: int, family: str, num_buckets: int, transform: str
) -> None:
    """Write the dense code of each id [*batch] into the contiguous `out` [*batch, num_hashes].

    In bfloat16 a code is the rounding of the float32 code, in int8 (only uniform codes) that of 127
    times it.
    """
    gaussian = transform == "gaussian"
    _launch_rows(
        _code_kernel,
        ids,
        out,
        seed,
        family,
        num_buckets,
        _GAUSSIANS_PER_PROGRAM if gaussian else _HASHES_PER_PROGRAM,
        gaussian=gaussian,
    )


def dense_hash_linear(
    ids: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    seed: int,
    family: str,
    num_buckets: int,
    transform: str,
) -> Tensor:
    """The first layer of the ids [n], codes @ weight.T + bias, without codes in memory.

    Args:
        ids: any ids.
        weight: [num_outputs, num_hashes], float32 or bfloat16; the codes are rounded to its dtype,
            and products summed in float32.
        bias: [num_outputs] of the same dtype, or None.
        seed: of the hash functions.
        family: of the hash functions.
        num_buckets: number of levels of each number of the code.
        transform: `"uniform"` or `"gaussian"`.

    Returns:
        [n, num_outputs] of the weight's dtype.
    """
    num_outputs, num_hashes = weight.shape
    out = weight.new_empty(ids.numel(), num_outputs)
    if out.numel() == 0:
        return out
    ids, weight = _flat(ids), weight.contiguous()
    functions = _functions(seed, num_hashes, family, ids.device)
    precision = _precision(weight.dtype)
    tile = _tile(ids.numel(), num_outputs, precision, _multiprocessors(ids.device))
    with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
        _linear_kernel[_grid(tile, ids.numel(), num_outputs)](
            ids,
            functions,
            weight,
            weight if bias is None else bias.contiguous(),
            out,
            ids.numel(),
            functions.shape[1],
            num_hashes,
            num_outputs,
            num_buckets,
            prime=family == "carter_wegman",
            gaussian=transform == "gaussian",
            has_bias=bias is not None,
            precision=precision,
            block_ids=tile.rows,
            block_outputs=tile.outputs,
            block_hashes=_ROW_BYTES // weight.itemsize,
            num_warps=tile.num_warps,
            enable_fp_fusion=True,
        )
    return out


def dense_hash_linear_weight_grad(
    ids: Tensor,
    grad_output: Tensor,
    seed: int,
    family: str,
    num_hashes: int,
    num_buckets: int,
    transform: str,
) -> Tensor:
    """The gradient of the weights, grad_output.T @ codes, which makes the codes again.

    Args:
        ids: [n], as given to `dense_hash_linear`.
        grad_output: [n, num_outputs], float32 or bfloat16.
        seed: of the hash functions.
        family: of the hash functions.
        num_hashes: width of the codes.
        num_buckets: number of levels of each number of the code.
        transform: `"uniform"` or `"gaussian"`.

    Returns:
        [num_outputs, num_hashes] of the dtype of `grad_output`, summed in float32. Equal calls on
        one kind of GPU give equal bits: there are no atomic sums.
    """
    num_outputs = grad_output.shape[1]
    if grad_output.numel() == 0:
        return grad_output.new_zeros(num_outputs, num_hashes)
    ids, grad_output = _flat(ids), grad_output.contiguous()
    functions = _functions(seed, num_hashes, family, ids.device)
    precision = _precision(grad_output.dtype)
    # The largest tiles are few and would leave most multiprocessors idle: the ids are shared out
    # too, and each part has sums of its own, in all at most one tile for each multiprocessor.
    tile = _tile(num_hashes, num_outputs, precision, num_tiles=1)
    grid = _grid(tile, num_hashes, num_outputs)
    block_ids = _ROW_BYTES // grad_output.itemsize
    blocks = triton.cdiv(ids.numel(), block_ids)
    num_parts = max(1, min(blocks, _multiprocessors(ids.device) // math.prod(grid)))
    parts = grad_output.new_empty(num_parts, num_outputs, num_hashes, dtype=torch.float32)
    with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
        _weight_grad_kernel[(*grid, num_parts)](
            ids,
            functions,
            grad_output,
            parts,
            ids.numel(),
            functions.shape[1],
            num_hashes,
            num_outputs,
            triton.cdiv(blocks, num_parts) * block_ids,
            num_buckets,
            prime=family == "carter_wegman",
            gaussian=transform == "gaussian",
            precision=precision,
            block_ids=block_ids,
            block_outputs=tile.outputs,
            block_hashes=tile.rows,
            num_warps=tile.num_warps,
            enable_fp_fusion=True,
        )
    return parts.sum(0).to(grad_output.dtype)


def _launch_rows(
    kernel: Any,
    ids: Tensor,
    out: Tensor,
    seed: int,
    family: str,
    num_buckets: int,
    hashes_per_program: int = _HASHES_PER_PROGRAM,
    **options: bool,
) -> None:
    """Fill `out` [*batch, num_hashes], tile by tile."""
    if out.numel() == 0:
        return
    num_hashes = out.shape[-1]
    functions = _functions(seed, num_hashes, family, ids.device)
    block_hashes = min(_WIDEST_ROW, triton.next_power_of_2(num_hashes))
    block_ids = hashes_per_program // block_hashes
    with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
        kernel[(triton.cdiv(ids.numel(), block_ids), triton.cdiv(num_hashes, block_hashes))](
            _flat(ids),
            functions,
            out,
            ids.numel(),
            functions.shape[1],
            num_hashes,
            num_buckets,
            prime=family == "carter_wegman",
            **options,
            block_ids=block_ids,
            block_hashes=block_hashes,
            enable_fp_fusion=False,  # a fused product and sum would be rounded once, not twice
        )


def _flat(ids: Tensor) -> Tensor:
    return ids.detach().to(torch.int64).reshape(-1).contiguous()


def _functions(seed: int, num_hashes: int, family: str, device: torch.device) -> Tensor:
    """The coefficients on the device: uint64 [3, at least num_hashes].

    There are some more functions than asked for, whole tiles of them, so that kernels need not
    mask: the first of a larger set are the same.
    """
    return _kept_functions(seed, triton.cdiv(num_hashes, _WIDEST_ROW) * _WIDEST_ROW, family, device)


@lru_cache(maxsize=256)
def _kept_functions(seed: int, count: int, family: str, device: torch.device) -> Tensor:
    return torch.from_numpy(coefficients(seed, count, family).T.copy()).to(device)


def _precision(dtype: torch.dtype) -> str:
    exact = dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    return "ieee" if exact else "tf32"


def _multiprocessors(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).multi_processor_count
    return 8  # of Triton's interpreter, so that it works with more than one size of tile


def _tile(num_rows: int, num_outputs: int, precision: str, num_tiles: int) -> _Tile:
    """The largest tile of which there are at least so many, else the smallest."""
    most_rows, most_outputs = (
        max(16, triton.next_power_of_2(size)) for size in (num_rows, num_outputs)
    )
    for rows, outputs, num_warps in _IEEE_TILES if precision == "ieee" else _TILES:
        tile = _Tile(min(rows, most_rows), min(outputs, most_outputs), num_warps)
        if math.prod(_grid(tile, num_rows, num_outputs)) >= num_tiles:
            break
    return tile


def _grid(tile: _Tile, num_rows: int, num_outputs: int) -> tuple[int, int]:
    return triton.cdiv(num_rows, tile.rows), triton.cdiv(num_outputs, tile.outputs)


# In the kernels `functions` are the uint64 coefficients [3, num_functions].


@triton.jit
def _halves(ids):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The low and high 32 bits of the renamed ids."""
    word = ids.to(tl.uint64, bitcast=True) + _GAMMA
    word = (word ^ (word >> 30)) * _MIX_1
    word = (word ^ (word >> 27)) * _MIX_2
    word = word ^ (word >> 31)
    return word & _LOW_32, word >> 32


@triton.jit
def _times_mod_61(a, half):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The product a * half modulo 2^61 - 1, not fully reduced, as in the CPU's kernel."""
    top = (a >> 32) * half
    bottom = (a & _LOW_32) * half
    return (top >> 29) + ((top & _LOW_29) << 32) + (bottom >> 61) + (bottom & _PRIME_61)


@triton.jit  # type: ignore[untyped-decorator]
def _buckets(low, high, functions, num_functions, hashes, num_buckets, prime: tl.constexpr):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The buckets, uint64 [ids, hashes], of ids given by halves [ids, 1]."""
    first = tl.load(functions + hashes)[None, :]
    second = tl.load(functions + num_functions + hashes)[None, :]
    third = tl.load(functions + 2 * num_functions + hashes)[None, :]
    if prime:
        value = _times_mod_61(first, high) + _times_mod_61(second, low) + third
        value = (value >> 61) + (value & _PRIME_61)
        buckets = tl.where(value >= _PRIME_61, value - _PRIME_61, value) % num_buckets
    else:
        value = (first + low) * (second + high) + third
        buckets = ((value >> 32) * num_buckets) >> 32
    return buckets


@triton.jit  # type: ignore[untyped-decorator]
def _codes(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    functions,
    num_functions,
    start,
    num_buckets: tl.constexpr,
    prime: tl.constexpr,
    gaussian: tl.constexpr,
    block_ids: tl.constexpr,
    block_hashes: tl.constexpr,
):
    """The float32 codes of a block of ids under the hashes from `start` on.

    The number of buckets is known to the compiler, for which a division by it is a multiplication
    or a shift.
    """
    low, high = _halves(ids)
    low, high = low[:, None], high[:, None]
    if gaussian:
        even = start + 2 * tl.arange(0, block_hashes // 2)
        first = _buckets(low, high, functions, num_functions, even, num_buckets, prime)
        second = _buckets(low, high, functions, num_functions, even + 1, num_buckets, prime)
        radius = tl.sqrt(-2.0 * tl.log((first + 1).to(tl.float64) / num_buckets))
        angle = _TWO_PI * ((second + 1).to(tl.float64) / num_buckets)
        pairs = tl.join(
            (radius * tl.cos(angle)).to(tl.float32), (radius * tl.sin(angle)).to(tl.float32)
        )
        codes = tl.reshape(pairs, [block_ids, block_hashes])
    else:
        hashes = start + tl.arange(0, block_hashes)
        buckets = _buckets(low, high, functions, num_functions, hashes, num_buckets, prime)
        steps = 2 * buckets.to(tl.int32) - (num_buckets - 1)
        codes = steps.to(tl.float32) * (1.0 / (num_buckets - 1))
    return codes


@triton.jit(do_not_specialize=["num_buckets"])  # type: ignore[untyped-decorator]
def _bucket_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    functions,
    out,
    num_ids,
    num_functions,
    num_hashes,
    num_buckets,
    prime: tl.constexpr,
    block_ids: tl.constexpr,
    block_hashes: tl.constexpr,
):
    """Buckets, one tile a program; tables have many sizes, so these compile once for all."""
    rows = tl.program_id(0) * block_ids + tl.arange(0, block_ids)
    hashes = tl.program_id(1) * block_hashes + tl.arange(0, block_hashes)
    low, high = _halves(tl.load(ids + rows, rows < num_ids, 0)[:, None])
    buckets = _buckets(
        low, high, functions, num_functions, hashes, num_buckets.to(tl.uint64), prime
    )
    places = out + rows.to(tl.int64)[:, None] * num_hashes + hashes[None, :]
    tl.store(places, buckets.to(tl.int64), (rows < num_ids)[:, None] & (hashes < num_hashes))


@triton.jit  # type: ignore[untyped-decorator]
def _code_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    functions,
    out,
    num_ids,
    num_functions,
    num_hashes,
    num_buckets: tl.constexpr,
    prime: tl.constexpr,
    gaussian: tl.constexpr,
    block_ids: tl.constexpr,
    block_hashes: tl.constexpr,
):
    """Codes, one tile a program."""
    rows = tl.program_id(0) * block_ids + tl.arange(0, block_ids)
    start = tl.program_id(1) * block_hashes
    hashes = start + tl.arange(0, block_hashes)
    codes = _codes(
        tl.load(ids + rows, rows < num_ids, 0),
        functions,
        num_functions,
        start,
        num_buckets,
        prime,
        gaussian,
        block_ids,
        block_hashes,
    )
    if out.dtype.element_ty == tl.int8:
        codes = (codes * 127.0 + _TO_INTEGER) - _TO_INTEGER
    places = out + rows.to(tl.int64)[:, None] * num_hashes + hashes[None, :]
    inside = (rows < num_ids)[:, None] & (hashes < num_hashes)[None, :]
    tl.store(places, codes.to(out.dtype.element_ty), inside)


@triton.jit  # type: ignore[untyped-decorator]
def _linear_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    functions,
    weight,
    bias,
    out,
    num_ids,
    num_functions,
    num_hashes,
    num_outputs,
    num_buckets: tl.constexpr,
    prime: tl.constexpr,
    gaussian: tl.constexpr,
    has_bias: tl.constexpr,
    precision: tl.constexpr,
    block_ids: tl.constexpr,
    block_outputs: tl.constexpr,
    block_hashes: tl.constexpr,
):
    """One tile [ids, outputs] of the product, summed over the hashes."""
    rows = tl.program_id(0) * block_ids + tl.arange(0, block_ids)
    outputs = tl.program_id(1) * block_outputs + tl.arange(0, block_outputs)
    identifiers = tl.load(ids + rows, rows < num_ids, 0)
    total = tl.full((block_ids, block_outputs), 0.0, tl.float32)
    for start in range(0, num_hashes, block_hashes):
        hashes = start + tl.arange(0, block_hashes)
        # Weights beyond the last hash are 0, and codes there are finite.
        weights = tl.load(
            weight + outputs.to(tl.int64)[None, :] * num_hashes + hashes[:, None],
            (outputs < num_outputs)[None, :] & (hashes < num_hashes)[:, None],
            0.0,
        )
        codes = _codes(
            identifiers,
            functions,
            num_functions,
            start,
            num_buckets,
            prime,
            gaussian,
            block_ids,
            block_hashes,
        )
        total = tl.dot(codes.to(weights.dtype), weights, total, input_precision=precision)
    if has_bias:
        total += tl.load(bias + outputs, outputs < num_outputs, 0.0).to(tl.float32)[None, :]
    places = out + rows.to(tl.int64)[:, None] * num_outputs + outputs[None, :]
    inside = (rows < num_ids)[:, None] & (outputs < num_outputs)[None, :]
    tl.store(places, total.to(out.dtype.element_ty), inside)


@triton.jit  # type: ignore[untyped-decorator]
def _weight_grad_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    functions,
    grad_output,
    parts,
    num_ids,
    num_functions,
    num_hashes,
    num_outputs,
    ids_per_part,
    num_buckets: tl.constexpr,
    prime: tl.constexpr,
    gaussian: tl.constexpr,
    precision: tl.constexpr,
    block_ids: tl.constexpr,
    block_outputs: tl.constexpr,
    block_hashes: tl.constexpr,
):
    """One tile [hashes, outputs] of the gradient, summed over one part of the ids.

    Codes are the left side of the product, as above, so that they stay in registers.
    """
    start = tl.program_id(0) * block_hashes
    hashes = start + tl.arange(0, block_hashes)
    outputs = tl.program_id(1) * block_outputs + tl.arange(0, block_outputs)
    part = tl.program_id(2)
    total = tl.full((block_hashes, block_outputs), 0.0, tl.float32)
    stop = tl.minimum(num_ids, (part + 1) * ids_per_part)
    for first in range(part * ids_per_part, stop, block_ids):
        rows = first + tl.arange(0, block_ids)
        grads = tl.load(
            grad_output + rows.to(tl.int64)[:, None] * num_outputs + outputs[None, :],
            (rows < num_ids)[:, None] & (outputs < num_outputs)[None, :],
            0.0,
        )
        codes = _codes(
            tl.load(ids + rows, rows < num_ids, 0),
            functions,
            num_functions,
            start,
            num_buckets,
            prime,
            gaussian,
            block_ids,
            block_hashes,
        )
        total = tl.dot(tl.trans(codes.to(grads.dtype)), grads, total, input_precision=precision)
    row = part.to(tl.int64) * num_outputs + outputs
    inside = (hashes < num_hashes)[:, None] & (outputs < num_outputs)[None, :]
    tl.store(parts + row[None, :] * num_hashes + hashes[:, None], total, inside)
