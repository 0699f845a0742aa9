"""A stream by time: each part of the events is predicted, then learned from once.

The training begins with the first half. Ids that a part is the first to hold are new in it, and the
model knows nothing of them but their features, if they have any. What the parts do to the ids of
the first half is measured on some of its events, which are never learned from.
"""

import time
from collections.abc import Iterator

import numpy as np

from tablefree.data import Interactions
from tablefree.data.split import parts_by_time
from tablefree.errors import InputError
from tablefree.experiments.learner import (
    Learner,
    distinct_positives,
    split_at_random,
    with_events,
    with_negatives,
)
from tablefree.experiments.task import SPLIT_SEED, Ints, Task

PARTS = 10
FIRST_PARTS = 5  # learned together, before the stream begins
FEWEST = 50  # positives, for an AUC


class Stream:
    """Interactions in parts of about equal numbers of events, one after the other in time.

    Args:
        interactions: the data, with timestamps; its distinct positives are used.

    Attributes:
        task: the first half, its events split at random.
        parts: the events of each later part.
        kept: the test events of the first half; a negative has the same user, and an item of it.

    Raises:
        InputError: no timestamps, or too few different ones for so many parts.
    """

    hold_out = "time"

    def __init__(self, interactions: Interactions) -> None:
        data = distinct_positives(interactions)
        if data.timestamp is None:
            raise InputError(
                f"a stream needs timestamps and {data.name} has none: name the timestamp column, "
                "or hold items or users out"
            )
        part = parts_by_time(data.timestamp, np.arange(1, PARTS) / PARTS)
        sizes = np.bincount(part, minlength=PARTS)
        if not sizes.all():
            raise InputError(
                f"{data.name} has too few different timestamps for {PARTS} parts: use other data, "
                "or hold items or users out"
            )
        data = data.ordered_by(part)
        self.parts = [np.flatnonzero(part == number) for number in range(FIRST_PARTS, PARTS)]
        rng = np.random.default_rng(SPLIT_SEED)
        split = split_at_random(np.flatnonzero(part < FIRST_PARTS), rng)
        self.task = Task(data, "stream", split)
        self.kept = with_negatives(data, split.test, self.task.train_items, rng)

    def steps(self, learner: Learner) -> Iterator[dict[str, object]]:
        """Measure a trained learner on each part before it learns from it, and on old events after.

        Yields:
            The columns of the results that a part has for itself, first of what came before all.
        """
        yield {"step": FIRST_PARTS, "step_seconds": 0.0, "auc_kept": learner.auc(self.kept)}
        for number, part in enumerate(self.parts, FIRST_PARTS + 1):
            measures = self._measure(learner, part)
            start = time.perf_counter()
            learner = learner.meet(with_events(learner.task, part))
            learner.go_on(part, passes=1)
            yield {
                "step": number,
                "step_seconds": time.perf_counter() - start,
                **measures,
                "auc_kept": learner.auc(self.kept),
            }

    def _measure(self, learner: Learner, part: Ints) -> dict[str, object]:
        """AUC on a part; a negative has the same user, and an item that is new where the own is."""
        task, rng = learner.task, np.random.default_rng([SPLIT_SEED, len(learner.task.split.train)])
        data = task.interactions
        is_new_user = task.users.train_counts[data.user[part]] == 0
        is_new_item = task.items.train_counts[data.item[part]] == 0
        new_items = np.unique(data.item[part[is_new_item]])
        groups = {
            "auc_old": (~is_new_user & ~is_new_item, task.train_items),
            "auc_new_users": (is_new_user & ~is_new_item, task.train_items),
            "auc_new_items": (is_new_item, new_items),
        }
        new_users = np.unique(data.user[part[is_new_user]])
        measures: dict[str, object] = {
            "num_new_ids": len(new_users) + len(new_items),
            "num_new_events": int((is_new_user | is_new_item).sum()),
        }
        for name, (is_chosen, items) in groups.items():
            pairs = with_negatives(data, part[is_chosen], items, rng)
            is_enough = len(pairs.labels) >= 2 * FEWEST
            measures[name] = learner.auc(pairs) if is_enough else None
        return measures
