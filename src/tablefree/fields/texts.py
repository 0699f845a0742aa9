"""Of what types strings may be the text, as files without types have them.

A column is of a type only where all of its strings are: one that is not decides.
"""

from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from tablefree.data.id_types import INTEGER
from tablefree.data.numbers import TIME
from tablefree.fields.distinct import hashes

# Leading zeros are of codes: no program writes them of a number.
NUMBER = r"^[+-]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
DECIMAL_COMMA = r"^[+-]?[0-9]+,[0-9]+$"
NAN = r"(?i)^[+-]?nan$"
DAY = r"^\d{4}-\d\d-\d\d$"
MIDNIGHT = r"[T ]00:00(:00([.,]0+)?)? ?(Z|UTC|[+-]00(:?00)?)?$"
BOOLEAN = r"(?i)^(true|false)$"
JUDGED = 65_536  # rows by which it is judged whether most strings are numbers


class Odd(NamedTuple):
    """The first string of a column that is not of a type.

    Attributes:
        row: from 0.
        value: the string.
    """

    row: int
    value: str


class Texts:
    """Of what types the strings of a column may be, so far.

    Attributes:
        odd: for each type that they are not all of, the first that is not: int64, uint64, float,
            boolean, date.
        num_nans: strings that say NaN.
        has_days: whether there are dates without a time of the day.
        has_moments: whether there are dates with one, other than midnight.
    """

    def __init__(self) -> None:
        self.odd: dict[str, Odd] = {}
        self.num_nans = self._num_judged = self._num_like_numbers = 0
        self.has_days = self.has_moments = self._has_point = False

    @property
    def is_used(self) -> bool:
        """Whether there was a string."""
        return self._num_judged > 0

    @property
    def type(self) -> str:
        """The type, of `kinds.TYPES`, that all strings are of."""
        if not {"int64", "uint64"} <= self.odd.keys():
            return "integer"
        if "float" not in self.odd and (self._has_point or self.num_nans):
            return "float"
        return next((kind for kind in ("boolean", "date") if kind not in self.odd), "string")

    @property
    def are_like_numbers(self) -> bool:
        """Whether most strings are numbers, or would be with a point in the place of a comma."""
        return 2 * self._num_like_numbers > self._num_judged

    @property
    def is_decided(self) -> bool:
        """Whether they are strings, whatever comes."""
        return self.odd.keys() == _TYPES.keys()

    def add(self, array: pa.Array, row: int) -> NDArray[np.float64]:
        """Take strings, the first in a row (from 0); the distinct numbers among them.

        A string that is no number counts as NaN.
        """
        counted = compute.value_counts(array.drop_null())
        text = pl.Series(pl.from_arrow(counted.field("values")))
        counts = counted.field("counts").to_numpy()
        for kind in _TYPES.keys() - self.odd.keys():
            is_odd = ~_TYPES[kind](text)
            if is_odd.any():
                value = str(text[int(is_odd.arg_max() or 0)])
                at = compute.index(array, pa.scalar(value, array.type)).as_py()
                self.odd[kind] = Odd(row + at, value)
        if "date" not in self.odd:
            is_day = are_days(text)
            self.has_days |= bool(is_day.any())
            self.has_moments |= bool((~is_day & ~text.str.contains(MIDNIGHT)).any())
        if self._num_judged < JUDGED:
            is_like = _are_numbers(text) | text.str.contains(DECIMAL_COMMA)
            self._num_like_numbers += int(counts[is_like.to_numpy()].sum())
            self._num_judged += int(counts.sum())
        if "float" in self.odd:
            return np.zeros(0)
        self.num_nans += int(counts[text.str.contains(NAN).to_numpy()].sum())
        self._has_point |= bool(text.str.contains(".", literal=True).any())
        return text.cast(pl.Float64, strict=False).drop_nans().drop_nulls().to_numpy()


def text_hashes(values: pa.Array) -> NDArray[np.uint64]:
    """Hashes of the strings of a file without types, integers as if it had them."""
    text = pl.Series(pl.from_arrow(values))
    integers = text.set(~text.str.contains(INTEGER), None).cast(pl.Int64, strict=False)
    is_integer = integers.is_not_null()
    found = np.empty(len(text), np.uint64)
    for is_part, part in ((is_integer, integers), (~is_integer, text)):
        found[is_part.to_numpy()] = hashes(part.filter(is_part).to_arrow())
    return found


def are_days(text: pl.Series) -> pl.Series:
    """Which dates, as text, have no time of the day; numbers are none."""
    return text.str.contains(DAY)


def _are_numbers(text: pl.Series) -> pl.Series:
    return text.str.contains(NUMBER) | text.str.contains(NAN)


def _are_integers(text: pl.Series, dtype: type[pl.DataType]) -> pl.Series:
    return text.str.contains(INTEGER) & text.cast(dtype, strict=False).is_not_null()


def _are_dates(text: pl.Series) -> pl.Series:
    day = text.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    return text.str.contains(TIME) & day.is_not_null()


_TYPES = {
    "int64": lambda text: _are_integers(text, pl.Int64),
    "uint64": lambda text: _are_integers(text, pl.UInt64),
    "float": _are_numbers,
    "boolean": lambda text: text.str.contains(BOOLEAN),
    "date": _are_dates,
}
