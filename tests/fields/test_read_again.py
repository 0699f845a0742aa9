"""What columns are taken for, in every form of the same rows; and what is trained is read again."""

from datetime import date

import numpy as np
import polars as pl
import pytest
import torch

from tablefree.errors import InputError
from tablefree.fields.events import read_events
from tablefree.fields.profile import profile
from tablefree.fields.table import Table

GIVEN = {"categorical": ["user_id", "hash_id"], "numeric": ["count"], "label": "click"}
KINDS = {
    "click": ("label", "integer"),
    "timestamp": ("time", "date"),
    "day": ("date", "date"),
    "written": ("date", "date"),
    "user_id": ("categorical", "integer"),
    "hash_id": ("categorical", "integer"),
    "city": ("categorical", "string"),
    "device": ("categorical", "string"),
    "is_new": ("categorical", "boolean"),
    "words": ("bag", "string"),
    "numbers": ("bag", "integer"),
    "price": ("numeric", "float"),
    "count": ("numeric", "integer"),
}


@pytest.fixture(scope="module")
def rows(frame):
    """Rows that every form holds: no integers that floats or JSON do not."""
    large = pl.col("numbers").list.contains(2**62)
    return frame.with_columns(
        pl.col("user_id").clip(-(2**53) + 1, 2**53 - 1),
        pl.col("hash_id").clip(0, 2**53 - 1),
        pl.when(large).then(None).otherwise("numbers").alias("numbers"),
    )


def forms(rows, path):
    rows.write_parquet(path / "x.parquet")
    rows.write_ndjson(path / "x.jsonl")
    return {
        "parquet": path / "x.parquet",
        "json": path / "x.jsonl",
        "arrow": rows.to_arrow(),
        "pandas": rows.to_pandas(),
        "pandas of arrow": rows.to_pandas(use_pyarrow_extension_array=True),
    }


def kinds_of(data, **options):
    found = profile(data, **{**GIVEN, **options})
    assert not found.left_out
    return [one.column for one in found.columns.values()]


def test_kinds_are_the_same_in_every_form(rows, tmp_path):
    asked = read_events(Table.of(rows), kinds_of(rows))
    for form, data in forms(rows, tmp_path).items():
        columns = kinds_of(data)
        assert {one.name: (one.kind, one.type) for one in columns} == KINDS, form
        found = read_events(Table.of(data), columns)
        assert torch.equal(found.ids, asked.ids), form
        np.testing.assert_array_equal(found.numbers, asked.numbers)
        np.testing.assert_array_equal(found.labels, asked.labels)
        assert torch.equal(found.bags["numbers"].ids, asked.bags["numbers"].ids), form


@pytest.mark.parametrize("separator", [",", "\t", ";"])
def test_kinds_of_text_are_those_of_what_it_says(rows, tmp_path, separator):
    flat = rows.drop("words", "numbers")
    flat.write_csv(tmp_path / "x.csv", separator=separator)
    columns = kinds_of(tmp_path / "x.csv")
    assert {one.name: (one.kind, one.type) for one in columns} == {
        name: KINDS[name] for name in flat.columns
    }
    found, asked = (read_events(Table.of(data), columns) for data in (tmp_path / "x.csv", flat))
    assert torch.equal(found.ids, asked.ids)
    np.testing.assert_array_equal(found.numbers, asked.numbers)
    np.testing.assert_array_equal(found.times, asked.times)


@pytest.mark.parametrize(
    ("values", "kind", "type"),
    [
        (["7.0", "8.0", "", "-9.0"], "categorical", "integer"),  # as pandas writes integers
        (["+7.0", "8.", "9"], "categorical", "integer"),
        (["07", "7", "8"], "categorical", "string"),
        (["7.5", "8", "x"], "categorical", "string"),
        (["7.5", "8", "9"], "categorical", "string"),
        (["18446744073709551615", "1", "2"], "categorical", "integer"),
        (["true", "FALSE", ""], "categorical", "boolean"),
        (["1e3", "2", "3"], "numeric", "float"),
        (["NaN", "2", "3.5"], "numeric", "float"),
        (["2026-01-31", "", "2026-01-31 12:00"], "date", "date"),
    ],
)
def test_text_that_is_given_can_be_read(tmp_path, values, kind, type):
    """What a profile takes a column for, the reading of events does not refuse."""
    (tmp_path / "x.csv").write_text("x,y\n" + "".join(f"{one},0\n" for one in values))
    found = profile(tmp_path / "x.csv", **{kind: ["x"]})
    column = found.columns["x"].column
    assert (column.kind, column.type) == (kind, type)
    assert len(read_events(Table.of(tmp_path / "x.csv"), [column])) == len(values)


@pytest.mark.parametrize(
    ("values", "kind", "type"),
    [
        ([7.0, None, 8.0], "categorical", "integer"),
        ([7, 2**64 - 1], "categorical", "integer"),
        ([True, None], "categorical", "boolean"),
        (["7", "07"], "categorical", "string"),
        ([["7"], None, []], "bag", "string"),
        ([[7.0, None], [8.0]], "bag", "integer"),
        ([["7", None], [None]], "bag", "string"),
        ([7.0, 8.5, float("nan")], "numeric", "float"),
        (["7", "8.5"], "numeric", "float"),
        ([1767225600, None, 1767225601], "date", "integer"),
        ([1767225600.5, None], "date", "float"),
    ],
)
def test_values_that_are_given_can_be_read(values, kind, type):
    frame = pl.DataFrame({"x": pl.Series(values, strict=False), "y": range(len(values))})
    found = profile(frame, **{"categorical" if kind == "bag" else kind: ["x"]})
    column = found.columns["x"].column
    assert (column.kind, column.type) == (kind, type)
    assert len(read_events(Table.of(frame), [column])) == len(values)


@pytest.mark.parametrize("values", [[[7.5], [8.0]], [[date(2026, 1, 1)]], [[7], [8.5]]])
def test_lists_of_what_is_no_category(values):
    frame = pl.DataFrame({"x": pl.Series(values, strict=False), "y": range(len(values))})
    assert profile(frame).left_out["x"].startswith("lists of ")
    with pytest.raises(InputError, match="'x' of the frame cannot be categorical: it has lists of"):
        profile(frame, categorical=["x"])
