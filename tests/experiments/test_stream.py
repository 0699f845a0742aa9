from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tablefree.data import synthetic_interactions
from tablefree.errors import InputError
from tablefree.experiments import stream as streams
from tablefree.experiments.learner import CONTENDERS, Learner
from tablefree.experiments.stream import FIRST_PARTS, PARTS, Stream

DATA = synthetic_interactions(6_000, num_users=300, num_items=200)


@pytest.fixture(scope="module")
def stream():
    return Stream(DATA)


def test_parts_follow_one_another_in_time(stream):
    when = stream.task.interactions.timestamp
    first = np.concatenate(list(vars(stream.task.split).values()))
    parts = [first, *stream.parts]
    assert sum(map(len, parts)) == DATA.num_events
    assert len(parts) == 1 + PARTS - FIRST_PARTS
    for earlier, later in pairwise(parts):
        assert when[earlier].max() < when[later].min()


@pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")  # a stream outgrows its rows
@pytest.mark.parametrize("number", [0, 5])
def test_each_part_is_measured_then_learned(stream, number, monkeypatch):
    monkeypatch.setattr(streams, "FEWEST", 1)
    contender = CONTENDERS[number]
    run = contender.run(10, size=2, seed=0, embedding_dim=16, max_epochs=2)
    learner = Learner(contender, run, stream.task)
    learner.learn()
    start, *steps = stream.steps(learner)
    assert [start["step"], *(step["step"] for step in steps)] == list(range(FIRST_PARTS, PARTS + 1))
    assert start["auc_kept"] == learner.auc(stream.kept)
    assert all(step["auc_kept"] != start["auc_kept"] for step in steps)
    assert all(step["auc_old"] > 0.5 for step in steps)
    # The row of unknown ids says nothing; features do.
    is_blind = contender.method == "full_table"
    assert all((step["auc_new_users"] == 0.5) == is_blind for step in steps)
    of_items = [step["auc_new_items"] for step in steps if step["auc_new_items"] is not None]
    assert of_items
    assert all((value == 0.5) == is_blind for value in of_items)
    assert all(0 < step["num_new_ids"] <= 2 * step["num_new_events"] for step in steps)


def test_too_few_events_have_no_auc(stream, monkeypatch):
    monkeypatch.setattr(streams, "FEWEST", 10_000)
    contender = CONTENDERS[0]
    run = contender.run(10, size=1, seed=0, embedding_dim=4, max_epochs=1)
    *_, last = stream.steps(Learner(contender, run, stream.task))
    assert last["auc_old"] is None


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [(None, "has none"), (np.arange(DATA.num_events) % 4, "too few different timestamps")],
)
def test_data_without_times_is_refused(timestamp, words):
    with pytest.raises(InputError, match=words):
        Stream(replace(DATA, timestamp=timestamp))
