"""Columns of a table as the ids that a collection takes, whichever library holds it.

Polars, pandas, Arrow and others hand their tables over by Arrow's C stream interface, so there is
one way in for all of them.
"""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F

from tablefree.embeddings.feature_ids import FeatureIds, naming
from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError
from tablefree.ids import to_ids


def is_table(value: object) -> bool:
    """Whether a value is a table of Arrow's C stream interface."""
    return hasattr(value, "__arrow_c_stream__")


def column_ids(table: Any, names: Iterable[str]) -> dict[str, FeatureIds]:
    """Ids of those of the columns that a table has.

    Args:
        table: an Arrow table or record batch, a Polars or pandas data frame.
        names: of the columns; others are not looked at.

    Returns:
        For each column its ids [rows], as `to_ids` gives them; for a column of lists the `Bags`.

    Raises:
        InputError: a column with nulls, or of what are no ids.
    """
    import pyarrow

    columns = pyarrow.table(table)
    ids = {}
    for name in names:
        if name in columns.column_names:
            with naming(name):
                ids[name] = _ids(columns[name])
    return ids


def _ids(column: Any) -> FeatureIds:
    from pyarrow import compute

    if not hasattr(column.type, "value_field"):  # what lists of every kind have
        return to_ids(column)
    if column.null_count:
        position = compute.index(compute.is_null(column), True).as_py()
        raise InputError(f"got null at position {position}: an empty bag is an empty list")
    sizes = torch.tensor(compute.list_value_length(column).to_numpy())
    return Bags(to_ids(column.combine_chunks().flatten()), F.pad(sizes.cumsum(0), (1, 0)))
