"""The kernels as torch custom operators, which trace, compile and export.

The hashes, `torch.ops.tablefree.hash_buckets` and `dense_hash`, take integer ids of any shape and
width on any device: CPU ids go to Numba, CUDA ids to Triton, others over the CPU. A seed is passed
as the two's complement of its 64 bits, as torch's integers are signed.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from tablefree.errors import InputError
from tablefree.hashing import check_codes, check_hashes

CODE_DTYPES = (torch.float32, torch.bfloat16, torch.int8)


@torch.library.custom_op("tablefree::hash_buckets", mutates_args=())
def hash_buckets(ids: Tensor, seed: int, family: str, num_hashes: int, num_buckets: int) -> Tensor:
    """The bucket of each id [*batch] under each hash: int64 [*batch, num_hashes]."""
    check_hashes(family, num_hashes, num_buckets)
    if ids.device.type == "cuda":
        from tablefree.kernels import cuda

        return cuda.hash_buckets(ids, seed, family, num_hashes, num_buckets)
    from tablefree.kernels import cpu  # Numba takes a second to import: only when it is needed

    buckets = cpu.hash_buckets(
        _flat(ids).numpy(), seed, family, num_hashes, num_buckets, torch.get_num_threads()
    )
    return torch.from_numpy(buckets).view(*ids.shape, num_hashes).to(ids.device)


@torch.library.custom_op("tablefree::dense_hash", mutates_args=())
def dense_hash(
    ids: Tensor,
    seed: int,
    family: str,
    num_hashes: int,
    num_buckets: int,
    transform: str,
    dtype: torch.dtype,
) -> Tensor:
    """The dense code of each id [*batch]: [*batch, num_hashes], of one of `CODE_DTYPES`.

    In bfloat16 it is the rounding of the float32 code, in int8 that of 127 times a uniform code.
    """
    out = ids.new_empty((*ids.shape, num_hashes), dtype=dtype)
    write_codes(ids, out, seed, family, num_buckets, transform)
    return out


@torch.library.custom_op("tablefree::dense_hash_out", mutates_args={"out"})
def dense_hash_out(
    ids: Tensor, out: Tensor, seed: int, family: str, num_buckets: int, transform: str
) -> None:
    """Write the dense code of each id [*batch] into the contiguous `out` [*batch, num_hashes]."""
    write_codes(ids, out, seed, family, num_buckets, transform)


def write_codes(
    ids: Tensor, out: Tensor, seed: int, family: str, num_buckets: int, transform: str
) -> None:
    """`dense_hash_out` for eager tensors, without the cost of an operator's dispatch.

    That is a fifth of the time of encoding 4,096 ids, for the codes leave no cache warm.
    """
    num_hashes = out.shape[-1]
    check_hashes(family, num_hashes, num_buckets)
    check_codes(num_hashes, num_buckets, transform)
    if out.dtype not in CODE_DTYPES or (out.dtype == torch.int8 and transform != "uniform"):
        raise InputError(
            f"codes are float32 or bfloat16, or int8 if uniform; got {out.dtype} for {transform}"
        )
    if ids.device.type == "cuda":
        from tablefree.kernels import cuda

        cuda.dense_hash_out(ids, out, seed, family, num_buckets, transform)
        return
    from tablefree.kernels import cpu

    codes = out if out.device.type == "cpu" else torch.empty_like(out, device="cpu")
    cpu.dense_hash(
        _flat(ids).numpy(),
        as_array(codes.view(-1, num_hashes)),
        seed,
        family,
        num_buckets,
        transform,
        torch.get_num_threads(),
    )
    if codes is not out:
        out.copy_(codes)


@torch.library.custom_op("tablefree::find_rows", mutates_args=())
def find_rows(ids: Tensor, slots: Tensor, seed: int) -> Tensor:
    """The row that each id [n] owns, or -1 or -2: see `kernels.sketch`."""
    if ids.device.type == "cuda":
        from tablefree.kernels import cuda_claims

        return cuda_claims.find_rows(ids.contiguous(), slots, seed)
    from tablefree.kernels import sketch

    rows = sketch.find_rows(_flat(ids).numpy(), slots.numpy(), seed, torch.get_num_threads())
    return torch.from_numpy(rows)


@torch.library.custom_op("tablefree::give_rows", mutates_args={"slots"})
def give_rows(ids: Tensor, slots: Tensor, seed: int) -> None:
    """Give rows to distinct ids [n] without one: see `kernels.sketch`."""
    if ids.device.type == "cuda":
        from tablefree.kernels import cuda_claims

        cuda_claims.give_rows(ids.contiguous(), slots, seed)
        return
    from tablefree.kernels import sketch

    sketch.give_rows(_flat(ids).numpy(), slots.numpy(), seed)


@torch.library.custom_op("tablefree::sketch_codes", mutates_args=())
def sketch_codes(
    ids: Tensor,
    slots: Tensor,
    seed: int,
    shared_seed: int,
    num_hashes: int,
    num_rows: int,
    rows: Tensor,
) -> Tensor:
    """The codes of CPU ids [n] from float32 rows, without a gradient: see `kernels.sketch`."""
    from tablefree.kernels import sketch

    codes = sketch.sketch_codes(
        _flat(ids).numpy(),
        slots.numpy(),
        seed,
        shared_seed,
        num_hashes,
        num_rows,
        rows.detach().numpy(),
        torch.get_num_threads(),
    )
    return torch.from_numpy(codes)


@torch.library.custom_op("tablefree::mish", mutates_args=())
def mish(values: Tensor) -> Tensor:
    """Mish of CPU values, float32 or bfloat16, of any shape."""
    from tablefree.kernels import mish as kernel

    values = values.contiguous()
    out = torch.empty_like(values)
    kernel.mish(as_array(values.view(-1)), as_array(out.view(-1)), torch.get_num_threads())
    return out


@torch.library.custom_op("tablefree::rms_norm_mish", mutates_args=())
def rms_norm_mish(rows: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Mish of the RMS norm of float32 CPU rows [n, width], without a gradient."""
    from tablefree.kernels import mish as kernel

    rows = rows.contiguous()
    out = torch.empty_like(rows)
    num_threads = torch.get_num_threads()
    kernel.rms_norm_mish(rows.numpy(), weight.numpy(), eps, out.numpy(), num_threads)
    return out


@torch.library.custom_op("tablefree::mish_backward", mutates_args=())
def mish_backward(values: Tensor, grad: Tensor) -> Tensor:
    """The gradient of the values, given that of their Mish."""
    from tablefree.kernels import mish as kernel

    values, grad = values.contiguous(), grad.contiguous()
    out = torch.empty_like(values)
    kernel.mish_backward(
        as_array(values.view(-1)),
        as_array(grad.view(-1)),
        as_array(out.view(-1)),
        torch.get_num_threads(),
    )
    return out


@torch.library.custom_op("tablefree::next_int8_rows", mutates_args=())
def next_int8_rows(
    products: Tensor, row_scale: Tensor, scale: Tensor, bias: Tensor, activation: str
) -> tuple[Tensor, Tensor]:
    """From int32 products [n, width] of int8 rows to the activations, int8 rows with scales [n].

    `row_scale` [n] belongs to the rows that were multiplied, `scale` and `bias` [width] to the
    outputs. All are on the CPU.
    """
    from tablefree.kernels import int8

    rows, scales = int8.next_rows(
        products.contiguous().numpy(),
        row_scale.contiguous().numpy(),
        scale.contiguous().numpy(),
        bias.contiguous().numpy(),
        activation,
        torch.get_num_threads(),
    )
    return torch.from_numpy(rows), torch.from_numpy(scales)


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
    dtype: torch.dtype,
) -> Tensor:
    return ids.new_empty((*ids.shape, num_hashes), dtype=dtype)


@next_int8_rows.register_fake
def _(
    products: Tensor,
    row_scale: Tensor,
    scale: Tensor,  # noqa: ARG001
    bias: Tensor,  # noqa: ARG001
    activation: str,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(products, dtype=torch.int8), torch.empty_like(row_scale)


@find_rows.register_fake
def _(ids: Tensor, slots: Tensor, seed: int) -> Tensor:  # noqa: ARG001
    return torch.empty_like(ids, dtype=torch.int64)


@sketch_codes.register_fake
def _(
    ids: Tensor,
    slots: Tensor,  # noqa: ARG001
    seed: int,  # noqa: ARG001
    shared_seed: int,  # noqa: ARG001
    num_hashes: int,  # noqa: ARG001
    num_rows: int,  # noqa: ARG001
    rows: Tensor,
) -> Tensor:
    return rows.new_empty(ids.shape[0], rows.shape[1])


@mish.register_fake
def _(values: Tensor) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


@rms_norm_mish.register_fake
def _(rows: Tensor, weight: Tensor, eps: float) -> Tensor:  # noqa: ARG001
    return torch.empty_like(rows, memory_format=torch.contiguous_format)


@mish_backward.register_fake
def _(values: Tensor, grad: Tensor) -> Tensor:  # noqa: ARG001
    return torch.empty_like(values, memory_format=torch.contiguous_format)


def _save(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG001
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> Tensor:
    (values,) = ctx.saved_tensors
    gradient: Tensor = mish_backward(values, grad)
    return gradient


mish.register_autograd(_backward, setup_context=_save)


def _flat(ids: Tensor) -> Tensor:
    return ids.detach().to("cpu", torch.int64).reshape(-1).contiguous()


def as_array(tensor: Tensor) -> NDArray[Any]:
    """The same memory as a NumPy array, bfloat16 as uint16."""
    tensor = tensor.detach()
    return (tensor.view(torch.uint16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
