"""A bounded cache of computed embeddings, for inference: hot ids cost a lookup.

Traffic is skewed: a few ids make up most of it. The rows of ids that were embedded lie in one array
of fixed size; `kernels/slots.py` says which id has which row, and which one goes.
"""

import threading
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook

from tablefree.checks import check_memory, check_positive
from tablefree.embeddings.base import Embedding
from tablefree.encodings.history import HistoryEncoding
from tablefree.errors import InputError
from tablefree.ids import tensor_ids

_WAYS = 8  # slots an id may lie in: their ids fill a line of the processor's cache


class CachedEmbedding(Embedding):
    """An embedding that keeps the rows it computed, up to a fixed number, and returns them again.

    What it promises: each row was computed by the wrapped embedding, with the weights it has now.
    A hit has the very bits that were computed when its id last missed. The wrapped embedding is
    called with the distinct ids that miss, and a matrix product of another number of rows may round
    the last bits of a float differently; so a row equals the one of an uncached call to rounding,
    and to the bit where an embedding is a sum of table rows.

    All rows are dropped when a weight or buffer has changed, also one of the items that users are
    histories of: by an optimizer, an operation in place, `load_state_dict` or `to`; also when
    autocast goes on or off, and after a step of any fused optimizer, whose changes torch does not
    count. A write through `.data` or NumPy, which torch does not count either, needs a `clear()`.

    It passes through to the wrapped embedding, and caches nothing, in training mode, where
    gradients could be asked for (gradients enabled and a parameter that requires one; a frozen
    embedding has none) and under `torch.compile` and export. It starts in the mode of the wrapped
    embedding.

    Threads may call it at once. Copies and pickles start empty, and the state dict is that of the
    wrapped embedding, under `embedding.`.

    Args:
        embedding: what to cache; a `DeepHashEmbedding` on a CPU gains most, a table nothing, and
            on a GPU computing is faster.
        num_rows: how many rows are kept; rounded up to a multiple of eight. They lie where the
            wrapped embedding returns its rows, and take 9 bytes each beyond the row itself;
            `describe` does not count them.

    Raises:
        InputError: num_rows below 1; what is no `Embedding`.

    Example:
        >>> items = DeepHashEmbedding(32, num_hashes=64, hidden=(64, 64), seed="item_id").freeze()
        >>> cached = CachedEmbedding(items, num_rows=1000)
        >>> cached(torch.tensor([7, -7, 7])).shape
        torch.Size([3, 32])
    """

    def __init__(self, embedding: Embedding, num_rows: int) -> None:
        if not isinstance(embedding, Embedding):
            raise InputError(f"a cache wraps a tablefree Embedding, got {type(embedding).__name__}")
        super().__init__(embedding.embedding_dim)
        check_positive(num_rows=num_rows)
        self.embedding = embedding
        self.needs_vocabulary = embedding.needs_vocabulary
        self.training = embedding.training
        self._cache = _Cache(num_rows)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Embed ids of any shape.

        Raises:
            InputError: ids that are no tensor of integers; weights made in `torch.inference_mode`,
                whose changes torch does not count.
        """
        ids = tensor_ids(ids)
        if not ids.numel() or self._passes_through():
            return self._embed(ids)
        flat = ids.reshape(-1)
        weights, embeddings, missing = self._cache.read(flat, self.embedding)
        if len(missing):
            distinct, inverse = torch.unique(flat[missing], return_inverse=True)
            computed = self._embed(distinct)
            self._cache.write(distinct, computed, self.embedding, weights)
            if embeddings is None:
                embeddings = computed.new_empty(len(flat), self.embedding_dim)
            embeddings[missing] = computed[inverse]
        assert embeddings is not None  # no row is kept, so every id is missing
        return embeddings.view(*ids.shape, self.embedding_dim)

    def clear(self) -> None:
        """Drop every row: after weights were changed in a way that torch does not count."""
        self._cache.clear()

    def output_weights(self) -> list[Tensor]:
        """Those of the wrapped embedding."""
        return self.embedding.output_weights()

    def config(self) -> dict[str, object]:
        """That of the wrapped embedding: a cache is no part of a checkpoint."""
        return self.embedding.config()

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Save the wrapped embedding."""
        self.embedding.save_pretrained(save_directory)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the wrapped embedding."""
        return self.embedding.push_to_hub(repo_id, **options)

    @property
    def multiply_adds(self) -> int:
        """Those of an id that misses."""
        return self.embedding.multiply_adds

    def _passes_through(self) -> bool:
        return (
            torch.compiler.is_compiling()
            or self.training
            or any(module.training for module in _modules(self.embedding))
            or (torch.is_grad_enabled() and any(t.requires_grad for t in _tensors(self.embedding)))
        )

    def _embed(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self.embedding(ids)
        return embeddings


class _Cache:
    """The rows and their directory, each of fixed size, behind a lock."""

    def __init__(self, num_rows: int) -> None:
        _watch_fused_steps()
        check_memory(num_rows)
        self._num_rows = num_rows
        shape = (-(-num_rows // _WAYS), _WAYS)
        self._keys = np.zeros(shape, np.int64)
        self._counts = np.zeros(shape, np.uint8)
        self._rows: Tensor | None = None  # allocated when device and dtype are known
        self._weights: _Weights | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles are empty: they cost nothing, and need no lock."""
        return type(self), (self._num_rows,)

    def read(
        self, ids: Int[Tensor, " n"], embedding: Embedding
    ) -> tuple["_Weights", Float[Tensor, "n embedding_dim"] | None, Int[Tensor, " missing"]]:
        """The weights that rows belong to, the rows of ids, and the positions of those that miss.

        The rows at the missing positions hold anything; there are none as long as none is kept.
        """
        from tablefree.kernels import slots  # imports Numba

        array = np.ascontiguousarray(ids.numpy(force=True))
        with self._lock:
            if self._weights is None or not self._weights.are_those_of(embedding):
                self._drop()
                self._weights = _Weights(embedding)
            found = torch.from_numpy(slots.find(array, self._keys, self._counts))
            kept = None
            if self._rows is not None:
                kept = self._rows.index_select(0, found.clamp(min=0).to(self._rows.device))
            return self._weights, kept, (found < 0).nonzero().squeeze(1)

    def write(
        self,
        ids: Int[Tensor, " n"],
        rows: Float[Tensor, "n embedding_dim"],
        embedding: Embedding,
        weights: "_Weights",
    ) -> None:
        """Keep the rows of distinct ids, unless the weights changed while they were computed."""
        from tablefree.kernels import slots

        array = ids.numpy(force=True)
        with self._lock:
            if self._weights is not weights or not weights.are_those_of(embedding):
                return
            if self._rows is None:
                with torch.inference_mode(False):  # later calls may be outside that mode
                    self._rows = rows.new_empty(self._keys.size, rows.shape[1])
            placed = torch.from_numpy(slots.place(array, self._keys, self._counts))
            new = (placed >= 0).nonzero().squeeze(1)
            self._rows[placed[new].to(rows.device)] = rows[new.to(rows.device)]

    def clear(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        self._counts.fill(0)
        self._rows = self._weights = None


class _Weights:
    """The parameters and buffers of a module as they are now, to tell later if any has changed."""

    def __init__(self, module: nn.Module) -> None:
        tensors = _tensors(module)
        # A detached tensor holds on to the memory, so that no other one can have its address.
        self._tensors = [(tensor.detach(), _version(tensor)) for tensor in tensors]
        self._context = _context(tensors)

    def are_those_of(self, module: nn.Module) -> bool:
        tensors = _tensors(module)
        return (
            len(tensors) == len(self._tensors)
            and all(
                tensor.is_set_to(before) and _version(tensor) == version
                for tensor, (before, version) in zip(tensors, self._tensors, strict=True)
            )
            and _context(tensors) == self._context
        )


def _tensors(module: nn.Module) -> list[Tensor]:
    modules = _modules(module)
    return [t for one in modules for t in chain(one.parameters(False), one.buffers(False))]


def _modules(module: nn.Module) -> list[nn.Module]:
    """A module and all that it consists of, the items of histories included."""
    modules = list(module.modules())
    histories = [one for one in modules if isinstance(one, HistoryEncoding)]
    for items in (history.items for history in histories):
        modules += _modules(cast(nn.Module, items))
    return modules


def _version(tensor: Tensor) -> int:
    if tensor.is_inference():
        raise InputError(
            "the weights of a cached embedding were made in torch.inference_mode, where changes "
            "are not counted: make, load and move it outside, under torch.no_grad if need be"
        )
    return tensor._version


def _context(tensors: list[Tensor]) -> tuple[object, ...]:
    """What else decides about an embedding: autocast, and steps that count no versions."""
    device = tensors[0].device.type if tensors else "cpu"
    return _num_fused_steps, torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)


_num_fused_steps = 0


@lru_cache(maxsize=1)
def _watch_fused_steps() -> None:
    """Count the steps of fused optimizers, which torch does not count as changes of weights."""

    def count(optimizer: torch.optim.Optimizer, *_: object) -> None:
        global _num_fused_steps
        _num_fused_steps += any(group.get("fused") for group in optimizer.param_groups)

    register_optimizer_step_post_hook(count)
