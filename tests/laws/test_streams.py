"""Nothing of the future reaches a stream, and nothing that is never revealed a cold start.

Guards against a model that learns from what happens after the moment of its prediction (Ji et al.,
"A Critical Study on Data Leakage in Recommender System Offline Evaluation", 2023).
"""

from itertools import islice

import numpy as np
import polars as pl
import pytest

from tablefree.data import synthetic_interactions
from tablefree.data.columns import Tables, to_interactions
from tablefree.experiments.cold_start import ColdStart
from tablefree.experiments.learner import CONTENDERS, Learner
from tablefree.experiments.stream import Stream

pytestmark = pytest.mark.untraced


NUM_USERS, NUM_ITEMS, NEW = 60, 50, 80  # so many that a pair is free for every event
CHOSEN = ("full_table", "sketch_with_features", "user_history", "item_history")


def read(user, item, timestamp):
    """Events as if read from files: ids are numbered by their first event."""
    rng = np.random.default_rng(0)
    frames = {
        name: pl.DataFrame({name: range(count + NEW), "amount": rng.normal(size=count + NEW)})
        for name, count in (("user", NUM_USERS), ("item", NUM_ITEMS))
    }
    events = pl.DataFrame({"user": user, "item": item, "timestamp": timestamp})
    return to_interactions(Tables("events", events, *frames.values()), "events", None)


@pytest.fixture(scope="module")
def data():
    one = synthetic_interactions(1_500, num_users=NUM_USERS, num_items=NUM_ITEMS)
    return read(one.user, one.item, np.arange(one.num_events))


def changed(data, events, *, side="both"):
    """The same with other pairs for some events, of new ids too; or other partners of one side."""
    rng, ids = np.random.default_rng(1), (data.user_ids.copy(), data.item_ids.copy())
    user, item = ids[0][data.user], ids[1][data.item]
    taken = set(zip(user.tolist(), item.tolist(), strict=True))
    for event in events:
        pair = (int(user[event]), int(item[event]))
        while pair in taken:
            drawn = int(rng.integers(NUM_USERS + NEW)), int(rng.integers(NUM_ITEMS + NEW))
            pair = {"both": drawn, "user": (drawn[0], pair[1]), "item": (pair[0], drawn[1])}[side]
        taken.add(pair)
        user[event], item[event] = pair
    return read(user, item, data.timestamp // 10**9)  # in seconds


def learned(study, name, steps):
    """All that a learner is given in so many steps of a study, and what it has learned."""
    contender = next(one for one in CONTENDERS if one.name == name)
    run = contender.run(20, size=6, seed=0, embedding_dim=16, max_epochs=1)
    given = []

    def record(*values):
        given.extend(
            None if value is None else value.detach().numpy().tobytes() for value in values
        )

    with pytest.MonkeyPatch.context() as patch:
        batch, go_on = Learner.batch, Learner.go_on

        def recorded_batch(self, pairs, rng=None):
            made = batch(self, pairs, rng)
            if rng is not None:
                record(*made)
            return made

        def recorded_go_on(self, events, *, passes):
            go_on(self, events, passes=passes)
            record(*self.model.parameters())

        patch.setattr(Learner, "batch", recorded_batch)
        patch.setattr(Learner, "go_on", recorded_go_on)
        learner = Learner(contender, run, study.task)
        record(*learner.model.parameters(), *learner.batch(study.task.validation))
        learner.learn()
        record(*learner.model.parameters())
        assert len(list(islice(study.steps(learner), steps))) == steps
    return given


@pytest.mark.parametrize("name", CHOSEN)
def test_a_stream_learns_nothing_from_later_events(data, name):
    stream = Stream(data)
    seen, later = np.concatenate(stream.parts[:2]), np.concatenate(stream.parts[2:])
    assert seen.max() < later.min()
    other = Stream(changed(data, later))
    steps = 1 + 2  # of what came before all, and of two parts
    assert learned(stream, name, steps) == learned(other, name, steps)
    assert [len(part) for part in stream.parts] == [len(part) for part in other.parts]


@pytest.mark.parametrize(
    ("name", "hold_out"), list(zip(CHOSEN, ("user", "item", "item", "user"), strict=True))
)
def test_a_cold_start_learns_nothing_from_what_is_never_revealed(data, name, hold_out):
    cold = ColdStart(data, hold_out)
    split, revealed = cold.task.split, cold.revealed.ravel()
    known = np.concatenate([split.train, split.validation, revealed])
    tested = np.setdiff1d(np.arange(data.num_events), known)
    partner = {"item": "user", "user": "item"}[hold_out]  # which ids are new is by their events
    other = ColdStart(changed(data, tested, side=partner), hold_out)
    assert learned(cold, name, 5) == learned(other, name, 5)
