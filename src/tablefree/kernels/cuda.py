"""The hash functions in Triton for GPUs.

Everything is a function of integers up to one rounded product, so the bits are the reference's.
"""

from functools import lru_cache
from typing import Any

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
    functions = functions_of(seed, num_hashes, family, ids.device)
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


def functions_of(seed: int, num_hashes: int, family: str, device: torch.device) -> Tensor:
    """The coefficients on the device: uint64 [3, at least num_hashes].

    There are some more functions than asked for, whole tiles of them, so that kernels need not
    mask: the first of a larger set are the same.
    """
    return _kept_functions(seed, triton.cdiv(num_hashes, _WIDEST_ROW) * _WIDEST_ROW, family, device)


@lru_cache(maxsize=256)
def _kept_functions(seed: int, count: int, family: str, device: torch.device) -> Tensor:
    return torch.from_numpy(coefficients(seed, count, family).T.copy()).to(device)


# In the kernels `functions` are the uint64 coefficients [3, num_functions].


@triton.jit
def halves(ids):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
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
def buckets_of(low, high, functions, num_functions, hashes, num_buckets, prime: tl.constexpr):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
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
    low, high = halves(ids)
    low, high = low[:, None], high[:, None]
    if gaussian:
        even = start + 2 * tl.arange(0, block_hashes // 2)
        first = buckets_of(low, high, functions, num_functions, even, num_buckets, prime)
        second = buckets_of(low, high, functions, num_functions, even + 1, num_buckets, prime)
        radius = tl.sqrt(-2.0 * tl.log((first + 1).to(tl.float64) / num_buckets))
        angle = _TWO_PI * ((second + 1).to(tl.float64) / num_buckets)
        pairs = tl.join(
            (radius * tl.cos(angle)).to(tl.float32), (radius * tl.sin(angle)).to(tl.float32)
        )
        codes = tl.reshape(pairs, [block_ids, block_hashes])
    else:
        hashes = start + tl.arange(0, block_hashes)
        buckets = buckets_of(low, high, functions, num_functions, hashes, num_buckets, prime)
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
    low, high = halves(tl.load(ids + rows, rows < num_ids, 0)[:, None])
    buckets = buckets_of(
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
