"""The same rows as files and frames of every kind; a small model of every kind of column."""

import json
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from tablefree.fields.events import read_events
from tablefree.fields.model import load
from tablefree.fields.plan import plan
from tablefree.fields.profile import profile
from tablefree.fields.split import split_events
from tablefree.fields.table import Table
from tablefree.training.events import train_events
from tablefree.training.fit import Recipe


def _csv(table, path):
    pa.csv.write_csv(table, path, pa.csv.WriteOptions(quoting_style="needed"))


def _tsv(table, path):
    options = pa.csv.WriteOptions(quoting_style="needed", delimiter="\t")
    pa.csv.write_csv(table, path, options)


def _packed(table, path):
    with pa.CompressedOutputStream(str(path), "gzip") as file:
        pa.csv.write_csv(table, file)


def _json(table, path):
    rows = table.to_pylist()
    path.write_text("\n".join(json.dumps(row, default=str) for row in rows))


def _parts(table, path):
    path.mkdir()
    half = len(table) // 2
    for number, part in enumerate((table[:half], table[half:])):
        pa.parquet.write_table(part, path / f"{number}.parquet")


FILES = {
    "rows.csv": _csv,
    "rows.tsv": _tsv,
    "rows.csv.gz": _packed,
    "rows.jsonl": _json,
    "rows.parquet": pa.parquet.write_table,
    "folder": _parts,
}
FRAMES = {
    "pandas": lambda table: table.to_pandas(),
    "pandas of Arrow": lambda table: table.to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "arrow": lambda table: table,
}
TEXT = ("rows.csv", "rows.tsv", "rows.csv.gz")


@pytest.fixture(params=[*FILES, *FRAMES])
def form(request, tmp_path):
    """A function that gives an Arrow table in one of the forms, whose name it has."""

    def give(table):
        if request.param in FRAMES:
            return FRAMES[request.param](table)
        path = tmp_path / request.param
        FILES[request.param](table, path)
        return path

    give.name = request.param
    give.is_text = request.param in TEXT
    return give


ROWS = 400
START = datetime(2026, 1, 1)
GIVEN = {"categorical": ["user_id", "hash_id"], "numeric": ["count"], "label": "click"}
VALUES = {
    "day": (pl.Date, [START.date(), datetime(1950, 6, 5).date()]),
    "written": (pl.String, ["2026-01-31", "2026-01-31T12:30:00.5+01:00", "1960-02-03 04:05"]),
    "user_id": (pl.Int64, [-5, 0, 7, 12, 2**53 + 1, 2**63 - 1, -(2**63)]),
    "hash_id": (pl.UInt64, [1, 2**63, 2**64 - 1, 2**53 + 1]),
    "city": (pl.String, ["Rome", "rome", "07", "7", " Köln", "a,b", 'a "c"', "1e3", "true"]),
    "device": (pl.Categorical, ["phone", "desk", "tv"]),
    "is_new": (pl.Boolean, [True, False]),
    "words": (pl.List(pl.String), [["x"], ["y", "x", "y"], [], ["07", None]]),
    "numbers": (pl.List(pl.Int64), [[1], [2, 2**62, 1], [], [None, 7]]),
    "price": (pl.Float64, [0.1, 1 / 3, -2.5e-9, 12345.678, 7.0]),
    "count": (pl.Int64, list(range(300))),
}
NULLS = 0.1  # share of them


@pytest.fixture(scope="session")
def frame():
    """Events with a column of every kind, nulls in all that may have them."""
    rng = np.random.default_rng(0)
    columns = {
        "click": pl.Series(rng.integers(0, 2, ROWS)),
        "timestamp": pl.Series(
            [START + timedelta(hours=7 * n, microseconds=n) for n in range(ROWS)]
        ),
    }
    for name, (dtype, values) in VALUES.items():
        places = rng.integers(len(values), size=ROWS)
        are_null = rng.random(ROWS) < NULLS
        some = [None if no else values[at] for at, no in zip(places, are_null, strict=True)]
        columns[name] = pl.Series(some, dtype=dtype)
    return pl.DataFrame(columns)


@pytest.fixture(scope="session")
def folder(frame, tmp_path_factory):
    """The folder of a model that was trained on the frame."""
    found = profile(frame, **GIVEN)
    columns = [one.column for one in found.columns.values()]
    events = read_events(Table.of(frame), columns)
    parts = split_events(events, "time")
    predictor, _ = train_events(
        plan(found, ratio=0.7, embedding_dim=4),
        events.at(parts.train),
        events.at(parts.validation),
        Recipe(0.1, max_epochs=1, batch_size=32),
    )
    folder = tmp_path_factory.mktemp("model")
    predictor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def predictor(folder):
    return load(folder)
