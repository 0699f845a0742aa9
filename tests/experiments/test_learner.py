from dataclasses import replace

import numpy as np
import pytest
import torch

from tablefree.data import Interactions, synthetic_interactions
from tablefree.errors import InputError
from tablefree.experiments.learner import (
    CONTENDERS,
    Learner,
    distinct_positives,
    split_at_random,
    transposed,
    with_events,
    with_negatives,
)
from tablefree.experiments.task import Task

BY_NAME = {contender.name: contender for contender in CONTENDERS}


@pytest.fixture(scope="module")
def first():
    """The events of 80 of 100 items, with those of the others in no part."""
    data = synthetic_interactions(3_000, num_users=120, num_items=100)
    old = np.flatnonzero(data.item < 80)
    return Task(data, "cold items", split_at_random(old, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def later(first):
    """With the events of ten more."""
    item = first.interactions.item
    return with_events(first, np.flatnonzero((item >= 80) & (item < 90)))


@pytest.fixture(scope="module")
def learned(first):
    """Learners by name, each trained for an epoch when it is asked for."""
    learners = {}

    def learner(name):
        if name not in learners:
            run = BY_NAME[name].run(10, size=3, seed=0, embedding_dim=16, max_epochs=1)
            learners[name] = Learner(BY_NAME[name], run, first)
            learners[name].learn()
        return learners[name]

    return learner


def embeddings(learner):
    """Of all users and items, as lists of positions in the model."""
    model = learner.model.eval()
    task = learner.model_task
    with torch.no_grad():
        return model.users(task.users.keys(model.users)), model.items(task.items.keys(model.items))


@pytest.mark.parametrize("name", BY_NAME)
def test_it_goes_on_learning_from_where_it_was(learned, later, name):
    learner = learned(name)
    before = [one.clone() for one in embeddings(learner)]
    other = learner.meet(later)
    other.go_on(later.split.train[-200:], passes=1)
    assert other.task is later
    for one, kept in zip(embeddings(learner), before, strict=True):
        assert torch.equal(one, kept)
    changed = [
        not torch.equal(one, kept) for one, kept in zip(embeddings(other), before, strict=True)
    ]
    assert changed == [True, True]


@pytest.mark.parametrize("name", ["full_table", "narrow_table"])
def test_a_table_gets_rows_for_new_ids_and_keeps_the_others(learned, first, later, name):
    old, new = embeddings(learned(name))[1], embeddings(learned(name).meet(later))[1]
    was_known = first.items.train_counts > 0
    is_known = later.items.train_counts > 0
    assert torch.equal(new[was_known], old[was_known])
    assert (old[~was_known] == 0).all()
    assert (new[~is_known] == 0).all()
    assert (new[is_known & ~was_known] != 0).any(dim=1).all()


def test_a_learner_that_has_met_nothing_new_scores_the_same(learned, first):
    events = first.split.test
    pairs = with_negatives(first.interactions, events, first.train_items, np.random.default_rng(0))
    for name in ("full_table", "sketch", "item_history"):
        assert learned(name).auc(pairs) == learned(name).meet(first).auc(pairs)


def test_a_new_item_is_described_by_its_history_alone(learned, later):
    learner = learned("item_history")
    new = np.flatnonzero((later.items.train_counts > 0) & (learner.task.items.train_counts == 0))
    unknown = embeddings(learner)[0][new]
    known = embeddings(learner.meet(later))[0][new]
    assert torch.equal(unknown, unknown[:1].expand_as(unknown))
    assert len(torch.unique(known, dim=0)) == len(new)


@pytest.mark.parametrize(("name", "of"), [("user_history", 0), ("item_history", 1)])
def test_no_history_holds_what_its_pair_asks_about(learned, name, of):
    learner = learned(name)
    task, data = learner.task, learner.task.interactions
    events = task.split.train[:50]
    pairs = with_negatives(data, events, task.train_items, np.random.default_rng(1))
    batch = learner.batch(pairs, np.random.default_rng(2))
    sides = (pairs.users, pairs.items)
    assert batch.users.tolist() == sides[of].tolist()
    asked = learner.model.items
    of_asked = learner.model_task.items.keys(asked)[torch.from_numpy(sides[1 - of])]
    left_out = learner.model.users.history[batch.left_out]
    positive = batch.labels > 0
    assert torch.equal(left_out[positive], of_asked[positive])
    assert torch.equal(batch.items, of_asked)
    assert learner.batch(pairs).left_out is None


def test_transposed_twice_is_the_task(first):
    swapped = transposed(first)
    assert swapped.interactions.item_features is first.interactions.user_features
    assert (swapped.users.train_counts == first.items.train_counts).all()
    again = transposed(swapped).interactions
    assert all(value is getattr(first.interactions, name) for name, value in vars(again).items())


class TestDistinctPositives:
    data = Interactions(
        "invented",
        user=np.array([0, 1, 0, 1]),
        item=np.array([0, 0, 0, 1]),
        user_ids=np.array([5, 6]),
        item_ids=np.array([7, 8]),
        timestamp=np.array([3, 2, 1, 0]),
        label=np.array([1, 0, 1, 1], np.float32),
    )

    def test_the_first_in_time_of_each_pair(self):
        positives = distinct_positives(self.data)
        assert positives.label is None
        assert positives.timestamp.tolist() == [0, 1]
        assert positives.item.tolist() == [1, 0]

    def test_without_times_the_first_in_the_file(self):
        rated = replace(self.data, timestamp=None, rating=np.arange(4, dtype=np.float32))
        assert distinct_positives(rated).rating.tolist() == [0, 3]

    def test_none_is_refused(self):
        with pytest.raises(InputError, match="no positives"):
            distinct_positives(replace(self.data, label=np.zeros(4, np.float32)))


@pytest.mark.parametrize("differ_in", ["item", "user"])
def test_negatives_differ_in_one_side_and_did_not_occur(first, differ_in):
    data = first.interactions
    events = first.split.test
    kept, drawn = ("user", "item") if differ_in == "item" else ("item", "user")
    candidates = np.unique(getattr(data, drawn))[:40]
    users, items, labels = with_negatives(
        data, events, candidates, np.random.default_rng(0), differ_in=differ_in
    )
    sides, half = {"user": users, "item": items}, len(labels) // 2
    assert (labels == np.repeat([1, 0], half)).all()
    assert (sides[kept][:half] == sides[kept][half:]).all()
    assert np.isin(sides[drawn][half:], candidates).all()
    known = set(zip(data.user.tolist(), data.item.tolist(), strict=True))
    assert not known & set(zip(users[half:].tolist(), items[half:].tolist(), strict=True))
    assert known >= set(zip(users[:half].tolist(), items[:half].tolist(), strict=True))


def test_who_knows_every_candidate_is_left_out(first):
    data = first.interactions
    item = int(np.bincount(data.item).argmax())
    pairs = with_negatives(
        data, np.arange(data.num_events), np.array([item]), np.random.default_rng(0)
    )
    none = with_negatives(
        data, np.arange(data.num_events), np.array([], np.int64), np.random.default_rng(0)
    )
    assert not len(none.labels)
    known_to = data.user[data.item == item]
    assert len(pairs.users)
    assert not np.isin(pairs.users, known_to).any()
