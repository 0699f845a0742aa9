"""Ids read in chunks from text, a column of a file or standard input: memory stays bounded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from tablefree.data.interactions import IdType
from tablefree.data.read import FORMATS, KNOWN_NAMES
from tablefree.errors import InputError

CHUNK = 65_536  # ids
INTEGER = r"^(0|-?[1-9][0-9]*)$"
SEPARATORS = {"csv": ",", "tsv": "\t"}


def read_ids(
    path: Path | None, *, column: str | None, feature: str, id_type: IdType
) -> Iterator[pa.Array]:
    """Read ids as they were in training: integers as they are, or strings to be hashed.

    Args:
        path: a CSV or TSV file (also `.gz`), a Parquet file, or text with one id a line; None for
            such text on standard input.
        column: of a file that has columns; by default a usual name of the feature, as `user_id`.
        feature: "user" or "item".
        id_type: of the ids in training.

    Yields:
        Arrow arrays of int64 (or uint64) or of strings (or bytes), none of them empty.

    Raises:
        InputError: a file that cannot be read, no such column, no ids at all, or ids of another
            type; the message names the first line or row.
    """
    source = "standard input" if path is None else str(path)
    kind = "text" if path is None else FORMATS.get(Path(path.name.removesuffix(".gz")).suffix)
    if kind not in ("csv", "tsv", "parquet"):
        if kind == "json" or column is not None:
            raise InputError(
                f"{source} has no columns that can be read: pass a CSV, TSV or Parquet file, or "
                "one id a line and no column"
            )
        kind = "text"
    position = 0
    with _readable(source):
        for chunk in (
            _lines(path)
            if path is None or kind == "text"
            else _column(path, kind, column, KNOWN_NAMES[feature])
        ):
            if len(chunk):
                place = f"{'line' if kind == 'text' else 'row'} {{}} of {source}"
                yield _typed(chunk, id_type, place, position)
                position += len(chunk)
    if not position:
        raise InputError(f"{source} holds no ids: pass at least one")


@contextmanager
def _readable(source: str) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{source} cannot be read ({reason}): is it whole and in its form?"
        ) from error


def _lines(path: Path | None) -> Iterator[pa.Array]:
    file: BinaryIO = sys.stdin.buffer if path is None else path.open("rb")
    text = TextIOWrapper(file, "utf-8-sig")  # a mark at the start is not part of the first id
    try:
        while lines := [line.rstrip("\n") for line in islice(text, CHUNK)]:
            yield pa.array(lines, pa.string())
    finally:
        text.detach()
        if path is not None:
            file.close()


def _column(
    path: Path, kind: str, column: str | None, known: tuple[str, ...]
) -> Iterator[pa.Array]:
    if kind == "parquet":
        with pa.parquet.ParquetFile(path) as file:
            name = _find(column, known, file.schema_arrow.names, path)
            for batch in file.iter_batches(CHUNK, columns=[name]):
                yield batch.column(0)
        return
    parse = pa.csv.ParseOptions(delimiter=SEPARATORS[kind])
    with pa.csv.open_csv(path, parse_options=parse) as file:
        name = _find(column, known, file.schema.names, path)
    convert = pa.csv.ConvertOptions(include_columns=[name], column_types={name: pa.string()})
    with pa.csv.open_csv(path, parse_options=parse, convert_options=convert) as file:
        for batch in file:
            yield batch.column(0)


def _find(column: str | None, known: tuple[str, ...], available: list[str], path: Path) -> str:
    wanted = known if column is None else (column,)
    for name in wanted:
        if name in available:
            return name
    raise InputError(
        f"{path} has no column {wanted[0]!r}; its columns are {', '.join(available)}: name the "
        "column of ids"
    )


def _typed(chunk: Any, id_type: IdType, place: str, position: int) -> pa.Array:
    """The ids in the type of training; `position` is that of the first in the whole file."""
    ids = pl.from_arrow(chunk)
    assert isinstance(ids, pl.Series)
    if isinstance(ids.dtype, (pl.Categorical, pl.Enum)):
        ids = ids.cast(pl.String)
    missing = ids.is_null() | (ids == "") if ids.dtype == pl.String else ids.is_null()
    if missing.any():
        row = position + int(missing.arg_max() or 0) + 1
        raise InputError(f"{place.format(row)} has no id: remove it or fill it in")
    if id_type == "integer" and ids.dtype == pl.String:
        return _integers(ids, place, position).to_arrow()
    wanted = ids.dtype.is_integer() if id_type == "integer" else ids.dtype in (pl.String, pl.Binary)
    if not wanted:
        raise InputError(
            f"{place.format(position + 1)} has an id of type {ids.dtype}, and the ids of the "
            f"checkpoint are of type {id_type}: pass them as in training"
        )
    if id_type == "integer":
        return ids.cast(pl.UInt64 if ids.dtype == pl.UInt64 else pl.Int64).to_arrow()
    return ids.to_arrow(compat_level=pl.CompatLevel.oldest())


def _integers(text: pl.Series, place: str, position: int) -> pl.Series:
    integers = text.set(~text.str.contains(INTEGER), None).cast(pl.Int64, strict=False)
    if integers.null_count():
        first = int(integers.is_null().arg_max() or 0)
        raise InputError(
            f"{place.format(position + first + 1)} is {text[first][:50]!r}, and the ids of the "
            "checkpoint are integers of 64 bits: correct it (above 2^63 - 1: pass a Parquet column "
            "of uint64)"
        )
    return integers
