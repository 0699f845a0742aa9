"""The one parser of tables: columns of CSV, TSV, RecBole's, JSON lines and Parquet files.

What a column of text means is not decided here: see `text`. Arrow does the work, a chunk at a time,
so that memory stays bounded for those who ask for chunks; only columns that are asked for are
looked at.
"""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from tablefree.data import amazon
from tablefree.data.parts import Part, Rows, find_parts, reading
from tablefree.errors import InputError

CHUNK = 65_536  # rows
HEAD = 2**20  # bytes, by which a text file is known
BLOCK = 2**24  # bytes of JSON lines that are parsed at once
BUFFER = 2**20  # bytes of a column of Parquet that are read at once, in place of all its row group
SEPARATORS = {"csv": ",", "tsv": "\t", "recbole": "\t"}
OTHER_SEPARATORS = (",", ";", "\t", "|", "\x01")  # the last is Hive's
MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
COLUMNAR = ("csv", "tsv", "recbole", "json", "parquet")
# Of Arrow: a column of a name, or none, and within it fields and values of lists.
CHANGED = re.compile(r"Column\((?:/([^/]*).*)?\) changed from (\w+) to (\w+) in row (\d+)")
TYPED = ("json", "parquet")


class Source:
    """A table in one file or several.

    Args:
        address: what `find_parts` takes.
        parts: of the table; those of the address by default.
        names: of the columns of text that has no line of names.

    Attributes:
        name: where it is, for messages.
        columns: names, in the order of the first file; those of partitions at the end.

    Raises:
        InputError: no table, or one that cannot be read.
    """

    def __init__(
        self,
        address: str | Path,
        parts: Sequence[Part] | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.name = str(address)
        self._given = names
        self._parts = find_parts(address) if parts is None else list(parts)
        self._heads: dict[str, _Head] = {}
        self.form = self._parts[0].form if self._parts else None
        if self.form not in COLUMNAR or any(part.form != self.form for part in self._parts):
            raise InputError(
                f"{self.name} has no columns that can be read: pass one table, of files that are "
                "named .csv, .tsv, .json or .parquet"
            )
        first = self._parts[0]
        self.columns = [*self._names(first), *first.partition]

    def is_text(self, column: str) -> bool:
        """Whether the values of a column are text, whose type is not told by the file."""
        return self.form not in TYPED or column in self._parts[0].partition

    def kind(self, column: str) -> str | None:
        """What the file says of a column of text: RecBole's "token", "float" and so on."""
        if self.form in TYPED:
            return None
        return self._head(self._parts[0]).kinds.get(column)

    def check(self, column: str, what: str) -> None:
        """Refuse a column that is not there, or is there twice, with an InputError."""
        self._check(column, what, self._parts[0], self.columns)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows of some columns, in the order of the files, at most `CHUNK` at a time.

        Raises:
            InputError: a column that is not there, or a file that cannot be read.
        """
        for part in self._parts:
            names = [name for name in columns if name not in part.partition]
            available = self._names(part)
            for name in names:
                self._check(name, "column", part, available)
            with reading(self._called(part)):
                for batch in self._read(part, names):
                    values = {
                        name: pa.array([part.partition[name]] * len(batch), pa.string())
                        if name in part.partition
                        else _sound(batch.column(batch.schema.get_field_index(name)))
                        for name in columns
                    }
                    yield pa.RecordBatch.from_pydict(values)

    def read(self, columns: Sequence[str]) -> pa.Table:
        """All rows of some columns; files of other types are cast where that loses nothing."""
        tables = [pa.Table.from_batches([batch]) for batch in self.batches(columns)]
        if not tables:
            return pa.table({name: pa.array([], pa.string()) for name in columns})
        with reading(self.name):
            return pa.concat_tables(tables, promote_options="permissive")

    def _read(self, part: Part, names: list[str]) -> Iterator[pa.RecordBatch]:
        if self.form == "parquet":
            return _parquet(part, names)
        if self.form == "json":
            return _json(part, names, self._called(part))
        return _text(part, self._head(part), names, self._called(part))

    def _names(self, part: Part) -> list[str]:
        with reading(self._called(part)):
            if self.form == "parquet":
                with part.open() as file, pa.parquet.ParquetFile(file) as parquet:
                    return list(parquet.schema_arrow.names)
            if self.form == "json":
                first = islice(_json_tables(part, self._called(part)), 1)
                return list(dict.fromkeys(chain(*(table.schema.names for table in first))))
            return self._head(part).names

    def _head(self, part: Part) -> "_Head":
        if part.path not in self._heads:
            assert part.form is not None
            self._heads[part.path] = _Head.of(part, self._called(part), self._given)
        return self._heads[part.path]

    def _called(self, part: Part) -> str:
        """The file for messages: as the caller wrote it, if it is all that there is."""
        return self.name if len(self._parts) == 1 else part.path

    def _check(self, column: str, what: str, part: Part, available: list[str]) -> None:
        count = available.count(column)
        if count > 1:
            raise InputError(
                f"{self._called(part)} has the column {column!r} {count} times: rename all but one"
            )
        if not count:
            raise InputError(
                f"{self._called(part)} has no column {column!r} ({what}); "
                f"{self._described(part, available)}"
            )

    def _described(self, part: Part, available: Sequence[str]) -> str:
        """What columns there are, for the message that one is missing."""
        said = f"its columns are {', '.join(map(repr, available[:50]))}"
        if self.form in TYPED:
            return said
        separator = self._head(part).separator
        names = separator.join(["user_id", "item_id"])
        return (
            f"{said}, separated by {separator!r}: name the column; or, where this is the first "
            f"line of the data, put a line with names before it, such as {names!r}"
        )


@dataclass(frozen=True)
class _Head:
    """What the first bytes of a text file say of it.

    Attributes:
        encoding: of the text.
        separator: of columns.
        written: the names as they are written; None where the file has no line of names.
        names: of the columns, without RecBole's types.
        kinds: RecBole's types by name.
    """

    encoding: str
    separator: str
    written: list[str] | None
    names: list[str]
    kinds: dict[str, str]

    @classmethod
    def of(cls, part: Part, called: str, given: Sequence[str] | None) -> "_Head":
        with part.open() as file:
            head = file.read(HEAD)
        encoding = encoding_of(head, called)
        if encoding == "utf-8" and not _is_utf8(pa.scalar(head.partition(b"\n")[0])):
            raise _no_utf8("the first line of " + called, head[:50], called)
        lines = head.decode(encoding, "replace").removeprefix("\ufeff").splitlines()
        form = str(part.form)
        if given is not None:
            return cls(encoding, SEPARATORS[form], None, list(given), {})
        if form == "csv" and (names := amazon.headerless_columns(called, lines[:-1] or lines)):
            return cls(encoding, ",", None, names, {"user_id": "token", "item_id": "token"})
        line = next(filter(None, lines), "")
        separator = SEPARATORS[form] if form == "recbole" else _separator(line, SEPARATORS[form])
        with part.open() as file, _open_csv(file, encoding, separator, form) as table:
            written = list(table.schema.names)
        if form != "recbole":
            return cls(encoding, separator, written, written, {})
        typed = [name.partition(":") for name in written]
        return cls(
            encoding,
            separator,
            written,
            [name for name, _, _ in typed],
            {name: kind for name, _, kind in typed if kind},
        )


def encoding_of(head: bytes, called: str) -> str:
    """The encoding of a text by its first bytes: UTF-8 but for a mark of another.

    Raises:
        InputError: it has zero bytes, as no text in UTF-8.
    """
    for mark, encoding in MARKS.items():
        if head.startswith(mark):
            return encoding
    if b"\0" in head:
        raise InputError(
            f"{called} has zero bytes, which no text in UTF-8 has: where it is UTF-16 without a "
            f"mark, convert it, as by `iconv -f utf-16le -t utf-8 {called} > NEW`"
        )
    return "utf-8"


def _separator(line: str, own: str) -> str:
    """The separator of a line of names: the form's own, or else whichever makes most columns."""
    fields = {
        one: len(next(csv.reader([line], delimiter=one), [])) for one in (own, *OTHER_SEPARATORS)
    }
    return own if fields[own] > 1 else max(fields, key=lambda one: fields[one])


def _open_csv(file: Any, encoding: str, separator: str, form: str, **options: Any) -> Any:
    names = options.pop("column_names", None)
    return pa.csv.open_csv(
        file,
        pa.csv.ReadOptions(encoding=encoding, column_names=names, use_threads=False),
        pa.csv.ParseOptions(
            delimiter=separator,
            quote_char=False if form == "recbole" else '"',
            newlines_in_values=form != "recbole",
        ),
        pa.csv.ConvertOptions(**options),
    )


def _text(part: Part, head: _Head, names: list[str], called: str) -> Iterator[pa.RecordBatch]:
    written = head.written or head.names
    given = {name: written[head.names.index(name)] for name in names}
    # Not as strings: what is no UTF-8 is then told by its row.
    types = dict.fromkeys([*given.values(), written[-1]], pa.binary())
    options = {
        "column_names": head.names if head.written is None else None,
        "include_columns": list(types),
        "column_types": types,
    }
    row, last = 0, b""
    with (
        part.open() as file,
        _open_csv(file, head.encoding, head.separator, str(part.form), **options) as table,
    ):
        for batch in table:
            columns = [as_utf8(batch[given[name]], Rows(called, start=row)) for name in names]
            row += len(batch)
            last = batch[written[-1]][-1].as_py() or b"" if len(batch) else last
            yield from _sliced(pa.RecordBatch.from_arrays(columns, names))
    # A quote that nobody closes takes all that follows into the last value of its row.
    if b"\n" in last and not _ends_in_a_quote(part, head.encoding):
        raise InputError(
            f"{Rows(called).at(row - 1)}, column {head.names[-1]!r}, opens a quote that never "
            f"ends, having {last[:50]!r}: close it, or double a quote that is part of a value"
        )


def _ends_in_a_quote(part: Part, encoding: str) -> bool:
    tail = b""
    with part.open() as file:
        while block := file.read(BLOCK):
            tail = (tail + block)[-64:]
    return tail.decode(encoding, "replace").rstrip().endswith('"')


def as_utf8(values: list[Any] | pa.Array, rows: Rows) -> pa.Array:
    """Strings, or bytes of UTF-8, as an array of strings.

    Raises:
        InputError: a value that is not in UTF-8, with its row.
    """
    try:
        return (
            pa.array(values, pa.string()) if isinstance(values, list) else values.cast(pa.string())
        )
    except (pa.ArrowInvalid, UnicodeEncodeError):
        at = next(at for at, one in enumerate(values) if not _is_utf8(one))
        odd = values[at]
        value = odd.encode("utf-8", "surrogateescape") if isinstance(odd, str) else odd.as_py()
        raise _no_utf8(rows.at(at), value[:50], rows.source) from None


def _no_utf8(where: str, value: bytes, source: str) -> InputError:
    return InputError(
        f"{where} is not in UTF-8, having {value!r}: convert the file, as by "
        f"`iconv -f latin1 -t utf-8 {source} > NEW`"
    )


def _is_utf8(value: Any) -> bool:
    """Whether a string, or a scalar of bytes, is text."""
    try:
        value.encode() if isinstance(value, str) else value.as_py().decode()
    except UnicodeError:
        return False
    return True


def _parquet(part: Part, names: list[str]) -> Iterator[pa.RecordBatch]:
    options = {"buffer_size": BUFFER, "pre_buffer": False}
    with part.open() as file, pa.parquet.ParquetFile(file, **options) as parquet:
        yield from parquet.iter_batches(CHUNK, columns=names, use_threads=False)


def _json(part: Part, names: list[str], called: str) -> Iterator[pa.RecordBatch]:
    for table in _json_tables(part, called):
        have = [name for name in names if name in table.schema.names]
        columns = table.select(have).combine_chunks()
        for name in set(names) - set(have):
            columns = columns.append_column(name, pa.nulls(len(table)))
        yield from columns.to_batches(CHUNK)


def _json_tables(part: Part, called: str) -> Iterator[pa.Table]:
    num_rows = 0
    with part.open() as raw:
        file = io.BufferedReader(raw)
        while block := file.read(BLOCK):
            block += file.readline()
            if not block.strip():
                continue
            try:
                table = _parse_json(block)
            except pa.ArrowInvalid as error:
                raise _not_one_type(str(error), Rows(called, start=num_rows)) or error from error
            # Text that Arrow takes for dates stays text. Of lists whose type it has to find, it
            # loses nulls at the start of the first (apache/arrow#51305).
            dates = [one.name for one in table.schema if pa.types.is_timestamp(one.type)]
            told = [(name, pa.string()) for name in dates]
            told += [(one.name, one.type) for one in table.schema if pa.types.is_list(one.type)]
            if told:
                table = _parse_json(block, pa.schema(told)).select(table.schema.names)
            num_rows += len(table)
            yield table


def _not_one_type(reason: str, rows: Rows) -> InputError | None:
    """What to say of JSON that has values of another type than before; None of another reason."""
    found = CHANGED.search(reason)
    if found is None:
        return None
    column, before, after, row = found.groups()
    if not column:
        return InputError(
            f"{rows.source} is one {after} of JSON: JSON lines have an object in each, as "
            f"`jq -c '.[]' {rows.source} > NEW` writes them"
        )
    return InputError(
        f"{rows.at(int(row))} has {after}s in the column {column!r}, where rows before have "
        f"{before}s: save all its values in one type, such as strings"
    )


def _parse_json(block: bytes, schema: pa.Schema | None = None) -> pa.Table:
    return pa.json.read_json(
        pa.BufferReader(block),
        pa.json.ReadOptions(use_threads=False, block_size=len(block) + 1),
        pa.json.ParseOptions(explicit_schema=schema, newlines_in_values=False),
    )


def _sliced(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, len(batch), CHUNK):
        yield batch.slice(start, CHUNK)


def _sound(column: pa.Array) -> pa.Array:
    """A column whose text is text, its categories as their values."""
    column.validate(full=True)
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    return column
