"""What the columns of events say of their item alone, such as its category, brand or price.

Who asks how likely a user is to take another item asks about that item with its own columns: they
go where it goes.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from tablefree.embeddings.jagged import Bags
from tablefree.fields.events import Events
from tablefree.fields.leaks import binned
from tablefree.hashing import mix64

Ints = NDArray[np.int64]

TOLD = 0.9  # of the mistakes without the item, how many it spares from which a column is its own
BINS = 32  # of numbers
SUSPICIOUS = 0.8  # AUC by which a column tells an event from the same with another item


@dataclass(frozen=True)
class ItemColumns:
    """Where events hold what is the item's.

    Attributes:
        ids: columns of `Events.ids`.
        bags: names of `Events.bags`.
        numbers: columns of `Events.numbers`.
    """

    ids: tuple[int, ...]
    bags: tuple[str, ...]
    numbers: tuple[int, ...]

    @classmethod
    def named(cls, names: Collection[str], events: Events, numeric: Sequence[str]) -> Self:
        """Those of some names.

        Args:
            names: of features and of numeric columns.
            events: any.
            numeric: the names of the columns of `events.numbers`.
        """
        return cls(
            tuple(at for at, name in enumerate(events.names) if name in names),
            tuple(name for name in events.bags if name in names),
            tuple(at for at, name in enumerate(numeric) if name in names),
        )

    def scaled(self, widths: Sequence[int]) -> Self:
        """The same where each number has become some: it, and whether it is missing."""
        ends = np.cumsum(widths).tolist()
        of_number = [range(end - width, end) for end, width in zip(ends, widths, strict=True)]
        return replace(self, numbers=tuple(at for one in self.numbers for at in of_number[one]))

    def with_items(
        self, events: Events, rows: Ints, item_rows: Ints, labels: NDArray[np.float32]
    ) -> Events:
        """Some events, each with the item of another.

        Args:
            events: all of them.
            rows: int64 `[n]`, those that are asked for.
            item_rows: int64 `[n]`, those whose items they get.
            labels: float32 `[n]`, theirs.
        """
        some, others = events.at(rows), torch.from_numpy(item_rows)
        ids, numbers = some.ids, some.numbers  # copies, which `at` has made
        ids[:, self.ids] = events.ids[:, self.ids][others]
        numbers[:, self.numbers] = events.numbers[:, self.numbers][item_rows]
        bags = {name: events.bags[name].at(others) for name in self.bags}
        return replace(some, ids=ids, numbers=numbers, bags=some.bags | bags, labels=labels)


def keys_of(events: Events, numeric: Sequence[str]) -> dict[str, Ints]:
    """What each column and period of events holds, as integers [n] that differ where it does.

    Numbers are in bins of as many events each, in order, for no two prices need be the same; a
    missing one has a bin of its own.
    """
    plain = dict(zip(events.names, events.ids.numpy().T, strict=True))
    bags = {name: _sums(bags) for name, bags in events.bags.items()}
    numbers = (binned(column, BINS) for column in events.numbers.T)
    return {**plain, **bags, **dict(zip(numeric, numbers, strict=True))}


def item_names(
    keys: Mapping[str, Ints], user: str, item: str, numeric: Collection[str] = ()
) -> frozenset[str]:
    """The columns that an item tells, and better than a user does: its own, and itself.

    Of categories by Goodman and Kruskal's lambda ("Measures of Association for Cross
    Classifications", 1954), the share of mistakes that knowing the item spares whoever guesses the
    most frequent value; of numbers by Kelley's epsilon squared ("An Unbiased Correlation Ratio
    Measure", 1935), the share of the variance that is between items. Over items that occur at
    least twice, for of the others any column is a function.

    Args:
        keys: of the training part, as `keys_of` gives them.
        user: the column of users.
        item: the column of items.
        numeric: the columns of numbers.
    """
    by_item, by_user = _places(keys[item]), _places(keys[user])
    names = {item}
    for name, values in keys.items():
        if name not in (user, item):
            told = _between if name in numeric else _spared
            of_item = told(by_item, _places(values))
            if of_item >= TOLD and of_item > told(by_user, _places(values)):
                names.add(name)
    return frozenset(names)


def lift(of_train: tuple[Ints, Ints], asked: tuple[Ints, Ints]) -> NDArray[np.float64]:
    """How much more often a value occurs with an item in training than by chance [n].

    Args:
        of_train: values and items of the training events, `[m]` each.
        asked: those that the answer is for, `[n]` each.
    """
    sizes = [len(one) for one in of_train]
    values, items = (
        np.unique(np.concatenate(pair), return_inverse=True)[1]
        for pair in zip(of_train, asked, strict=True)
    )
    pairs = np.unique(values * (items.max(initial=0) + 1) + items, return_inverse=True)[1]
    known, wanted = (np.arange(sizes[0]), np.arange(sizes[0], len(values)))
    counts = [
        np.bincount(of[known], minlength=of.max(initial=0) + 1)[of[wanted]]
        for of in (pairs, values, items)
    ]
    together, of_value, of_item = counts
    expected = of_value * of_item / max(sizes[0], 1)
    return np.divide(together, expected, out=np.zeros(len(wanted)), where=expected > 0)


def _spared(by: Ints, values: Ints) -> float:
    """Lambda of positions by others, over those of the others that occur at least twice."""
    often = np.bincount(by)[by] > 1
    by, values = by[often], values[often]
    if not len(by):
        return 0.0
    wrong = len(values) - int(np.bincount(values).max())
    pairs, counts = np.unique(by * (values.max() + 1) + values, return_counts=True)
    best = np.zeros(by.max() + 1, np.int64)
    np.maximum.at(best, pairs // (values.max() + 1), counts)
    return 1 - (len(values) - int(best.sum())) / wrong if wrong else 0.0


def _between(by: Ints, values: Ints) -> float:
    """Epsilon squared of bins of numbers by others, likewise."""
    often = np.bincount(by)[by] > 1
    by, values = _places(by[often]), values[often]
    num_groups = int(by.max(initial=-1)) + 1
    if len(by) <= num_groups or not (total := values.var(ddof=1)):
        return 0.0
    means = np.bincount(by, values) / np.bincount(by)
    within = np.square(values - means[by]).sum() / (len(by) - num_groups)
    return float(1 - within / total)


def _places(keys: Ints) -> Ints:
    """The positions of keys among the distinct ones."""
    return np.unique(keys, return_inverse=True)[1].astype(np.int64)


def _sums(bags: Bags) -> Ints:
    """A number for what each bag holds, in any order."""
    mixed = mix64(bags.ids.numpy().view(np.uint64)).view(np.int64)
    sums = np.concatenate([[0], np.cumsum(mixed)])
    offsets = bags.offsets.numpy()
    found: Ints = sums[offsets[1:]] - sums[offsets[:-1]]
    return found
