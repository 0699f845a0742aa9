"""Read interactions from a file or folder, whatever its form.

Recognises MovieLens (`movielens`), Amazon reviews (`amazon`), RecBole's atomic files, libFM's text
files (`libfm`) and any CSV, TSV, JSON lines or Parquet file with named columns. Polars reads only
the columns that are needed.
"""

import gzip
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl

from tablefree.data import amazon, libfm, movielens
from tablefree.data.columns import Tables, to_interactions
from tablefree.data.interactions import Interactions
from tablefree.data.text import feature_from_text, ids_from_text
from tablefree.errors import InputError

# The names by which a column goes when none is given, most specific first: ours, MovieLens',
# Amazon's of 2023 and of 2014.
KNOWN_NAMES = {
    "user": ("user_id", "userId", "reviewerID"),
    "item": ("item_id", "movie_id", "movieId", "parent_asin", "asin"),
    "label": ("label",),
    "rating": ("rating", "overall"),
    "timestamp": ("timestamp", "unixReviewTime"),
}
FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "tsv",
    ".libfm": "libfm",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
}
INFERENCE_ROWS = 10_000
RECOGNISED = (
    "MovieLens (u.data, ratings.dat or ratings.csv, or the owner's zip), Amazon reviews (.json, "
    ".csv, .gz), RecBole (.inter), libFM (.libfm), and one CSV, TSV, JSON lines or Parquet file"
)


@dataclass(frozen=True)
class _Columns:
    """The names given by the caller.

    Attributes:
        names: For each kind of `KNOWN_NAMES` a name, or None: whichever known name is there.
        user_features: Side features of users.
        item_features: Side features of items.
    """

    names: Mapping[str, str | None]
    user_features: tuple[str, ...]
    item_features: tuple[str, ...]


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
) -> Interactions:
    """Read interactions and recognise their form.

    Users and items are numbered in order of first appearance. In a CSV file a column of ids is
    one of integers when every value is an integer without leading zeros, and of strings
    otherwise. Numeric side features are standardised, others become one column for each of at
    most 256 categories; the first row of a user or item counts, and a missing value is 0 (for
    numbers: the mean).

    Args:
        path: A MovieLens zip or folder; Amazon reviews; a RecBole `.inter` file or its folder; a
            `.csv`, `.tsv`, `.json`/`.jsonl` (lines; all three also `.gz`) or `.parquet` file, or a
            folder with one of those; a `.libfm` file (also `.gz`) of categorical fields, or a
            folder of them, joined in order of name: the first field is the user, the second the
            item, and the further ones (context) are not part of `Interactions`.
        user_column: Name of the column of user ids; `user_id` and other usual names by default.
        item_column: Likewise; `item_id` by default.
        label_column: Column of 0 and 1; `label` by default if there is one. Without labels every
            row is a positive.
        rating_column: `rating` by default if there is one.
        timestamp_column: Seconds since 1970 (milliseconds, microseconds and nanoseconds are told
            by their size), or a date type; `timestamp` by default if there is one.
        user_feature_columns: Names of side features of users.
        item_feature_columns: Names of side features of items.
        positive_rating: The label is 1 for ratings of at least this much, else 0.

    Raises:
        InputError: One line that names what is wrong with the file, where, and what to do.

    Example:
        >>> read_interactions("ml-1m.zip", positive_rating=4)
        >>> read_interactions("clicks.parquet", user_column="visitor", item_column="article")
    """
    path = Path(path)
    names = {
        "user": user_column,
        "item": item_column,
        "label": label_column,
        "rating": rating_column,
        "timestamp": timestamp_column,
    }
    columns = _Columns(names, tuple(user_feature_columns), tuple(item_feature_columns))
    if not path.exists():
        raise InputError(f"{path} does not exist: pass the path of a file or folder")
    try:
        tables = _read_tables(path, columns)
    except (pl.exceptions.PolarsError, OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path} cannot be read ({reason}): is it whole and in its form?"
        ) from error
    return to_interactions(tables, path.resolve().name.split(".")[0], positive_rating)


def _read_tables(path: Path, columns: _Columns) -> Tables:
    if path.is_dir():
        return _read_folder(path, columns)
    if path.suffix == ".zip":
        _refuse_names(path, "MovieLens", columns)
        return movielens.read_zip(path)
    if _format(path) == "libfm":
        _refuse_names(path, "libFM", columns)
        return Tables(str(path), libfm.read_files([path]))
    if path.suffix == ".inter":
        return _read_recbole(path, columns)
    return _read_named(path, columns)


def _read_folder(folder: Path, columns: _Columns) -> Tables:
    if tables := movielens.read_folder(folder):
        _refuse_names(folder, "MovieLens", columns)
        return tables
    files = sorted(file for file in folder.iterdir() if file.is_file() and _format(file))
    if files and all(_format(file) == "libfm" for file in files):
        _refuse_names(folder, "libFM", columns)
        return Tables(str(folder), libfm.read_files(files))
    if len(files) != 1:
        found = ", ".join(sorted(file.name for file in folder.iterdir())[:10]) or "nothing"
        raise InputError(
            f"the folder {folder} is in no known form (it holds {found}): recognised are "
            f"{RECOGNISED}; or pass the path of one file"
        )
    tables = _read_tables(files[0], columns)
    if (folder / "movies.dat").is_file():
        users, items = movielens.features_1m(folder)
        return Tables(tables.source, tables.events, users, items)
    return tables


def _format(path: Path) -> str | None:
    suffixes = [suffix for suffix in path.suffixes if suffix != ".gz"]
    return FORMATS.get(suffixes[-1]) if suffixes else None


def _refuse_names(path: Path, form: str, columns: _Columns) -> None:
    given = [*filter(None, columns.names.values()), *columns.user_features, *columns.item_features]
    if given:
        raise InputError(
            f"{path} is {form}, whose columns are known: leave out the column names "
            f"({', '.join(given)})"
        )


def _read_recbole(path: Path, columns: _Columns) -> Tables:
    """Read an atomic file and the `.user` and `.item` beside it; a header cell is `name:type`."""
    events = _select(_scan_recbole(path), columns.names, (), path)
    users = _recbole_features(path.with_suffix(".user"), columns.user_features)
    items = _recbole_features(path.with_suffix(".item"), columns.item_features)
    return Tables(str(path), events, users, items)


def _recbole_features(path: Path, names: Sequence[str]) -> pl.DataFrame | None:
    """Read the named features; by default those that MovieLens has in every form."""
    if not path.is_file():
        if names:
            raise InputError(f"{path} does not exist, and it should hold {', '.join(names)}")
        return None
    side = path.suffix[1:]
    frame = _scan_recbole(path)
    table = _select(frame, {side: None}, names or frame.collect_schema().names(), path)
    if names:
        return table
    known = [value for name, value in movielens.RECBOLE_FEATURES.items() if name in table.columns]
    return table.select(side, *known)


def _read_named(path: Path, columns: _Columns) -> Tables:
    """Read a file with named columns, side features among them."""
    features = (*columns.user_features, *columns.item_features)
    table = _select(_scan(path), columns.names, features, path)
    events = table.select(name for name in table.columns if name in KNOWN_NAMES)
    users = table.select("user", *columns.user_features)
    items = table.select("item", *columns.item_features)
    return Tables(str(path), events, users, items)


def _scan(path: Path) -> pl.LazyFrame:
    match _format(path):
        case "parquet":
            return pl.scan_parquet(path, glob=False)
        case "json":
            return pl.scan_ndjson(path, infer_schema_length=INFERENCE_ROWS)
        case "csv":
            if names := amazon.headerless_columns(path, _first_lines(path)):
                schema = dict.fromkeys(names, pl.String)
                return pl.scan_csv(path, has_header=False, schema=schema, glob=False)
            return pl.scan_csv(path, infer_schema=False, glob=False)
        case "tsv":
            return pl.scan_csv(path, separator="\t", infer_schema=False, glob=False)
    raise InputError(f"{path} is in no known form: recognised are {RECOGNISED}")


def _scan_recbole(path: Path) -> pl.LazyFrame:
    frame = pl.scan_csv(path, separator="\t", quote_char=None, infer_schema=False, glob=False)
    return frame.rename(lambda name: name.split(":")[0])


def _first_lines(path: Path) -> list[str]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        return [line.rstrip("\r\n") for line in islice(file, INFERENCE_ROWS)]


def _select(
    frame: pl.LazyFrame, names: Mapping[str, str | None], features: Sequence[str], path: Path
) -> pl.DataFrame:
    """Read the needed columns: those of `names` under their kind, features under their own."""
    available = frame.collect_schema().names()
    chosen = {kind: _find(kind, name, available, path) for kind, name in names.items()}
    for name in features:
        _find("feature", name, available, path)
    is_text = _format(path) not in ("parquet", "json")
    expressions = [_canonical(kind, name, is_text) for kind, name in chosen.items() if name]
    table = frame.select(*expressions, *dict.fromkeys(features)).collect()
    if not is_text:
        return table
    return table.with_columns(
        ids_from_text(column, str(path))
        if column.name in ("user", "item")
        else feature_from_text(column)
        for column in table.iter_columns()
        if column.dtype == pl.String
    )


def _canonical(kind: str, name: str, is_text: bool) -> pl.Expr:
    column = pl.col(name).alias(kind)
    # What is no number becomes a missing one and is refused with its row.
    return (
        column if kind in ("user", "item") or not is_text else column.cast(pl.Float64, strict=False)
    )


def _find(kind: str, name: str | None, available: Sequence[str], path: Path) -> str | None:
    """Return the name of the column, None for an optional one that is neither named nor there."""
    if name is not None:
        if name not in available:
            raise InputError(
                f"{path} has no column {name!r} ({kind}); its columns are {', '.join(available)}"
            )
        return name
    known = next((known for known in KNOWN_NAMES[kind] if known in available), None)
    if known is None and kind in ("user", "item"):
        raise InputError(
            f"{path} has no column {KNOWN_NAMES[kind][0]!r}; its columns are "
            f"{', '.join(available)}: name the column of {kind} ids"
        )
    return known
