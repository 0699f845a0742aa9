"""Columns of users and of items that lie in files of their own, beside the events' columns.

RecBole and MovieLens have such files. A row of events has what they say of its user and its item:
to a model their columns are columns like any other.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import compute

from tablefree.data import movielens
from tablefree.data.columns import Tables
from tablefree.data.parser import Source
from tablefree.data.parts import Part
from tablefree.data.read import column_of
from tablefree.errors import InputError

SUFFIXES = {".user": "user", ".item": "item"}  # of RecBole's files


@dataclass(frozen=True)
class Side:
    """What is known of the users, or of the items.

    Attributes:
        key: the column of the events that has their ids.
        rows: their ids, then their columns.
        source: where they are from, for the types of text; None of typed ones.
    """

    key: str
    rows: pa.Table
    source: Source | None = None

    @property
    def columns(self) -> list[str]:
        """The names, without that of the ids."""
        return list(self.rows.column_names[1:])

    def of(self, ids: pa.Array, name: str) -> pa.Array:
        """What a column says of each id; null for an id that is not there."""
        known = self.rows.column(0).combine_chunks()
        places = compute.index_in(ids.cast(known.type), value_set=known)
        return self.rows[name].combine_chunks().take(places)


def sides_of(events: Source, parts: Sequence[Part], folder: Path | None) -> list[Side]:
    """The files of users and items beside a table of events.

    Args:
        events: the table.
        parts: all files at its address, those of RecBole's sides among them.
        folder: where it is, if that is a folder of this machine: MovieLens 1M's may be there.

    Raises:
        InputError: a side without ids, or with a column that the events have too.
    """
    found: list[Side] = []
    for part in parts:
        kind = next((one for end, one in SUFFIXES.items() if part.path.endswith(end)), None)
        if kind is None or events.form != "recbole":
            continue
        source = Source(part.path, [part])
        key = column_of(kind, None, source)
        if key not in events.columns:
            continue
        others = [name for name in source.columns if name != key]
        found.append(Side(key, source.read([key, *others]), source))
    if folder is not None and (folder / "movies.dat").is_file():
        frames = zip(("user", "item"), movielens.features_1m(folder), strict=True)
        found += [
            _side(column_of(kind, None, events), one) for kind, one in frames if one is not None
        ]
    _check_names(events, found)
    return found


def joined(events: Source, sides: Sequence[Side], names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of events with some columns, of theirs and of the sides."""
    of_side = {name: side for side in sides for name in side.columns}
    keys = (of_side[name].key if name in of_side else name for name in names)
    for batch in events.batches(list(dict.fromkeys(keys))):
        arrays = [
            of_side[name].of(batch.column(of_side[name].key), name)
            if name in of_side
            else batch.column(name)
            for name in names
        ]
        yield pa.RecordBatch.from_arrays(arrays, list(names))


def in_memory(tables: Tables) -> pl.DataFrame:
    """The events of MovieLens as its owner has them, with the columns of their users and items."""
    frame = tables.events
    for side, key in ((tables.users, "user"), (tables.items, "item")):
        if side is not None:
            frame = frame.join(
                side.unique(key, keep="first"), on=key, how="left", maintain_order="left"
            )
    return frame.rename({"user": "user_id", "item": "item_id"})


def _side(key: str, frame: pl.DataFrame) -> Side:
    typed = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    return Side(key, typed)


def _check_names(events: Source, sides: Iterable[Side]) -> None:
    taken = dict.fromkeys(events.columns, events.name)
    for side in sides:
        where = side.source.name if side.source else "the file of its users or items"
        for name in side.columns:
            if name in taken:
                raise InputError(
                    f"the column {name!r} is in {taken[name]} and in {where}: rename one of them"
                )
            taken[name] = where
