"""Numbers, truth and times mean the same as text and typed, in full resolution."""

import datetime as dt
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.data import split_interactions
from tablefree.data.numbers import as_numbers, nanoseconds
from tablefree.data.parts import Rows
from tablefree.data.read import read_interactions
from tablefree.errors import InputError

ROWS = Rows("x.csv")
SECOND = 10**9


def times(values, dtype=None, *, is_needed=True):
    found = nanoseconds(pl.Series("timestamp", values, dtype), ROWS, is_needed=is_needed)
    return None if found is None else found.tolist()


@settings(deadline=None)
@given(st.lists(st.integers(-(2**63) + 1000, 2**63 - 1000), min_size=1))
def test_typed_times_keep_every_nanosecond(values):
    assert times(values, pl.Datetime("ns")) == values


@settings(deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2250, 1, 1)), min_size=1))
def test_text_is_read_as_a_typed_column(values):
    typed = times(values, pl.Datetime("us"))
    assert times([value.isoformat() for value in values]) == typed
    assert times([f"{value.isoformat(sep=' ')}Z" for value in values]) == typed


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2024-01-02", "2024-01-02T00:00:00Z"),
        ("2024-01-02 03:04", "2024-01-02 03:04:00"),
        ("2024-01-02T03:04:05+02:00", "2024-01-02T01:04:05"),
        ("2024-01-02T03:04:05-0330", "2024-01-02T06:34:05"),
        ("2024-01-02T03:04:05.1", "2024-01-02T03:04:05.100000000Z"),
        ("2024-01-02 03:04:05 UTC", "2024-01-02 03:04:05"),
        ("2024-01-02T03:04:05+02", "2024-01-02T01:04:05"),
    ],
)
def test_spellings_of_one_time(text, same):
    assert times([text]) == times([same])
    assert times(["2024-01-02T03:04:05.123456789Z"])[0] % SECOND == 123456789


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_numbers_of_every_unit(per_second):
    values = [1_704_164_645 * per_second, 1_704_164_646 * per_second + per_second // 3]
    wanted = [value * (SECOND // per_second) for value in values]
    assert times(values) == times([str(value) for value in values]) == wanted


def test_fractions_order_events():
    text = ["1704164645.123456789", "1704164645.123456788"]
    wanted = [1704164645123456789, 1704164645123456788]
    assert times(text) == wanted
    assert times([Decimal(value) for value in text]) == wanted
    assert times([1.5, -0.25]) == [1_500_000_000, -250_000_000]
    assert times(["8.8e8", "9"]) == [880_000_000 * SECOND, 9 * SECOND]


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ([1.6e9, float("inf")], "row 2 of x.csv has an infinite timestamp"),
        (["1600000000", "-inf"], "row 2 of x.csv has an infinite timestamp"),
        ([1_600_000_000, 10**18], r"row 2 .* in nanoseconds, and row 1 of .* seconds"),
        ([1_600_000_000_000, 1_600_000_000_001, 0], r"row 3 .*0, which .* seconds, and row 1"),
        ([50_000_000_000], "row 1 .* outside the years 1678 to 2261"),
        (["2024-01-01", "9999-12-31"], "row 2 .* outside the years"),
        ([dt.datetime(2024, 1, 1), dt.datetime(9999, 1, 1)], "row 2 .* outside the years"),
        ([dt.date(1, 1, 1)], "row 1 .* outside the years"),
        ([2**64 - 1], "row 1 .* outside the years"),
    ],
)
def test_absurd_times_are_refused_by_name_whoever_asked(values, named):
    for is_needed in (True, False):
        with pytest.raises(InputError, match=named):
            times(values, is_needed=is_needed)


@pytest.mark.parametrize(
    ("values", "row"),
    [
        ([1, None], 2),
        (["2024-13-01", "2024-01-01"], 1),
        (["2024-01-01", ""], 2),
        (["yesterday", "today"], 1),
        (["nan", "5"], 1),
        ([dt.time(1)], 1),
        ([[1]], 1),
    ],
)
def test_what_is_no_time_matters_to_those_who_asked(values, row):
    assert times(values, is_needed=False) is None
    with pytest.raises(InputError, match=f"row {row} of x.csv has no timestamp"):
        times(values)


def test_truth_and_numbers_as_text():
    assert as_numbers(pl.Series(["True", "false", ""])).to_list() == [1, 0, None]
    assert as_numbers(pl.Series(["1", "2.5", "x", "nan"])).to_list() == [1, 2.5, None, None]
    assert as_numbers(pl.Series([["a"]])).to_list() == [None]


def write(path, text):
    path.write_text(text)
    return path


def test_booleans_of_csv_are_those_of_parquet(tmp_path):
    path = write(tmp_path / "x.csv", "user_id,item_id,label,new\n1,2,True,true\n1,3,False,false\n")
    data = read_interactions(path, item_feature_columns=["new"])
    pl.read_csv(path).write_parquet(tmp_path / "x.parquet")
    typed = read_interactions(tmp_path / "x.parquet", item_feature_columns=["new"])
    for one in (data, typed):
        assert one.label.tolist() == [1, 0]
        assert one.item_features.names == ("new",)
        assert one.item_features.values.tolist() == [[1], [0]]


@pytest.mark.parametrize("number", ["inf", "-inf", "1e300"])
def test_infinite_features_and_labels(tmp_path, number):
    path = write(tmp_path / "x.csv", f"user_id,item_id,f,label\n1,1,2,1\n2,2,{number},0\n")
    with pytest.raises(InputError, match=r"row 2 of .* has the f .*not finite"):
        read_interactions(path, item_feature_columns=["f"])
    with pytest.raises(InputError, match=r"row 2 of .* has the (label|rating) .*not finite"):
        read_interactions(path, label_column="f")
    with pytest.raises(InputError, match=r"row 2 of .* has the rating .*not finite"):
        read_interactions(path, rating_column="f")
    path.write_text(path.read_text().replace(number, ""))  # the remedy
    assert np.isnan(read_interactions(path, item_feature_columns=["f"]).item_features.values[1])


@pytest.mark.parametrize("odd", ["-", "n/a", "9,5", "?"])
def test_an_odd_value_makes_no_categories(tmp_path, odd):
    path = write(tmp_path / "x.tsv", f"user_id\titem_id\tprice\n1\t1\t9.5\n2\t2\t{odd}\n3\t3\t7\n")
    with pytest.raises(InputError, match=r"row 2 of .* where most are numbers"):
        read_interactions(path, item_feature_columns=["price"])
    table = pl.read_csv(path, separator="\t", infer_schema=False)
    table.write_parquet(tmp_path / "x.parquet")  # a remedy
    features = read_interactions(tmp_path / "x.parquet", item_feature_columns=["price"])
    assert len(features.item_features.names) == 3


@pytest.mark.parametrize("values", [[4.0, None], ["good", "bad"], [[1], [2]], [{"a": 1}] * 2])
def test_a_rating_that_nobody_asked_for_may_be_anything(tmp_path, values):
    frame = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "rating": values})
    frame.with_columns(timestamp=pl.Series([None, "soon"])).write_parquet(tmp_path / "x.parquet")
    data = read_interactions(tmp_path / "x.parquet")
    assert data.rating is data.timestamp is None
    for asked in ({"rating_column": "rating"}, {"positive_rating": 3}):
        with pytest.raises(InputError, match=r"row \d of .* has no rating"):
            read_interactions(tmp_path / "x.parquet", **asked)


def test_events_a_millisecond_apart_are_in_order(tmp_path):
    rows = [(u, 10 * u + k, 1_704_164_645_000 + k) for u in range(5) for k in range(4)]
    frame = pl.DataFrame(rows[::-1], schema=["user_id", "item_id", "timestamp"], orient="row")
    frame.write_csv(tmp_path / "x.csv")
    data = read_interactions(tmp_path / "x.csv")
    last = data.item_ids[data.item[split_interactions(data, "leave-last-out", seed=0).test]]
    assert (last % 10).tolist() == [3] * 5
    near = 2**60 + np.arange(20)  # float64 does not tell them
    frame = pl.DataFrame({"user_id": near % 3, "item_id": near, "timestamp": near})
    frame.write_parquet(tmp_path / "x.parquet")
    data = read_interactions(tmp_path / "x.parquet")
    split = split_interactions(data, "time", seed=0)
    assert data.timestamp[split.test].tolist() == near[18:].tolist()


def test_a_rating_twice_that_nobody_asked_for(tmp_path):
    path = write(tmp_path / "x.csv", "user_id,item_id,rating,rating\n1,2,3,4\n")
    assert read_interactions(path).rating is None
    with pytest.raises(InputError, match="has the column 'rating' 2 times"):
        read_interactions(path, rating_column="rating")


def test_a_feature_of_the_name_of_its_side(tmp_path):
    path = write(tmp_path / "x.csv", "user_id,item_id,item\n1,2,3\n")
    with pytest.raises(InputError, match="cannot be named 'item': rename"):
        read_interactions(path, item_feature_columns=["item"])
