"""From data frames to interactions: the checks and conversions that all readers share.

A reader hands over frames with canonical column names; what a column may hold is decided here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tablefree.data.interactions import Features, IdType, Interactions
from tablefree.errors import InputError
from tablefree.ids import to_ids

MAX_CATEGORIES = 256

# Units of a timestamp by its size: seconds reach 10^11 in the year 5138.
TIMESTAMP_UNITS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3))


@dataclass(frozen=True)
class Tables:
    """What a reader found.

    Attributes:
        source: Where, for messages.
        events: Columns `user`, `item` and optionally `label`, `rating`, `timestamp`.
        users: Column `user` and one column for each side feature, or None.
        items: Column `item` and one column for each side feature, or None.
    """

    source: str
    events: pl.DataFrame
    users: pl.DataFrame | None = None
    items: pl.DataFrame | None = None


def to_interactions(tables: Tables, name: str, positive_rating: float | None) -> Interactions:
    """Check the columns and convert them; users and items are numbered by first appearance."""
    events, source = tables.events, tables.source
    if not events.height:
        raise InputError(f"{source} holds no rows: pass a file with at least one interaction")
    user, users = _encode(events["user"], source)
    item, items = _encode(events["item"], source)
    rating = _numbers(events, "rating", source)
    label = _numbers(events, "label", source)
    if label is not None and positive_rating is not None:
        raise InputError(
            f"{source} has a label column and positive_rating was given: use one of the two"
        )
    if positive_rating is not None:
        if rating is None:
            raise InputError(f"positive_rating needs a rating column, and {source} has none")
        label = (rating >= positive_rating).astype(np.float64)
    if label is not None:
        _check_labels(label, source, positive_rating)
    timestamp = _numbers(events, "timestamp", source)
    return Interactions(
        name=name,
        user=user,
        item=item,
        user_ids=to_ids(users).numpy(),
        item_ids=to_ids(items).numpy(),
        label=None if label is None else label.astype(np.float32),
        rating=None if rating is None else rating.astype(np.float32),
        timestamp=None if timestamp is None else _to_seconds(timestamp),
        user_features=_features(tables.users, users.rename("user"), source),
        item_features=_features(tables.items, items.rename("item"), source),
        user_id_type=_id_type(users),
        item_id_type=_id_type(items),
    )


def _id_type(ids: pl.Series) -> IdType:
    return "integer" if ids.dtype.is_integer() else "string"


def _encode(ids: pl.Series, source: str) -> tuple[npt.NDArray[np.int64], pl.Series]:
    """Return the position of each id among the distinct ids, and those, by first appearance."""
    kind = ids.name
    if ids.dtype.is_float():
        first = "NaN" if ids.is_nan().any() else ids.drop_nulls().head(1).to_list()
        raise InputError(
            f"the {kind} ids of {source} are floats ({ids.dtype}, such as {first}): ids must be "
            "integers or strings; convert the column first"
        )
    if ids.null_count():
        row = int(ids.is_null().arg_max() or 0) + 1
        raise InputError(
            f"row {row} of {source} has no {kind} id ({ids.null_count()} such rows in all): "
            "remove these rows or fill them in"
        )
    if isinstance(ids.dtype, (pl.Categorical, pl.Enum)):
        ids = ids.cast(pl.String)
    if not (ids.dtype.is_integer() or ids.dtype in (pl.String, pl.Binary)):
        raise InputError(
            f"the {kind} ids of {source} are of type {ids.dtype}: ids must be integers or strings"
        )
    encoded = ids.to_arrow().dictionary_encode()
    positions = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return positions, pl.Series(kind, encoded.dictionary)


def _numbers(events: pl.DataFrame, name: str, source: str) -> npt.NDArray[np.float64] | None:
    if name not in events.columns:
        return None
    column = events[name]
    if column.dtype.is_temporal():
        column = column.cast(pl.Datetime("ms")).dt.epoch("ms")
    if not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        raise InputError(
            f"the {name} column of {source} is of type {column.dtype}: it must hold numbers"
        )
    numbers = column.cast(pl.Float64).fill_nan(None)
    if numbers.null_count():
        row = int(numbers.is_null().arg_max() or 0) + 1
        raise InputError(
            f"row {row} of {source} has no {name}, or none that is a number "
            f"({numbers.null_count()} such rows in all): remove these rows or fill them in"
        )
    return numbers.to_numpy()


def _check_labels(
    label: npt.NDArray[np.float64], source: str, positive_rating: float | None
) -> None:
    wrong = np.flatnonzero((label != 0) & (label != 1))
    if len(wrong):
        raise InputError(
            f"labels must be 0 or 1, row {wrong[0] + 1} of {source} has {label[wrong[0]]:g}: "
            "for ratings name the rating column and a positive_rating"
        )
    if label.min() == label.max():
        remedy = (
            "leave the label out if every row is a positive"
            if positive_rating is None
            else f"choose another positive_rating than {positive_rating:g}"
        )
        raise InputError(f"all labels of {source} are {label[0]:g}, and both are needed: {remedy}")


def _to_seconds(timestamp: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Convert seconds, milliseconds, microseconds or nanoseconds, told apart by their size."""
    largest = timestamp.max()
    per_second = next((unit for least, unit in TIMESTAMP_UNITS if largest > least), 1)
    return np.floor_divide(timestamp, per_second).astype(np.int64)


def _features(table: pl.DataFrame | None, ids: pl.Series, source: str) -> Features | None:
    """Align a table of side features with the ids; the first row of an id counts."""
    if table is None or table.width < 2:
        return None
    key = ids.name
    if table[key].dtype != ids.dtype:
        table = table.with_columns(pl.col(key).cast(ids.dtype))
    aligned = ids.to_frame().join(
        table.unique(key, keep="first", maintain_order=True),
        on=key,
        how="left",
        maintain_order="left",
    )
    names: list[str] = []
    are_numbers: list[bool] = []
    columns: list[npt.NDArray[np.floating]] = []
    for column in aligned.drop(key).iter_columns():
        if column.dtype.is_numeric() or column.dtype == pl.Boolean:
            names.append(column.name)
            numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
            columns.append(numbers[:, None])
            are_numbers.append(True)
        else:
            categories, values = _one_hot(column, source)
            names += [f"{column.name}={category}" for category in categories]
            columns.append(values)
            are_numbers += [False] * len(categories)
    return Features(tuple(names), np.concatenate(columns, axis=1), tuple(are_numbers))


def _one_hot(column: pl.Series, source: str) -> tuple[Sequence[str], npt.NDArray[np.float32]]:
    """Encode a category, or a list of them, as 0/1; a missing category is all zeros."""
    if column.dtype != pl.List(pl.String):
        column = column.cast(pl.String).reshape((-1, 1)).arr.to_list()
    pairs = (
        pl.DataFrame({"row": np.arange(len(column)), "category": column})
        .explode("category")
        .drop_nulls("category")
    )
    categories = pairs["category"].unique().sort()
    if len(categories) > MAX_CATEGORIES:
        raise InputError(
            f"the side feature {column.name} of {source} has {len(categories)} categories and at "
            f"most {MAX_CATEGORIES} are possible: leave it out or group its values"
        )
    values = np.zeros((len(column), len(categories)), np.float32)
    values[pairs["row"].to_numpy(), categories.search_sorted(pairs["category"]).to_numpy()] = 1
    return categories.to_list(), values
