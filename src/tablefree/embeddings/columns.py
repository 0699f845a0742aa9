"""Columns of a table as the ids that a collection takes, whichever library holds it.

Only columns that are asked for are touched: pandas, Polars and Arrow give them out one by one, and
other tables come by Arrow's C stream interface.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from tablefree.embeddings.feature_ids import FeatureIds, naming
from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError
from tablefree.ids import IdType, as_arrow, ids_and_type


class Column(NamedTuple):
    """The ids of a column, and whether they were integers or strings; None if it has none."""

    ids: FeatureIds
    id_type: IdType | None


_LIBRARIES = ("pandas", "polars", "pyarrow")


def is_table(value: object) -> bool:
    """Whether a value is a table of Arrow's C stream interface."""
    return hasattr(value, "__arrow_c_stream__")


def column_ids(table: Any, names: Iterable[str]) -> dict[str, Column]:
    """Ids of those of the columns that a table has.

    Args:
        table: an Arrow table or record batch, a Polars or pandas data frame.
        names: of the columns; others are not looked at.

    Returns:
        For each column its ids [rows], as `to_ids` gives them; for a column of lists the `Bags`.

    Raises:
        InputError: a column that is there twice, with nulls, or of what are no ids.
    """
    if type(table).__module__.partition(".")[0] not in _LIBRARIES:
        import pyarrow

        table = pyarrow.table(table)
    is_arrow = hasattr(table, "column_names") or hasattr(table, "num_columns")
    available = list(table.schema.names if is_arrow else table.columns)
    columns = {}
    for name in names:
        with naming(name):
            if available.count(name) > 1:
                raise InputError(f"the table has this column {available.count(name)} times")
            if name in available:
                columns[name] = _column(table[name])
    return columns


def _column(values: Any) -> Column:
    lists = _lists(values)
    if lists is None:
        return Column(*ids_and_type(values))
    if lists.null_count:
        from pyarrow import compute

        position = compute.index(compute.is_null(lists), True).as_py()
        raise InputError(f"got null at position {position}: an empty bag is an empty list")
    return _bags(lists)


def _lists(values: Any) -> Any:
    """An Arrow column of lists; None if the values are something else."""
    from pyarrow import types

    dtype = getattr(values, "dtype", None)
    if str(dtype) == "object":  # of pandas: what is in it has to be looked at
        first = next((value for value in values if value is not None), None)
        if not isinstance(first, (list, tuple)) and not hasattr(first, "__array__"):
            return None
    elif not any(word in str(dtype or values.type).lower() for word in ("list", "array")):
        return None
    column = as_arrow(values)
    is_list = (
        types.is_list,
        types.is_large_list,
        types.is_fixed_size_list,
        types.is_list_view,
        types.is_large_list_view,
    )
    return column if any(is_kind(column.type) for is_kind in is_list) else None


def _bags(lists: Any) -> Column:
    from pyarrow import compute

    sizes = torch.tensor(compute.list_value_length(lists).to_numpy(zero_copy_only=False))
    if hasattr(lists, "combine_chunks"):
        lists = lists.combine_chunks()
    ids, id_type = ids_and_type(lists.flatten())
    return Column(Bags(ids, F.pad(sizes.cumsum(0), (1, 0))), id_type)
