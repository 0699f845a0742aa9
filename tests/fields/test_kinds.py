"""Kinds of columns, found from all of their values, through files and frames."""

import re
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from tablefree.errors import InputError
from tablefree.fields.events import read_events
from tablefree.fields.profile import profile
from tablefree.fields.table import Table
from tablefree.ids import to_ids

CATEGORICAL, NUMERIC = "categorical", "numeric"


def csv(tmp_path, values):
    """A CSV file of a column x of text, beside one of two values."""
    lines = [f"{value},{'ab'[row % 2]}" for row, value in enumerate(values)]
    path = tmp_path / "x.csv"
    path.write_text("\n".join(["x,other", *lines]) + "\n")
    return path


def found(data, name="x", **given):
    one = profile(data, **given).columns[name].column
    return one.kind, one.type


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["1", "2", "-3"], (CATEGORICAL, "integer")),
        (["0.5", "2", "-3"], (NUMERIC, "float")),
        (["1.5", "2e-05", "NaN"], (NUMERIC, "float")),
        (["1.0", "2.0", ""], (CATEGORICAL, "integer")),
        (["1", "nan", "3"], (NUMERIC, "float")),
        (["1.0", "2.0", "3.0"], (NUMERIC, "float")),
        (["true", "False", ""], (CATEGORICAL, "boolean")),
        (["2026-01-31", "2026-02-01 12:00:00Z", ""], ("date", "date")),
        (["2026-01-31", "2026-02-30"], (CATEGORICAL, "string")),
        (["00501", "10001"], (CATEGORICAL, "string")),
        (["1e5", "2e5"], (CATEGORICAL, "string")),
        (["+1", "2"], (CATEGORICAL, "string")),
        (["12345678901234567890123", "22345678901234567890123"], (CATEGORICAL, "string")),
        (["18446744073709551615", "1"], (CATEGORICAL, "integer")),
        (["18446744073709551615", "-1"], (CATEGORICAL, "string")),
        (["1.2.3", "1.2"], (CATEGORICAL, "string")),
        (["x", "1", "2"], (CATEGORICAL, "string")),
        ([" 1", "2"], (CATEGORICAL, "string")),
    ],
)
def test_text_is_what_all_of_it_says(tmp_path, values, wanted):
    assert found(csv(tmp_path, values * 2)) == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        (["1", "2"], (CATEGORICAL, "string")),
        (["true", "false"], (CATEGORICAL, "string")),
        (["0.5", "2.5"], (CATEGORICAL, "string")),
        (["2026-01-31", "2026-02-01"], ("date", "date")),
    ],
)
def test_typed_strings_are_strings_but_for_dates(values, wanted):
    assert found(pl.DataFrame({"x": values})) == wanted


@pytest.mark.parametrize(
    "name", ["user_id", "userId", "zip", "item code", "order-no", "ID", "userid"]
)
def test_names_of_ids(name):
    assert found(pl.DataFrame({name: list(range(500)) * 4}), name) == (CATEGORICAL, "integer")


@pytest.mark.parametrize("name", ["customer", "BRAND", "C14", "cat_0", "ip", "channel"])
def test_names_of_things_are_of_codes(name):
    assert found(pl.DataFrame({name: list(range(500)) * 4}), name) == (CATEGORICAL, "integer")


@pytest.mark.parametrize(
    "name", ["paid", "bid", "ads_per_user", "num_app", "casino", "idle", "now", "number", "width"]
)
def test_names_of_no_ids(name):
    assert found(pl.DataFrame({name: list(range(500)) * 4}), name) == (NUMERIC, "integer")


@pytest.mark.parametrize(("number", "kind"), [(100, CATEGORICAL), (101, NUMERIC)])
def test_few_integers_are_categories(number, kind):
    frame = pl.DataFrame({"x": list(range(number))})
    assert found(frame) == (kind, "integer")
    assert profile(frame).columns["x"].column.reason == f"{number} distinct integers"


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("label", [0, 1], ("label", "integer")),
        ("Clicked", [True, False], ("label", "boolean")),
        ("y", [-1, 1], ("label", "integer")),
        ("target", [0.0, 1.0], ("label", "integer")),
        ("click", [0, 1, None], ("label", "integer")),
        ("IS_CLICK", [0, 1], ("label", "integer")),
        ("clicked", ["Yes", "no"], ("label", "string")),
        ("clicked", ["N", "Y"], ("label", "string")),
        ("is_attributed", ["f", "t"], ("label", "string")),
        ("clicked", ["yes", "n"], (CATEGORICAL, "string")),
        ("click", [0, 2], (CATEGORICAL, "integer")),
        ("click", [0, 1, 2], (CATEGORICAL, "integer")),
        ("mature", [0, 1], (CATEGORICAL, "integer")),
        ("clicks", [[0], [1, 0]], ("bag", "integer")),
    ],
)
def test_labels_are_found_by_name_and_values(name, values, wanted):
    assert found(pl.DataFrame({name: values}), name) == wanted


def test_there_is_one_label():
    frame = pl.DataFrame({"y": [0, 1], "label": [1, 0]})
    assert [found(frame, name) for name in ("y", "label")] == [
        ("label", "integer"),
        (CATEGORICAL, "integer"),
    ]
    assert [found(frame, name, label="label") for name in ("y", "label")] == [
        (CATEGORICAL, "integer"),
        ("label", "integer"),
    ]


@pytest.mark.parametrize("words", [("no", "yes"), ("N", "Y"), ("f", "t"), ("False", "TRUE")])
def test_labels_in_words(words, tmp_path):
    frame = pl.DataFrame({"click": [*words, None, words[1]], "x": ["a", "b", "b", "a"]})
    frame.write_csv(tmp_path / "x.csv")
    for data in (frame, tmp_path / "x.csv"):
        column = profile(data).columns["click"].column
        labels = read_events(Table.of(data), [column]).labels
        assert [None if one != one else int(one) for one in labels] == [0, 1, None, 1]


@pytest.mark.parametrize(
    ("names", "label"),
    [
        (["is_like", "is_click"], "is_click"),
        (["conversion", "click"], "click"),
        (["click", "label"], "label"),
        (["clk", "click"], "clk"),
        (["conversion", "purchase"], None),
        (["purchase", "liked"], "purchase"),
    ],
)
def test_the_surest_name_is_the_label(names, label):
    frame = pl.DataFrame({name: [0, 1] for name in names})
    kinds = {name: one.column.kind for name, one in profile(frame).columns.items()}
    assert [name for name, kind in kinds.items() if kind == "label"] == [label] * (
        label is not None
    )


def test_the_values_of_a_label_count_before_its_name():
    frame = pl.DataFrame({"click": [0, 3], "purchase": [0, 1]})
    assert found(frame, "purchase") == ("label", "integer")


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
        ("click_time", ["2026-01-31 10:00", "2026-02-01 11:00"], ("time", "date")),
        ("TIME_MS", [1_700_000_000_000, 1_700_000_000_001], ("time", "integer")),
        ("timestamp", [61 + 7 * number for number in range(200)], ("time", "integer")),
        ("ts", [7 * 10**9 + number / 2 for number in range(200)], ("time", "float")),
        ("ts", [10**12 + 7 * 10**12 * number for number in range(200)], (NUMERIC, "integer")),
        ("timestamp", [61, 62] * 100, (CATEGORICAL, "integer")),
        ("signup_ts", [61 + 7 * number for number in range(200)], (NUMERIC, "integer")),
        ("timestamp", [*range(-100, 100)], (NUMERIC, "integer")),
        ("time", [61 + 7 * number for number in range(200)], (NUMERIC, "integer")),
        ("attributed_time", ["2026-01-31", "2026-02-01"], ("date", "date")),
        ("ts", [1_700_000_000, 1_700_000_001], ("time", "integer")),
        ("ts", [1_700_000_000_000, 1_700_000_000_001], ("time", "integer")),
        ("timestamp", [1_700_000_000.5, 1_700_000_001.5], ("time", "float")),
        ("time", ["2026-01-31", "2026-02-01"], ("time", "date")),
        ("time", [3, 4], (CATEGORICAL, "integer")),
        ("time", [1_700_000_000, 1_700_000_000_000], (CATEGORICAL, "integer")),
        ("time", ["2026-01-31", None], ("date", "date")),
        ("when", ["2026-01-31", "2026-02-01"], ("date", "date")),
    ],
)
def test_times_are_found_by_name_and_values(name, values, wanted):
    assert found(pl.DataFrame({name: values}), name) == wanted


def test_the_finest_time_is_the_time():
    days = [20260101 + number % 20 for number in range(60)]
    moments = [1_767_225_600_000 + 10**7 * number for number in range(60)]
    frame = pl.DataFrame({"date": days, "time_ms": moments, "timestamp": [*range(60)]})
    assert found(frame, "time_ms") == ("time", "integer")
    assert found(frame, "date") == ("date", "date")
    assert found(frame.drop("time_ms"), "date") == ("time", "date")


def test_a_time_that_each_row_has_of_its_own_is_one():
    seconds = [1_700_000_000 + number for number in range(2_000)]
    assert found(pl.DataFrame({"ts": seconds, "x": ["a", "b"] * 1_000}), "ts")[0] == "time"


def test_there_is_one_time():
    frame = pl.DataFrame({"ts": [10**9, 10**9 + 1], "time": [5, 6]})
    assert found(frame, "time", time="time") == ("time", "integer")
    assert found(frame, "ts", time="time") == (CATEGORICAL, "integer")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([1, 1]), "constant, always '1'"),
        (pa.array([None, None], pa.int64()), "nulls only"),
        (pa.nulls(2), "nulls only"),
        (pa.array([[], None], pa.list_(pa.string())), "empty lists only"),
        (
            pa.array([{"a": 1}, {"a": 2}]),
            r"values of type struct<a: int64>: save their fields as columns of their own$",
        ),
        (pa.array([b"a", b"b"]), "values of type binary: save them as strings$"),
        (
            pa.array([[[1]], [[2]]]),
            "values of type list<.*>>: save them as lists of strings or integers$",
        ),
        (pa.array([[1.5], [2.5]]), "lists of floats"),
        (
            pa.array([1, 2], pa.duration("s")),
            r"values of type duration\[s\]: save them as numbers$",
        ),
        (pa.array([1, 2], pa.time32("s")), r"values of type time32\[m?s\]: save them as numbers$"),
        (pa.array([[{"a": 1}], []]), "values of type list<.*: save their fields"),
        (pa.array([{"a" * 99: 1}] * 2), "values of type struct<a{43}: save their fields"),
        (pa.array([1.0, float("inf")]), "numbers that are infinite as float32"),
        (pa.array([1.0, 1e300]), "numbers that are infinite as float32"),
    ],
)
def test_what_has_no_use_is_left_out(tmp_path, array, reason):
    table = pa.table({"x": array, "label": [0, 1]})
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    for data in (table, tmp_path / "x.parquet"):
        assert re.match(reason, profile(data).left_out["x"])


def test_a_value_and_null_are_not_constant():
    assert found(pl.DataFrame({"x": ["a", None]})) == (CATEGORICAL, "string")


def test_values_of_several_types_are_left_out(tmp_path):
    for number, values in enumerate((["a"], [1])):
        table = pa.table({"x": values, "y": [number]})
        pa.parquet.write_table(table, tmp_path / f"{number}.parquet")
    assert profile(tmp_path).left_out == {"x": "values of several types: string and integer"}
    with pytest.raises(InputError, match=r"'x' of .* cannot be categorical: it has values"):
        profile(tmp_path, categorical=["x"])


def test_integers_and_floats_are_floats(tmp_path):
    pa.parquet.write_table(pa.table({"x": [1]}), tmp_path / "0.parquet")
    pa.parquet.write_table(pa.table({"x": [1.5]}), tmp_path / "1.parquet")
    assert found(tmp_path) == (NUMERIC, "float")


@pytest.mark.parametrize(
    ("name", "values", "is_left_out"),
    [
        ("x", [f"row {number}" for number in range(2_000)], True),
        ("x", list(range(5, 2_005)), True),
        ("x", [number * 1_000 for number in range(2_000)], False),
        ("x_id", [number * 1_000 for number in range(2_000)], True),
        ("Unnamed: 0", [number * 1_000 for number in range(2_000)], True),
        ("", [number * 1_000 for number in range(2_000)], True),
        ("__index_level_0__", [number * 1_000 for number in range(2_000)], True),
        ("x", [number + 0.5 for number in range(2_000)], False),
        ("x", [f"row {number}" for number in range(1_000)], False),
        ("x", [f"row {number % 1_800}" for number in range(2_000)], False),
    ],
)
def test_names_of_rows_are_left_out(name, values, is_left_out):
    frame = pl.DataFrame({name: values, "y": [0.5, 1.5] * (len(values) // 2)})
    assert (name in profile(frame).left_out) == is_left_out
    if not isinstance(values[0], float):
        assert name in profile(frame, categorical=[name]).columns


@pytest.mark.parametrize("dtype", [pa.decimal128(38, 0), pa.decimal256(50, 0)])
def test_decimals_without_a_point_are_integers(tmp_path, dtype):
    """As databases export them, in 38 digits."""
    values = {
        "n": [1, 2, 3, None],
        "y": [0, 1, 1, 0],
        "u_id": [2**60, 2**60 + 1, 7, 7],
        "hash_id": [2**64 - 1, 2**63, 7, 7],
    }
    decimals = {
        name: [None if one is None else Decimal(one) for one in column]
        for name, column in values.items()
    }
    table = pa.table({name: pa.array(column, dtype) for name, column in decimals.items()})
    pa.parquet.write_table(table, tmp_path / "x.parquet")
    for data in (table, tmp_path / "x.parquet"):
        columns = [one.column for one in profile(data).columns.values()]
        kinds = {one.name: (one.kind, one.type) for one in columns}
        integers = dict.fromkeys(values, (CATEGORICAL, "integer"))
        assert kinds == integers | {"y": ("label", "integer")}
        names = [one.name for one in columns if one.kind == CATEGORICAL]
        ids = read_events(Table.of(data), columns).ids
        for at, name in enumerate(names):
            known = [one for one in values[name] if one is not None]
            assert ids[: len(known), at].tolist() == to_ids(known).tolist()


@pytest.mark.parametrize("dtype", [pl.Int128, pl.UInt128])
def test_integers_that_arrow_has_not(tmp_path, dtype):
    frame = pl.DataFrame({"x": pl.Series([1, 2], dtype=dtype), "y": [0, 1]})
    with pytest.raises(InputError, match=r"'x' of the frame .*of more than 64 bits.*or drop it"):
        profile(frame)
    assert profile(frame, drop=["x"]).columns.keys() == {"y"}
    frame.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x.parquet cannot be read .*: save it in types that Ar"):
        profile(tmp_path / "x.parquet")
