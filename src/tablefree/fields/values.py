"""The values of a column in the type that it has for a model: exactly, or not at all."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from tablefree.data.id_types import INTEGER
from tablefree.data.numbers import as_numbers, check_finite, nanoseconds
from tablefree.data.parts import Rows
from tablefree.errors import InputError
from tablefree.fields.table import is_string
from tablefree.ids import to_ids

# The id of a value that is missing. No integer column is likely to have it, nor a string to hash
# to it.
MISSING = int(to_ids("tablefree: no value"))
EXACT = 2**53  # floats below it hold each integer


def ids_of(array: pa.Array, kind: str, name: str, rows: Rows) -> NDArray[np.int64]:
    """The 64-bit id of each value, `MISSING` where there is none.

    Args:
        array: as `Table.batches` gives it; no list.
        kind: the type of the column, "integer", "string" or "boolean".
        name: of the column.
        rows: where they are.

    Raises:
        InputError: a value of another type that is not exactly one of this.
    """
    known = array.drop_null()
    if len(known) and not types.is_null(known.type):
        distinct = known.dictionary_encode()
        typed = _TYPES[kind](distinct.dictionary, name, rows, array)
        ids: NDArray[np.int64] = to_ids(typed).numpy()[distinct.indices.to_numpy()]
    else:
        ids = np.zeros(0, np.int64)
    if not array.null_count:
        return ids
    all_ids = np.full(len(array), MISSING)
    all_ids[array.is_valid().to_numpy(zero_copy_only=False)] = ids
    return all_ids


def numbers_of(array: pa.Array, name: str, rows: Rows) -> NDArray[np.float64]:
    """The number of each value, NaN where there is none.

    Raises:
        InputError: a value that is no number, or not finite as float32.
    """
    column = _series(array, name)
    values = as_numbers(column)
    odd = values.is_null() & column.is_not_null()
    if column.dtype == pl.String:
        odd &= column.str.to_lowercase() != "nan"
    if odd.any():
        raise _refused(column, odd, name, "numbers", rows)
    check_finite(values, rows)
    return values.fill_null(float("nan")).to_numpy()


def times_of(array: pa.Array, name: str, rows: Rows) -> NDArray[np.int64]:
    """Nanoseconds since 1970, the least int64 (as NumPy's NaT) where there is no value.

    Raises:
        InputError: a value that is no time.
    """
    column = _series(array, name)
    known = column.is_not_null().to_numpy()
    times = np.full(len(column), np.iinfo(np.int64).min)
    if known.any():
        if column.dtype == pl.Boolean:
            raise _refused(column, column.is_not_null(), name, "dates", rows)
        found = nanoseconds(column.drop_nulls(), rows, is_needed=True)
        assert found is not None
        times[known] = found
    return times


def labels_of(array: pa.Array, name: str, rows: Rows) -> NDArray[np.float32]:
    """0 or 1 for each row, NaN where there is no label; -1 is 0.

    Raises:
        InputError: another value.
    """
    values = numbers_of(array, name, rows)
    values = np.where(values == -1, 0.0, values)
    wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
    if wrong.any():
        column = _series(array, name)
        raise _refused(column, pl.Series(wrong), name, "labels, 0 or 1", rows)
    return values.astype(np.float32)


def _integers(values: pa.Array, name: str, rows: Rows, array: pa.Array) -> pa.Array:
    """Distinct values as integers of 64 bits."""
    if types.is_integer(values.type):
        return values
    if types.is_floating(values.type) or types.is_decimal(values.type):
        numbers = values.cast(pa.float64()).to_numpy()
        odd = (np.trunc(numbers) != numbers) | ~(np.abs(numbers) < EXACT)
        if not odd.any():
            return pa.array(numbers.astype(np.int64))
        raise _refused_of(values, odd, name, "integers", rows, array)
    if is_string(values.type):
        # Of integers beside nulls, pandas writes 1.0.
        text = pl.Series(pl.from_arrow(values)).str.replace(r"\.0+$", "")
        plain = text.set(~text.str.contains(INTEGER), None)
        signed = plain.cast(pl.Int64, strict=False)
        unsigned = plain.cast(pl.UInt64, strict=False)
        odd = (signed.is_null() & unsigned.is_null()).to_numpy()
        if odd.any():
            raise _refused_of(values, odd, name, "integers", rows, array)
        large = unsigned.fill_null(0).to_numpy().view(np.int64)
        is_signed = signed.is_not_null().to_numpy()
        return pa.array(np.where(is_signed, signed.fill_null(0).to_numpy(), large))
    raise _refused_of(values, np.ones(len(values), bool), name, "integers", rows, array)


def _strings(values: pa.Array, name: str, rows: Rows, array: pa.Array) -> pa.Array:
    if is_string(values.type):
        return values
    raise _refused_of(values, np.ones(len(values), bool), name, "strings", rows, array)


def _booleans(values: pa.Array, name: str, rows: Rows, array: pa.Array) -> pa.Array:
    if types.is_boolean(values.type):
        return values.cast(pa.int8())
    text = pl.Series(pl.from_arrow(values.cast(pa.string()))).str.to_lowercase()
    is_true, is_false = text.is_in(["true", "1"]), text.is_in(["false", "0"])
    odd = ~(is_true | is_false).to_numpy()
    if odd.any():
        raise _refused_of(values, odd, name, "true or false", rows, array)
    return pa.array(is_true.to_numpy().astype(np.int8))


_TYPES: dict[str, Callable[[pa.Array, str, Rows, pa.Array], pa.Array]] = {
    "integer": _integers,
    "string": _strings,
    "boolean": _booleans,
}


def _series(array: pa.Array, name: str) -> pl.Series:
    return pl.Series(pl.from_arrow(array)).alias(name)


def _refused_of(
    values: pa.Array, odd: NDArray[np.bool_], name: str, what: str, rows: Rows, array: pa.Array
) -> InputError:
    """What to say of the first of distinct values that is odd."""
    first = values[int(odd.argmax())]
    at = compute.index(array, first).as_py()
    return _error(name, what, rows.at(at), first.as_py(), values.type)


def _refused(column: pl.Series, odd: pl.Series, name: str, what: str, rows: Rows) -> InputError:
    at = int(odd.arg_max() or 0)
    return _error(name, what, rows.at(at), column[at], column.to_arrow().type)


def _error(name: str, what: str, where: str, value: object, kind: pa.DataType) -> InputError:
    return InputError(
        f"the column {name!r} has {what} for the model, and {where} has {value!r:.50}, of type "
        f"{kind}, which is none exactly: convert the column to {what} first"
    )
