"""Batches of labelled pairs for training: every positive once an epoch, with fresh negatives.

Where users are described by their histories, each pair comes with the item that its user's history
must do without, so that no history gives away a label.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import IterableDataset

from tablefree.data import NegativeSampler
from tablefree.data.histories import Histories

Ints = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Pairs as the two embeddings take them, and whether each is a positive (1) or not (0).

    With users that are histories there is, in training, the place among all histories of the item
    that each pair leaves out; -1 in an empty history (see `Histories.left_out`).
    """

    users: Int[Tensor, " n"]
    items: Int[Tensor, " n"]
    labels: Float[Tensor, " n"]
    left_out: Int[Tensor, " n"] | None = None


@dataclass(frozen=True)
class Negatives:
    """Where the negatives of implicit feedback come from.

    Attributes:
        sampler: knows the positives.
        candidates: int64 `[m]`, positions of the items to draw from.
        per_positive: how many for each positive.
    """

    sampler: NegativeSampler
    candidates: Ints
    per_positive: int = 4


class TrainingBatches(IterableDataset[Batch]):
    """One epoch after the other over the training events, in random order.

    The batches of the n-th epoch are a function of the seed and n alone.

    Args:
        users: int64 `[num_events]`, positions of the users.
        items: int64 `[num_events]`, positions of the items.
        labels: float32 0/1 `[num_events]`; None when every event is a positive, and negatives are
            drawn.
        user_keys: int64 `[num_users]`, what the user embedding takes for each position.
        item_keys: int64 `[num_items]`, likewise for items.
        negatives: the source of negatives, when `labels` is None.
        batch_size: events a batch; the negatives of its positives come on top.
        seed: seed of the order, of the negatives and of what is left out.
        histories: of the training positives, when the user embedding is made of them.
    """

    def __init__(
        self,
        users: Ints,
        items: Ints,
        labels: npt.NDArray[np.float32] | None,
        *,
        user_keys: Tensor,
        item_keys: Tensor,
        negatives: Negatives | None,
        batch_size: int,
        seed: int,
        histories: Histories | None = None,
    ) -> None:
        super().__init__()
        if (labels is None) == (negatives is None):
            raise ValueError("give either labels or a source of negatives")
        self.users, self.items, self.labels = users, items, labels
        self.user_keys, self.item_keys = user_keys, item_keys
        self.negatives = negatives
        self.batch_size = batch_size
        self.seed = seed
        self.histories = histories
        self.epoch = 0

    def __len__(self) -> int:
        """Batches an epoch."""
        return -(-len(self.users) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the next epoch."""
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        order = rng.permutation(len(self.users))
        for start in range(0, len(order), self.batch_size):
            yield self._batch(order[start : start + self.batch_size], rng)

    def _batch(self, events: Ints, rng: np.random.Generator) -> Batch:
        users, items = self.users[events], self.items[events]
        if self.labels is not None:
            labels = self.labels[events]
        else:
            assert self.negatives is not None
            repeated = np.repeat(users, self.negatives.per_positive)
            drawn = self.negatives.sampler.sample(repeated, rng, self.negatives.candidates)
            labels = np.zeros(len(events) + len(drawn), np.float32)
            labels[: len(events)] = 1
            users, items = np.concatenate([users, repeated]), np.concatenate([items, drawn])
        left_out = None
        if self.histories is not None:
            left_out = torch.from_numpy(self.histories.left_out(users, items, rng))
        return Batch(
            self.user_keys[torch.from_numpy(users)],
            self.item_keys[torch.from_numpy(items)],
            torch.from_numpy(labels),
            left_out,
        )
