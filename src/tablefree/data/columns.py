"""From data frames to interactions: the checks and conversions that all readers share.

A reader hands over frames with canonical column names; what a column may hold is decided here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tablefree.data.id_types import id_type_of, typed_ids
from tablefree.data.interactions import Features, Interactions
from tablefree.data.numbers import as_numbers, check_finite, nanoseconds, numbers
from tablefree.data.parts import Rows
from tablefree.errors import InputError
from tablefree.ids import IdType, to_ids

MAX_CATEGORIES = 256


@dataclass(frozen=True)
class Tables:
    """What a reader found.

    Attributes:
        source: Where, for messages.
        events: Columns `user`, `item` and optionally `label`, `rating`, `timestamp`.
        users: Column `user` and one column for each side feature, or None.
        items: Column `item` and one column for each side feature, or None.
        guessed: Those of `user` and `item` that are text of no known type.
        named: Those columns of `events` that the caller named.
        form: What has columns of its own, "MovieLens" or "libFM"; "" for other tables.
        user_column: Its name in the source.
        item_column: Likewise.
    """

    source: str
    events: pl.DataFrame
    users: pl.DataFrame | None = None
    items: pl.DataFrame | None = None
    guessed: Collection[str] = ()
    named: Collection[str] = ()
    form: str = ""
    user_column: str = "user_id"
    item_column: str = "item_id"


def to_interactions(
    tables: Tables,
    name: str,
    positive_rating: float | None,
    id_types: Sequence[IdType | None] = (None, None),
) -> Interactions:
    """Check the columns and convert them; users and items are numbered by first appearance."""
    events, source = tables.events, tables.source
    if not events.height:
        raise InputError(f"{source} holds no rows: pass a file with at least one interaction")
    user, users, user_ids = _encode(tables, "user", id_types[0])
    item, items, item_ids = _encode(tables, "item", id_types[1])
    is_rating_needed = "rating" in tables.named or positive_rating is not None
    rating = _numbers(events, "rating", source, is_needed=is_rating_needed)
    label = _numbers(events, "label", source, is_needed=True)
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
    return Interactions(
        name=name,
        user=user,
        item=item,
        user_ids=to_ids(user_ids).numpy(),
        item_ids=to_ids(item_ids).numpy(),
        label=None if label is None else label.astype(np.float32),
        rating=None if rating is None else rating.astype(np.float32),
        timestamp=_times(tables),
        user_features=_features(tables.users, users, source),
        item_features=_features(tables.items, items, source),
        user_id_type=id_type_of(user_ids),
        item_id_type=id_type_of(item_ids),
        user_column=tables.user_column,
        item_column=tables.item_column,
    )


def _encode(
    tables: Tables, kind: str, id_type: IdType | None
) -> tuple[npt.NDArray[np.int64], pl.Series, pl.Series]:
    """The position of each id among the distinct ones, and those as they are, and in their type."""
    found = tables.events[kind]
    ids = typed_ids(found, Rows(tables.source), id_type, is_text=kind in tables.guessed)
    encoded = ids.to_arrow().dictionary_encode()
    positions = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    first = np.unique(positions, return_index=True)[1]
    return positions, found[first], pl.Series(kind, encoded.dictionary)


def _numbers(
    events: pl.DataFrame, name: str, source: str, *, is_needed: bool
) -> npt.NDArray[np.float64] | None:
    """A column of numbers; None if it is not there, or unfit and not needed."""
    if name not in events.columns:
        return None
    if not is_needed and as_numbers(events[name]).null_count():
        return None
    return numbers(events[name], Rows(source))


def _times(tables: Tables) -> npt.NDArray[np.int64] | None:
    if "timestamp" not in tables.events.columns:
        return None
    column, is_needed = tables.events["timestamp"], "timestamp" in tables.named
    return nanoseconds(column, Rows(tables.source), is_needed=is_needed)


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


def _features(table: pl.DataFrame | None, ids: pl.Series, source: str) -> Features | None:
    """Align a table of side features with the ids; the first row of an id counts."""
    if table is None or table.width < 2:
        return None
    key = ids.name
    for column in table.drop(key).iter_columns():
        _check_feature(column, source)
    if table[key].dtype != ids.dtype:
        table = table.with_columns(pl.col(key).cast(ids.dtype, strict=False))
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
            numbers = as_numbers(column).fill_null(float("nan")).to_numpy()
            columns.append(numbers[:, None])
            are_numbers.append(True)
        else:
            categories, values = _one_hot(column, source)
            names += [f"{column.name}={category}" for category in categories]
            columns.append(values)
            are_numbers += [False] * len(categories)
    return Features(tuple(names), np.concatenate(columns, axis=1), tuple(are_numbers))


def _check_feature(column: pl.Series, source: str) -> None:
    """Refuse what is neither a number nor a category, and numbers that are not finite."""
    dtype = column.dtype
    if dtype.is_numeric() or dtype == pl.Boolean:
        check_finite(as_numbers(column), Rows(source))
    elif (dtype.is_nested() and dtype != pl.List(pl.String)) or dtype in (pl.Binary, pl.Object):
        raise InputError(
            f"the side feature {column.name} of {source} is of type {dtype}: it must hold numbers, "
            "strings or lists of strings"
        )


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
