import hashlib

import numpy as np
import polars as pl
import pytest

from tablefree.data import synthetic_interactions
from tablefree.data.synthetic import synthetic_clicks
from tablefree.errors import InputError


@pytest.fixture(scope="module")
def data():
    return synthetic_interactions()


def test_sizes_and_completeness(data):
    assert (data.num_events, data.num_users, data.num_items) == (200_000, 5_000, 3_000)
    assert len(np.unique(data.user * 3_000 + data.item)) == 200_000
    assert (np.bincount(data.user) > 0).all()
    assert (np.bincount(data.item) > 0).all()
    assert len(np.unique(data.user_ids)) == 5_000
    assert len(np.unique(data.item_ids)) == 3_000
    assert data.label is None
    assert data.user_features.values.shape == (5_000, len(data.user_features.names))
    assert data.item_features.values.shape == (3_000, len(data.item_features.names))


def test_few_items_have_many_events(data):
    counts = np.sort(np.bincount(data.item))[::-1]
    assert counts[:300].sum() > 0.3 * counts.sum()
    assert counts[0] > 10 * np.median(counts)


def test_new_ids_arrive_over_time(data):
    assert (np.diff(data.timestamp) >= 0).all()
    first = np.unique(data.item, return_index=True)[1]
    assert (first > data.num_events // 2).sum() > 100


def test_side_features_tell_what_users_like(data):
    group = data.user_features.values[:, :-1].argmax(axis=1)
    genre = data.item_features.values[:, :-1].argmax(axis=1)
    table = np.zeros((group.max() + 1, genre.max() + 1))
    np.add.at(table, (group[data.user], genre[data.item]), 1)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    assert (table / expected).max() > 1.5


def test_the_same_seed_gives_the_same_data_on_every_machine():
    data = synthetic_interactions(2_000, 100, 80, seed=3)
    digest = hashlib.sha256()
    for array in (data.user, data.item, data.user_ids, data.item_ids, data.timestamp // 10**9):
        digest.update(array.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "3d0dca5468ab5393"
    other = synthetic_interactions(2_000, 100, 80, seed=4)
    assert not np.array_equal(data.item, other.item)


def test_tiny():
    data = synthetic_interactions(num_events=12, num_users=6, num_items=5)
    assert data.num_events == 12


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((100, 100, 80), r"between num_users \+ num_items \(180\) and half .* got 100"),
        ((9_000, 100, 80), r"all pairs \(4000\), got 9000"),
        ((10, 0, 5), "must be positive: 0, 5"),
    ],
)
def test_sizes_that_do_not_go_together(sizes, message):
    with pytest.raises(InputError, match=message):
        synthetic_interactions(*sizes)


@pytest.fixture(scope="module")
def clicks():
    return synthetic_clicks()


def test_a_click_log_has_columns_of_each_kind(clicks):
    assert clicks.height == 60_000
    assert clicks["device_id"].n_unique() > 5_000
    assert clicks["ad_id"].n_unique() > 2_500
    assert clicks["time"].is_sorted()
    assert set(clicks["click"]) == {0, 1}
    nulls = {name: count for name, count in clicks.null_count().row(0, named=True).items() if count}
    assert nulls.keys() == {"price", "visits"}
    assert all(count == pytest.approx(12_000, rel=0.05) for count in nulls.values())


def test_few_ads_have_many_clicks_and_tell_much(clicks):
    of_ad = clicks.group_by("ad_id").agg(pl.len(), pl.col("click").mean())
    counts = of_ad["len"].sort(descending=True)
    assert counts[0] > 5 * counts.median()
    often = of_ad.filter(pl.col("len") > 50)["click"]
    assert often.min() < 0.2
    assert often.max() > 0.6


def test_the_same_seed_gives_the_same_clicks():
    assert synthetic_clicks(500, seed=1).equals(synthetic_clicks(500, seed=1))
    assert not synthetic_clicks(500, seed=1).equals(synthetic_clicks(500, seed=2))
    told = synthetic_clicks(500, seed=1).write_csv().encode()
    assert hashlib.sha256(told).hexdigest()[:16] == "32872c370dc09cd0"


def test_no_clicks_are_refused():
    with pytest.raises(InputError, match="num_events must be at least 1, got 0"):
        synthetic_clicks(0)
