import re

import numpy as np
import pytest
import torch

from tablefree.data import Interactions, Split, synthetic_interactions
from tablefree.embeddings import FullTable, HashingTrick
from tablefree.errors import InputError
from tablefree.experiments.task import BUCKETS, NUM_RANKED_NEGATIVES, Side, Task


def interactions(user, item, num_items=None, label=None):
    """Events by position, with ids that are not positions."""
    user, item = np.asarray(user), np.asarray(item)
    return Interactions(
        name="made up",
        user=user,
        item=item,
        user_ids=np.arange(user.max() + 1) * 1_000_003 - 2**62,
        item_ids=np.arange(num_items or item.max() + 1) * -1_000_003,
        label=None if label is None else np.asarray(label, np.float32),
    )


def split_at(data, *bounds):
    """The first events for training, the next for validation, the rest for test."""
    return Task(data, "made up", Split(*np.split(np.arange(data.num_events), bounds)))


@pytest.fixture(scope="module")
def cold():
    data = synthetic_interactions(3_000, num_users=120, num_items=100)
    return Task.from_interactions(data, "cold-items")


def known_pairs(data):
    return set(zip(data.user.tolist(), data.item.tolist(), strict=True))


@pytest.mark.parametrize("how", ["random", "leave-last-out", "cold-users"])
def test_a_task_is_the_same_each_time(task, how):
    one, other = (Task.from_interactions(task.interactions, how) for _ in range(2))
    for name in ("train", "validation", "test"):
        assert np.array_equal(getattr(one.split, name), getattr(other.split, name))
    # In another order of asking, too.
    asked = [other.test_ranking, other.test, other.validation]
    for left, right in zip((one.validation, one.test, one.test_ranking), asked[::-1], strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_evaluation_pairs_are_positives_and_a_negative_for_each(task, part):
    data, pairs, events = task.interactions, getattr(task, part), getattr(task.split, part)
    positives, negatives = np.split(np.arange(2 * len(events)), 2)
    assert np.array_equal(pairs.users[positives], data.user[events])
    assert np.array_equal(pairs.items[positives], data.item[events])
    assert np.array_equal(pairs.users[negatives], pairs.users[positives])
    assert pairs.labels.tolist() == [1.0] * len(events) + [0.0] * len(events)
    drawn = zip(pairs.users[negatives].tolist(), pairs.items[negatives].tolist(), strict=True)
    assert not set(drawn) & known_pairs(data)
    assert getattr(task, part) is pairs


def test_unseen_items_are_evaluation_negatives_too(cold):
    negatives = cold.test.items[cold.test.labels == 0]
    assert (cold.items.train_counts[negatives] == 0).any()
    assert (cold.items.train_counts[cold.train_items] > 0).all()


def test_ranking_has_one_positive_of_each_test_user(task):
    ranking, data = task.test_ranking, task.interactions
    assert ranking.users.tolist() == sorted(set(data.user[task.split.test].tolist()))
    assert ranking.positives.shape == ranking.users.shape
    assert ranking.negatives.shape == (len(ranking.users), NUM_RANKED_NEGATIVES)
    known = known_pairs(data)
    for user, positive, negatives in zip(*ranking, strict=True):
        assert (user, positive) in known
        assert not {(user, item) for item in negatives} & known


def test_explicit_labels_are_evaluated_as_they_are():
    data = interactions(np.arange(12) % 3, np.arange(12) % 4, 6, label=[1, 0, 1, 1, 0, 0] * 2)
    task = split_at(data, 4, 8)
    assert task.test.users.tolist() == data.user[8:].tolist()
    assert task.test.labels.tolist() == data.label[8:].tolist()
    assert task.test_ranking.users.tolist() == [0, 2]
    assert task.test_ranking.positives.tolist() == [1, 0]


def test_a_side_knows_the_ids_of_the_training_part():
    ids = np.array([50, 10, 40, 20, 30])
    side = Side("item_id", ids, np.array([2, 2, 3, 0, 2, 3]))
    assert side.num_embeddings == 3
    assert side.frequent_ids.tolist() == [40, 20, 50]
    assert side.keys(FullTable(3, 4)).tolist() == [2, 3, 1, 0, 3]  # 3: not in training
    hashed = side.keys(HashingTrick(7, 4, seed=0))
    assert hashed.tolist() == ids.tolist()
    assert hashed.dtype == torch.int64


def test_vocabularies_come_from_the_training_part(cold):
    seen = np.unique(cold.interactions.item[cold.split.train])
    assert cold.items.num_embeddings == len(seen) < cold.interactions.num_items
    table = FullTable(cold.items.num_embeddings, 4)
    keys = cold.items.keys(table).numpy()
    assert sorted(keys[seen].tolist()) == list(range(len(seen)))
    assert set(np.delete(keys, seen).tolist()) == {len(seen)}


def test_buckets_hold_a_third_of_the_training_events_each(cold):
    counts, bucket = cold.items.train_counts, cold.item_bucket
    for position, name in enumerate(BUCKETS[:3]):
        held = counts[bucket == position].sum()
        assert abs(held - counts.sum() / 3) <= counts.max(), name
    assert counts[bucket == 0].min() >= counts[bucket == 1].max()
    assert counts[bucket == 1].min() >= counts[bucket == 2].max()
    assert np.array_equal(bucket == BUCKETS.index("unseen"), counts == 0)


def test_a_user_who_knows_everything_is_refused_before_training():
    # User 1 has the four items that the others have, in no order.
    pairs = [(0, 0), (1, 3), (0, 1), (1, 2), (2, 3), (1, 1), (1, 0), (2, 2)]
    user, item = np.array(pairs * 8).T
    message = "user 2 (by first appearance) of made up has every one of the 4 items"
    with pytest.raises(InputError, match=re.escape(message)):
        Task.from_interactions(interactions(user, item))


def test_a_negative_label_is_not_known_as_a_positive():
    user, item = np.array([(u, i) for u in range(4) for i in range(10)] * 4).T
    label = (user + item) % 2
    task = Task.from_interactions(interactions(user, item, label=label))
    assert len(task.test.labels) == len(task.split.test)
    drawn = task.test_ranking
    assert set(((drawn.users[:, None] + drawn.negatives) % 2).ravel().tolist()) == {0}


def test_a_full_ranking_holds_out_what_is_new_in_the_test_part(task):
    data, held_out = task.interactions, task.held_out
    pairs = {(int(held_out.users[u]), int(i)) for u, i in zip(*held_out.positives, strict=True)}
    events = {
        part: {(int(data.user[e]), int(data.item[e])) for e in getattr(task.split, part)}
        for part in ("train", "validation", "test")
    }
    assert pairs == events["test"] - events["train"] - events["validation"]


def test_slow_scores_rank_fewer_users_where_items_are_many(task, monkeypatch):
    assert torch.equal(task.held_out.users, task.held_out_few.users)
    monkeypatch.setattr("tablefree.experiments.task.SLOW_SCORES", 5 * task.interactions.num_items)
    again = Task(task.interactions, task.how, task.split)
    assert len(again.held_out_few.users) == 5


def test_histories_are_of_training_positives(task):
    data, histories = task.interactions, task.histories
    pairs = {(int(data.user[e]), int(data.item[e])) for e in task.split.train}
    assert len(histories.items) == len(pairs)
    users = np.repeat(np.arange(data.num_users), np.diff(histories.offsets))
    assert set(zip(users.tolist(), histories.items.tolist(), strict=True)) == pairs


def test_events_are_counted_for_each_id(cold):
    ids = cold.users.num_embeddings + cold.items.num_embeddings
    assert cold.events_per_id == 2 * len(cold.split.train) / ids > 1
