"""Events of many columns, split, as they are trained on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from tablefree.errors import InputError
from tablefree.fields.events import Events, read_events
from tablefree.fields.profile import Profile
from tablefree.fields.split import Parts, default_split, split_events
from tablefree.fields.table import Table
from tablefree.fields.warnings import shown_names
from tablefree.training.event_measures import has_new_value


@dataclass(frozen=True)
class EventTask:
    """Events with a label, and the rows of each part.

    Attributes:
        name: of the data set.
        profile: what is in the table.
        events: of all parts.
        split: its name.
        parts: rows of each part.
    """

    name: str
    profile: Profile
    events: Events
    split: str
    parts: Parts

    @classmethod
    def of(cls, name: str, table: Table, profile: Profile, split: str | None) -> "EventTask":
        """Read all rows of a table, and split them; by default by the first that they have.

        Raises:
            InputError: no label; a split that the events do not have, or of which a part has no
                events of both labels.
        """
        columns = [one.column for one in profile.columns.values()]
        if not any(one.kind == "label" for one in columns):
            like = profile.like_labels
            which = f", which {shown_names(like)} may be" if like else ""
            raise InputError(
                f"{table.name} has no column that goes by the name and the values of a label: name "
                f"the one to be predicted, of 0 and 1 (--label){which}; or, of pairs, the columns "
                "of users and items (--user-column, --item-column)"
            )
        events = read_events(table, columns)
        how = split or default_split(events)
        return cls(name, profile, events, how, split_events(events, how))

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
        return has_new_value(self.events.at(self.parts.test), self.events.at(self.parts.train))
