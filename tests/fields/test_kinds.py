"""Kinds of columns, found from all of their values, through files and frames."""

import re

import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest

from tablefree.errors import InputError
from tablefree.fields.profile import profile

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


@pytest.mark.parametrize("name", ["paid", "bid", "casino", "idle", "now", "number", "width"])
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
        ("click", [0, 2], (CATEGORICAL, "integer")),
        ("click", [0, 1, 2], (CATEGORICAL, "integer")),
        ("bought", [0, 1], (CATEGORICAL, "integer")),
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


@pytest.mark.parametrize(
    ("name", "values", "wanted"),
    [
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
        (pa.array([{"a": 1}, {"a": 2}]), "of type struct<a: int64>"),
        (pa.array([b"a", b"b"]), "of type binary"),
        (pa.array([[[1]], [[2]]]), "of type list<"),
        (pa.array([[1.5], [2.5]]), "lists of floats"),
        (pa.array([1, 2], pa.duration("s")), r"of type duration\[s\]"),
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
