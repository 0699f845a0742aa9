"""One view of all tables: rows of events in files or in memory, as batches of Arrow arrays."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import compute, types

from tablefree.data.numbers import as_numbers, no_numbers
from tablefree.data.parser import CHUNK, Source
from tablefree.data.parts import Rows, find_parts, local_path, of_events, reading
from tablefree.data.read import read_known
from tablefree.errors import InputError
from tablefree.fields import forms
from tablefree.fields.sides import Side, beside, in_memory, joined, sides_of

FRAME = "the frame"
NULLS = ("", "NULL", "null", "\\N")  # of text, as databases write it
LONGEST_NULL = 4  # bytes
_Batches = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]


class Table:
    """Rows of events, in files or in memory; made by `Table.of`.

    Attributes:
        name: for messages: the path as it was written, or "the frame".
        columns: names, in order.
        form: what the owner of such files says of its columns; None for others.
    """

    def __init__(
        self,
        name: str,
        columns: Sequence[str],
        batches: _Batches,
        *,
        form: forms.Form | None = None,
        sources: Mapping[str, tuple[Source, str]] | None = None,
    ) -> None:
        self.name, self.columns = name, list(columns)
        self.form = form or forms.form_of_columns(self.columns)
        # Of each column the file that tells what is in it, and its name there.
        self._batches, self._sources = batches, sources or {}

    @classmethod
    def of(cls, data: Any) -> "Table":
        """The table in a file, a folder, a pattern or an address, or in a frame.

        Args:
            data: a table; or a path of CSV, TSV, JSON lines, Parquet, RecBole, MovieLens or libFM
                files, as `read_interactions` takes, of Criteo's or Avazu's; or a frame of pandas,
                of Polars or of Arrow, or of whatever gives its rows to Arrow.

        Raises:
            InputError: no table, one that cannot be read, or columns without names.
        """
        if isinstance(data, Table):
            return data
        if isinstance(data, (str, Path)):
            return _of_path(data)
        library = type(data).__module__.partition(".")[0]
        if library == "polars" and hasattr(data, "collect"):
            raise InputError("a LazyFrame has no rows yet: pass frame.collect(), or its file")
        if library == "pandas" and hasattr(data, "columns"):
            return cls(FRAME, _names(data.columns), lambda names: _of_pandas(data, names))
        if library == "polars" and hasattr(data, "columns"):
            return cls(FRAME, data.columns, lambda names: _of_polars(data, names))
        if library not in ("pandas", "polars") and hasattr(data, "__arrow_c_stream__"):
            table = pa.table(data)
            return cls(FRAME, table.column_names, lambda names: _of_arrow(table, names))
        raise InputError(
            f"a table is a path or a frame of pandas, Polars or Arrow, got {type(data).__name__}"
        )

    def is_text(self, column: str) -> bool:
        """Whether no file tells the type of a column: of CSV, of TSV, of names of folders."""
        if column not in self._sources or self._is_avazu_hour(column):
            return False
        source, name = self._sources[column]
        return source.is_text(name) and source.kind(name) is None

    def at_least(self, column: str, least: float) -> "Table":
        """The same rows, a column of ratings replaced by whether each is at least this much.

        Raises:
            InputError: no such column; as the rows are read, a rating that is no number.
        """
        self.check(column)

        def batches(names: Sequence[str]) -> Iterator[pa.RecordBatch]:
            start = 0
            for batch in self._batches(names):
                if column in names:
                    place, rows = names.index(column), Rows(self.name, start=start)
                    is_liked = _at_least(batch.column(place), least, column, rows)
                    batch = batch.set_column(place, column, is_liked)
                start += len(batch)
                yield batch

        sources = {name: one for name, one in self._sources.items() if name != column}
        return Table(self.name, self.columns, batches, form=self.form, sources=sources)

    def check(self, column: str) -> None:
        """Refuse a column that is not there, or is there twice, with an InputError."""
        count = self.columns.count(column)
        if count != 1:
            known = ", ".join(map(repr, self.columns[:50]))
            found = f"has the column {column!r} {count} times: rename all but one"
            missing = f"has no column {column!r}; its columns are {known}"
            raise InputError(f"{self.name} {found if count else missing}")

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, in order, at most `CHUNK` at a time.

        A value that is missing is null: an empty string, what is in `NULLS` and NaN too.
        Dictionaries are their values. Columns of text are strings (`is_text`); those of JSON lines
        and of pandas' objects may be of another type in another batch.

        Raises:
            InputError: a column that is not there, or twice; or what cannot be read.
        """
        for column in columns:
            self.check(column)
        for batch in self._batches(columns):
            arrays = [self._plain(name, batch.column(at)) for at, name in enumerate(columns)]
            yield pa.RecordBatch.from_arrays(arrays, list(columns))

    def _plain(self, name: str, array: pa.Array) -> pa.Array:
        array = plain(array)
        if self._is_avazu_hour(name):
            return forms.avazu_hours(array)
        source, its_name = self._sources.get(name, (None, name))
        told = source.kind(its_name) if source else None
        if told == "float":
            with reading(f"the column {name!r} of {self.name}"):
                return compute.cast(array, pa.float64())
        return compute.split_pattern(array, " ") if told == "token_seq" else array

    def _is_avazu_hour(self, name: str) -> bool:
        return self.form is forms.AVAZU and name == "hour"


def _at_least(ratings: pa.Array, least: float, column: str, rows: Rows) -> pa.Array:
    ratings = plain(ratings)
    if types.is_decimal(ratings.type):
        ratings = ratings.cast(pa.float64())
    is_number = types.is_integer(ratings.type) or types.is_floating(ratings.type)
    if not (is_number or is_string(ratings.type) or types.is_null(ratings.type)):
        raise InputError(
            f"the column {column!r} is of ratings, and has the type {ratings.type}: convert it to "
            "numbers"
        )
    series = pl.Series(pl.from_arrow(ratings))
    numbers = as_numbers(series)
    is_odd = no_numbers(series, numbers)
    if is_odd.any():
        at = int(is_odd.arg_max() or 0)
        raise InputError(
            f"the column {column!r} is of ratings, and {rows.at(at)} has {ratings[at].as_py()!r}, "
            "which is no number: correct it, or name another label"
        )
    return (numbers >= least).to_arrow()


def plain(array: pa.Array) -> pa.Array:
    """An array without dictionaries and views, in which null alone is missing."""
    kind = array.type
    if types.is_dictionary(kind):
        array = array.dictionary_decode()
    elif types.is_float16(kind):  # with which Arrow computes little
        array = array.cast(pa.float32())
    elif types.is_string_view(kind):
        array = array.cast(pa.large_string())
    elif types.is_decimal(kind) and kind.scale <= 0:  # as databases export integers
        array = _integers(array)
    elif is_list(kind) and types.is_dictionary(kind.value_type):
        array = array.cast(pa.list_(kind.value_type.value_type))
    if is_string(array.type):
        is_missing = compute.equal(compute.binary_length(array), 0)
        if compute.any(compute.less_equal(compute.binary_length(array), LONGEST_NULL)).as_py():
            is_missing = compute.is_in(array, pa.array(NULLS, array.type))
    elif types.is_floating(array.type):
        is_missing = compute.is_nan(array)
    else:
        return array
    if not compute.any(is_missing).as_py():
        return array
    return compute.if_else(is_missing, pa.scalar(None, array.type), array)


def _integers(array: pa.Array) -> pa.Array:
    """Decimals without a point in 64 bits, where all of them fit."""
    for kind in (pa.int64(), pa.uint64()):
        with contextlib.suppress(pa.ArrowInvalid):
            return array.cast(kind)
    return array


def is_string(kind: pa.DataType) -> bool:
    """Whether a type of Arrow's is one of strings."""
    return bool(types.is_string(kind) or types.is_large_string(kind))


def is_list(kind: pa.DataType) -> bool:
    """Whether a type of Arrow's is one of lists."""
    return any(one(kind) for one in (types.is_list, types.is_large_list, types.is_fixed_size_list))


def _of_path(address: str | Path) -> Table:
    parts = find_parts(address)
    if (found := forms.libfm_table(parts)) is not None:
        table, form = found
        columns = table.column_names
        return Table(str(address), columns, lambda names: _of_arrow(table, names), form=form)
    if (known := read_known(address)) is not None:
        frame = in_memory(known)
        return Table(str(address), frame.columns, lambda names: _of_polars(frame, names))
    if (criteo := forms.criteo_parts(parts)) is not None:
        return _of_source(Source(address, *criteo), [], forms.CRITEO)
    events = of_events(forms.as_text(parts))
    source = Source(address, events)
    others = beside(events[0]) if len(parts) == 1 else parts
    return _of_source(source, sides_of(source, others, local_path(address)))


def _of_source(source: Source, sides: Sequence[Side], form: forms.Form | None = None) -> Table:
    columns = list(source.columns)  # one may be there twice
    sources = {name: (source, name) for name in columns}
    for side in sides:
        columns += side.columns
        if side.source is not None:
            sources |= {name: (side.source, side.told[name]) for name in side.columns}
    return Table(
        source.name,
        columns,
        lambda names: joined(source, sides, names),
        form=form,
        sources=sources,
    )


def _of_arrow(table: pa.Table, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    yield from table.select(list(names)).to_batches(CHUNK)


def _of_polars(frame: Any, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    def convert(column: Any) -> pa.Array:
        if column.dtype == pl.Object:  # whose memory holds addresses
            raise TypeError("it has Python objects")
        if str(column.dtype) in ("Int128", "UInt128"):
            raise TypeError("it has integers of more than 64 bits")
        # Without views, with which Arrow computes little.
        return column.to_arrow(compat_level=pl.CompatLevel.oldest())

    return _of_columns(frame, names, convert)


def _of_pandas(frame: Any, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    return _of_columns(frame, names, lambda column: pa.array(column, from_pandas=True))


def _of_columns(
    frame: Any, names: Sequence[str], convert: Callable[[Any], pa.Array]
) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(frame), CHUNK):
        rows = slice(start, start + CHUNK)
        arrays = [_converted(name, frame[name], rows, convert) for name in names]
        yield pa.RecordBatch.from_arrays(arrays, list(names))


def _converted(name: str, column: Any, rows: slice, convert: Callable[[Any], pa.Array]) -> pa.Array:
    try:
        array = convert(getattr(column, "iloc", column)[rows])
    except Exception as error:  # of whatever library is behind the column
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"the column {name!r} of {FRAME} is none of Arrow's ({reason}): convert it to one type "
            "of numbers, strings, dates or lists, or drop it"
        ) from error
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _names(columns: Any) -> list[str]:
    odd = next((name for name in columns if not isinstance(name, str)), None)
    if odd is not None:
        raise InputError(
            f"columns of a frame are named by strings, got {odd!r}: rename them, as by "
            "frame.columns = [str(name) for name in frame.columns]"
        )
    return list(columns)
