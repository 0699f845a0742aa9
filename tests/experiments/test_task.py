from dataclasses import replace

import numpy as np
import pytest
import torch

from tablefree.data import Interactions, Split, synthetic_interactions
from tablefree.embeddings import FullTable, HashingTrick
from tablefree.errors import InputError
from tablefree.experiments.task import BUCKETS, NUM_RANKED_NEGATIVES, Side, Task, rating_notes


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


def known_pairs(data, events=slice(None)):
    return set(zip(data.user[events].tolist(), data.item[events].tolist(), strict=True))


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
    data, pairs, events = task.interactions, getattr(task, part), getattr(task, f"{part}_events")
    positives, negatives = np.split(np.arange(2 * len(events)), 2)
    assert np.array_equal(pairs.users[positives], data.user[events])
    assert np.array_equal(pairs.items[positives], data.item[events])
    assert np.array_equal(pairs.users[negatives], pairs.users[positives])
    assert pairs.labels.tolist() == [1.0] * len(events) + [0.0] * len(events)
    drawn = zip(pairs.users[negatives].tolist(), pairs.items[negatives].tolist(), strict=True)
    known = [task.split.train, task.split.validation, task.split.test]
    known = np.concatenate(known if part == "test" else known[:2])
    assert not set(drawn) & known_pairs(data, known)
    assert getattr(task, part) is pairs


def test_negatives_of_a_part_do_not_tell_the_positives_of_a_later_one(task):
    """Each held-out positive can be drawn as a negative where it is not known yet."""
    data = task.interactions
    rng = np.random.default_rng(0)
    users = np.tile(data.user[task.split.test], 400)
    drawn = task.train_sampler.sample(users, rng, task.train_items)
    pairs = set(zip(users.tolist(), drawn.tolist(), strict=True))
    tested = {pair for pair in known_pairs(data, task.test_events) if pair[1] in task.train_items}
    assert len(tested & pairs) > 0.9 * len(tested)
    assert not pairs & known_pairs(data, task.split.train)


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


def last_out(*rows):
    """Events of users, each a list of its items in order, with their times."""
    user = [position for position, items in enumerate(rows) for _ in items]
    data = interactions(user, [item for items in rows for item in items])
    return replace(data, timestamp=np.arange(len(user)))


@pytest.mark.parametrize(
    ("others", "known"),
    [
        (([0, 1, 2, 4, 3], [2, 0, 4, 5]), "3 items with a training event"),
        (([3, 0, 1, 5], [2, 0, 1, 5]), "4 items before the test part"),
        (([3, 4, 1, 2], [2, 0, 4, 3]), "5 items in all"),
    ],
)
def test_a_user_who_knows_everything_is_refused_before_training(others, known):
    data = last_out([0, 1, 2, 3, 4], *others)
    user = f"user with the 64-bit id {data.user_ids[0]} of made up has every one of the {known}"
    with pytest.raises(InputError, match=user):
        Task.from_interactions(data, "leave-last-out")


def test_a_negative_label_is_not_known_as_a_positive():
    user, item = np.array([(u, i) for u in range(20) for i in range(20)]).T
    label = (user + item) % 2
    task = Task.from_interactions(interactions(user, item, label=label))
    assert len(task.test.labels) == len(task.split.test)
    data, drawn = task.interactions, task.test_ranking
    liked = (data.user_ids[drawn.users][:, None] + data.item_ids[drawn.negatives]) % 2
    assert len(np.unique(liked)) == 1


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


def replays(how, times=2):
    """Invented events in no order, each of which happens once, or as often as so many times."""
    data, rng = synthetic_interactions(2_000, num_users=100, num_items=80), np.random.default_rng(0)
    again = rng.integers(1, times + 1, data.num_events)
    events = rng.permutation(np.repeat(np.arange(data.num_events), again))
    return Task.from_interactions(
        replace(
            data,
            user=data.user[events],
            item=data.item[events],
            timestamp=np.arange(len(events)),
        ),
        how,
    )


class TestRepeatedPairs:
    @pytest.mark.parametrize("how", ["random", "time", "leave-last-out"])
    def test_what_is_measured_is_new_to_its_user(self, how):
        task = replays(how)
        data, split = task.interactions, task.split
        before = known_pairs(data, split.train)
        assert not known_pairs(data, task.validation_events) & before
        before |= known_pairs(data, split.validation)
        assert not known_pairs(data, task.test_events) & before
        positives = task.test.labels == 1
        assert np.array_equal(task.test.users[positives], data.user[task.test_events])
        users, items, _ = task.test_ranking
        assert not set(zip(users.tolist(), items.tolist(), strict=True)) & before

    def test_the_random_split_keeps_a_pair_in_one_part(self):
        task = replays("random", times=5)
        data, split = task.interactions, task.split
        parts = [known_pairs(data, part) for part in (split.train, split.validation, split.test)]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(known_pairs(data))
        assert len(task.test_events) == len(split.test)

    def test_a_test_part_that_repeats_all_is_refused(self):
        user, item = np.array([(u, (u + i) % 20) for u in range(20) for i in range(15)] * 5).T
        data = replace(interactions(user, item, 20), timestamp=np.arange(len(user)))
        with pytest.raises(InputError, match="has no pair that is new to its user: use the random"):
            Task.from_interactions(data, "time")


class TestNotes:
    def test_nothing_is_to_be_known_of_distinct_pairs_without_ratings(self):
        assert replays("random", times=1).notes == ()

    @pytest.mark.parametrize("how", ["random", "time", "leave-last-out"])
    def test_repeats_say_how_many_and_which_share_is_not_counted(self, how):
        task = replays(how)
        (note,) = task.notes
        num_events, num_test = task.interactions.num_events, len(task.split.test)
        num_repeats = num_events - len(known_pairs(task.interactions))
        assert note.startswith(f"{num_repeats:,} of {num_events:,} events repeat a pair")
        known = num_test - len(task.test_events)
        assert f"of the test part {known:,} of {num_test:,} ({known / num_test:.1%})" in note
        assert (known > 0) == (how != "random")

    def test_ratings_without_a_threshold_say_what_counts_as_a_positive(self):
        data = synthetic_interactions(2_000, num_users=100, num_items=80)
        rating = np.tile(np.array([1, 4, 5, 5], np.float32), 500)[: data.num_events]
        rated = replace(data, rating=rating)
        said = f"all {data.num_events:,} events count as positives, {(rating == 1).sum():,} of them"
        assert rating_notes(rated)[0].startswith(f"{said} with the lowest rating, 1: name a")
        assert set(rating_notes(rated)) <= set(Task.from_interactions(rated).notes)
        assert rating_notes(replace(rated, label=np.float32(rating > 3))) == []
        assert rating_notes(data) == []


class TestDataDigest:
    """Equal digits, equal data: whatever else would give other figures has others."""

    DATA = synthetic_interactions(2_000, num_users=100, num_items=80)

    def test_the_same_data_have_the_same(self):
        digests = {Task.from_interactions(self.DATA).data_digest for _ in range(2)}
        assert len(digests) == 1
        assert len(digests.pop()) == 16

    def test_other_labels_ids_features_and_splits_have_others(self):
        data = self.DATA
        labels = (np.arange(data.num_events) % 2).astype(np.float32)
        features = replace(data.item_features, values=data.item_features.values + 1)
        changed = (
            data,
            replace(data, label=labels),
            replace(data, label=1 - labels),
            replace(data, item_ids=data.item_ids + 1),
            replace(data, item_features=features),
            replace(data, item_features=None),
            replace(data, item=data.item[::-1]),
        )
        tasks = [*map(Task.from_interactions, changed), Task.from_interactions(data, "cold-items")]
        assert len({task.data_digest for task in tasks}) == len(tasks)
