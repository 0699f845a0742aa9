"""Learned rows of which all can decay at the cost of one number.

A row is `scale * weight[i]`, with one scale for all rows, so that multiplying every row by a factor
touches the scale only (Bottou, "Stochastic Gradient Descent Tricks", 2012, section 5.1). No row is
ever behind: whoever looks a row up reads what a pass over all rows would have left there.

The scale lies on the weight, and is nobody else's concern: whatever torch or a user does with such
a weight, be it a copy, a move, an average or a norm, puts the scale into it first.

Rows may be held in bfloat16, half of the bytes, and be read in float32 all the same: `hold_rows`.
"""

import copy
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd import Function

from tablefree.checks import check_memory
from tablefree.errors import InputError
from tablefree.rows.gradient import gather_as_rows
from tablefree.rows.rounding import generator, rounded

# Below it the scale goes into the weights: far from the ends of float32, for weights are divided by
# it, and rare (every 4,200 steps of rate .1 and decay .1), for that is a pass over all rows.
SMALLEST_SCALE = 2.0**-60
SPARSE_FROM = 2**18  # rows: there steps of sparse gradients take 2/3 of the time, of 2^19 a fourth
_CHUNK = 2**20  # numbers of rows in bfloat16 that are in float32 at a time
# What is asked of a weight at every step and says nothing about its numbers.
_tensor: Any = Tensor
_NO_NUMBERS = {
    *(_tensor.grad.__get__, _tensor.grad.__set__, _tensor.grad.__delete__),
    *(_tensor.requires_grad.__get__, _tensor.requires_grad.__set__, _tensor.requires_grad_),
    *(_tensor.is_leaf.__get__, _tensor.grad_fn.__get__),
    *(_tensor.shape.__get__, _tensor.dtype.__get__, _tensor.device.__get__),
    _tensor.nbytes.__get__,
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

    Attributes:
        read_as: the dtype that lookups give, where it is not that of the weight: see `hold_rows`.

    Example:
        >>> rows = Rows(1000, 4)
        >>> rows.decay(0.5)
        >>> bool((rows(torch.tensor([7])) == rows.weight[7]).all()), rows.scale
        (True, 1.0)
    """

    read_as: torch.dtype | None = None

    def __init__(self, num_rows: int, width: int, *, sparse: bool = False) -> None:
        check_memory(num_rows, width)
        super().__init__(num_rows, width, sparse=sparse)

    def forward(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Look rows up."""
        if self.read_as is None or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self.read(lambda weight: F.embedding(indices, weight, sparse=self.sparse))
        # Each row once, so that its gradients are added before they are rounded to its dtype.
        distinct, places = torch.unique(indices, return_inverse=True)
        rows = self.read(lambda weight: F.embedding(distinct, weight, sparse=self.sparse))
        return F.embedding(places, rows)

    def sums(self, indices: Int[Tensor, "n bag"]) -> Float[Tensor, "n width"]:
        """The sum of the rows of each bag."""
        if self.read_as is not None:
            return self(indices).sum(1)  # type: ignore[no-any-return]
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
                return self._as_read(found)
        with _lock, torch._C.DisableTorchFunctionSubclass():
            found, scale = look_up(weight), scale_of(scaled)
        rows: Tensor = _Scale.apply(self._as_read(found), scale)  # type: ignore[no-untyped-call]
        return rows

    def _as_read(self, found: Tensor) -> Tensor:
        return found if self.read_as is None else found.to(self.read_as)

    @property
    def scale(self) -> float:
        """What all rows are still to be multiplied by."""
        return scale_of(self.weight)

    def decay(self, factor: float, *, seed: int = 0) -> None:
        """Multiply all rows by a factor.

        Args:
            factor: any.
            seed: of the rounding of rows in bfloat16: another at each call.
        """
        decay(self.weight, factor, seed)

    def add(
        self, indices: Int[Tensor, " n"], values: Float[Tensor, "n width"], *, seed: int = 0
    ) -> None:
        """Add to some rows, all of them different.

        Args:
            indices: int64 `[n]`.
            values: float32 `[n, width]` for rows in bfloat16, else of the dtype of the rows.
            seed: of the rounding of rows in bfloat16: another at each call.
        """
        add(self.weight, indices, values, seed)

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
                copied = torch.empty_like(self.weight, requires_grad=False)
                destination[f"{prefix}weight"] = _multiplied(
                    self.weight.detach(), self.scale, _seed_of(self.weight), out=copied
                )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """As every module's: what casts the weight casts what lookups give."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.read_as is not None:
            self.read_as = fn(torch.empty(0, dtype=self.read_as)).dtype
        return self


class ScaledWeight(nn.Parameter):
    """What a weight is as long as its rows have a scale, `weight.scale`, of their own.

    A parameter becomes one by `decay`, as torch's own uninitialised parameters become others, and
    is an `nn.Parameter` again as soon as anyone else than `Rows` and `RowAdam` uses it.
    """

    scale: float = 1.0
    seed: int = 0  # of the rounding, when the scale is put into the numbers

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


def _seed_of(weight: Tensor) -> int:
    return weight.seed if isinstance(weight, ScaledWeight) else 0


@torch.no_grad()
def decay(weight: Tensor, factor: float, seed: int = 0) -> None:
    """Multiply all rows of a weight by a factor, at the cost of one number.

    Args:
        weight: rows.
        factor: any.
        seed: of the rounding, should the scale be put into rows in bfloat16 before the next call.
    """
    if factor == 1:
        return
    with _lock:
        if isinstance(weight, ScaledWeight):
            weight.scale *= factor
        elif type(weight) is nn.Parameter:
            _become(weight, ScaledWeight)
            weight.scale = factor  # type: ignore[attr-defined]
        else:
            _multiplied(weight, factor, seed, out=weight)
            return
        weight.seed = seed  # type: ignore[attr-defined]
        if scale_of(weight) < SMALLEST_SCALE:
            flush(weight)


@torch.no_grad()
def add(
    weight: Tensor, indices: Int[Tensor, " n"], values: Float[Tensor, "n width"], seed: int = 0
) -> None:
    """Add to some rows of a weight, all of them different.

    Args:
        weight: rows.
        indices: int64 `[n]`.
        values: float32 `[n, width]` for rows in bfloat16, else of the dtype of the rows.
        seed: of the rounding of rows in bfloat16.
    """
    with _lock, torch._C.DisableTorchFunctionSubclass():
        # `index_add_` would take repeated rows, and ten times as long on the CPU.
        added = weight.index_select(0, indices).to(values.dtype)
        added.add_(values, alpha=1 / scale_of(weight))
        if weight.dtype == torch.bfloat16:
            added = rounded(added, generator(seed, added.device))
        weight.index_copy_(0, indices, added)


@torch.no_grad()
def flush(weight: Tensor) -> None:
    """Put the scale of a weight, if it has one, into its numbers."""
    with _lock:
        if isinstance(weight, ScaledWeight):
            with torch._C.DisableTorchFunctionSubclass():
                _multiplied(weight, weight.scale, weight.seed, out=weight)
            # Last, for who finds a plain parameter reads it without the lock.
            del weight.scale, weight.seed
            _become(weight, nn.Parameter)


def hold_rows(model: nn.Module, dtype: torch.dtype = torch.bfloat16) -> None:
    """Hold all rows of a model in a dtype, for a training that takes less memory.

    Lookups give what they gave, so that the model stays as it is, and gradients are sparse. Rows in
    bfloat16 learn by `RowAdam` (see `tablefree.optimizers`), which rounds stochastically; to the
    nearest, most of what a row learns would be lost. Rows are those of `Rows`, which all embeddings
    here have. Make the optimizers after it.

    Args:
        model: any module.
        dtype: bfloat16, or float32 to go back.

    Raises:
        InputError: another dtype, or rows that are neither.

    Example:
        >>> rows = Rows(1000, 4)
        >>> hold_rows(rows)
        >>> rows.weight.dtype, rows(torch.tensor([7])).dtype
        (torch.bfloat16, torch.float32)
    """
    dtypes = (torch.float32, torch.bfloat16)
    parts = [part for part in model.modules() if isinstance(part, Rows)]
    for other in (dtype, *(part.weight.dtype for part in parts)):
        if other not in dtypes:
            raise InputError(
                f"rows are held in float32 or bfloat16, got {other}: pass one of these, and cast "
                "the rows of a model in another dtype by .float() first"
            )
    for part in parts:
        part.weight.data = part.weight.data.to(dtype)
        part.weight.grad, part.sparse = None, True
        part.read_as = None if dtype == torch.float32 else torch.float32


@contextmanager
def sparse_gradients(model: nn.Module) -> Iterator[None]:
    """Have rows that are many learn by sparse gradients within, as `RowAdam` wants them.

    It comes to the same (see `tablefree.optimizers`), at the cost of the rows that are looked up:
    make the optimizers within.
    """
    parts = [
        part
        for part in model.modules()
        if isinstance(part, Rows) and part.num_embeddings >= SPARSE_FROM and not part.sparse
    ]
    for part in parts:
        part.sparse = True
    try:
        yield
    finally:
        for part in parts:
            part.sparse, part.weight.grad = False, None


def read_as_the_rest(model: nn.Module) -> None:
    """Have rows that were loaded in fewer bits than other parameters be read as those are."""
    dtypes = [one.dtype for one in model.parameters() if one.is_floating_point()]
    for part in model.modules():
        if isinstance(part, Rows):
            widest = max(dtypes, key=lambda dtype: dtype.itemsize)
            is_held = widest.itemsize > part.weight.dtype.itemsize
            part.read_as = widest if is_held else None


def _multiplied(weight: Tensor, factor: float, seed: int, *, out: Tensor) -> Tensor:
    """All rows times a factor; those in bfloat16 are rounded stochastically, chunk by chunk."""
    if weight.dtype != torch.bfloat16:
        return torch.mul(weight, factor, out=out)
    random, size = generator(seed, weight.device), max(1, _CHUNK // weight.shape[1])
    for rows, target in zip(torch.split(weight, size), torch.split(out, size), strict=True):
        target.copy_(rounded(rows.float() * factor, random))
    return out


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
