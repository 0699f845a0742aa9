"""Sparse gradients that torch can clip: the rows that were looked up, each once.

`torch.nn.utils.clip_grad_norm_` and `clip_grad_value_` fail on sparse tensors, but ask a subclass.
"""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adagrad, Optimizer, SparseAdam
from torch.optim.optimizer import register_optimizer_step_pre_hook

from tablefree.errors import InputError

_OF_ROWS = {torch.linalg.vector_norm, Tensor.clamp_}  # what sparse tensors lack


class RowGradient(Tensor):
    """A coalesced sparse gradient; the rows that it lacks are zeros, which no clipping changes."""

    @classmethod
    def __torch_function__(cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Let a norm or a bound see the rows that there are."""
        with torch._C.DisableTorchFunctionSubclass():
            if func not in _OF_ROWS:
                return func(*args, **(kwargs or {}))
            gradient, *others = args
            rows = gradient._values()
            result = func(rows, *others, **(kwargs or {}))
            return gradient if result is rows else result


def gather_as_rows(weight: Tensor) -> None:
    """Have the sparse gradient of a weight be a `RowGradient` after each backward pass."""
    with torch._C.DisableTorchFunctionSubclass():
        if not (weight.is_leaf and weight.requires_grad):
            return
        hooks = weight._post_accumulate_grad_hooks
        if not hooks or _as_rows not in hooks.values():
            weight.register_post_accumulate_grad_hook(_as_rows)  # type: ignore[no-untyped-call]
    _watch_steps()


def _as_rows(weight: Tensor) -> None:
    with torch._C.DisableTorchFunctionSubclass():
        gradient = weight.grad
        if gradient is not None and gradient.is_sparse:
            gradient = gradient.coalesce()
            gradient.__class__ = RowGradient
            weight.grad = gradient


@lru_cache(maxsize=1)
def _watch_steps() -> None:
    """Refuse a step of an optimizer that would fail on such a gradient half-way, and say why."""

    def check(optimizer: Optimizer, *_: object) -> None:
        kind = type(optimizer)
        takes_sparse = isinstance(optimizer, SGD | Adagrad | SparseAdam)
        if takes_sparse or not kind.__module__.startswith("torch.optim."):
            return
        for group in optimizer.param_groups:
            if any(isinstance(parameter.grad, RowGradient) for parameter in group["params"]):
                raise InputError(
                    f"{kind.__name__} does not take the sparse gradients of rows with sparse=True: "
                    "use tablefree.optimizers(model) in its place, or build with sparse=False"
                )

    register_optimizer_step_pre_hook(check)
