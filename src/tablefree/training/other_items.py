"""Events that did not take place: those that did, with another item that their user had not."""

from dataclasses import dataclass

import numpy as np

from tablefree.fields.events import Events
from tablefree.fields.items import Ints, ItemColumns
from tablefree.training.batches import Negatives


@dataclass(frozen=True)
class OtherItems:
    """Draws events that did not take place beside those that did.

    Attributes:
        columns: what goes where an item goes.
        negatives: where items come from.
        users: int64 `[n]`, the position of the user of each event.
        rows: int64 `[num_items]`, the event that an item's columns are taken from.
    """

    columns: ItemColumns
    negatives: Negatives
    users: Ints
    rows: Ints

    @property
    def each(self) -> int:
        """Events that one becomes: itself, and those drawn."""
        return 1 + self.negatives.per_positive

    def beside(self, events: Events, rows: Ints, rng: np.random.Generator) -> Events:
        """Some of the events, label 1, and those drawn for each, label 0.

        Args:
            events: all of them, n.
            rows: int64 `[m]`, those that are asked for.
            rng: source of randomness; the result is a function of its state.
        """
        repeated = np.repeat(rows, self.negatives.per_positive)
        items = self.negatives.sampler.sample(self.users[repeated], rng, self.negatives.candidates)
        return self.columns.with_items(
            events,
            np.concatenate([rows, repeated]),
            np.concatenate([rows, self.rows[items]]),
            np.repeat(np.array([1, 0], np.float32), [len(rows), len(repeated)]),
        )
