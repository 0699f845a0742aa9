"""Read interactions from a file or folder, whatever its form.

Recognises MovieLens (`movielens`), Amazon reviews (`amazon`), RecBole's atomic files, libFM's text
files (`libfm`) and any CSV, TSV, JSON lines or Parquet files with named columns (`parser`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import types

from tablefree.data import libfm, movielens
from tablefree.data.columns import Tables, to_interactions
from tablefree.data.interactions import Interactions
from tablefree.data.numbers import feature_from_text
from tablefree.data.parser import COLUMNAR, Source
from tablefree.data.parts import (
    Part,
    Rows,
    find_parts,
    form_of,
    local_path,
    name_of,
    of_events,
    reading,
)
from tablefree.errors import InputError
from tablefree.ids import ID_TYPES, IdType

# The names by which a column goes when none is given, most specific first: ours, MovieLens',
# Amazon's of 2023 and of 2014.
KNOWN_NAMES = {
    "user": ("user_id", "userId", "reviewerID"),
    "item": ("item_id", "movie_id", "movieId", "parent_asin", "asin"),
    "label": ("label",),
    "rating": ("rating", "overall"),
    "timestamp": ("timestamp", "unixReviewTime"),
}
KNOWN_STRINGS = ("reviewerID", "parent_asin", "asin")  # some of Amazon's are all digits
RECOGNISED = (
    "MovieLens (u.data, ratings.dat or ratings.csv, or the owner's zip), Amazon reviews (.json, "
    ".csv, .gz), RecBole (.inter), libFM (.libfm), and CSV, TSV, JSON lines or Parquet files"
)


@dataclass(frozen=True)
class _Columns:
    """What the caller says of the columns.

    Attributes:
        names: For each kind of `KNOWN_NAMES` a name, or None: whichever known name is there.
        user_features: Side features of users.
        item_features: Side features of items.
    """

    names: Mapping[str, str | None]
    user_features: tuple[str, ...]
    item_features: tuple[str, ...]

    @property
    def given(self) -> list[str]:
        """All names that the caller gave."""
        return [*filter(None, self.names.values()), *self.user_features, *self.item_features]


def read_interactions(
    path: str | Path,
    *,
    user_column: str | None = None,
    item_column: str | None = None,
    label_column: str | None = None,
    rating_column: str | None = None,
    timestamp_column: str | None = None,
    user_feature_columns: Sequence[str] = (),
    item_feature_columns: Sequence[str] = (),
    positive_rating: float | None = None,
    id_type: IdType | list[IdType] | tuple[IdType, IdType] | None = None,
) -> Interactions:
    """Read interactions and recognise their form.

    Users and items are numbered in order of first appearance. Numeric side features stay numbers,
    others become one column for each of at most 256 categories; the first row of a user or item
    counts, and a missing value is 0 (for numbers: the mean). Columns that are not needed are not
    looked at.

    A typed column of ids has its type, as has RecBole's `token`, a string. Text is integers if all
    of it is, without leading zeros, signs or spaces; if half or more of it looks like numbers but
    not all is so, it is refused with its row; else it is strings.

    Args:
        path: A MovieLens zip or folder; Amazon reviews; a RecBole `.inter` file or its folder; a
            `.csv`, `.tsv`, `.json`/`.jsonl` (lines) or `.parquet` file; or a `.libfm` file of
            categorical fields: the first field is the user, the second the item, and the further
            ones (context) are not part of `Interactions`. Text may be packed (`.gz`, `.zst`,
            `.bz2`, `.lz4`), and is in UTF-8, or in UTF-16 with a mark; other separators than a
            comma (`;`, tab, `|`) are told by the line of names. A folder with files of one form,
            also in partitions (`day=1/`), or a pattern (`parts/*.parquet`), is one table, its
            files joined in order of name. An address of fsspec, such as `s3://bucket/x.parquet`,
            is read where it is.
        user_column: Name of the column of user ids; `user_id` and other usual names by default.
        item_column: Likewise; `item_id` by default.
        label_column: Column of 0 and 1; `label` by default if there is one. Without labels every
            row is a positive.
        rating_column: `rating` by default if there is one.
        timestamp_column: Dates, also as text of ISO 8601 (UTC where they have no time zone), or
            numbers since 1970: seconds, milliseconds, microseconds or nanoseconds, told by their
            size; `timestamp` by default if there is one. A rating or timestamp that is not named
            may be anything: it counts only if no value is missing.
        user_feature_columns: Names of side features of users.
        item_feature_columns: Names of side features of items.
        positive_rating: The label is 1 for ratings of at least this much, else 0.
        id_type: "integer" or "string", for both or for users and for items: what ids are taken
            for, whatever their column is.

    Raises:
        InputError: One line that names what is wrong with the file, where, and what to do.

    Example:
        >>> read_interactions("ml-1m.zip", positive_rating=4)
        >>> read_interactions("clicks.parquet", user_column="visitor", item_column="article")
    """
    names = {
        "user": user_column,
        "item": item_column,
        "label": label_column,
        "rating": rating_column,
        "timestamp": timestamp_column,
    }
    columns = _Columns(names, tuple(user_feature_columns), tuple(item_feature_columns))
    id_types = tuple(id_type) if isinstance(id_type, (list, tuple)) else (id_type, id_type)
    if len(id_types) != 2 or not {*id_types} <= {None, *ID_TYPES}:
        raise InputError(
            f"id_type must be {' or '.join(ID_TYPES)}, or one for users and one for items; got "
            f"{id_type!r}"
        )
    tables = read_tables(path, columns)
    return to_interactions(tables, name_of(path), positive_rating, id_types)


def read_tables(address: str | Path, columns: _Columns) -> Tables:
    """What an address holds, the columns that are needed as they are."""
    local = local_path(address)
    if (tables := read_known(address)) is not None:
        if columns.given:
            raise InputError(
                f"{address} is {tables.form}, whose columns are known: leave out the column names "
                f"({', '.join(columns.given)})"
            )
        return tables
    parts = find_parts(address)
    events = of_events(parts)
    if not events or len({part.form for part in events}) > 1 or events[0].form not in COLUMNAR:
        raise InputError(
            f"{address} is in no known form{_found(local)}: recognised are {RECOGNISED}"
        )
    source = Source(address, events)
    if source.form == "recbole":
        return _read_recbole(source, events[0], columns)
    tables = _read_named(source, columns)
    if local is not None and (local / "movies.dat").is_file():
        users, items = movielens.features_1m(local)
        return replace(tables, users=users, items=items)
    return tables


def read_known(address: str | Path) -> Tables | None:
    """What is on this machine in a form that has no columns to choose; None for any other.

    These are MovieLens and libFM.
    """
    local = local_path(address)
    if local is None:
        return None
    with reading(address):
        if local.is_dir() and (tables := movielens.read_folder(local)):
            return tables
        if local.suffix.lower() == ".zip" and local.is_file():
            return movielens.read_zip(local)
        paths = [Path(part.path) for part in find_parts(address)]
        if paths and all(form_of(path.name) == "libfm" for path in paths):
            frame = libfm.read_files(paths)
            return Tables(str(address), frame, form="libFM", user_column="user", item_column="item")
    return None


def column_of(feature: str, name: str | None, source: Source) -> str:
    """The name of the column of a feature's ids, by default a usual one."""
    found = _find(feature, name, source)
    assert found is not None
    return found


def _found(local: Path | None) -> str:
    """What a folder holds."""
    if local is None or not local.is_dir():
        return ""
    names = sorted(file.name for file in local.iterdir())[:10]
    return f" (it holds {', '.join(names) or 'nothing'})"


def _read_recbole(source: Source, events: Part, columns: _Columns) -> Tables:
    """Read an atomic file and the `.user` and `.item` beside it; a header cell is `name:type`."""
    tables = _read_named(source, replace(columns, user_features=(), item_features=()))
    users = _recbole_features(events, "user", columns.user_features)
    items = _recbole_features(events, "item", columns.item_features)
    return replace(tables, users=users, items=items)


def _recbole_features(events: Part, side: str, names: Sequence[str]) -> pl.DataFrame | None:
    """Read the named features; by default those that MovieLens has in every form."""
    path = f"{events.path[: events.path.lower().rfind('.inter')]}.{side}"
    if not events.system.exists(path):
        if names:
            raise InputError(f"{path} does not exist, and it should hold {', '.join(names)}")
        return None
    source = Source(path, [Part(events.system, path)])
    key = column_of(side, None, source)
    if names:
        return _side(source, source.read([key, *names]), side, key, names)
    known = [name for name in movielens.RECBOLE_FEATURES if name in source.columns]
    table = source.read([key, *known])
    frame = pl.DataFrame([series_of(table[name], name, source) for name in [key, *known]])
    features = [movielens.RECBOLE_FEATURES[name] for name in known]
    return frame.select(pl.col(key).alias(side), *features)


def _read_named(source: Source, columns: _Columns) -> Tables:
    """Read a table with named columns, side features among them."""
    found = {kind: _find(kind, name, source) for kind, name in columns.names.items()}
    chosen = {kind: name for kind, name in found.items() if name is not None}
    for name in (*columns.user_features, *columns.item_features):
        source.check(name, "feature")
    wanted = [*chosen.values(), *columns.user_features, *columns.item_features]
    table = source.read(list(dict.fromkeys(wanted)))
    events = pl.DataFrame(
        [
            series_of(table[name], kind, source, is_needed=kind in ("user", "item"))
            for kind, name in chosen.items()
        ]
    )
    guessed = [
        kind
        for kind in ("user", "item")
        if source.is_text(chosen[kind])
        and source.kind(chosen[kind]) != "token"
        and chosen[kind] not in KNOWN_STRINGS
    ]
    return Tables(
        source.name,
        events,
        _side(source, table, "user", chosen["user"], columns.user_features),
        _side(source, table, "item", chosen["item"], columns.item_features),
        guessed,
        [kind for kind, name in columns.names.items() if name is not None],
        user_column=chosen["user"],
        item_column=chosen["item"],
    )


def _side(
    source: Source, table: pa.Table, side: str, key: str, names: Sequence[str]
) -> pl.DataFrame | None:
    """The ids of one side and their features; None without any."""
    if not names:
        return None
    if side in names:
        raise InputError(f"a side feature cannot be named {side!r}: rename its column")
    features = [_feature(source, table, name) for name in dict.fromkeys(names)]
    return pl.DataFrame([series_of(table[key], side, source), *features])


def _feature(source: Source, table: pa.Table, name: str) -> pl.Series:
    column = series_of(table[name], name, source)
    if not source.is_text(name) or column.dtype != pl.String:
        return column
    match source.kind(name):
        case "token":
            return column.set(column == "", None)
        case "token_seq":
            return column.str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
    return feature_from_text(column, Rows(source.name))


def series_of(
    column: pa.ChunkedArray | pa.Array, name: str, source: Source, *, is_needed: bool = True
) -> pl.Series:
    """A column of Arrow's as Polars has it; nulls where its type is none of ours and not needed."""
    kind = column.type
    is_list = types.is_list(kind) or types.is_large_list(kind)
    if not _is_plain(kind) and not (is_list and _is_string(kind.value_type)):
        if is_needed:
            raise InputError(
                f"the column of {name} of {source.name} is of type {kind}: ids must be integers or "
                "strings, features numbers, strings or lists of strings; convert the column first"
            )
        return pl.Series(name, [None] * len(column), pl.Float64)
    with reading(source.name):
        series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series.alias(name)


def _is_string(kind: pa.DataType) -> bool:
    return any(one(kind) for one in (types.is_string, types.is_large_string, types.is_string_view))


def _is_plain(kind: pa.DataType) -> bool:
    return _is_string(kind) or any(
        one(kind)
        for one in (
            types.is_integer,
            types.is_floating,
            types.is_boolean,
            types.is_decimal128,
            types.is_timestamp,
            types.is_date,
            types.is_null,
            types.is_binary,
            types.is_large_binary,
            types.is_binary_view,
            types.is_fixed_size_binary,
        )
    )


def _find(kind: str, name: str | None, source: Source) -> str | None:
    """Return the name of the column, None for an optional one that is neither named nor there."""
    if name is None:
        known = KNOWN_NAMES.get(kind, (kind,))
        name = next((one for one in known if one in source.columns), None)
        if kind in ("rating", "timestamp") and name and source.columns.count(name) > 1:
            return None  # nobody asked for either
        if name is None and kind not in ("label", "rating", "timestamp"):
            name = known[0]
    if name is not None:
        source.check(name, kind)
    return name
