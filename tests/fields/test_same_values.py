"""The same values are the same columns, from files and frames of every kind."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import torch

from tablefree.fields.events import read_events
from tablefree.fields.profile import profile
from tablefree.fields.table import Table

ROWS = 3_000
NULL_EACH = 7


def column(values, kind=None):
    """Values with a null in every seventh row."""
    nulls = [None if row % NULL_EACH == 1 else value for row, value in enumerate(values)]
    return pa.array(nulls, kind)


def events():
    random = np.random.default_rng(0)
    small, large = random.integers(0, 5, ROWS), random.integers(0, 10**6, ROWS)
    start = np.datetime64(datetime(2026, 1, 31))
    hours = (start + np.arange(ROWS) * np.timedelta64(1, "h")).astype("M8[us]")
    return pa.table(
        {
            "click": pa.array(random.integers(0, 2, ROWS), pa.int8()),
            "shop_id": column(large.tolist(), pa.int64()),
            "colour": column([f"colour {one}" for one in small]),
            "few": column(small.tolist(), pa.int32()),
            "many": column(large.tolist(), pa.int64()),
            "zip": column([f"{one:05}" for one in small]),
            "is_new": column((small > 2).tolist()),
            "price": column((random.integers(0, 10**4, ROWS) / 8).tolist()),
            "seen": column([date(2026, 1, 1 + one) for one in small.tolist()]),
            "timestamp": pa.array(hours, pa.timestamp("us")),
            "large": column([2**63 + one for one in small.tolist()], pa.uint64()),
            "nothing": pa.nulls(ROWS, pa.string()),
            "constant": pa.array(["x"] * ROWS),
            "row": pa.array([f"row {one}" for one in range(ROWS)]),
            "tags": column([[f"tag {n}" for n in range(one)] for one in small.tolist()]),
            "codes": column([[int(one), 7] for one in small]),
        }
    )


WANTED = {
    "click": ("label", "integer"),
    "shop_id": ("categorical", "integer"),
    "colour": ("categorical", "string"),
    "few": ("categorical", "integer"),
    "many": ("numeric", "integer"),
    "zip": ("categorical", "string"),
    "is_new": ("categorical", "boolean"),
    "price": ("numeric", "float"),
    "seen": ("date", "date"),
    "timestamp": ("time", "date"),
    "large": ("categorical", "integer"),
    "tags": ("bag", "string"),
    "codes": ("bag", "integer"),
}


def test_one_profile(form):
    table = events().drop_columns(["tags", "codes"]) if form.is_text else events()
    if form.name in ("pandas", "rows.jsonl"):  # which hold such integers as floats
        table = table.drop_columns(["large"])
    found = profile(form(table))
    assert {name: (one.column.kind, one.column.type) for name, one in found.columns.items()} == {
        name: kinds for name, kinds in WANTED.items() if name in table.column_names
    }
    assert found.left_out == {
        "nothing": "nulls only",
        "constant": "constant, always 'x'",
        "row": "a value of its own for each row",
    }
    assert (found.num_rows, found.warnings) == (ROWS, ())
    for name, one in found.columns.items():
        assert one.num_nulls == table[name].null_count, name
        values = table[name].drop_null()
        flat = values.combine_chunks().flatten() if one.column.kind == "bag" else values
        assert one.num_values == len(flat.unique()), name
        assert one.num_occurrences == len(flat), name
        assert one.growth[-1] == (ROWS, one.num_values)
        assert [rows for rows, _ in one.growth] == [1024, 2048, ROWS]
    shown = table["shop_id"].drop_null().unique()[:3].to_pylist()
    assert found.columns["shop_id"].examples == tuple(map(str, shown))


def test_a_model_gets_the_same(form):
    table = events().drop_columns(["tags", "codes"]) if form.is_text else events()
    table = table.drop_columns(["large"])
    wanted, found = (
        read_events(one, [given.column for given in profile(one).columns.values()])
        for one in (Table.of(table), Table.of(form(table)))
    )
    assert found.names == wanted.names
    assert torch.equal(found.ids, wanted.ids)
    for name in ("numbers", "labels", "times"):
        assert np.array_equal(getattr(found, name), getattr(wanted, name), equal_nan=True)
    for name, bags in wanted.bags.items():
        assert torch.equal(found.bags[name].ids, bags.ids)
        assert torch.equal(found.bags[name].offsets, bags.offsets)


def test_integers_that_pandas_holds_as_floats_are_called_so(tmp_path):
    frame = events().select(["few", "click"]).to_pandas()
    frame.to_csv(tmp_path / "x.csv", index=False)  # which writes 1.0
    for data in (frame, tmp_path / "x.csv"):
        found = profile(data).columns["few"].column
        assert (found.kind, found.type) == ("categorical", "integer")
        assert found.reason == "5 distinct integers, held as floats"
    ids = [read_events(Table.of(one), [found]).ids for one in (frame, tmp_path / "x.csv")]
    assert torch.equal(*ids)


def test_examples_are_as_a_file_of_text_has_them():
    values = {
        "day": [date(2026, 1, 31), date(2026, 2, 1)],
        "moment": [datetime(2026, 1, 31, 12), datetime(2026, 1, 31, 12, 0, 0, 500_000)],
        "flag": [True, False],
        "number": [1.5, -2.0],
    }
    found = profile(pa.table(values), date=["moment"]).columns
    assert {name: one.examples for name, one in found.items()} == {
        "day": ("2026-01-31", "2026-02-01"),
        "moment": ("2026-01-31 12:00:00", "2026-01-31 12:00:00.500000"),
        "flag": ("true", "false"),
        "number": ("1.5", "-2"),
    }
