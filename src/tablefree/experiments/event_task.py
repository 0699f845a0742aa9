"""Events of many columns, split, as they are trained on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tablefree.errors import InputError
from tablefree.experiments.positives import Pair, Positives, split_positives, whole_events
from tablefree.fields.events import Events, read_events
from tablefree.fields.profile import Profile
from tablefree.fields.split import Parts, check_labels, default_split, split_events
from tablefree.fields.table import Table
from tablefree.fields.warnings import shown_names
from tablefree.training.event_measures import has_new_value
from tablefree.training.other_items import OtherItems

OTHER_SEED = 2**32  # of examples: other items than those that are learned from


@dataclass(frozen=True)
class EventTask:
    """Events with a label, or which all took place, and the rows of each part.

    Attributes:
        name: of the data set.
        profile: what is in the table.
        events: of all parts.
        split: its name.
        parts: rows of each part.
        positives: of events without a label, what others are drawn by.
        notes: what is to be known of the events, a line each.
    """

    name: str
    profile: Profile
    events: Events
    split: str
    parts: Parts
    positives: Positives | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        table: Table,
        profile: Profile,
        split: str | None,
        pair: Pair | None = None,
    ) -> "EventTask":
        """Read all rows of a table, and split them; by default by the first that they have.

        Args:
            name: of the data set.
            table: of the events.
            profile: what is in it.
            split: its name.
            pair: where no column is the label: the columns of the users and of the items.

        Raises:
            InputError: no label and no pair; a split that the events do not have, or of which a
                part has no events of both labels; a user for whom no other item is left.
        """
        columns = [one.column for one in profile.columns.values()]
        has_label = any(one.kind == "label" for one in columns)
        if not has_label and pair is None:
            like = profile.like_labels
            which = f", which {shown_names(like)} may be" if like else ""
            raise InputError(
                f"{table.name} has no column that goes by the name and the values of a label: name "
                f"the one to be predicted, of 0 and 1 (--label){which}; or, of events that all "
                "took place, the columns of users and items (--user-column, --item-column)"
            )
        events = read_events(table, columns)
        if pair is not None and not has_label:
            return cls._of_positives(name, profile, events, split, pair)
        how = split or default_split(events)
        parts = split_events(events, how)
        check_labels(events, parts, how)
        return cls(name, profile, events, how, parts)

    @classmethod
    def _of_positives(
        cls, name: str, profile: Profile, events: Events, split: str | None, pair: Pair
    ) -> "EventTask":
        """The same of events that all took place."""
        columns = [one.column for one in profile.columns.values()]
        whole = whole_events(events, pair)
        how = split or default_split(whole)
        parts = split_positives(whole, pair, how)
        positives = Positives.of(name, whole, columns, pair, (how, parts))
        positives.task.check_held_out()
        notes = [*positives.notes(whole, columns)]
        if len(whole) < len(events):
            notes.append(
                f"{len(events) - len(whole):,} of {len(events):,} rows have no {pair.user} or no "
                f"{pair.item}, and are left out"
            )
        return cls(name, profile, positives.consistent(whole), how, parts, positives, tuple(notes))

    @property
    def train(self) -> Events:
        """The training part; of events without a label those that took place."""
        return self.events.at(self.parts.train)

    @property
    def validation(self) -> Events:
        """The validation part, with label 0 and 1."""
        if self.positives is not None:
            return self.positives.validation(self.events)
        return self.events.at(self.parts.validation)

    @property
    def test(self) -> Events:
        """The test part, likewise."""
        if self.positives is not None:
            return self.positives.test(self.events)
        return self.events.at(self.parts.test)

    @property
    def others(self) -> OtherItems | None:
        """What is drawn beside the events of the training part, if anything."""
        return None if self.positives is None else self.positives.others

    @property
    def num_events(self) -> list[int]:
        """Of each part."""
        return [len(self.parts.train), len(self.validation), len(self.test)]

    def examples(self, most: int) -> Events:
        """Events of the training part with label 0 and 1, at most so many: always the same."""
        train, others = self.parts.train, self.others
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
        num_rows = most if others is None else most // others.each
        rows = order[:num_rows].sort().values.numpy()
        if others is None:
            return self.events.at(train[rows])
        return others.beside(self.train, rows, np.random.default_rng(OTHER_SEED))

    @cached_property
    def digest(self) -> str:
        """Hexadecimal digits that tell the events and their split from any others."""
        events, digest = self.events, hashlib.sha256()
        bags = [array for bag in events.bags.values() for array in (bag.ids, bag.offsets)]
        arrays = (events.ids, *bags, events.numbers, events.labels, *self.parts)
        for array in arrays:
            values = array.numpy() if isinstance(array, Tensor) else array
            assert values is not None
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()[:16]

    @cached_property
    def new_values(self) -> Tensor:
        """Which events of the test part have a value that the training part has not."""
        return has_new_value(self.test, self.train)
