"""Ids that matter most have rows of their own, found while it learns; the rest share a table.

Zhang et al., "CAFE: Towards Compact, Adaptive, and Fast Embedding for Large-scale Recommendation
Models", 2024: what an id matters is the norm of its gradients. There is no vocabulary, and what is
hot may change. The paper's tables of several levels for the other ids are left out.
"""

import copy
from typing import TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.checks import check_positive
from tablefree.embeddings.base import Embedding, table
from tablefree.embeddings.hybrid import HybridHash
from tablefree.encodings import HashBuckets
from tablefree.encodings.hot_sketch import NONE, HotSketch
from tablefree.ids import tensor_ids
from tablefree.registry import first_id, registered

ModuleType = TypeVar("ModuleType", bound=nn.Module)


@registered(method="cafe")
class CafeEmbedding(Embedding):
    """A row of its own for each hot id, a shared one for any other.

    In training mode each backward pass notes the norm of the gradient of each embedding in a
    sketch. Of the ids that it counts, those of the highest scores have a row each. One that becomes
    hot starts from the row that it shared, one that cools goes back to it. Evaluation reads only.

    The sketch, 128 bytes a row, is for learning alone; `to_hybrid_hash` leaves the hot ids of it.

    Args:
        num_hot_rows: rows for one id each.
        embedding_dim: width of an embedding.
        num_rows: rows of the shared table.
        seed: picks the hash functions; the name of the feature is a good seed.

    Raises:
        InputError: a size below 1.

    Example:
        >>> embedding = CafeEmbedding(100, 32, num_rows=50, seed="item_id")
        >>> embedding(torch.tensor([7, -7])).shape
        torch.Size([2, 32])
    """

    def __init__(
        self, num_hot_rows: int, embedding_dim: int, *, num_rows: int, seed: int | str
    ) -> None:
        super().__init__(embedding_dim)
        check_positive(num_hot_rows=num_hot_rows, num_rows=num_rows)
        self.hot = HotSketch(num_hot_rows, seed=seed)
        self.hot_rows = table(num_hot_rows, embedding_dim)
        self.buckets = HashBuckets(1, num_rows, seed=seed)
        self.rows = table(num_rows, embedding_dim)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        """Look up the own row of a hot id, and the shared one of another."""
        ids = tensor_ids(ids)
        learns = self.training and torch.is_grad_enabled() and self.rows.weight.requires_grad
        if learns and self.hot.is_due:
            self._settle()
        own_row = self.hot(ids)
        own: Tensor = self.hot_rows(own_row.clamp(min=0))
        embeddings = torch.where((own_row != NONE).unsqueeze(-1), own, self._shared(ids))
        if learns:
            embeddings.register_hook(  # type: ignore[no-untyped-call]
                lambda gradient: self.hot.note(ids.flatten(), gradient.norm(dim=-1).flatten())
            )
        return embeddings

    def to_hybrid_hash(self) -> HybridHash:
        """A copy for inference that embeds alike, without what only learning needs."""
        ids, rows = self.hot.owners
        own: Tensor = self.hot_rows(rows)
        if not len(ids):  # it must have one, which embeds as before
            ids = first_id().to(ids)
            own = self._shared(ids)
        hybrid = HybridHash(
            len(self.rows.weight),
            self.embedding_dim,
            frequent_ids=ids,
            num_hashes=1,
            seed=self.buckets.seed,
        ).to(self.rows.weight)
        with torch.no_grad():
            hybrid.frequent_rows.weight.copy_(own[ids.argsort()])
            hybrid.rows.weight.copy_(self.rows.weight)
        hybrid.std = self.std
        return hybrid.requires_grad_(False).eval()

    def config(self) -> dict[str, object]:
        """The method and its arguments; which ids are hot is in the state dict."""
        return {
            "method": "cafe",
            "num_hot_rows": self.hot.num_rows,
            "embedding_dim": self.embedding_dim,
            "num_rows": self.buckets.num_buckets,
            "seed": self.buckets.seed,
        }

    def output_weights(self) -> list[Tensor]:
        """Both tables'."""
        return [self.hot_rows.weight, self.rows.weight]

    @property
    def multiply_adds(self) -> int:
        """None: a lookup."""
        return 0

    def _shared(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch embedding_dim"]:
        rows: Tensor = self.rows(self.buckets(ids).squeeze(-1))
        return rows

    @torch.no_grad()
    def _settle(self) -> None:
        rows, ids = self.hot.settle()
        self.hot_rows.weight[rows] = self._shared(ids)


def without_sketches(module: ModuleType) -> ModuleType:
    """A copy in which each `CafeEmbedding` is a hybrid hash; without any, the module itself."""
    found = [one for one in module.modules() if isinstance(one, CafeEmbedding)]
    if not found:
        return module
    return copy.deepcopy(module, {id(one): one.to_hybrid_hash() for one in found})
