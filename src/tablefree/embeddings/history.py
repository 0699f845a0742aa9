"""Users as the bag of items that they interacted with, in the embedding of the items.

Koren, "Factorization Meets the Neighborhood: a Multifaceted Collaborative Filtering Model", 2008:
with his SVD++, a vector of the user's own can be added. Without it there are no parameters of a
user, and a new one is described as soon as it has done something.
"""

from collections.abc import Sequence
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.embeddings.base import Embedding
from tablefree.encodings.base import Encoding
from tablefree.encodings.history import HistoryEncoding
from tablefree.errors import InputError
from tablefree.ids import tensor_ids
from tablefree.network import EmbeddingNetwork


class HistoryUsers(Embedding):
    """The code of a user's history, decoded or as it is, plus an embedding of its id if wanted.

    Users are numbered; `set_histories` tells what each of them did. Histories are data: they are
    buffers, but no part of the state dict, and whoever loads a model sets them again. Or never:
    `embed_bags` embeds any history, for users that are known only now.

    In training, the item of a pair must be left out of the user's history (see
    `tablefree.data.histories`), or the model learns to find it there. At evaluation histories are
    whole: they hold training events alone. A held-out pair that the training events have too is
    then known to the model, as it is to one with an embedding of the user's id.

    Beside an embedding of ids, which can store a whole history, leaving an item out cannot hide it;
    such a model can learn training events by heart, as any with user ids can.

    Args:
        items: an embedding or encoding of the items, with a `width`; shared with the item side,
            and so no submodule, but it follows `train`, `eval`, `to` and `requires_grad_` (see
            `HistoryEncoding`).
        embedding_dim: width of an embedding; without `hidden` that of the items.
        hidden: widths of the hidden layers of a decoder with a linear skip; empty for a linear
            map, None for the code itself.
        alpha: see `HistoryEncoding`.
        own: an embedding of the users' ids, added to that of the history.

    Attributes:
        offsets: int64 `[num_users + 1]`, where the history of each user starts.
        history: int64, what `items` takes for each item of each history.
        user_keys: int64 `[num_users]`, what `own` takes for each user.

    Raises:
        InputError: sizes below 1 or that do not fit, or an alpha out of its range.

    Example:
        >>> items = NarrowTable(100, 8, rank=2)
        >>> users = HistoryUsers(items, 8)
        >>> users.set_histories(torch.tensor([0, 2, 3]), torch.tensor([3, 14, 15]))
        >>> users(torch.tensor([0, 1, 1])).shape
        torch.Size([3, 8])
    """

    offsets: Tensor
    history: Tensor
    user_keys: Tensor

    def __init__(
        self,
        items: Encoding,
        embedding_dim: int,
        *,
        hidden: Sequence[int] | None = None,
        alpha: float = 0.5,
        own: Embedding | None = None,
    ) -> None:
        super().__init__(embedding_dim)
        if hidden is None:
            _check_width("items", items.width, embedding_dim)
        if own is not None:
            _check_width("own", own.width, embedding_dim)
        self.encoding = HistoryEncoding(items, alpha=alpha)
        self.hidden = hidden
        self.network: EmbeddingNetwork | None = None
        if hidden is not None:
            self.network = EmbeddingNetwork(
                self.encoding.width,
                embedding_dim,
                hidden=hidden,
                norm="none",
                skip=len(hidden) > 0,
                code_std=items.std,
            )
        self.own = own
        for name, size in (("offsets", 1), ("history", 0), ("user_keys", 0)):
            # A loader that builds on the meta device fills what is in the state dict alone.
            empty = torch.zeros(size, dtype=torch.int64, device="cpu")
            self.register_buffer(name, empty, persistent=False)

    def set_histories(
        self,
        offsets: Int[Tensor, " num_users_plus_one"],
        items: Int[Tensor, " n"],
        user_keys: Int[Tensor, " num_users"] | None = None,
    ) -> None:
        """Tell what each user did; replaces what was told before.

        Args:
            offsets: where the history of each user starts in `items`, and n at the end.
            items: what the embedding of the items takes, user after user.
            user_keys: what `own` takes for each user, if there is an `own`.

        Raises:
            InputError: integers that are none, or `user_keys` for another number of users.
        """
        num_keys = None if self.own is None else len(offsets) - 1
        if num_keys != (None if user_keys is None else len(user_keys)):
            got = "none" if user_keys is None else f"{len(user_keys)}"
            raise InputError(
                f"user_keys must be {'none' if num_keys is None else num_keys}, what own takes "
                f"for each user; got {got}"
            )
        device = self.offsets.device
        self.offsets, self.history = (tensor_ids(t).to(device) for t in (offsets, items))
        if user_keys is not None:
            self.user_keys = tensor_ids(user_keys).to(device)

    def forward(
        self, ids: Int[Tensor, "*batch"], left_out: Int[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch embedding_dim"]:
        """Embed users by number.

        Args:
            ids: numbers of users, from 0.
            left_out: the place in `history` of what each is to do without; -1 for nothing.

        Raises:
            InputError: ids that are no integers or no known users, or a place outside the history
                of its user.
        """
        ids = tensor_ids(ids)
        if left_out is not None:
            left_out = tensor_ids(left_out)
            if left_out.shape != ids.shape:
                raise InputError(f"left_out must be of the shape of ids, {tuple(ids.shape)}")
            left_out = left_out.reshape(-1)
        codes = self.encoding(self.history, self.offsets, ids.reshape(-1), left_out=left_out)
        embeddings = self._decode(codes).view(*ids.shape, self.embedding_dim)
        return embeddings if self.own is None else embeddings + self.own(self.user_keys[ids])

    def embed_bags(
        self, items: Int[Tensor, " n"], offsets: Int[Tensor, " bags_plus_one"]
    ) -> Float[Tensor, "bags embedding_dim"]:
        """Embed any histories, without what `own` would add.

        Args:
            items: what the embedding of the items takes, history after history.
            offsets: where each history starts in `items`, and n at the end.

        Raises:
            InputError: ids that are no integers, or offsets that do not divide the items.
        """
        return self._decode(self.encoding(items, offsets))

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """As every module's; the items follow."""
        self.encoding.requires_grad_(requires_grad)
        return super().requires_grad_(requires_grad)

    def output_weights(self) -> list[Tensor]:
        """The decoder's last layer's and those of its skip, and those of `own`.

        Raises:
            InputError: without a decoder, where the items alone could be scaled.
        """
        if self.network is None:
            raise InputError(
                "users without a decoder are the sum of their items: rescale the items, or give "
                "the users a decoder (hidden=())"
            )
        own = [] if self.own is None else self.own.output_weights()
        return [*self.network.output_weights(), *own]

    def config(self) -> dict[str, object]:
        """The method and its arguments, save `items`, which is the item side's."""
        return {
            "method": "history",
            "embedding_dim": self.embedding_dim,
            "hidden": None if self.hidden is None else list(self.hidden),
            "alpha": self.encoding.alpha,
            "own": None if self.own is None else self.own.config(),
        }

    @property
    def num_users(self) -> int:
        """Users whose history is known."""
        return len(self.offsets) - 1

    @property
    def multiply_adds(self) -> int:
        """Those of a history of average length, each of its items embedded."""
        items, width = self.encoding.items, self.encoding.width
        per_item = width + (items.multiply_adds if isinstance(items, Embedding) else 0)
        total = round(per_item * len(self.history) / max(1, self.num_users))
        if self.network is not None:
            total += self.network.multiply_adds
        if self.own is not None:
            total += self.own.multiply_adds + self.embedding_dim
        return total

    def _decode(self, codes: Float[Tensor, "n width"]) -> Float[Tensor, "n embedding_dim"]:
        return codes if self.network is None else self.network(codes)


def _check_width(name: str, width: int, embedding_dim: int) -> None:
    if width != embedding_dim:
        raise InputError(f"the width of {name} must be embedding_dim, {embedding_dim}, got {width}")
