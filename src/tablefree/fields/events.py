"""Events as tensors: the ids of categorical columns, bags, numbers, labels, times, groups."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from jaxtyping import Int
from numpy.typing import NDArray
from pyarrow import compute
from torch import Tensor

from tablefree.data.parts import Rows
from tablefree.embeddings.feature_ids import FeatureIds
from tablefree.embeddings.jagged import Bags
from tablefree.fields.kinds import PLURAL, Column
from tablefree.fields.periods import PERIODS, periods
from tablefree.fields.table import Table, is_list, plain
from tablefree.fields.values import (
    MISSING,
    PickedRows,
    ids_of,
    labels_of,
    numbers_of,
    refused,
    times_of,
)


@dataclass(frozen=True)
class Events:
    """Rows of a table, as they are before numbers are scaled.

    Attributes:
        names: of the columns of `ids`.
        ids: int64 `[n, columns]`, of categorical columns and of the periods of dates.
        bags: of columns of lists, by name.
        numbers: float64 `[n, numeric columns]`, NaN where one is missing.
        labels: float32 `[n]`, NaN where one is missing; None without such a column.
        times: int64 nanoseconds since 1970 `[n]`; None without such a column.
        groups: int64 ids `[n]`; None without such a column.
    """

    names: tuple[str, ...]
    ids: Int[Tensor, "n columns"]
    bags: dict[str, Bags]
    numbers: NDArray[np.float64]
    labels: NDArray[np.float32] | None
    times: NDArray[np.int64] | None
    groups: NDArray[np.int64] | None

    def __len__(self) -> int:
        """Number of events."""
        return len(self.numbers)

    def at(self, rows: NDArray[np.int64]) -> Self:
        """Some of the events, in this order."""
        places = torch.from_numpy(rows)
        return replace(
            self,
            ids=self.ids[places],
            bags={name: bags.at(places) for name, bags in self.bags.items()},
            numbers=self.numbers[rows],
            labels=None if self.labels is None else self.labels[rows],
            times=None if self.times is None else self.times[rows],
            groups=None if self.groups is None else self.groups[rows],
        )

    def features(self) -> dict[str, FeatureIds]:
        """The ids of each column, by name, as a collection takes them."""
        return {**dict(zip(self.names, self.ids.unbind(1), strict=True)), **self.bags}

    @classmethod
    def joined(cls, parts: Sequence["Events"]) -> "Events":
        """All rows of some, of the same columns."""
        first = parts[0]

        def of(name: str) -> NDArray[np.generic] | None:
            arrays = [getattr(part, name) for part in parts]
            return None if arrays[0] is None else np.concatenate(arrays)

        return Events(
            first.names,
            torch.cat([part.ids for part in parts]),
            {name: _joined_bags([part.bags[name] for part in parts]) for name in first.bags},
            np.concatenate([part.numbers for part in parts]),
            of("labels"),  # type: ignore[arg-type]
            of("times"),  # type: ignore[arg-type]
            of("groups"),  # type: ignore[arg-type]
        )


def read_events(table: Table, columns: Sequence[Column]) -> Events:
    """All rows of a table.

    Raises:
        InputError: as `events_of`, and what the table raises.
    """
    return Events.joined(list(event_batches(table, columns)) or [no_events(columns)])


def event_batches(table: Table, columns: Sequence[Column]) -> Iterator[Events]:
    """The rows of a table as its files or its frame divide them.

    Raises:
        InputError: as `events_of`, and what the table raises.
    """
    start = 0
    for batch in table.batches([one.name for one in columns]):
        yield events_of(batch, columns, Rows(table.name, start=start))
        start += len(batch)


def regrouped(batches: Iterable[Events], size: int) -> Iterator[Events]:
    """The same rows, always `size` at a time, but for the last."""
    waiting: list[Events] = []
    for batch in batches:
        start = 0
        while start < len(batch):
            room = size - sum(map(len, waiting))
            waiting.append(batch.at(np.arange(start, min(start + room, len(batch)))))
            start += room
            if sum(map(len, waiting)) == size:
                yield Events.joined(waiting)
                waiting = []
    if waiting:
        yield Events.joined(waiting)


def no_events(columns: Sequence[Column]) -> Events:
    """No row, of some columns."""
    empty = {one.name: pa.nulls(0) for one in columns}
    return events_of(pa.RecordBatch.from_pydict(empty), columns, Rows("nothing"))


def events_of(batch: pa.RecordBatch, columns: Sequence[Column], rows: Rows) -> Events:
    """The rows of a batch, which has all columns by their names.

    Raises:
        InputError: a value that is not of its column's type; the message names the row.
    """
    ids: dict[str, NDArray[np.int64]] = {}
    bags: dict[str, Bags] = {}
    numbers: list[NDArray[np.float64]] = []
    labels = times = groups = None
    for column in columns:
        name, array = column.name, batch.column(column.name)
        match column.kind:
            case "categorical":
                ids[name] = ids_of(array, column.type, name, rows)
            case "bag":
                bags[name] = _bags_of(array, column, rows)
            case "numeric":
                numbers.append(numbers_of(array, name, rows))
            case "group":
                groups = ids[name] = ids_of(array, column.type, name, rows)
            case "label":
                labels = labels_of(array, name, rows)
            case _:
                found = times_of(array, name, rows, column.resolution)
                if column.kind == "time":
                    times = found
                if column.resolution != "order":
                    of_periods = periods(found).items()
                    ids |= {f"{name}:{period}": values for period, values in of_periods}
    return Events(
        tuple(ids),
        torch.from_numpy(_side_by_side(list(ids.values()), len(batch), np.int64)),
        bags,
        _side_by_side(numbers, len(batch), np.float64),
        labels,
        times,
        groups,
    )


def feature_names(columns: Sequence[Column]) -> list[str]:
    """The names of what is embedded: columns, and periods of dates."""
    names: list[str] = []
    for column in columns:
        if column.kind in ("categorical", "group"):
            names.append(column.name)
        elif column.kind in ("date", "time") and column.resolution != "order":
            names += [f"{column.name}:{period}" for period in PERIODS]
    return names + [column.name for column in columns if column.kind == "bag"]


def _side_by_side(
    arrays: Sequence[NDArray[Any]], num_rows: int, dtype: type[np.generic]
) -> NDArray[Any]:
    """Arrays [n] as the columns of one [n, arrays], in which a row lies together."""
    # Two copies in order take a fourth of the time of one that jumps, as by np.stack.
    stacked = np.array(arrays, dtype).reshape(len(arrays), num_rows)
    return np.ascontiguousarray(stacked.T)


def _bags_of(array: pa.Array, column: Column, rows: Rows) -> Bags:
    """A bag of each list; of a missing one it holds `MISSING`, as of a value that is missing."""
    if not is_list(array.type):
        if array.null_count < len(array):
            first = int(array.is_valid().to_numpy(zero_copy_only=False).argmax())
            raise refused(array, first, column.name, f"lists of {PLURAL[column.type]}", rows)
        array = pa.nulls(len(array), pa.list_(pa.null()))
    in_lists = PickedRows.of(rows, compute.list_parent_indices(array).to_numpy())
    values = ids_of(plain(array.flatten()), column.type, column.name, in_lists)
    sizes = array.value_lengths().fill_null(0).to_numpy().astype(np.int64)
    is_missing = array.is_null().to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(sizes + is_missing)])
    ids = np.full(int(offsets[-1]), MISSING)
    is_value = np.ones(len(ids), bool)
    is_value[offsets[:-1][is_missing]] = False
    ids[is_value] = values
    return Bags(torch.from_numpy(ids), torch.from_numpy(offsets))


def _joined_bags(parts: Sequence[Bags]) -> Bags:
    sizes = torch.cat([part.offsets.diff() for part in parts])
    return Bags(torch.cat([part.ids for part in parts]), F.pad(sizes.cumsum(0), (1, 0)))
