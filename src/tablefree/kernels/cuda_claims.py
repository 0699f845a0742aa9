"""Which rows ids own, in Triton for GPUs: what `sketch` finds and gives on CPUs, bit for bit."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from tablefree.kernels.cuda import buckets_of, functions_of, halves

NUM_HASHES = 3  # two buckets and a fingerprint
_SLOTS = tl.constexpr(16)  # rows of a bucket
_SLOT_BYTES = tl.constexpr(32)  # of a bucket's fingerprints
_FREE, _REFUSED = tl.constexpr(-1), tl.constexpr(-2)
_HASH_RANGE, _FINGERPRINTS = tl.constexpr(2**32), tl.constexpr(2**16 - 1)
_NOBODY = tl.constexpr(2**31 - 1)  # asks for a bucket
_BLOCK = 128


def find_rows(ids: Tensor, slots: Tensor, seed: int) -> Tensor:
    """The row that each id [n] owns, or -1 or -2; arguments as of `sketch.find_rows`."""
    rows = torch.empty_like(ids)
    if len(ids):
        functions = functions_of(seed, NUM_HASHES, "multiply_shift", ids.device)
        sizes = (functions.shape[1], len(slots), len(ids))
        with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
            _find_kernel[(triton.cdiv(len(ids), _BLOCK),)](
                ids, rows, slots, functions, *sizes, block_ids=_BLOCK
            )
    return rows


def give_rows(ids: Tensor, slots: Tensor, seed: int) -> None:
    """Give rows to distinct ids [n] without one; arguments as of `sketch.give_rows`."""
    functions = functions_of(seed, NUM_HASHES, "multiply_shift", ids.device)
    waits = torch.ones_like(ids, dtype=torch.bool)
    asked = torch.empty_like(ids)
    first = torch.full((len(slots),), 2**31 - 1, dtype=torch.int32, device=ids.device)
    num_functions, grid = functions.shape[1], (triton.cdiv(len(ids), _BLOCK),)
    # A round serves one id a bucket, the first: what comes out does not depend on chance.
    with torch.cuda.device_of(ids):  # type: ignore[no-untyped-call]
        while waits.any():
            tensors = (ids, waits, asked, first, slots, functions)
            _ask_kernel[grid](*tensors, num_functions, len(slots), len(ids), block_ids=_BLOCK)
            _serve_kernel[grid](*tensors, num_functions, len(ids), block_ids=_BLOCK)


# In the kernels ids and all that there is one of for each are [ids, 1].


@triton.jit  # type: ignore[untyped-decorator]
def hashed_by(low, high, functions, num_functions, number: tl.constexpr):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """One hash of each id, of 32 bits."""
    hashes = tl.full([1], number, tl.int32)
    return buckets_of(low, high, functions, num_functions, hashes, _HASH_RANGE, False)


@triton.jit  # type: ignore[untyped-decorator]
def _bucket_at(low, high, functions, num_functions, number: tl.constexpr, num_buckets):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """One of the two buckets of each id."""
    hashed = hashed_by(low, high, functions, num_functions, number)
    return ((hashed * num_buckets.to(tl.uint64)) >> 32).to(tl.int64)


@triton.jit
def _fingerprints_of(low, high, functions, num_functions):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """What each id is known by in its buckets; never that of a free row."""
    hashed = hashed_by(low, high, functions, num_functions, 2)
    return (((hashed * _FINGERPRINTS) >> 32) + 1).to(tl.int16)


@triton.jit  # type: ignore[untyped-decorator]
def _place_in(slots, bucket, group_bytes: tl.constexpr, fingerprints, mask):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The places of fingerprints in their buckets, -1, or -2 where there is no room."""
    place = tl.where(mask, bucket * 0 + _REFUSED, _REFUSED)
    for slot in range(_SLOTS - 1, -1, -1):  # the first match is the last to be written
        owner = tl.load(slots + bucket * (group_bytes // 2) + slot, mask, 0)
        place = tl.where((owner == 0) & (place < 0), _FREE, place)
        place = tl.where(owner == fingerprints, bucket * _SLOTS + slot, place)
    return place


@triton.jit
def own_place(low, high, mask, slots, functions, num_functions, num_buckets, group_bytes):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """The place of the row that each id owns, -1 or -2."""
    fingerprints = _fingerprints_of(low, high, functions, num_functions)
    place = tl.where(mask, low.to(tl.int64) * 0 + _REFUSED, _REFUSED)
    for number in tl.static_range(2):
        bucket = _bucket_at(low, high, functions, num_functions, number, num_buckets)
        found = _place_in(slots, bucket, group_bytes, fingerprints, mask)
        place = tl.where(place >= 0, place, tl.maximum(place, found))
    return place


@triton.jit
def _num_free(slots, bucket, mask):  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    """Free rows of each bucket."""
    num_free = tl.where(mask, 0, 0)
    for slot in range(_SLOTS):
        num_free += (tl.load(slots + bucket * _SLOTS + slot, mask, 1) == 0).to(tl.int32)
    return num_free


@triton.jit(do_not_specialize=["num_buckets", "num_ids"])  # type: ignore[untyped-decorator]
def _find_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids, rows, slots, functions, num_functions, num_buckets, num_ids, block_ids: tl.constexpr
):
    """The places of the rows that ids own, a block of ids a program."""
    at = (tl.program_id(0) * block_ids + tl.arange(0, block_ids))[:, None]
    mask = at < num_ids
    low, high = halves(tl.load(ids + at, mask, 0))
    place = own_place(low, high, mask, slots, functions, num_functions, num_buckets, _SLOT_BYTES)
    tl.store(rows + at, place, mask)


@triton.jit(do_not_specialize=["num_buckets", "num_ids"])  # type: ignore[untyped-decorator]
def _ask_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    waits,
    asked,
    first,
    slots,
    functions,
    num_functions,
    num_buckets,
    num_ids,
    block_ids: tl.constexpr,
):
    """Each id that waits asks for its emptier bucket; none waits where both are full."""
    at = (tl.program_id(0) * block_ids + tl.arange(0, block_ids))[:, None]
    mask = at < num_ids
    mask &= tl.load(waits + at, mask, 0) != 0
    low, high = halves(tl.load(ids + at, mask, 0))
    one = _bucket_at(low, high, functions, num_functions, 0, num_buckets)
    other = _bucket_at(low, high, functions, num_functions, 1, num_buckets)
    free, others = _num_free(slots, one, mask), _num_free(slots, other, mask)
    bucket = tl.where(free >= others, one, other)
    has_room = mask & (tl.maximum(free, others) > 0)
    tl.store(waits + at, has_room, mask)
    tl.store(asked + at, bucket, mask)
    tl.atomic_min(first + bucket, at, has_room)


@triton.jit(do_not_specialize=["num_ids"])  # type: ignore[untyped-decorator]
def _serve_kernel(  # type: ignore[no-untyped-def]  # pragma: no cover - compiled
    ids,
    waits,
    asked,
    first,
    slots,
    functions,
    num_functions,
    num_ids,
    block_ids: tl.constexpr,
):
    """The first that asked for a bucket gets its first free row, and no longer waits."""
    at = (tl.program_id(0) * block_ids + tl.arange(0, block_ids))[:, None]
    mask = at < num_ids
    mask &= tl.load(waits + at, mask, 0) != 0
    bucket = tl.load(asked + at, mask, 0)
    is_first = mask & (tl.load(first + bucket, mask, _NOBODY) == at)
    low, high = halves(tl.load(ids + at, is_first, 0))
    fingerprints = _fingerprints_of(low, high, functions, num_functions)
    place = _place_in(slots, bucket, _SLOT_BYTES, 0, is_first)  # of the first free row
    tl.store(slots + place, fingerprints, is_first)
    tl.store(waits + at, at < 0, is_first)
    # Who reads it now was not the first, whatever it finds.
    tl.store(first + bucket, tl.full(at.shape, _NOBODY, tl.int32), is_first)
