"""Columns of users and of items that lie in files of their own, beside the events' columns.

RecBole and MovieLens have such files. A row of events has what they say of its user and its item:
to a model their columns are columns like any other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from pyarrow import compute, types

from tablefree.data import movielens
from tablefree.data.columns import Tables
from tablefree.data.parser import Source
from tablefree.data.parts import SIDES, Part, reading, side_of
from tablefree.data.read import KNOWN_NAMES

INTER = ".inter"  # of RecBole's events


@dataclass(frozen=True)
class Side:
    """What is known of the users, or of the items.

    Attributes:
        key: the column of the events that has their ids.
        rows: their ids, then their columns.
        source: where they are from, for the types of text; None of typed ones.
        told: the names that they have there.
    """

    key: str
    rows: pa.Table
    source: Source | None
    told: Mapping[str, str]

    @property
    def columns(self) -> list[str]:
        """The names, without that of the ids."""
        return list(self.rows.column_names[1:])

    def of(self, ids: pa.Array, name: str) -> pa.Array:
        """What a column says of each id; null for an id that is not there, or is missing."""
        known = self.rows.column(0).combine_chunks()
        if types.is_integer(ids.type) and types.is_integer(known.type):
            ids = ids.cast(known.type, safe=False)
        if types.is_string(ids.type) or types.is_large_string(ids.type):  # in text empty is missing
            is_missing = compute.equal(compute.binary_length(ids), 0)
            ids = compute.if_else(is_missing, pa.scalar(None, ids.type), ids)
        with reading(f"the ids of {self.key}"):  # integers as text, or as floats
            known = known.cast(ids.type)
        places = compute.index_in(ids, value_set=known, skip_nulls=True)
        return self.rows[name].combine_chunks().take(places)


def beside(events: Part) -> list[Part]:
    """RecBole's files of users and items beside one of events, packed as that or not."""
    at = events.path.lower().rfind(INTER)
    if at < 0:
        return []
    stem, codec = events.path[:at], events.path[at + len(INTER) :]
    is_upper = events.path[at : at + len(INTER)].isupper()
    ends = [end.upper() if is_upper else end for end in SIDES]
    paths = [f"{stem}{one}{packed}" for one in ends for packed in dict.fromkeys(("", codec))]
    return [Part(events.system, path) for path in paths if events.system.exists(path)]


def sides_of(events: Source, parts: Sequence[Part], folder: Path | None) -> list[Side]:
    """The files of users and items beside a table of events, as far as it has their ids.

    Of a column that the events, or another side, have too, the name has "user." or "item." before.

    Args:
        events: the table.
        parts: all files at its address, those of RecBole's sides among them.
        folder: where it is, if that is a folder of this machine: MovieLens 1M's may be there.

    Raises:
        InputError: a side that cannot be read.
    """
    sides: list[Side] = []
    taken = set(events.columns)
    for kind, rows, source in _found(events, parts, folder):
        key = next(
            (one for one in (*KNOWN_NAMES[kind], *rows.column_names[:1]) if one in events.columns),
            None,
        )
        if key is None:
            continue
        names = [key, *rows.column_names[1:]]
        names = [key, *(f"{kind}.{name}" if name in taken else name for name in names[1:])]
        told = dict(zip(names, rows.column_names, strict=True))
        taken |= {*names}
        sides.append(Side(key, rows.rename_columns(names), source, told))
    return sides


def _found(
    events: Source, parts: Sequence[Part], folder: Path | None
) -> Iterator[tuple[str, pa.Table, Source | None]]:
    """Which side a file is of, its rows, the ids first, and where text is from."""
    for part in parts if events.form == "recbole" else ():
        if (kind := side_of(part.path)) is not None:
            source = Source(part.path, [part])
            usual = [name for name in source.columns if name in KNOWN_NAMES[kind]]
            names = list(dict.fromkeys([*usual[:1], *source.columns]))
            yield kind, source.read(names), source
    if folder is not None and (folder / "movies.dat").is_file():
        for kind, frame in zip(("user", "item"), movielens.features_1m(folder), strict=True):
            if frame is not None:
                yield kind, frame.to_arrow(compat_level=pl.CompatLevel.oldest()), None


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
    return frame.rename({"user": tables.user_column, "item": tables.item_column})
