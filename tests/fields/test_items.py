"""Which columns are the item's, and events with the items of others."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree.fields.events import read_events
from tablefree.fields.items import ItemColumns, item_names, keys_of, lift
from tablefree.fields.kinds import Column
from tablefree.fields.table import Table

ROWS = 600
COLUMNS = [
    Column("user", "categorical", "integer"),
    Column("item", "categorical", "string"),
    Column("country", "categorical", "integer"),
    Column("brand", "categorical", "integer"),
    Column("tags", "bag", "string"),
    Column("price", "numeric", "float"),
    Column("weight", "numeric", "float"),
    Column("day", "categorical", "integer"),
]
NUMERIC = ["price", "weight"]
OF_ITEM = {"item", "brand", "tags", "price", "weight"}


@pytest.fixture(scope="module")
def events():
    rng = np.random.default_rng(0)
    users, items = rng.integers(40, size=ROWS), rng.integers(30, size=ROWS)
    frame = pl.DataFrame(
        {
            "user": users,
            "item": [f"i{one}" for one in items],
            "country": users % 5,
            "brand": items % 4,
            "tags": [[f"t{one % 3}", f"t{one % 7}"] for one in items],
            "price": [None if one == 3 else one / 7 for one in items],
            "weight": [one / 3 + rng.normal() / 10 for one in items],
            "day": rng.integers(7, size=ROWS),
        }
    )
    return read_events(Table.of(frame), COLUMNS)


def test_what_an_item_tells_is_its_own(events):
    assert item_names(keys_of(events, NUMERIC), "user", "item", NUMERIC) == OF_ITEM


def test_what_a_user_tells_as_well_is_not(events):
    keys = keys_of(events, NUMERIC)
    keys["constant"] = np.zeros(ROWS, np.int64)
    keys["rare"] = (np.arange(ROWS) == 5).astype(np.int64)
    assert item_names(keys, "user", "item", NUMERIC) == OF_ITEM
    assert item_names(keys, "item", "user", NUMERIC) == {"user", "country"}


@pytest.mark.parametrize(("noise", "is_own"), [(0.0, True), (0.05, True), (1.0, False)])
def test_a_price_may_differ_a_little(noise, is_own):
    rng = np.random.default_rng(0)
    items = rng.integers(200, size=8_000)
    prices = rng.lognormal(size=200)[items] * (1 + noise * rng.normal(size=8_000))
    frame = pl.DataFrame({"user": rng.integers(300, size=8_000), "item": items, "price": prices})
    columns = [Column(name, "categorical", "integer") for name in ("user", "item")]
    columns.append(Column("price", "numeric", "float"))
    keys = keys_of(read_events(Table.of(frame), columns), ["price"])
    assert ("price" in item_names(keys, "user", "item", ["price"])) == is_own
    assert item_names({**keys, "price": keys["price"] * 0}, "user", "item", ["price"]) == {"item"}


def test_items_that_occur_once_tell_nothing():
    keys = {name: np.arange(50) for name in ("user", "item", "receipt")}
    assert item_names(keys, "user", "item") == {"item"}


def test_events_get_all_that_is_the_items(events):
    columns = ItemColumns.named(OF_ITEM, events, NUMERIC)
    rows, others = np.array([0, 5, 5]), np.array([9, 1, 5])
    labels = np.array([0, 0, 1], np.float32)
    mixed = columns.with_items(events, rows, others, labels)
    kept, taken = events.at(rows), events.at(others)
    found, expected, before = (
        keys_of(replace(one, numbers=one.numbers[:, :0]), []) for one in (mixed, taken, kept)
    )
    for name, values in found.items():
        source = expected if name in OF_ITEM else before
        assert values.tolist() == source[name].tolist(), name
    np.testing.assert_array_equal(mixed.numbers, taken.numbers)
    assert mixed.labels.tolist() == [0, 0, 1]
    assert torch.equal(mixed.bags["tags"].offsets, taken.bags["tags"].offsets)


def test_numbers_and_their_flags_go_together(events):
    columns = ItemColumns.named({"weight"}, events, NUMERIC)
    assert columns.numbers == (1,)
    assert columns.scaled([2, 2]).numbers == (2, 3)
    assert columns.scaled([2, 1]).numbers == (2,)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_lift_is_the_ratio_of_frequencies(pairs):
    values, items = np.array(pairs).T
    found = lift((values, items), (values, items))
    for at, pair in enumerate(pairs):
        together = pairs.count(pair) / len(pairs)
        alone = np.mean(values == pair[0]) * np.mean(items == pair[1])
        assert found[at] == pytest.approx(together / alone)


def test_lift_of_what_training_has_not_is_none():
    train, asked = (np.array([1, 2]), np.array([1, 2])), (np.array([1, 9, 1]), np.array([2, 1, 9]))
    assert lift(train, asked).tolist() == [0, 0, 0]
