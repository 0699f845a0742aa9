"""The same rows as files and frames of every kind."""

import json

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest


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
