"""Types of the columns of CSV and TSV files, which have none: decided from all of the values.

Guessing from the first rows would turn the ISBN "0060393203" into a number, or fail at the first
"B0002E1G5C" a million rows later.
"""

import polars as pl

from tablefree.errors import InputError

INTEGER = r"^(0|-?[1-9]\d*)$"  # a leading zero would be lost


def ids_from_text(column: pl.Series, source: str) -> pl.Series:
    """Return integers if all values are, else the strings themselves.

    Raises:
        InputError: All values are numbers but some have a fraction, or half of the values or more
            are integers of various lengths and the others are not: a damaged column of integers.
    """
    is_integer = column.str.contains(INTEGER)
    if is_integer.all():
        for dtype in (pl.Int64, pl.UInt64):
            integers = column.cast(dtype, strict=False)
            if integers.null_count() == column.null_count():
                return integers
        return column
    numbers = column.cast(pl.Float64, strict=False)
    if numbers.null_count() == column.null_count():
        if column.str.contains(".", literal=True).any() or numbers.is_nan().any():
            return numbers  # refused with the floats of typed files
        return column
    if 2 * int(is_integer.sum()) >= len(column) and column.str.len_bytes().n_unique() > 1:
        row = int((~is_integer).arg_max() or 0)
        raise InputError(
            f"the {column.name} ids of {source} are mostly integers, but row {row + 1} has "
            f"{column[row]!r}: correct such rows, or save the ids as strings in a Parquet file"
        )
    return column


def feature_from_text(column: pl.Series) -> pl.Series:
    """Return floats if all values are numbers, else the strings themselves."""
    numbers = column.cast(pl.Float64, strict=False)
    return numbers if numbers.null_count() == column.null_count() else column
