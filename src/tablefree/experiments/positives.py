"""Events without a label: all took place, and are told from events with another item.

The pairs of their users and items are a task like that of any recommender, and follow its protocol:
`task.Task`, docs/evaluation.md. Whatever else an event has stays as it is; what is the item's is
the other item's.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch

from tablefree.data import Interactions, Split
from tablefree.experiments.task import Compared, Task
from tablefree.fields.events import Events
from tablefree.fields.items import SUSPICIOUS, Ints, ItemColumns, item_names, keys_of, lift
from tablefree.fields.kinds import Column
from tablefree.fields.split import Parts, split_events
from tablefree.fields.values import MISSING
from tablefree.training.batches import Negatives
from tablefree.training.metrics import auc
from tablefree.training.other_items import OtherItems


@dataclass(frozen=True)
class Pair:
    """The columns by which events are those of a user with an item.

    Attributes:
        user: of whom nothing is drawn that they had.
        item: that is drawn.
        of_item: features and numeric columns that go where the item goes, itself among them; None
            where it is to be found.
    """

    user: str
    item: str
    of_item: frozenset[str] | None = None

    def config(self) -> dict[str, object]:
        """What `from_config` makes it of again, in types that JSON has."""
        return {"user": self.user, "item": self.item, "of_item": sorted(self.of_item or ())}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The pair that `config` tells."""
        return cls(config["user"], config["item"], frozenset(config["of_item"]))


@dataclass(frozen=True)
class Positives:
    """Events that took place, split, with what is needed to draw others.

    Attributes:
        task: their pairs, each event at its row.
        pair: with the columns of the item.
        columns: the same, as places in the events.
        rows: int64 `[num_items]`, the event that an item's columns are taken from: its last in the
            training part, if it has one there.
    """

    task: Task
    pair: Pair
    columns: ItemColumns
    rows: Ints

    @classmethod
    def of(
        cls,
        name: str,
        events: Events,
        columns: Sequence[Column],
        pair: Pair,
        split: tuple[str, Parts],
    ) -> Self:
        """Events that are split.

        Args:
            name: of the data set.
            events: whole ones, of all parts.
            columns: what their columns are taken for.
            pair: those of users and items.
            split: its name, and the rows of each part.

        Raises:
            InputError: a user for whom no other item is left.
        """
        how, parts = split
        numeric = [one.name for one in columns if one.kind == "numeric"]
        if pair.of_item is None:
            keys = keys_of(events.at(parts.train), numeric)
            pair = replace(pair, of_item=item_names(keys, pair.user, pair.item, numeric))
        assert pair.of_item is not None
        (user_ids, user), (item_ids, item) = (
            np.unique(ids, return_inverse=True) for ids in _ids_of(events, pair)
        )
        pairs = Interactions(name, user, item, user_ids, item_ids, timestamp=events.times)
        task = Task.of(pairs, how, Split(*parts))
        of_item = ItemColumns.named(pair.of_item, events, numeric)
        return cls(task, pair, of_item, _last_rows(task, events.times))

    def consistent(self, events: Events) -> Events:
        """The events, each item with the same columns wherever it occurs, label 1."""
        every = np.arange(len(events))
        labels = np.ones(len(events), np.float32)
        return self.columns.with_items(
            events, every, self.rows[self.task.interactions.item], labels
        )

    def validation(self, events: Events) -> Events:
        """The validation part of consistent events, and as many others each as in training."""
        return self._with_items(events, self.task.compared_validation(Negatives.per_positive))

    def test(self, events: Events) -> Events:
        """The test part, likewise."""
        return self._with_items(events, self.task.compared_test(Negatives.per_positive))

    @cached_property
    def others(self) -> OtherItems:
        """Draws beside the events of the training part."""
        task, train = self.task, self.task.split.train
        places = np.zeros(task.interactions.num_events, np.int64)
        places[train] = np.arange(len(train))
        negatives = Negatives(task.train_sampler, task.train_items)
        users = task.interactions.user[train]
        return OtherItems(self.columns, negatives, users, places[self.rows])

    def notes(self, events: Events, columns: Sequence[Column]) -> Iterator[str]:
        """What is to be known of the events, a line each: columns that tell which item one is of.

        Args:
            events: as they were read.
            columns: what their columns are taken for.
        """
        assert self.pair.of_item is not None
        own = sorted(self.pair.of_item - {self.pair.item})
        beside = f" with its {', '.join(own)}" if own else ""
        yield (
            f"no label: each event counts as one that took place, and is told from "
            f"{Negatives.per_positive} with another {self.pair.item}{beside}, which its "
            f"{self.pair.user} did not have"
        )
        yield from self.task.notes
        keys = keys_of(events, [one.name for one in columns if one.kind == "numeric"])
        item, train = self.task.interactions.item, self.task.split.train
        asked, items, labels = self.task.compared_validation()
        for name in keys:
            if name in self.pair.of_item or name == self.pair.user:
                continue
            found = lift((keys[name][train], item[train]), (keys[name][asked], items))
            told = auc(torch.from_numpy(found), torch.from_numpy(labels))
            if told > SUSPICIOUS:
                yield (
                    f"{name!r} tells which {self.pair.item} an event is of, with an AUC of "
                    f"{told:.4f}: unless it is known before the event, leave it out (--drop)"
                )

    def _with_items(self, events: Events, compared: Compared) -> Events:
        return self.columns.with_items(
            events, compared.events, self.rows[compared.items], compared.labels
        )


def split_positives(events: Events, pair: Pair, how: str) -> Parts:
    """The parts of a split; at random those of one user and item stay together.

    Raises:
        InputError: as `split_events`.
    """
    if how != "random":
        return split_events(events, how)
    user, item = (np.unique(ids, return_inverse=True)[1] for ids in _ids_of(events, pair))
    pairs = user * (item.max(initial=0) + 1) + item
    return split_events(replace(events, groups=pairs), "group")


def whole_events(events: Events, pair: Pair) -> Events:
    """Those that have a user and an item, with label 1."""
    users, items = _ids_of(events, pair)
    is_whole = (users != MISSING) & (items != MISSING)
    labels = np.ones(len(events), np.float32)
    return replace(events, labels=labels).at(np.flatnonzero(is_whole))


def _ids_of(events: Events, pair: Pair) -> list[Ints]:
    """The ids of users and of items."""
    return [events.ids[:, events.names.index(name)].numpy() for name in (pair.user, pair.item)]


def _last_rows(task: Task, times: Ints | None) -> Ints:
    """The last event of each item; where it has one in the training part, the last of those."""
    item = task.interactions.item
    order = np.arange(len(item)) if times is None else np.argsort(times, kind="stable")
    is_known = np.zeros(len(item), bool)
    is_known[task.split.train] = True
    order = order[np.argsort(is_known[order], kind="stable")]  # those of training overwrite
    rows = np.zeros(task.interactions.num_items, np.int64)
    np.maximum.at(rows, item[order], np.arange(len(order)))
    return order[rows]
