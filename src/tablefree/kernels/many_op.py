"""The kernels for many features as torch custom operators: one operator for all features."""

from typing import Any

import torch
from torch import Tensor

from tablefree.errors import InputError
from tablefree.hashing import check_codes, check_hashes
from tablefree.kernels.op import as_array

MANY_CODE_DTYPES = (torch.float32, torch.bfloat16)


@torch.library.custom_op("tablefree::distinct_ids", mutates_args=())
def distinct_ids(ids: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """The distinct ids of each of F features, found on the CPU.

    Args:
        ids: int64 ids of all features [total], feature after feature.
        sizes: number of ids of each feature.

    Returns:
        Distinct ids [F, n], n being the largest number of them and places beyond a feature's own
        number 0; the place of each id [total] in that array, flat; the number of distinct ids of
        each feature [F].
    """
    from tablefree.kernels import many  # Numba takes a second to import: only when it is needed

    array = ids.detach().cpu().contiguous().numpy()
    found, places, counts = many.distinct(array, sizes, torch.get_num_threads())
    return tuple(torch.from_numpy(part).to(ids.device) for part in (found, places, counts))  # type: ignore[return-value]


@torch.library.custom_op("tablefree::dense_hash_many", mutates_args=())
def dense_hash_many(
    ids: Tensor,
    seeds: list[int],
    family: str,
    num_hashes: int,
    num_buckets: int,
    transform: str,
    dtype: torch.dtype,
) -> Tensor:
    """The dense codes of int64 ids [F, n], of the hash functions of F seeds: [F, n, num_hashes].

    On CUDA a kernel is launched for each feature, on other devices all codes are made at once.

    Raises:
        InputError: the contract does not define the codes, or a dtype but float32 and bfloat16.
    """
    check_hashes(family, num_hashes, num_buckets)
    check_codes(num_hashes, num_buckets, transform)
    if dtype not in MANY_CODE_DTYPES:
        raise InputError(f"codes of many features are float32 or bfloat16, got {dtype}")
    shape = (*ids.shape, num_hashes)
    if ids.device.type == "cuda":  # pragma: no cover - needs a GPU
        from tablefree.kernels import cuda

        out = ids.new_empty(shape, dtype=dtype)
        for part, codes, seed in zip(ids, out, seeds, strict=True):
            cuda.dense_hash_out(part, codes, seed, family, num_buckets, transform)
        return out
    from tablefree.kernels import many

    out = torch.empty(shape, dtype=dtype)
    many.dense_hash(
        ids.detach().cpu().contiguous().numpy(),
        as_array(out),
        seeds,
        family,
        num_buckets,
        transform,
        torch.get_num_threads(),
    )
    return out.to(ids.device)


@torch.library.custom_op("tablefree::batch_norm_many", mutates_args=())
def batch_norm_many(
    rows: Tensor,
    counts: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm in training of float32 rows [F, n, width] on the CPU, each feature by itself.

    Args:
        rows: of which the first counts[f] of a feature count; others come out as zeros.
        counts: int64 [F].
        running_mean: [F, width], for features of fewer than two rows; they are not changed.
        running_var: likewise.
        weight: [F, width].
        bias: [F, width].
        eps: added to variances.

    Returns:
        The normalised rows, and mean and (biased) variance [F, width]. Rows, weight and bias have
        gradients, through the first result.
    """
    from tablefree.kernels import many

    results = many.batch_norm(
        _contiguous(rows),
        _contiguous(counts),
        (_contiguous(running_mean), _contiguous(running_var)),
        _contiguous(weight),
        _contiguous(bias),
        eps,
        torch.get_num_threads(),
    )
    return tuple(map(torch.from_numpy, results))  # type: ignore[return-value]


@torch.library.custom_op("tablefree::batch_norm_many_backward", mutates_args=())
def batch_norm_many_backward(
    grad: Tensor,
    rows: Tensor,
    counts: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of rows, weight and bias, given that of the normalised rows."""
    from tablefree.kernels import many

    results = many.batch_norm_backward(
        _contiguous(grad),
        _contiguous(rows),
        _contiguous(counts),
        _contiguous(mean),
        _contiguous(variance),
        _contiguous(weight),
        eps,
        torch.get_num_threads(),
    )
    return tuple(map(torch.from_numpy, results))  # type: ignore[return-value]


@distinct_ids.register_fake
def _(ids: Tensor, sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    num_distinct = torch.library.get_ctx().new_dynamic_size()
    found = ids.new_empty(len(sizes), num_distinct)
    return found, torch.empty_like(ids), ids.new_empty(len(sizes))


@dense_hash_many.register_fake
def _(
    ids: Tensor,
    seeds: list[int],  # noqa: ARG001
    family: str,  # noqa: ARG001
    num_hashes: int,
    num_buckets: int,  # noqa: ARG001
    transform: str,  # noqa: ARG001
    dtype: torch.dtype,
) -> Tensor:
    return ids.new_empty((*ids.shape, num_hashes), dtype=dtype)


@batch_norm_many.register_fake
def _(
    rows: Tensor,
    counts: Tensor,  # noqa: ARG001
    running_mean: Tensor,  # noqa: ARG001
    running_var: Tensor,  # noqa: ARG001
    weight: Tensor,
    bias: Tensor,  # noqa: ARG001
    eps: float,  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        rows.new_empty(rows.shape),
        weight.new_empty(weight.shape),
        weight.new_empty(weight.shape),
    )


@batch_norm_many_backward.register_fake
def _(
    grad: Tensor,  # noqa: ARG001
    rows: Tensor,
    counts: Tensor,  # noqa: ARG001
    mean: Tensor,  # noqa: ARG001
    variance: Tensor,  # noqa: ARG001
    weight: Tensor,
    eps: float,  # noqa: ARG001
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        rows.new_empty(rows.shape),
        weight.new_empty(weight.shape),
        weight.new_empty(weight.shape),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    rows, counts, _, _, weight, _, eps = inputs
    _, mean, variance = output
    ctx.mark_non_differentiable(mean, variance)
    ctx.save_for_backward(rows, counts, mean, variance, weight)
    ctx.eps = eps


def _backward(ctx: Any, grad: Tensor, *_: object) -> tuple[Tensor | None, ...]:
    of_rows, of_weight, of_bias = batch_norm_many_backward(grad, *ctx.saved_tensors, ctx.eps)
    return of_rows, None, None, None, of_weight, of_bias, None


batch_norm_many.register_autograd(_backward, setup_context=_save)


def _contiguous(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
