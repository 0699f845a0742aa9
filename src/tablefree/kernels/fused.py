"""The first layer of a network on the dense code of ids, as one torch operator.

On CUDA the codes of layers that are not too wide never reach memory, nor are they kept for the
backward pass, which makes them again; elsewhere the operator is an encoding and a matrix product,
with one meaning everywhere.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tablefree.errors import InputError
from tablefree.hashing import check_codes, check_hashes
from tablefree.kernels import op

WEIGHT_DTYPES = (torch.float32, torch.bfloat16)

# The kernel makes the codes again for each 256 outputs, and a code costs about as much as 400
# multiply-adds in bfloat16 (counted in instructions, not measured): wider layers read them instead.
_MOST_OUTPUTS = 512


@torch.library.custom_op("tablefree::dense_hash_linear", mutates_args=())
def dense_hash_linear(
    ids: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    seed: int,
    family: str,
    num_buckets: int,
    transform: str,
) -> Tensor:
    """A linear layer on the dense code of each id: codes @ weight.T + bias.

    Args:
        ids: integer ids [*batch].
        weight: [num_outputs, num_hashes], float32 or bfloat16, on the device of the ids. Codes are
            rounded to its dtype, and autocast changes nothing: cast the weight to choose.
        bias: [num_outputs] of the weight's dtype, or None.
        seed: two's complement of the 64 bits.
        family: `"multiply_shift"` or `"carter_wegman"`.
        num_buckets: number of levels of each number of the code, 2 to 2^24.
        transform: `"uniform"` or `"gaussian"`.

    Returns:
        [*batch, num_outputs] of the weight's dtype. Weight and bias have gradients.

    Raises:
        InputError: the dtypes are others, or the contract does not define the codes.

    Example:
        >>> weight = torch.randn(32, 1024)
        >>> ids = torch.tensor([3, 14])
        >>> dense_hash_linear(ids, weight, None, 0, "multiply_shift", 2**20, "uniform").shape
        torch.Size([2, 32])
    """
    num_outputs, num_hashes = weight.shape
    _check(weight.dtype, family, num_hashes, num_buckets, transform)
    if bias is not None and bias.dtype != weight.dtype:
        raise InputError(f"the weight is {weight.dtype} and the bias {bias.dtype}: cast one")
    if ids.device.type == "cuda" and num_outputs <= _MOST_OUTPUTS:
        from tablefree.kernels import cuda

        out = cuda.dense_hash_linear(ids, weight, bias, seed, family, num_buckets, transform)
    else:
        codes = op.dense_hash(
            ids.reshape(-1), seed, family, num_hashes, num_buckets, transform, weight.dtype
        )
        with torch.autocast(ids.device.type, enabled=False):
            out = F.linear(codes, weight, bias)
    return out.view(*ids.shape, num_outputs)


@torch.library.custom_op("tablefree::dense_hash_linear_weight_grad", mutates_args=())
def dense_hash_linear_weight_grad(
    ids: Tensor,
    grad_output: Tensor,
    seed: int,
    family: str,
    num_hashes: int,
    num_buckets: int,
    transform: str,
) -> Tensor:
    """The gradient of the weight [num_outputs, num_hashes], given that of the layer's output.

    Args:
        ids: integer ids [*batch], as given to the layer.
        grad_output: [*batch, num_outputs], float32 or bfloat16.
        seed: two's complement of the 64 bits.
        family: `"multiply_shift"` or `"carter_wegman"`.
        num_hashes: width of the codes.
        num_buckets: number of levels of each number of the code, 2 to 2^24.
        transform: `"uniform"` or `"gaussian"`.

    Returns:
        The gradient, of the dtype of `grad_output`.
    """
    _check(grad_output.dtype, family, num_hashes, num_buckets, transform)
    grad = grad_output.reshape(ids.numel(), grad_output.shape[-1])
    options = (seed, family, num_hashes, num_buckets, transform)
    if ids.device.type == "cuda" and grad.shape[1] <= _MOST_OUTPUTS:
        from tablefree.kernels import cuda

        return cuda.dense_hash_linear_weight_grad(ids, grad, *options)
    codes = op.dense_hash(ids.reshape(-1), *options, grad.dtype)
    with torch.autocast(ids.device.type, enabled=False):
        weight_grad: Tensor = grad.T @ codes
    return weight_grad


@dense_hash_linear.register_fake
def _(
    ids: Tensor,
    weight: Tensor,
    bias: Tensor | None,  # noqa: ARG001
    seed: int,  # noqa: ARG001
    family: str,  # noqa: ARG001
    num_buckets: int,  # noqa: ARG001
    transform: str,  # noqa: ARG001
) -> Tensor:
    return weight.new_empty((*ids.shape, weight.shape[0]))


@dense_hash_linear_weight_grad.register_fake
def _(
    ids: Tensor,  # noqa: ARG001
    grad_output: Tensor,
    seed: int,  # noqa: ARG001
    family: str,  # noqa: ARG001
    num_hashes: int,
    num_buckets: int,  # noqa: ARG001
    transform: str,  # noqa: ARG001
) -> Tensor:
    return grad_output.new_empty((grad_output.shape[-1], num_hashes))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001
    ids, weight, _, *options = inputs
    ctx.save_for_backward(ids)
    ctx.num_hashes = weight.shape[1]
    ctx.options = options


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    (ids,) = ctx.saved_tensors
    seed, family, num_buckets, transform = ctx.options
    weight_grad = bias_grad = None
    if ctx.needs_input_grad[1]:
        weight_grad = dense_hash_linear_weight_grad(
            ids, grad_output, seed, family, ctx.num_hashes, num_buckets, transform
        )
    if ctx.needs_input_grad[2]:
        bias_grad = grad_output.sum_to_size(grad_output.shape[-1])
    return None, weight_grad, bias_grad, None, None, None, None


dense_hash_linear.register_autograd(_backward, setup_context=_save)


def _check(
    dtype: torch.dtype, family: str, num_hashes: int, num_buckets: int, transform: str
) -> None:
    check_hashes(family, num_hashes, num_buckets)
    check_codes(num_hashes, num_buckets, transform)
    if dtype not in WEIGHT_DTYPES:
        raise InputError(f"weights on dense codes are float32 or bfloat16, got {dtype}: cast them")
