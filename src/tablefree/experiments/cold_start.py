"""New items or users: what is known of them after 0, 1, 2, 5 and 10 events.

Some ids are held out of the training. At each count the trained model, always from the same
weights, learns from so many events of each, mixed with old ones. A positive pair of a new id is
compared with that of the same partner and another new id: that an id is new is worth nothing, nor
is how popular the partner is. All counts share their test pairs.
"""

import time
from collections.abc import Iterator

import numpy as np

from tablefree.data import Interactions
from tablefree.errors import InputError
from tablefree.experiments.learner import (
    Learner,
    distinct_positives,
    split_at_random,
    with_events,
    with_negatives,
)
from tablefree.experiments.task import SPLIT_SEED, Ints, Task

EVENTS = (0, 1, 2, 5, 10)
FEWEST_EVENTS = 20  # of an id that is held out: what is not revealed is the test
HELD_OUT = 0.1  # of the ids with so many events
OLD_EVENTS = 16  # for each that is revealed
PASSES = 5


class ColdStart:
    """Interactions of which some items or users are held out.

    Args:
        interactions: the data; its distinct positives are used.
        hold_out: "item" or "user".

    Attributes:
        task: the old ids, their events split at random.
        revealed: int64 `[num_new, 10]`, events of each new id in the order of their revelation.
        among_new: the other events of new ids; a negative has the same partner, and a new id that
            the partner is not known with.
        among_all: the same events; a negative has the same user, and any item that the user is not
            known with, as in `tablefree compare`.
        kept: the test events of old ids; a negative has the same user, and an old item.

    Raises:
        InputError: fewer than two ids to hold out.
    """

    def __init__(self, interactions: Interactions, hold_out: str) -> None:
        self.hold_out = hold_out
        data = distinct_positives(interactions)
        rng = np.random.default_rng(SPLIT_SEED)
        ids = data.item if hold_out == "item" else data.user
        held_out = self._choose(ids, data.name, rng)
        is_new = np.isin(ids, held_out)

        events = rng.permutation(np.flatnonzero(is_new))
        events = events[np.argsort(ids[events], kind="stable")]  # id after id
        counts = np.bincount(ids[events])[held_out]
        rank = np.arange(len(events)) - np.repeat(np.cumsum(counts) - counts, counts)
        is_revealed = rank < EVENTS[-1]
        self.revealed: Ints = events[is_revealed].reshape(len(held_out), -1)

        split = split_at_random(np.flatnonzero(~is_new), rng)
        tested = events[~is_revealed]
        # What is learned at a count depends on nothing that is revealed later, or never.
        stage = np.zeros(data.num_events, np.int64)
        stage[split.validation] = 1
        stage[events] = 2 + np.minimum(rank, EVENTS[-1])
        stage[split.test] = 2 + EVENTS[-1]
        data = data.ordered_by(stage)
        held_out = np.unique((data.item if hold_out == "item" else data.user)[events])
        self.task = Task(data, f"cold {hold_out}s", split)
        self.among_new = with_negatives(data, tested, held_out, rng, differ_in=hold_out)
        self.among_all = with_negatives(data, tested, np.arange(data.num_items), rng)
        self.kept = with_negatives(data, split.test, self.task.train_items, rng)

    def steps(self, learner: Learner) -> Iterator[dict[str, object]]:
        """Measure a trained learner at each count.

        Where the new ids are histories, it does not go on learning.

        Yields:
            The columns of the results that a count has for itself.
        """
        for count in EVENTS:
            start = time.perf_counter()
            later = learner.meet(with_events(self.task, self.revealed[:, :count].ravel()))
            if count and learner.contender.history != self.hold_out:
                later.go_on(self._lesson(count, learner.run.seed), passes=PASSES)
            yield {
                "step": count,
                "num_new_ids": len(self.revealed),
                "num_new_events": len(self.among_new.labels) // 2,
                "step_seconds": time.perf_counter() - start,
                "auc_new": later.auc(self.among_new),
                "auc_new_among_all": later.auc(self.among_all),
                "auc_kept": later.auc(self.kept),
            }

    def _lesson(self, count: int, seed: int) -> Ints:
        """The revealed events, and some old ones for each of them."""
        revealed, old = self.revealed[:, :count].ravel(), self.task.split.train
        rng = np.random.default_rng([seed, count])
        number = min(len(old), OLD_EVENTS * len(revealed))
        return np.concatenate([revealed, rng.choice(old, number, replace=False)])

    def _choose(self, ids: Ints, name: str, rng: np.random.Generator) -> Ints:
        eligible = np.flatnonzero(np.bincount(ids) >= FEWEST_EVENTS)
        number = round(HELD_OUT * len(eligible))
        if number < 2:
            raise InputError(
                f"{name} has {len(eligible)} {self.hold_out}s with at least {FEWEST_EVENTS} "
                f"events, and {HELD_OUT:.0%} of them must be at least 2: use more data"
            )
        return np.sort(rng.permutation(eligible)[:number])
