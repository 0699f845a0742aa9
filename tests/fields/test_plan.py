"""A plan: what each feature gets, within the bytes, and that it can be built and packed so."""

from datetime import datetime

import numpy as np
import polars as pl
import pytest

from tablefree.embeddings import EmbeddingCollection
from tablefree.errors import InputError
from tablefree.fields.plan import LARGE_METHODS, SMALL, plan
from tablefree.fields.profile import profile
from tablefree.packing.tables import least_size

ROWS = 4_000
LARGE = ("item", "user")


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    columns = {
        "user": [f"u{one}" for one in rng.integers(2_500, size=ROWS)],
        "item": [f"i{one}" for one in rng.integers(600, size=ROWS)],
        "city": [f"c{one}" for one in rng.integers(12, size=ROWS)],
        "price": rng.normal(size=ROWS),
        "sold": rng.integers(2, size=ROWS),
    }
    return profile(pl.DataFrame(columns), label="sold")


@pytest.mark.parametrize("method", LARGE_METHODS[:-1])
@pytest.mark.parametrize("part", [2, 4, 8, 16, 32])
def test_it_fits_and_small_columns_keep_tables(found, method, part):
    tables = plan(found, method="full_table")
    one = plan(found, ratio=1 / part, method=method)
    assert one.num_bytes == int(tables.table_bytes / part)
    assert sum(field.num_bytes for field in one.fields) <= one.num_bytes + len(one.fields)
    by_name = {field.name: field for field in one.fields}
    assert by_name["city"].method == "full_table"
    assert {by_name[name].method for name in LARGE} <= {method, "multi_hash"}
    assert all(field.num_ids > SMALL for field in one.fields if field.method != "full_table")


@pytest.mark.parametrize("part", [3, 8, 12])
def test_claimed_rows_are_built_and_packed_within_the_bytes(found, part):
    one = plan(found, ratio=1 / part)
    embeddings = EmbeddingCollection(one.config())
    vocabulary = sum(8 * field.num_ids for field in one.fields if field.method == "full_table")
    assert least_size(embeddings) + vocabulary <= one.num_bytes


def test_rows_of_their_own_for_as_many_as_the_bytes_reach_for(found):
    whole, some, none = (plan(found, ratio=1 / part) for part in (4, 20, 60))
    assert {field.why for field in whole.fields if field.name in LARGE} == {"a row for each value"}
    configs = [one.config()["user"] for one in (whole, some, none)]
    # In training there is a row for each, whatever the bytes that the rows are packed into.
    assert configs[0] == configs[1]
    assert configs[0]["capacity"] >= 2_000
    by_name = {field.name: field for field in some.fields}
    assert by_name["user"].num_rows < 2_000
    assert "the others have one in common" in by_name["user"].why
    assert configs[2]["method"] == "multi_hash"


def test_values_that_occur_once_have_no_row_where_bytes_are_few():
    """A column of such values leaves its bytes to the others."""
    rng = np.random.default_rng(0)
    device = np.where(rng.random(ROWS) < 0.5, rng.integers(400, size=ROWS), np.arange(ROWS) + 400)
    ad = rng.integers(500, size=ROWS)
    found = profile(pl.DataFrame({"device": device, "ad": ad}), categorical=["device", "ad"])
    values = {name: one.num_values for name, one in found.columns.items()}
    by_name = {field.name: field for field in plan(found, ratio=1 / 16).fields}
    rows = {name: field.num_rows for name, field in by_name.items()}
    assert rows["ad"] >= values["ad"]
    assert 400 <= rows["device"] < 0.3 * values["device"]
    assert "a row for each value" in by_name["ad"].why
    whole = {field.name: field.num_rows for field in plan(found, ratio=1 / 4).fields}
    assert whole["device"] >= values["device"]


@pytest.mark.parametrize("part", [2, 16, 60])
def test_values_that_share_rows_have_no_more_than_two_each(found, part):
    fields = plan(found, ratio=1 / part, method="multi_hash").fields
    large = [field for field in fields if field.method == "multi_hash"]
    assert {field.name for field in large} == {*LARGE}
    for field in large:
        assert field.num_rows <= 2 * field.num_ids
        assert field.row_bytes * field.num_rows == pytest.approx(field.num_bytes, abs=1)


@pytest.mark.parametrize("growth", [1, 2, 10])
def test_a_column_whose_values_all_occur_once(growth):
    frame = pl.DataFrame({"session": [f"s{one}" for one in range(900)], "sold": [0, 1] * 450})
    one = plan(frame, label="sold", ratio=1 / 16, growth=growth)
    assert EmbeddingCollection(one.config()).names == ("session",)


def test_a_column_named_as_a_period_is_refused():
    hours = [datetime(2026, 1, 1, hour) for hour in range(24)]
    frame = pl.DataFrame({"seen": hours, "seen:hour": ["a", "b"] * 12})
    with pytest.raises(InputError, match="'seen:hour' is named as the period of a date"):
        plan(frame, date=["seen"], ratio=0.5)


def test_it_plans_for_rows_to_come(found):
    sizes = [
        {field.name: field.num_ids for field in plan(found, ratio=0.25, growth=growth).fields}
        for growth in (1, 4)
    ]
    assert sizes[1]["user"] > sizes[0]["user"]
    assert sizes[1]["city"] == sizes[0]["city"] == 12


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "pass one of num_bytes and ratio.*got neither"),
        ({"num_bytes": 10, "ratio": 0.5}, "got both"),
        ({"ratio": 0.5, "growth": 0.5}, "growth is at least 1"),
        ({"ratio": 0.5, "method": "magic"}, "method must be one of .*; got 'magic'"),
        ({"num_bytes": 100}, "100 bytes are too few for 3 features"),
        ({"ratio": -1}, "ratio must be"),
    ],
)
def test_what_cannot_be_planned_is_refused(found, options, words):
    with pytest.raises(InputError, match=words):
        plan(found, **options)
