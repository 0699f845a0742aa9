"""A data set made ready for training and evaluation: split, fixed negatives, popularity.

Everything that compared runs must share is fixed here, by one seed. The training knows the training
part alone; validation and test pairs are new to their users. The protocol: docs/evaluation.md.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.data import Interactions, NegativeSampler, Split, Vocabulary, split_interactions
from tablefree.data.histories import Histories
from tablefree.data.interactions import Features
from tablefree.embeddings import Embedding
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.training.ranking import NUM_USERS, HeldOut, hold_out

Ints = npt.NDArray[np.int64]

SPLIT_SEED = 0
NUM_RANKED_NEGATIVES = 99  # He et al., "Neural Collaborative Filtering", 2017, section 4.1
SLOW_SCORES = 2**24  # of a full ranking by an MLP: a twentieth of the time of its training
BUCKETS = ("head", "middle", "tail", "unseen")


class Pairs(NamedTuple):
    """Pairs of positions of a user and an item, label 1 for a positive and 0 for a negative."""

    users: Ints
    items: Ints
    labels: npt.NDArray[np.float32]


class Compared(NamedTuple):
    """Events as they were, label 1, and with items that their users did not have, label 0.

    Where events have labels there are no others, and the labels are theirs.
    """

    events: Ints
    items: Ints
    labels: npt.NDArray[np.float32]


class Ranking(NamedTuple):
    """One held-out positive of each user `[n]`, and the items `[n, 99]` it is ranked among."""

    users: Ints
    positives: Ints
    negatives: Ints


class Side:
    """The users, or the items, of a task: what each kind of embedding knows of them.

    Args:
        name: name of the feature, "user_id" or "item_id"; seeds the hash functions.
        ids: int64 `[n]`, the 64-bit id behind each position.
        train_events: int64, positions of the training events.
        features: of each position, if there are any.

    Attributes:
        features: float32 `[n, m]`, scaled by the ids with a training event, or None.
        num_embeddings: distinct ids with a training event: the rows of a full table.
        vocabulary: the map from those ids to rows.
        frequent_ids: the same ids, the most frequent first.
    """

    def __init__(
        self, name: str, ids: Ints, train_events: Ints, features: Features | None = None
    ) -> None:
        self.name = name
        self.ids = ids
        self.train_counts = np.bincount(train_events, minlength=len(ids))
        self.features = None if features is None else features.scaled(self.train_counts > 0)
        by_count = np.argsort(-self.train_counts, kind="stable")
        self.num_embeddings = int((self.train_counts > 0).sum())
        self.frequent_ids: Int[Tensor, " n"] = torch.from_numpy(
            ids[by_count[: self.num_embeddings]]
        )
        self.vocabulary = Vocabulary(self.frequent_ids.numpy())

    def keys(self, embedding: Embedding) -> Int[Tensor, " n"]:
        """What an embedding takes for each position: its row, its 64-bit id, or the position."""
        if isinstance(embedding, HistoryUsers):
            return torch.arange(len(self.ids))
        rows = self.vocabulary.lookup(self.ids) if embedding.needs_vocabulary else self.ids
        return torch.from_numpy(rows)


@dataclass(frozen=True)
class Task:
    """Interactions and their split.

    An embedding with a vocabulary knows the ids of the training part. Training negatives are drawn
    from its items, and avoid its positives alone: if they avoided those of the test part, a pair
    that is never a negative would be a test positive. Evaluation negatives are drawn from all
    items, so that an item without a training event is seen as a negative too; they avoid the
    positives of their part and of those before. Where items are held out, evaluation compares and
    ranks those of its part alone: among all items, whoever tells new ones from old has the answer.

    Attributes:
        interactions: the data, positions in the order of `Interactions.ordered_by`.
        how: name of the split.
        split: positions of the training, validation and test events.
    """

    interactions: Interactions
    how: str
    split: Split

    @classmethod
    def from_interactions(cls, interactions: Interactions, how: str = "random") -> "Task":
        """Split the interactions, always with the same seed.

        Raises:
            InputError: a split that the data does not allow (see `split_interactions`), a held-out
                part without a pair that is new to its user, or a user for whom no negative can be
                drawn.
        """
        split = split_interactions(interactions, how, seed=SPLIT_SEED)
        task = cls.of(interactions, how, split)
        task.check_held_out()
        return task

    @classmethod
    def of(cls, interactions: Interactions, how: str, split: Split) -> "Task":
        """Interactions that are split already; of events in no part nothing is asked.

        Raises:
            InputError: a user for whom no negative can be drawn.
        """
        stage = np.zeros(interactions.num_events, np.int8)
        stage[split.validation], stage[split.test] = 1, 2
        task = cls(interactions.ordered_by(stage), how, split)
        task._check_negatives()
        return task

    def check_held_out(self) -> None:
        """Refuse, before any training, a part that tells nothing.

        Raises:
            InputError: a held-out part without a pair that is new to its user.
        """
        for name, (_, _, labels) in (("validation", self.validation), ("test", self.test)):
            if len(np.unique(labels)) < 2:
                what = "pairs of one label only" if len(labels) else "no pair"
                raise InputError(
                    f"the {name} part of the {self.how} split of {self.interactions.name} has "
                    f"{what} that is new to its user: use the random split, or data with fewer "
                    "repeated pairs"
                )

    @cached_property
    def data_digest(self) -> str:
        """Hexadecimal digits that tell the data and its split from any other."""
        data, digest = self.interactions, hashlib.sha256()
        arrays = (
            *(data.user, data.item, data.user_ids, data.item_ids, data.label),
            *(self.users.features, self.items.features),
            *(self.split.train, self.split.validation, self.split.test),
        )
        for array in arrays:
            digest.update(b"none" if array is None else np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the data before a figure is believed, a sentence each."""
        return (*rating_notes(self.interactions), *self._repeat_notes())

    @property
    def events_per_id(self) -> float:
        """Training events, over the mean number of users and items that have one."""
        return 2 * len(self.split.train) / (self.users.num_embeddings + self.items.num_embeddings)

    def table_bytes(self, embedding_dim: int) -> int:
        """Bytes of full tables in float32, with their vocabularies."""
        return sum(
            4 * embedding_dim * (side.num_embeddings + 1) + side.vocabulary.num_bytes
            for side in (self.users, self.items)
        )

    @cached_property
    def users(self) -> Side:
        """The users."""
        data = self.interactions
        return Side("user_id", data.user_ids, self._train(data.user), data.user_features)

    @cached_property
    def items(self) -> Side:
        """The items."""
        data = self.interactions
        return Side("item_id", data.item_ids, self._train(data.item), data.item_features)

    @cached_property
    def train_items(self) -> Ints:
        """Positions of the items with a training event."""
        return np.flatnonzero(self.items.train_counts)

    @cached_property
    def train_sampler(self) -> NegativeSampler:
        """Draws items that are no positive of the user in the training part."""
        return self._sampler(self.split.train)

    @cached_property
    def validation_events(self) -> Ints:
        """Events of the validation part whose pair is not in the training part."""
        return self._new(self.split.validation, self.split.train)

    @cached_property
    def test_events(self) -> Ints:
        """Events of the test part whose pair is in no other part."""
        return self._new(self.split.test, self._before_test)

    @cached_property
    def histories(self) -> Histories:
        """The items of each user's training positives."""
        data, events = self.interactions, self._positives(self.split.train)
        return Histories(data.user[events], data.item[events], data.num_users, data.num_items)

    @cached_property
    def validation(self) -> Pairs:
        """Pairs of the validation part."""
        return self._pairs(self.compared_validation())

    @cached_property
    def test(self) -> Pairs:
        """Pairs of the test part."""
        return self._pairs(self.compared_test())

    def compared_validation(self, num_negatives: int = 1) -> Compared:
        """Events of the validation part, and so many negatives of each."""
        known = self._before_test  # what the test part holds decides nothing
        items = self._candidates(self.split.validation, np.unique(self.interactions.item[known]))
        sampler = self._sampler(known)
        return self._compared(self.validation_events, sampler, items, num_negatives, stream=1)

    def compared_test(self, num_negatives: int = 1) -> Compared:
        """Events of the test part, and so many negatives of each."""
        sampler, items = self._test_sampler, self._test_items
        return self._compared(self.test_events, sampler, items, num_negatives, stream=2)

    @cached_property
    def test_ranking(self) -> Ranking:
        """The first test positive of each user, and its negatives."""
        sampler, items = self._test_sampler, self._test_items
        events = self._positives(self.test_events)
        events = events[sampler.has_negative(items)[self.interactions.user[events]]]
        users, first = np.unique(self.interactions.user[events], return_index=True)
        repeated = np.repeat(users, NUM_RANKED_NEGATIVES)
        negatives = sampler.sample(repeated, _rng(stream=3), items)
        return Ranking(
            users,
            self.interactions.item[events[first]],
            negatives.reshape(-1, NUM_RANKED_NEGATIVES),
        )

    @cached_property
    def held_out(self) -> HeldOut | None:
        """What a full ranking ranks; None where no test positive is new to its user."""
        return self._hold_out(NUM_USERS)

    @cached_property
    def held_out_few(self) -> HeldOut | None:
        """The same of fewer users where the items are many: for scores that take time."""
        return self._hold_out(min(NUM_USERS, max(1, SLOW_SCORES // self.interactions.num_items)))

    @cached_property
    def item_bucket(self) -> npt.NDArray[np.int64]:
        """For each item, the position in `BUCKETS` of its popularity.

        The most popular items that hold a third of the training events are the head, those of the
        next third the middle and of the last third the tail.
        """
        counts = self.items.train_counts
        order = np.argsort(-counts, kind="stable")
        before = np.cumsum(counts[order]) - counts[order]
        bucket = np.empty(len(counts), np.int64)
        bucket[order] = 3 * before // counts.sum()
        bucket[counts == 0] = BUCKETS.index("unseen")
        return bucket

    def _repeat_notes(self) -> list[str]:
        num_events = self.interactions.num_events
        num_repeats = num_events - len(np.unique(self._pairs_of(np.arange(num_events))))
        if not num_repeats:
            return []
        num_test = len(self.split.test)
        num_known = num_test - len(self.test_events)
        num_validation = len(self.split.validation) - len(self.validation_events)
        return [
            f"{num_repeats:,} of {num_events:,} events repeat a pair of user and item; of the test "
            f"part {num_known:,} of {num_test:,} ({num_known / num_test:.1%}) repeat one that is "
            f"known from before, of the validation part {num_validation:,}: these are not counted"
        ]

    def _hold_out(self, max_users: int) -> HeldOut | None:
        data = self.interactions
        test, known = self._positives(self.test_events), self._before_test
        pairs = (data.user[test], data.item[test], data.user[known], data.item[known])
        unranked = np.setdiff1d(np.arange(data.num_items), self._test_items)
        try:
            return hold_out(*pairs, unranked=unranked, max_users=max_users)
        except InputError:
            return None

    def _train(self, positions: Ints) -> Ints:
        return positions[self.split.train]

    def _positives(self, events: Ints) -> Ints:
        label = self.interactions.label
        return events if label is None else events[label[events] > 0]

    @property
    def _before_test(self) -> Ints:
        return np.concatenate([self.split.train, self.split.validation])

    @cached_property
    def _test_sampler(self) -> NegativeSampler:
        return self._sampler(np.arange(self.interactions.num_events))

    @cached_property
    def _test_items(self) -> Ints:
        return self._candidates(self.split.test, np.arange(self.interactions.num_items))

    def _candidates(self, part: Ints, items: Ints) -> Ints:
        """Those of the items that evaluation compares: where items are held out, the part's own."""
        return np.unique(self.interactions.item[part]) if self.how == "cold-items" else items

    def _sampler(self, known: Ints) -> NegativeSampler:
        """Draws items that are no positive of the user among the known events."""
        data, events = self.interactions, self._positives(known)
        return NegativeSampler(data.user[events], data.item[events], data.num_users, data.num_items)

    def _pairs_of(self, events: Ints) -> Ints:
        """A number for the pair of each event."""
        data = self.interactions
        return data.user[events] * data.num_items + data.item[events]

    def _new(self, events: Ints, before: Ints) -> Ints:
        return events[~np.isin(self._pairs_of(events), self._pairs_of(before))]

    def _compared(
        self,
        events: Ints,
        sampler: NegativeSampler,
        candidates: Ints,
        num_negatives: int,
        *,
        stream: int,
    ) -> Compared:
        """Labelled events as they are; or positives, and fixed negatives of each."""
        data = self.interactions
        if data.label is not None:
            return Compared(events, data.item[events], data.label[events])
        events = events[sampler.has_negative(candidates)[data.user[events]]]
        repeated = np.tile(events, num_negatives)
        negatives = sampler.sample(data.user[repeated], _rng(stream), candidates)
        labels = np.repeat(np.array([1, 0], np.float32), [len(events), len(repeated)])
        items = np.concatenate([data.item[events], negatives])
        return Compared(np.concatenate([events, repeated]), items, labels)

    def _pairs(self, compared: Compared) -> Pairs:
        events, items, labels = compared
        return Pairs(self.interactions.user[events], items, labels)

    def _check_negatives(self) -> None:
        """Refuse, before any training, a user who knows every item that could be a negative."""
        data, train = self.interactions, self.split.train
        for events, of in (
            (train, "with a training event"),
            (self._before_test, "before the test part"),
            (np.arange(data.num_events), "in all"),
        ):
            num_items = len(np.unique(data.item[events]))
            known = np.unique(self._pairs_of(self._positives(events)))
            num_known = np.bincount(known // data.num_items)
            if len(known) and num_known.max() >= num_items:
                raise InputError(
                    f"the user with the 64-bit id {data.user_ids[num_known.argmax()]} of "
                    f"{data.name} has every one of the {num_items} items {of}, so that no "
                    "negative can be drawn: leave the user out or use more items"
                )


def rating_notes(interactions: Interactions) -> list[str]:
    """What is to be known of ratings that no threshold makes labels; nothing without any."""
    rating = interactions.rating
    if interactions.label is not None or rating is None:
        return []
    lowest, num_lowest = rating.min(), int((rating == rating.min()).sum())
    return [
        f"all {len(rating):,} events count as positives, {num_lowest:,} of them with the lowest "
        f"rating, {lowest:g}: name a positive rating to tell them apart"
    ]


def _rng(stream: int) -> np.random.Generator:
    return np.random.default_rng([SPLIT_SEED, stream])
