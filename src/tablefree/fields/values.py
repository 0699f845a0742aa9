"""The values of a column in the type that it has for a model: exactly, or not at all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from tablefree.data.numbers import DAY, as_numbers, check_finite, nanoseconds, no_numbers
from tablefree.data.parts import Rows
from tablefree.errors import InputError
from tablefree.fields.digits import FORMATS, moments
from tablefree.fields.evidence import EARLIEST, EXACT, LATEST, type_of
from tablefree.fields.kinds import LABELS, PLURAL, POSITIVE
from tablefree.fields.table import is_string
from tablefree.fields.texts import are_days
from tablefree.ids import to_ids

# The id of a value that is missing. No integer column is likely to have it, nor a string to hash
# to it.
MISSING = int(to_ids("tablefree: no value"))
NO_TIME = np.iinfo(np.int64).min  # as NumPy's NaT
WHOLE = r"^[+-]?(0|[1-9][0-9]*)(\.0*)?$"  # leading zeros are of codes
SECOND = 10**9  # nanoseconds
LABEL_WORDS = {one: str(int(one in POSITIVE)) for pair in LABELS for one in pair if one.isalpha()}


@dataclass(frozen=True)
class PickedRows(Rows):
    """Where values are that were taken out of rows, as from lists.

    Attributes:
        places: the positions of their rows [n].
    """

    places: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def of(cls, rows: Rows, places: NDArray[np.int64]) -> Self:
        """Values of these rows."""
        return cls(rows.source, rows.word, rows.start, places)

    def at(self, position: int | None) -> str:
        """The place of a value by its position, from 0."""
        return super().at(int(self.places[position or 0]))


def ids_of(array: pa.Array, kind: str, name: str, rows: Rows) -> NDArray[np.int64]:
    """The 64-bit id of each value, `MISSING` where there is none.

    An integer is one however it comes: as 7, 7.0 or "7.0", of any width, with a sign or by its bits
    (see `to_ids`); and so is a boolean, as true, 1 or "True".

    Args:
        array: as `Table.batches` gives it; no list.
        kind: the type of the column, "integer", "string" or "boolean".
        name: of the column.
        rows: where they are.

    Raises:
        InputError: a value of another type that is not exactly one of this.
    """
    if not (kind == "string" and _is_binary(array.type)):
        _check_type(array, name, PLURAL[kind], rows)
    if array.null_count == len(array):
        return np.full(len(array), MISSING)
    known = array.drop_null()
    if type_of(array.type) == kind or _is_binary(array.type):
        typed = known.cast(pa.int8()) if kind == "boolean" else known
        found: NDArray[np.int64] = to_ids(typed).numpy()
    else:
        distinct = known.dictionary_encode()
        typed, is_odd = _TYPES[kind](distinct.dictionary)
        if is_odd.any():
            first = compute.index(array, distinct.dictionary[int(is_odd.argmax())]).as_py()
            raise refused(array, first, name, PLURAL[kind], rows)
        found = to_ids(typed).numpy()[distinct.indices.to_numpy()]
    if not array.null_count:
        return found
    ids = np.full(len(array), MISSING)
    ids[_is_known(array)] = found
    return ids


def numbers_of(array: pa.Array, name: str, rows: Rows) -> NDArray[np.float64]:
    """The number of each value, NaN where there is none.

    Raises:
        InputError: a value that is no number, or not finite as float32.
    """
    column = _series(array, name, "numbers", rows)
    if column.dtype == pl.Boolean:
        values = column.clear(len(column)).cast(pl.Float64)
    elif column.dtype == pl.String:
        values = column.cast(pl.Float64, strict=False).fill_nan(None)
    else:
        values = as_numbers(column)
    return _known_numbers(array, values, column, "numbers", rows)


def labels_of(array: pa.Array, name: str, rows: Rows) -> NDArray[np.float32]:
    """0 or 1 for each row, NaN where there is no label; -1 is 0.

    Raises:
        InputError: another value.
    """
    what = "labels, 0 or 1"
    column = _series(array, name, what, rows)
    if column.dtype == pl.String:
        column = column.str.to_lowercase().replace(LABEL_WORDS)
    values = _known_numbers(array, as_numbers(column), column, what, rows)
    values = np.where(values == -1, 0.0, values)
    is_odd = ~(np.isnan(values) | (values == 0) | (values == 1))
    if is_odd.any():
        raise refused(array, int(is_odd.argmax()), name, what, rows)
    return values.astype(np.float32)


def times_of(array: pa.Array, name: str, rows: Rows, resolution: str) -> NDArray[np.int64]:
    """Nanoseconds since 1970, UTC where there is no time zone; `NO_TIME` where there is no value.

    Args:
        array: as `Table.batches` gives it.
        name: of the column.
        rows: where they are.
        resolution: of the column.

    Raises:
        InputError: a value that is no time, or not of this resolution: the hour of a day is not
            known, and a time of the day would be lost; or, where values are dates, a number that
            is in no unit of the years 1973 to 2103.
    """
    column = _series(array, name, "dates", rows)
    if resolution in FORMATS:
        if as_numbers(column).is_not_null().any():
            return _written_times(array, column, resolution, rows)
        resolution = "moment" if FORMATS[resolution][1] else "day"  # of what are dates
    times, places = np.full(len(column), NO_TIME), np.flatnonzero(_is_known(array))
    if not len(places):
        return times
    known = column.drop_nulls()
    found = nanoseconds(known, PickedRows.of(rows, places), is_needed=True)
    assert found is not None
    is_number = as_numbers(known).is_not_null().to_numpy()
    is_beyond = (found < EARLIEST * SECOND) | (found > LATEST * SECOND)
    wrong = {"numbers": ~is_number} if resolution == "order" else {"dates": is_number & is_beyond}
    if resolution == "day":
        wrong["dates without times of the day"] = found % DAY != 0
    elif resolution == "moment":
        wrong["dates with times of the day"] = _are_days(array.type, known)
    for what, is_odd in wrong.items():
        if is_odd.any():
            raise refused(array, int(places[is_odd.argmax()]), name, what, rows)
    times[places] = found
    return times


def _written_times(
    array: pa.Array, column: pl.Series, written: str, rows: Rows
) -> NDArray[np.int64]:
    """Nanoseconds since 1970 of dates that are written as one number."""
    found = moments(as_numbers(column).fill_null(-1.0).to_numpy(), written)
    is_odd = no_numbers(column, pl.Series(found).set(pl.Series(found < 0), None))
    if is_odd.any():
        raise refused(array, int(is_odd.arg_max() or 0), column.name, f"dates as {written}", rows)
    return np.where(found < 0, NO_TIME, found)


def refused(array: pa.Array, at: int, name: str, what: str, rows: Rows) -> InputError:
    """What to say of a value that is none of what a column has for a model."""
    one = array.slice(at, 1)
    if types.is_temporal(one.type) or types.is_nested(one.type):  # Python has no year 10,000
        shown = " ".join(one.to_string(skip_new_lines=True).split())
    else:
        shown = repr(one[0].as_py())
    return InputError(
        f"the column {name!r} has {what} for the model, and {rows.at(at)} has {shown[:50]}, of "
        f"type {array.type}, which is none exactly: convert the column to {what} first"
    )


Typed = tuple[pa.Array, NDArray[np.bool_]]
"""Distinct values in another type, and which of them are not exactly one of it."""


def _integers(values: pa.Array) -> Typed:
    if types.is_floating(values.type):
        numbers = values.cast(pa.float64()).to_numpy()
        is_odd = (np.trunc(numbers) != numbers) | ~(np.abs(numbers) < EXACT)
        return pa.array(np.where(is_odd, 0, numbers).astype(np.int64)), is_odd
    if not (is_string(values.type) or types.is_decimal(values.type)):
        return _none(values)
    text = pl.Series(pl.from_arrow(values.cast(pa.string())))
    whole = text.set(~text.str.contains(WHOLE), None).str.replace(r"\.0*$", "")
    signed, unsigned = (whole.cast(one, strict=False) for one in (pl.Int64, pl.UInt64))
    words = unsigned.fill_null(0).to_numpy().view(np.int64)
    words = np.where(signed.is_null(), words, signed.fill_null(0).to_numpy())
    return pa.array(words), (signed.is_null() & unsigned.is_null()).to_numpy()


def _booleans(values: pa.Array) -> Typed:
    text = pl.Series(pl.from_arrow(values.cast(pa.string()))).str.to_lowercase()
    text = text.str.replace(r"\.0*$", "")
    is_true, is_false = text.is_in(["true", "1"]), text.is_in(["false", "0"])
    return pa.array(is_true.to_numpy().astype(np.int8)), ~(is_true | is_false).to_numpy()


def _none(values: pa.Array) -> Typed:
    return pa.array(np.zeros(len(values), np.int64)), np.ones(len(values), bool)


_TYPES: dict[str, Callable[[pa.Array], Typed]] = {
    "integer": _integers,
    "string": _none,
    "boolean": _booleans,
}


def _are_days(kind: pa.DataType, known: pl.Series) -> NDArray[np.bool_]:
    """Which dates have no time of the day; numbers have one."""
    if known.dtype == pl.String:
        return are_days(known).to_numpy()
    return np.full(len(known), types.is_date(kind))


def _is_binary(kind: pa.DataType) -> bool:
    tests = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(kind) for test in tests)


def _check_type(array: pa.Array, name: str, what: str, rows: Rows) -> None:
    """Refuse values of a type that no column can have, as times of the day."""
    if array.null_count < len(array) and type_of(array.type) is None:
        raise refused(array, int(_is_known(array).argmax()), name, what, rows)


def _series(array: pa.Array, name: str, what: str, rows: Rows) -> pl.Series:
    _check_type(array, name, what, rows)
    if array.null_count == len(array):
        array = pa.nulls(len(array))
    elif types.is_decimal256(array.type):  # which Polars has not
        array = array.cast(pa.float64())
    return pl.Series(pl.from_arrow(array)).alias(name)


def _known_numbers(
    array: pa.Array, values: pl.Series, column: pl.Series, what: str, rows: Rows
) -> NDArray[np.float64]:
    """Numbers, NaN where there is no value, once all values have one that is finite."""
    is_odd = no_numbers(column, values)
    if is_odd.any():
        raise refused(array, int(is_odd.arg_max() or 0), column.name, what, rows)
    check_finite(values, rows)
    return values.fill_null(float("nan")).to_numpy()


def _is_known(array: pa.Array) -> NDArray[np.bool_]:
    known: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    return known
