from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.data import Interactions, split_interactions
from tablefree.errors import InputError

HOW = ["random", "leave-last-out", "time", "cold-items", "cold-users"]


def interactions(num_events=400, num_users=40, num_items=30, seed=0, **fields):
    rng = np.random.default_rng(seed)
    fields.setdefault("timestamp", rng.integers(1000, size=num_events))
    return Interactions(
        name="x",
        user=rng.integers(num_users, size=num_events),
        item=rng.integers(num_items, size=num_events),
        user_ids=np.arange(num_users),
        item_ids=np.arange(num_items),
        **fields,
    )


@pytest.mark.parametrize("how", HOW)
@given(seed=st.integers(0, 2**32), num_events=st.integers(300, 600))
@settings(max_examples=20, deadline=None)
def test_a_split_is_a_partition_and_a_function_of_the_seed(how, seed, num_events):
    data = interactions(num_events, seed=seed)
    split = split_interactions(data, how, seed=seed)
    together = np.concatenate([split.train, split.validation, split.test])
    assert np.array_equal(np.sort(together), np.arange(num_events))
    again = split_interactions(data, how, seed=seed)
    assert np.array_equal(split.test, again.test)
    assert np.array_equal(split.validation, again.validation)


@pytest.mark.parametrize("how", ["random", "cold-items", "cold-users"])
def test_other_seeds_give_other_splits(how):
    data = interactions()
    first, second = (split_interactions(data, how, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.test, second.test)


def test_no_global_random_state_is_touched():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    split_interactions(interactions(), seed=0)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_random_has_the_fractions_of_distinct_pairs():
    user, item = np.divmod(np.arange(400), 20)
    ids = np.arange(20)
    data = replace(interactions(), user=user, item=item, user_ids=ids, item_ids=ids)
    split = split_interactions(data, seed=0, validation_fraction=0.2, test_fraction=0.25)
    assert (len(split.train), len(split.validation), len(split.test)) == (220, 80, 100)


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_random_keeps_the_events_of_a_pair_together(seed):
    data = interactions(seed=seed)
    split = split_interactions(data, seed=seed)
    parts = [
        set(zip(data.user[part], data.item[part], strict=True))
        for part in (split.train, split.validation, split.test)
    ]
    assert sum(map(len, parts)) == len(set.union(*parts))


def test_leave_last_out():
    data = Interactions(
        name="x",
        user=np.array([0, 1, 0, 0, 1, 0, 2, 2, 2]),
        item=np.zeros(9, np.int64),
        user_ids=np.arange(3),
        item_ids=np.arange(1),
        timestamp=np.array([40, 1, 10, 30, 2, 20, 5, 5, 5]),
    )
    split = split_interactions(data, "leave-last-out", seed=0)
    assert split.test.tolist() == [0, 8]  # user 1 has two events only; user 2 three at once
    assert split.validation.tolist() == [3, 7]


def test_time_orders_the_parts_and_keeps_moments_together():
    data = interactions(timestamp=np.random.default_rng(0).integers(20, size=400))
    split = split_interactions(data, "time", seed=0)
    train, validation, test = (data.timestamp[part] for part in vars(split).values())
    assert train.max() < validation.min() <= validation.max() < test.min()


@pytest.mark.parametrize(("how", "side"), [("cold-items", "item"), ("cold-users", "user")])
def test_cold_parts_share_no_id(how, side):
    data = interactions()
    split = split_interactions(data, how, seed=3)
    ids = [set(getattr(data, side)[part].tolist()) for part in vars(split).values()]
    assert sum(map(len, ids)) == len(set.union(*ids))


@pytest.mark.parametrize("how", ["leave-last-out", "time"])
def test_without_timestamps(how):
    with pytest.raises(InputError, match=f"{how} split needs timestamps .* random split"):
        split_interactions(interactions(timestamp=None), how, seed=0)


def test_labels_of_both_classes_are_needed_where_one_evaluates():
    label = np.zeros(400, np.float32)
    label[0] = 1
    with pytest.raises(InputError, match=r"labels of one class only \(0 of 19 are 1\)"):
        split_interactions(interactions(label=label), seed=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"how": "best"}, "unknown split 'best': choose one of random, leave-last-out, time"),
        ({"test_fraction": 0}, "must be above 0 and sum to less than 1, got 0.05 and 0"),
        ({"test_fraction": 0.95}, "must be above 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(InputError, match=message):
        split_interactions(interactions(), seed=0, **arguments)


@pytest.mark.parametrize("how", ["random", "leave-last-out", "time", "cold-users"])
def test_too_little_data(how):
    data = interactions(num_events=2, num_users=2, timestamp=np.array([5, 5]))
    with pytest.raises(InputError, match=f"part of the {how} split of x is empty"):
        split_interactions(data, how, seed=0)
