import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.errors import InputError
from tablefree.fields.events import Events
from tablefree.fields.split import SPLITS, check_labels, default_split, split_events


def events(num_events=400, num_moments=100, num_groups=60, missing=0.1, seed=0, **fields):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, num_events).astype(np.float32)
    labels[rng.random(num_events) < missing] = np.nan
    found = {
        "labels": labels,
        "times": rng.integers(num_moments, size=num_events),
        "groups": rng.integers(num_groups, size=num_events),
    }
    ids, numbers = torch.zeros(num_events, 0, dtype=torch.int64), np.zeros((num_events, 0))
    return Events((), ids, {}, numbers, **(found | fields))


@pytest.mark.parametrize("how", SPLITS)
@given(seed=st.integers(0, 2**32), num_events=st.integers(300, 600), missing=st.floats(0, 0.3))
@settings(max_examples=20, deadline=None)
def test_a_split_is_a_partition_of_what_has_a_label(how, seed, num_events, missing):
    data = events(num_events, missing=missing, seed=seed)
    parts = split_events(data, how, seed=seed)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.flatnonzero(~np.isnan(data.labels)))
    for part, again in zip(parts, split_events(data, how, seed=seed), strict=True):
        assert np.array_equal(part, again)
        assert (np.diff(part) > 0).all()


@given(seed=st.integers(0, 2**32), num_moments=st.integers(60, 400))
@settings(max_examples=20, deadline=None)
def test_time_orders_the_parts_and_keeps_moments_together(seed, num_moments):
    data = events(num_moments=num_moments, seed=seed)
    train, validation, test = (data.times[part] for part in split_events(data, "time"))
    assert train.max() < validation.min() <= validation.max() < test.min()


def test_time_does_not_depend_on_the_order_of_rows():
    data, order = events(), np.random.default_rng(1).permutation(400)
    moments = [set(data.times[part].tolist()) for part in split_events(data, "time")]
    other = data.at(order)
    assert moments == [set(other.times[part].tolist()) for part in split_events(other, "time")]


@given(seed=st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_groups_are_in_one_part(seed):
    data = events(seed=seed)
    groups = [set(data.groups[part].tolist()) for part in split_events(data, "group", seed=seed)]
    assert sum(map(len, groups)) == len(set.union(*groups))


@pytest.mark.parametrize("how", ["random", "group"])
def test_other_seeds_give_other_splits(how):
    first, second = (split_events(events(), how, seed=seed) for seed in (0, 1))
    assert not np.array_equal(first.test, second.test)


def test_shares():
    parts = split_events(events(1000, missing=0), "random")
    assert [*map(len, parts)] == [800, 100, 100]
    labels = np.tile(np.array([0, 1], np.float32), 500)
    data = events(1000, labels=labels, groups=np.arange(1000) // 10)
    assert [*map(len, split_events(data, "group"))] == [800, 100, 100]
    assert [
        *map(len, split_events(events(1000, labels=labels, times=np.arange(1000)), "time"))
    ] == [
        800,
        100,
        100,
    ]


def test_labels_do_not_move_the_parts():
    data = events(missing=0)
    other = events(missing=0, labels=1 - data.labels)
    for how in SPLITS:
        for one, same in zip(split_events(data, how), split_events(other, how), strict=True):
            assert np.array_equal(one, same)


def split_and_check(data, how):
    check_labels(data, split_events(data, how), how)


def test_the_default():
    assert default_split(events()) == "time"
    assert default_split(events(times=None)) == "group"
    assert default_split(events(times=None, groups=None)) == "random"


@pytest.mark.parametrize(
    ("how", "fields", "message"),
    [
        ("best", {}, "split must be one of"),
        ("time", {"times": None}, "a split by time needs a time"),
        ("group", {"groups": None}, "a split by group needs a group"),
        ("time", {"times": np.zeros(400, np.int64)}, "part of the split by time has 0 events, and"),
        ("group", {"groups": np.zeros(400, np.int64)}, "part of the split by group has 0 events"),
        ("random", {"labels": np.ones(400, np.float32)}, "320 events, all with the label 1"),
        ("random", {"labels": np.full(400, np.nan, np.float32)}, "no event has a label"),
    ],
)
def test_what_cannot_be_split(how, fields, message):
    with pytest.raises(InputError, match=message):
        split_and_check(events(**fields), how)


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize("num_events", [1, 3])
def test_too_few_events(how, num_events):
    with pytest.raises(InputError, match=f"part of the split by {how} has"):
        split_and_check(events(num_events, missing=0), how)
