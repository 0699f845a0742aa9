"""Ids read in chunks, as the reader of interactions reads them: memory stays bounded."""

import sys
from collections.abc import Iterator
from io import BufferedReader, TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa

from tablefree.data.id_types import id_type_of, typed_ids
from tablefree.data.parser import CHUNK, HEAD, Source, as_utf8, encoding_of
from tablefree.data.parts import Rows, find_parts, form_of, local_path, of_events, reading
from tablefree.data.read import column_of, read_known, series_of
from tablefree.errors import InputError
from tablefree.ids import IdType


class _Chunk(NamedTuple):
    """Some ids, and whether they are text whose type no file tells."""

    ids: pl.Series
    is_text: bool


def read_ids(
    path: str | Path | None,
    *,
    column: str | None,
    feature: str,
    id_type: IdType,
    taken_for: IdType | None = None,
) -> Iterator[pa.Array]:
    """Read ids as they were in training: integers as they are, or strings to be hashed.

    Args:
        path: what `read_interactions` takes, or text with one id a line (by its name, in no other
            form); None for such text on standard input.
        column: of a file that has columns; by default a usual name of the feature, as `user_id`.
        feature: "user" or "item", or a column of a table.
        id_type: of the ids in training.
        taken_for: what ids are taken for, whatever their column is; none but `id_type`.

    Yields:
        Arrow arrays of int64 (or uint64, if any needs it) or of strings (or bytes), none of them
        empty.

    Raises:
        InputError: a file that cannot be read, no such column, no ids at all, or ids of another
            type; the message names the first line or row.
    """
    if taken_for not in (None, id_type):
        raise InputError(
            f"the ids of the checkpoint are of type {id_type}: they cannot be taken for {taken_for}"
        )
    is_lines = path is None or _is_lines(path)
    if is_lines and column is not None:
        raise InputError(
            f"{path or 'standard input'} has no columns that can be read: pass a CSV, TSV, JSON or "
            "Parquet file, or one id a line and no column"
        )
    source, word = str(path or "standard input"), "line" if is_lines else "row"

    def typed() -> Iterator[tuple[pl.Series, Rows]]:
        position = 0
        chunks = _lines(path) if is_lines else _rows(str(path), column, feature)
        for chunk in chunks:
            rows = Rows(source, word, position)
            if len(chunk.ids):
                yield _in_type(chunk, feature, id_type, taken_for, rows), rows
            position += len(chunk.ids)
        if not position:
            raise InputError(f"{source} holds no ids: pass at least one")

    dtype: pl.DataType | None = None
    if id_type == "integer" and _is_read_twice(path):  # one type for all, known before the first
        is_unsigned = any(ids.dtype == pl.UInt64 for ids, _ in typed())
        dtype = pl.UInt64() if is_unsigned else pl.Int64()
    for ids, rows in typed():
        dtype = dtype or ids.dtype
        yield _cast(ids, dtype, rows).to_arrow(compat_level=pl.CompatLevel.oldest())


def _is_lines(path: str | Path) -> bool:
    local = local_path(path)
    return (
        form_of(str(path)) is None and local is not None and local.exists() and not local.is_dir()
    )


def _is_read_twice(path: str | Path | None) -> bool:
    local = None if path is None else local_path(path)
    return path is not None and (local is None or local.is_file() or not local.exists())


def _lines(path: str | Path | None) -> Iterator[_Chunk]:
    """The lines of a text, without those that are empty at its end."""
    source = str(path or "standard input")
    with reading(source):
        raw: Any = sys.stdin.buffer if path is None else find_parts(path)[0].open()
        buffered = BufferedReader(raw, HEAD)
        encoding = encoding_of(buffered.peek(), source)
        # A mark at the start is not part of the first id.
        file = TextIOWrapper(
            buffered, "utf-8-sig" if encoding == "utf-8" else encoding, "surrogateescape"
        )
        position = num_empty = 0
        try:
            while lines := [line.rstrip("\n") for line in islice(file, CHUNK)]:
                lines = [""] * num_empty + lines
                num_empty = next(
                    (at for at, line in enumerate(reversed(lines)) if line), len(lines)
                )
                lines = lines[: len(lines) - num_empty]
                yield _Chunk(pl.Series(as_utf8(lines, Rows(source, "line", position))), True)
                position += len(lines)
        finally:
            file.detach().detach()
            if path is not None:
                raw.close()


def _rows(path: str, column: str | None, feature: str) -> Iterator[_Chunk]:
    """The ids of a table."""
    if (tables := read_known(path)) is not None:
        if column not in (None, feature):
            raise InputError(f"{path} is {tables.form}: leave the name of the column out")
        name = {"user_id": "user", "item_id": "item"}.get(feature, feature)
        if name not in tables.events.columns:
            raise InputError(f"{path} is {tables.form}, and has no ids of {feature!r}: pass others")
        yield _Chunk(tables.events[name], False)
        return
    source = Source(path, of_events(find_parts(path)))
    name = column_of(feature, column, source)
    for batch in source.batches([name]):
        yield _Chunk(series_of(batch.column(0), feature, source), source.is_text(name))


def _in_type(
    chunk: _Chunk, feature: str, id_type: IdType, taken_for: IdType | None, rows: Rows
) -> pl.Series:
    ids = typed_ids(
        chunk.ids.alias(feature), rows, taken_for, is_text=chunk.is_text, text_type=id_type
    )
    if id_type_of(ids) != id_type:
        raise InputError(
            f"{rows.at(0)} has an id of type {chunk.ids.dtype}, and the ids of the checkpoint are "
            f"of type {id_type}: pass them as in training, or say what they are to be taken for "
            f"(--id-type {id_type})"
        )
    return ids


def _cast(ids: pl.Series, dtype: pl.DataType, rows: Rows) -> pl.Series:
    """The ids in the type of the first of all."""
    cast = ids.cast(dtype, strict=False)
    if cast.null_count():
        at = int(cast.is_null().arg_max() or 0)
        raise InputError(
            f"{rows.at(at)} is {ids[at]!r}, which no column of {dtype} holds with the ids before: "
            "pass a file in the place of a stream, or such ids apart"
        )
    return cast
