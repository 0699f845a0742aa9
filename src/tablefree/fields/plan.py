"""Which columns keep tables, which have claimed rows, and what each costs: within so many bytes.

A table and its vocabulary grow with the distinct values of a column, and a small one is cheap. In
the others an id claims a row of full width while it trains, and the rows are packed afterwards (see
`tablefree.pack`). Where the bytes do not reach for a row for each id, packing keeps those that are
worth the most, and the others have one in common: a value that occurs once teaches a row of its own
nothing that is asked again. Where the bytes hardly reach for any, all ids share rows, two each, as
by the method "multi_hash" they do everywhere: better where many values occur once and yet tell
something.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from tablefree.checks import check_choice, check_number, check_positive
from tablefree.embeddings.budget import CLAIMED_ROOM, CLAIMED_SHARED, deep_hash_shape
from tablefree.encodings.row_claims import FINGERPRINT_BYTES, SLOTS
from tablefree.errors import InputError
from tablefree.fields.events import feature_names
from tablefree.fields.growth import extrapolated
from tablefree.fields.kinds import Column
from tablefree.fields.periods import PERIODS
from tablefree.fields.profile import Profile, profile

LARGE_METHODS: Final = ("claimed_rows", "multi_hash", "hashing_trick", "deep_hash", "full_table")
SMALL = 300  # values: a table of so many costs less than what is shared by any packed rows
MOST_OF_TABLES = 0.5  # of the bytes
ID_BYTES = 8  # of an id in a vocabulary
FEWEST_CODE_BYTES = 4  # of a row: with fewer, fewer rows are better
FEWEST_ROW_BYTES = FINGERPRINT_BYTES + FEWEST_CODE_BYTES
FEWEST_BYTES = 3  # for an id, from which on some have rows
SHARED_HASHES = 2  # rows that an id without one of its own shares
SHARED_CODE_BYTES = 2  # of a row that ids share
HASHED_BYTES = 2  # of a number, of rows that are hashed and packed as float16
SIGHTINGS = 2  # of a value, for a row of its own where not every one can have one


@dataclass(frozen=True)
class FieldPlan:
    """What a feature gets.

    Attributes:
        name: of the feature: the column, or a period of it.
        method: one of `LARGE_METHODS`; "full_table" has a vocabulary.
        num_ids: distinct values that are expected.
        num_rows: of its embedding when it is packed.
        row_bytes: of a packed row, about; of a table in float16.
        num_bytes: in all when packed, about, the vocabulary included.
        table_bytes: of a float32 table with its vocabulary.
        pooling: of a bag, "mean"; else None.
        why: for the user.
    """

    name: str
    method: str
    num_ids: int
    num_rows: int
    row_bytes: float
    num_bytes: int
    table_bytes: int
    pooling: str | None
    why: str


@dataclass(frozen=True)
class Plan:
    """What each feature gets, within a number of bytes.

    Attributes:
        embedding_dim: width of all embeddings.
        num_bytes: the budget of all packed embeddings and vocabularies; None for tables in float32.
        fields: in the order of the columns.
        columns: of the table, the label among them.
    """

    embedding_dim: int
    num_bytes: int | None
    fields: tuple[FieldPlan, ...]
    columns: tuple[Column, ...]

    @property
    def table_bytes(self) -> int:
        """Of float32 tables with their vocabularies."""
        return sum(one.table_bytes for one in self.fields)

    def config(self, sizes: Mapping[str, int] | None = None) -> dict[str, dict[str, Any]]:
        """What `EmbeddingCollection` is made of.

        The tables in it are of positions in a vocabulary, and the last row is of unknown values.

        Args:
            sizes: of the vocabularies, see `Encoder`; by default as planned.
        """
        config = {one.name: _config(one, self.embedding_dim) for one in self.fields}
        for name, size in (sizes or {}).items():
            config[name]["num_embeddings"] = max(1, size)
        return config


def plan(
    data: Any,
    *,
    num_bytes: int | None = None,
    ratio: float | None = None,
    embedding_dim: int = 16,
    method: str = "claimed_rows",
    growth: float = 1.0,
    **columns: Any,
) -> Plan:
    """What the columns of a table get within a number of bytes.

    Args:
        data: what `profile` takes, or a `Profile`.
        num_bytes: of all embeddings when they are packed, vocabularies included.
        ratio: likewise, as a share of that of float32 tables.
        embedding_dim: width of all embeddings.
        method: of large columns, one of `LARGE_METHODS`.
        growth: how many times as many rows are expected as are in the data; at least 1.
        columns: what else `profile` takes.

    Raises:
        InputError: both or neither of `num_bytes` and `ratio`, but for tables; a size that is too
            small for the columns that keep tables; what `profile` raises.

    Example:
        >>> import polars
        >>> frame = polars.DataFrame({"city": ["a", "b"] * 8, "click": [0, 1] * 8})
        >>> plan(frame, ratio=0.5).fields[0].method
        'full_table'
    """
    check_choice("method", method, LARGE_METHODS)
    check_positive(embedding_dim=embedding_dim)
    check_number(0, growth=growth)
    if growth < 1:
        raise InputError(f"growth is at least 1, the rows that there are, got {growth:g}")
    if method != "full_table":
        if (num_bytes is None) == (ratio is None):
            raise InputError(
                "pass one of num_bytes and ratio, which say how large it is to be; got "
                f"{'both' if ratio is not None else 'neither'}"
            )
        size = {"num_bytes": num_bytes} if ratio is None else {"ratio": ratio}
        check_number(0, **size)
    found = data if isinstance(data, Profile) else profile(data, **columns)
    columns_of_table = tuple(one.column for one in found.columns.values())
    sizes = expected_values(found, growth)
    tables = {name: _table(name, size, embedding_dim, found) for name, size in sizes.items()}
    total = sum(one.table_bytes for one in tables.values())
    if method == "full_table":
        return Plan(embedding_dim, None, tuple(tables.values()), columns_of_table)
    budget = num_bytes if num_bytes is not None else int(total * (ratio or 0))
    small = _small(tables, budget)
    large = {name: size for name, size in sizes.items() if name not in small}
    left = budget - sum(one.num_bytes for one in small.values())
    least = FEWEST_CODE_BYTES * (SLOTS + SHARED_HASHES) * len(large)
    if left < least:
        raise InputError(
            f"{budget:,} bytes are too few for {len(sizes)} features: {budget - left:,} go into "
            f"small tables, and the others need {least:,}: allow more, or drop columns"
        )
    planned = _large(large, left, embedding_dim, method, tables, found, growth)
    fields = [small.get(name) or planned[name] for name in sizes]
    return Plan(embedding_dim, budget, tuple(fields), columns_of_table)


def _small(tables: Mapping[str, FieldPlan], num_bytes: int) -> dict[str, FieldPlan]:
    """The tables that are kept: of few values, the smallest first, within a share of the bytes."""
    small, total = {}, 0
    for name, one in sorted(tables.items(), key=lambda item: item[1].num_bytes):
        total += one.num_bytes
        if one.num_ids > SMALL or total > MOST_OF_TABLES * num_bytes:
            break
        small[name] = one
    return small


def expected_values(found: Profile, growth: float = 1.0) -> dict[str, int]:
    """Distinct values of each feature in `growth` times the rows, a missing one among them."""
    sizes: dict[str, int] = {}
    by_name = {one.column.name: one for one in found.columns.values()}
    names = feature_names([one.column for one in found.columns.values()])
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(
            f"the column {min(twice)!r} is named as the period of a date: rename it, or drop it"
        )
    for name in names:
        if name in by_name:
            of_column = by_name[name]
            rows = of_column.growth[-1][0] * growth
            sizes[name] = extrapolated(of_column.growth, rows) + (of_column.num_nulls > 0)
        else:
            sizes[name] = PERIODS[name.rpartition(":")[2]] + 1
    return sizes


def _column_of(name: str, found: Profile) -> Column:
    column = found.columns.get(name) or found.columns[name.rpartition(":")[0]]
    return column.column


def _table(name: str, size: int, embedding_dim: int, found: Profile) -> FieldPlan:
    pooling = "mean" if _column_of(name, found).kind == "bag" else None
    vocabulary = ID_BYTES * size
    row_bytes = HASHED_BYTES * embedding_dim
    return FieldPlan(
        name,
        "full_table",
        size,
        size + 1,
        row_bytes,
        row_bytes * (size + 1) + vocabulary,
        4 * embedding_dim * (size + 1) + vocabulary,
        pooling,
        "few values: a table with its vocabulary is small",
    )


def _large(
    sizes: Mapping[str, int],
    num_bytes: int,
    embedding_dim: int,
    method: str,
    tables: Mapping[str, FieldPlan],
    found: Profile,
    growth: float,
) -> dict[str, FieldPlan]:
    """Plans of the columns that have no tables: bytes are shared out by their distinct values."""
    if method != "claimed_rows":
        return _shared_out(sizes, num_bytes, embedding_dim, method, tables)
    fewest = FEWEST_ROW_BYTES * CLAIMED_ROOM / (1 - CLAIMED_SHARED)
    values: Mapping[str, float] = sizes
    if num_bytes < fewest * sum(sizes.values()):  # not for all, and so for those that occur again
        values = {
            name: size * _share_met_again(name, found, growth) for name, size in sizes.items()
        }
    total = sum(values.values())
    if not total or num_bytes < FEWEST_BYTES * total:
        return _shared_out(sizes, num_bytes, embedding_dim, method, tables)
    reached = min(1.0, num_bytes / (fewest * total))
    return {
        name: _claimed(tables[name], number * reached, num_bytes * number / total)
        for name, number in values.items()
    }


def _share_met_again(name: str, found: Profile, growth: float) -> float:
    """The share of a feature's values that occur often enough for a row; of periods all do."""
    if name not in found.columns:
        return 1.0
    return float(np.mean(growth * np.array(found.columns[name].occurrences) >= SIGHTINGS))


def _shared_out(
    sizes: Mapping[str, int],
    num_bytes: int,
    embedding_dim: int,
    method: str,
    tables: Mapping[str, FieldPlan],
) -> dict[str, FieldPlan]:
    num_ids = sum(sizes.values())
    return {
        name: _share(tables[name], method, embedding_dim, num_bytes * size / num_ids)
        for name, size in sizes.items()
    }


def _share(table: FieldPlan, method: str, embedding_dim: int, num_bytes: float) -> FieldPlan:
    """What a column gets for so many bytes in the place of a table, and of rows of its own."""
    if method in ("claimed_rows", "multi_hash"):
        # With more rows than two for each value codes had better be longer.
        num_rows = max(2, min(SHARED_HASHES * table.num_ids, int(num_bytes / SHARED_CODE_BYTES)))
        row_bytes = num_bytes / num_rows
        why = "values share rows, two each"
        if method == "claimed_rows":
            method, why = "multi_hash", f"too few bytes for rows of their own: {why}"
    elif method == "hashing_trick":
        row_bytes = float(HASHED_BYTES * embedding_dim)
        num_rows, why = max(1, int(num_bytes / row_bytes)), "rows that values share by a hash"
    else:
        row_bytes, num_rows = float(HASHED_BYTES), int(num_bytes / HASHED_BYTES)
        why = "a network in the place of rows"
    return replace(
        table,
        method=method,
        num_rows=num_rows,
        row_bytes=row_bytes,
        num_bytes=round(num_bytes),
        why=why,
    )


def _claimed(table: FieldPlan, num_values: float, num_bytes: float) -> FieldPlan:
    """Rows of their own for some or all of the values of a column."""
    rows = CLAIMED_ROOM * num_values
    if _own_rows(rows) >= table.num_ids:
        why = "a row for each value"
    else:
        why = f"rows for {num_values / table.num_ids:.0%} of the values, the frequent ones; the "
        why += "others have one in common"
    return replace(
        table,
        method="claimed_rows",
        num_rows=_own_rows(rows),
        row_bytes=num_bytes * (1 - CLAIMED_SHARED) / max(rows, 1),
        num_bytes=round(num_bytes),
        why=why,
    )


def _own_rows(rows: float) -> int:
    return max(SLOTS, round(rows / SLOTS) * SLOTS)


def _config(field: FieldPlan, embedding_dim: int) -> dict[str, Any]:
    config: dict[str, Any] = {"method": field.method, "embedding_dim": embedding_dim}
    match field.method:
        case "full_table":
            config["num_embeddings"] = field.num_ids
        case "claimed_rows":
            # All learn with rows of their own; which are worth their bytes, packing finds out.
            capacity = max(field.num_rows, _own_rows(CLAIMED_ROOM * field.num_ids))
            config |= {"capacity": capacity, "num_rows": 1, "num_hashes": 1}
        case "hashing_trick":
            config["num_rows"] = field.num_rows
        case "multi_hash":
            config["num_rows"] = field.num_rows // 2  # of each of two tables
        case _:
            num_hashes, hidden = deep_hash_shape(field.num_rows, embedding_dim)
            config |= {"num_hashes": num_hashes, "hidden": list(hidden)}
    return config | ({} if field.pooling is None else {"pooling": field.pooling})
