"""The hash functions as torch custom operators, which trace, compile and export.

`torch.ops.tablefree.hash_buckets` and `torch.ops.tablefree.dense_hash` take integer ids of any
shape and width on any device. A seed is passed as the two's complement of its 64 bits, as torch's
integers are signed.
"""

import torch
from torch import Tensor

from tablefree.hashing import check_codes, check_hashes


@torch.library.custom_op("tablefree::hash_buckets", mutates_args=())
def hash_buckets(ids: Tensor, seed: int, family: str, num_hashes: int, num_buckets: int) -> Tensor:
    """The bucket of each id [*batch] under each hash: int64 [*batch, num_hashes]."""
    from tablefree.kernels import cpu  # Numba takes a second to import: only when it is needed

    check_hashes(family, num_hashes, num_buckets)
    buckets = cpu.hash_buckets(
        _flat(ids).numpy(), seed, family, num_hashes, num_buckets, torch.get_num_threads()
    )
    return torch.from_numpy(buckets).view(*ids.shape, num_hashes).to(ids.device)


@torch.library.custom_op("tablefree::dense_hash", mutates_args=())
def dense_hash(
    ids: Tensor, seed: int, family: str, num_hashes: int, num_buckets: int, transform: str
) -> Tensor:
    """The dense code of each id [*batch]: float32 [*batch, num_hashes]."""
    from tablefree.kernels import cpu

    check_hashes(family, num_hashes, num_buckets)
    check_codes(num_hashes, num_buckets, transform)
    codes = cpu.dense_hash(
        _flat(ids).numpy(),
        seed,
        family,
        num_hashes,
        num_buckets,
        transform,
        torch.get_num_threads(),
    )
    return torch.from_numpy(codes).view(*ids.shape, num_hashes).to(ids.device)


@hash_buckets.register_fake
def _(ids: Tensor, seed: int, family: str, num_hashes: int, num_buckets: int) -> Tensor:  # noqa: ARG001
    return ids.new_empty((*ids.shape, num_hashes), dtype=torch.int64)


@dense_hash.register_fake
def _(
    ids: Tensor,
    seed: int,  # noqa: ARG001
    family: str,  # noqa: ARG001
    num_hashes: int,
    num_buckets: int,  # noqa: ARG001
    transform: str,  # noqa: ARG001
) -> Tensor:
    return ids.new_empty((*ids.shape, num_hashes), dtype=torch.float32)


def _flat(ids: Tensor) -> Tensor:
    return ids.detach().to("cpu", torch.int64).reshape(-1).contiguous()
