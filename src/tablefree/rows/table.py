"""Learned rows of which all can decay at the cost of one number.

A row is `scale * weight[i]`, with one scale for all rows, so that multiplying every row by a factor
touches the scale only (Bottou, "Stochastic Gradient Descent Tricks", 2012, section 5.1). No row is
ever behind: whoever looks a row up reads what a pass over all rows would have left there.

The scale lies on the weight, and is nobody else's concern: whatever torch or a user does with such
a weight, be it a copy, a move, an average or a norm, puts the scale into it first.
"""

import copy
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function

from tablefree.checks import check_memory
from tablefree.rows.gradient import gather_as_rows

# Below it the scale goes into the weights: far from the ends of float32, for weights are divided by
# it, and rare (every 4,200 steps of rate .1 and decay .1), for that is a pass over all rows.
SMALLEST_SCALE = 2.0**-60
# What is asked of a weight at every step and says nothing about its numbers.
_tensor: Any = Tensor
_NO_NUMBERS = {
    *(_tensor.grad.__get__, _tensor.grad.__set__, _tensor.grad.__delete__),
    *(_tensor.requires_grad.__get__, _tensor.requires_grad.__set__, _tensor.requires_grad_),
    *(_tensor.is_leaf.__get__, _tensor.grad_fn.__get__),
    *(_tensor.shape.__get__, _tensor.dtype.__get__, _tensor.device.__get__),
}
# Held while a scale and its weight are read or written together: one for all, as it is not long.
_lock = threading.RLock()


def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()  # whoever held it when the process forked is not here


os.register_at_fork(after_in_child=_renew_lock)


class Rows(nn.Embedding):
    """An `nn.Embedding` with a scale, which `RowAdam` trains at the cost of the rows looked up.

    Its gradient is that of the rows themselves, whatever the scale, so that it can be clipped or
    summed over several passes. The scale is 1 except between training steps. `state_dict()` and
    lookups only read, so that a thread may call them beside a training; `eval()` puts the scale
    into the weight, and so does whoever uses the weight itself.

    Args:
        num_rows: number of rows.
        width: numbers of a row.
        sparse: whether the gradient is sparse, as `RowAdam` wants it. `clip_grad_norm_` and
            `clip_grad_value_` take such a gradient, other optimizers than `RowAdam`, SGD, Adagrad
            and SparseAdam do not.

    Example:
        >>> rows = Rows(1000, 4)
        >>> rows.decay(0.5)
        >>> bool((rows(torch.tensor([7])) == rows.weight[7]).all()), rows.scale
        (True, 1.0)
    """

    def __init__(self, num_rows: int, width: int, *, sparse: bool = False) -> None:
        check_memory(num_rows, width)
        super().__init__(num_rows, width, sparse=sparse)

    def forward(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Look rows up."""
        return self.read(lambda weight: F.embedding(indices, weight, sparse=self.sparse))

    def sums(self, indices: Int[Tensor, "n bag"]) -> Float[Tensor, "n width"]:
        """The sum of the rows of each bag."""
        return self.read(
            lambda weight: F.embedding_bag(indices, weight, mode="sum", sparse=self.sparse)
        )

    def read(self, look_up: Callable[[Tensor], Tensor]) -> Tensor:
        """What `look_up`, which is linear, makes of the rows."""
        weight = self.weight
        if self.sparse and torch.is_grad_enabled():
            gather_as_rows(weight)
        scaled = _beneath(weight)
        if not isinstance(scaled, ScaledWeight):
            found = _looked_up(weight, look_up)
            if not isinstance(scaled, ScaledWeight):  # it may have become one meanwhile
                return found
        with _lock, torch._C.DisableTorchFunctionSubclass():
            found, scale = look_up(weight), scale_of(scaled)
        rows: Tensor = _Scale.apply(found, scale)  # type: ignore[no-untyped-call]
        return rows

    @property
    def scale(self) -> float:
        """What all rows are still to be multiplied by."""
        return scale_of(self.weight)

    def decay(self, factor: float) -> None:
        """Multiply all rows by a factor."""
        decay(self.weight, factor)

    def add(self, indices: Int[Tensor, " n"], values: Float[Tensor, "n width"]) -> None:
        """Add to some rows, all of them different."""
        add(self.weight, indices, values)

    def flush(self) -> None:
        """Put the scale into the weight, so that the weight is the rows."""
        flush(self.weight)

    def train(self, mode: bool = True) -> Self:
        """As every module's; in evaluation the weight is the rows."""
        if not mode:
            self.flush()
        return super().train(mode)

    def _save_to_state_dict(
        self, destination: dict[str, Any], prefix: str, keep_vars: bool
    ) -> None:
        with _lock, torch._C.DisableTorchFunctionSubclass():
            super()._save_to_state_dict(destination, prefix, keep_vars)
            # A copy, for a training that goes on beside would give the weight itself a new scale.
            if not keep_vars and (self.scale != 1 or (self.sparse and self.training)):
                destination[f"{prefix}weight"] = destination[f"{prefix}weight"] * self.scale


class ScaledWeight(nn.Parameter):
    """What a weight is as long as its rows have a scale, `weight.scale`, of their own.

    A parameter becomes one by `decay`, as torch's own uninitialised parameters become others, and
    is an `nn.Parameter` again as soon as anyone else than `Rows` and `RowAdam` uses it.
    """

    scale: float = 1.0

    @classmethod
    def __torch_function__(cls, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Put the scale into the numbers before anything is done with them."""
        kwargs = kwargs or {}
        if func not in _NO_NUMBERS:
            for weight in _scaled_in((args, tuple(kwargs.values()))):
                flush(weight)
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **kwargs)

    def __reduce_ex__(self, protocol: Any) -> Any:
        flush(self)
        return self.__reduce_ex__(protocol)  # as the plain parameter that it is now

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        flush(self)
        return copy.deepcopy(self, memo)


def scale_of(weight: Tensor) -> float:
    """What the rows in a weight are still to be multiplied by."""
    return weight.scale if isinstance(weight, ScaledWeight) else 1.0


@torch.no_grad()
def decay(weight: Tensor, factor: float) -> None:
    """Multiply all rows of a weight by a factor, at the cost of one number."""
    if factor == 1:
        return
    with _lock:
        if isinstance(weight, ScaledWeight):
            weight.scale *= factor
        elif type(weight) is nn.Parameter:
            _become(weight, ScaledWeight)
            weight.scale = factor  # type: ignore[attr-defined]
        else:
            weight.mul_(factor)
        if scale_of(weight) < SMALLEST_SCALE:
            flush(weight)


@torch.no_grad()
def add(weight: Tensor, indices: Int[Tensor, " n"], values: Float[Tensor, "n width"]) -> None:
    """Add to some rows of a weight, all of them different."""
    with _lock, torch._C.DisableTorchFunctionSubclass():
        # `index_add_` would take repeated rows, and ten times as long on the CPU.
        added = weight.index_select(0, indices).add_(values, alpha=1 / scale_of(weight))
        weight.index_copy_(0, indices, added)


@torch.no_grad()
def flush(weight: Tensor) -> None:
    """Put the scale of a weight, if it has one, into its numbers."""
    with _lock:
        if isinstance(weight, ScaledWeight):
            with torch._C.DisableTorchFunctionSubclass():
                weight.mul_(weight.scale)
            # Last, for who finds a plain parameter reads it without the lock.
            del weight.scale
            _become(weight, nn.Parameter)


def _become(weight: Any, kind: type[nn.Parameter]) -> None:
    weight.__class__ = kind


class _Scale(Function):
    """Rows from weights, with the gradient of the rows, not of the weights."""

    generate_vmap_rule = True

    @staticmethod
    def forward(weights: Tensor, scale: float) -> Tensor:
        return weights * scale

    @staticmethod
    def setup_context(_context: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Nothing is needed."""

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def _looked_up(weight: Tensor, look_up: Callable[[Tensor], Tensor]) -> Tensor:
    """What is made of a weight without a scale; should it get one meanwhile, it keeps that.

    A thread that reads beside a training would put the scale into the weight otherwise.
    """
    if torch.compiler.is_compiling() or type(weight) is not nn.Parameter:
        return look_up(weight)
    with torch._C.DisableTorchFunctionSubclass():
        return look_up(weight)


def _beneath(weight: Tensor) -> Tensor:
    """The weight that the transforms of `torch.func` have wrapped; itself elsewhere."""
    if isinstance(weight, nn.Parameter) or torch.compiler.is_compiling():
        return weight
    unwrapped: Tensor = torch.func.debug_unwrap(weight, recurse=True)
    return unwrapped


def _scaled_in(arguments: Any) -> Iterator[ScaledWeight]:
    """The scaled weights among the arguments of a function, in lists too."""
    if isinstance(arguments, ScaledWeight):
        yield arguments
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from _scaled_in(argument)
