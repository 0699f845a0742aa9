"""What the values of a column show, batch by batch: enough to say at the end what it can be."""

import math
import re

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute, types

from tablefree.fields.digits import FORMATS, formats_of
from tablefree.fields.distinct import DistinctCounter, hashes
from tablefree.fields.table import is_list, is_string, plain
from tablefree.fields.texts import Odd, Texts, text_hashes

TYPES = ("integer", "string", "boolean", "float", "date")
NUM_EXAMPLES = 3
EXACT = 2.0**53  # floats below it hold each integer
# Moments that numbers may stand for: of the years 1973 to 2103, in seconds and finer units.
EARLIEST, LATEST = 10**8, 42 * 10**8
UNITS = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of Arrow's timestamps


class Range:
    """Where numbers lie.

    Attributes:
        least, largest: of them; infinite without any.
        is_whole: whether all are integers that a float holds exactly.
        written: formats of `digits` in which all of them are dates.
    """

    def __init__(self) -> None:
        self.least, self.largest, self.is_whole = math.inf, -math.inf, True
        self.written = tuple(FORMATS)

    def add(self, numbers: NDArray[np.float64]) -> None:
        """Take numbers [n], none of them NaN."""
        if not len(numbers):
            return
        self.least = min(self.least, float(numbers.min()))
        self.largest = max(self.largest, float(numbers.max()))
        if self.is_whole:
            exact = np.abs(numbers) < EXACT
            self.is_whole = bool((exact & (np.trunc(numbers) == numbers)).all())
        if self.written:
            self.written = formats_of(numbers, self.written)

    @property
    def size(self) -> float:
        """The largest number without its sign; negative without any number."""
        return max(-self.least, self.largest)

    @property
    def unit(self) -> str | None:
        """The unit in which they may count the time since 1970; None where they do not."""
        for unit, per_second in UNITS.items():
            if EARLIEST * per_second <= self.least and self.largest <= LATEST * per_second:
                return unit
        return None


class Evidence:
    """What a column has shown so far.

    Attributes:
        name: of the column.
        is_text: whether no file tells the type of its values.
        num_rows: read.
        num_nulls: rows without a value.
        num_occurrences: values; of lists, those in them.
        first_null: row of the first null, from 0; None without one.
        is_list: whether a value is a list.
        seen: types of the values, or of those in lists: of `TYPES`, or Arrow's word for one
            that cannot be used; each with the first row of a batch that had it.
        range: of the numbers, strings that are numbers among them.
        texts: what the strings may be.
        has_days: whether there are dates of a type that has no time of the day.
        has_moments: whether there are dates with one, other than midnight.
        examples: the first distinct values, as text.
        growth: (rows read, distinct values until then), as noted by `mark`.
    """

    def __init__(self, name: str, is_text: bool) -> None:
        self.name, self.is_text = name, is_text
        self.num_rows = self.num_nulls = self.num_occurrences = 0
        self.first_null: int | None = None
        self.is_list = self.has_days = self.has_moments = False
        self.seen: dict[str, int] = {}
        self.range, self.texts = Range(), Texts()
        self.examples: list[str] = []
        self.growth: list[tuple[int, int]] = []
        self._counter = DistinctCounter()

    @property
    def num_values(self) -> int:
        """Distinct values, approximately from some thousands on."""
        return self._counter.count()

    @property
    def occurrences(self) -> NDArray[np.int64]:
        """How often values occur, of a uniform sample of them, the most frequent first."""
        return -np.sort(-self._counter.occurrences)

    @property
    def is_exact(self) -> bool:
        """Whether the number of distinct values is no estimate."""
        return self._counter.is_exact

    @property
    def num_missing(self) -> int:
        """Rows without a value, among them those of numbers in text that say NaN."""
        is_number = "string" in self.seen and self.texts.type == "float"
        return self.num_nulls + (self.texts.num_nans if is_number else 0)

    @property
    def is_mixed(self) -> bool:
        """Whether values are of types that no column has at once."""
        return len(self.seen) > 1 and not self.seen.keys() <= {"integer", "float"}

    @property
    def odd_number(self) -> Odd | None:
        """The first string that is no number, where most of the text is; None in columns of codes.

        A name of digits with a leading zero is a code.
        """
        odd = self.texts.odd.get("float")
        is_number = self.is_text and self.texts.are_like_numbers
        return odd if odd and is_number and not odd.value.isdigit() else None

    @property
    def is_moment(self) -> bool:
        """Whether values are dates, also as numbers."""
        return self.type(reads_text=True) == "date" or self._written_as not in (None, "order")

    @property
    def written_as(self) -> str | None:
        """The format of `digits` that numbers are dates in; None of others."""
        return self._written_as if self._written_as in FORMATS else None

    @property
    def _written_as(self) -> str | None:
        """How numbers are dates: in a format of `digits`, as a "moment", or only in "order"."""
        if self.type(reads_text=True) not in ("integer", "float"):
            return None
        if self.num_occurrences and self.range.written:  # no count of seconds is, before 2032
            return self.range.written[0]
        return "order" if self.range.unit is None else "moment"

    @property
    def resolution(self) -> str:
        """How exact dates are, or numbers in their place: as a `Column` has it."""
        if (written := self._written_as) is not None:
            return written
        if not (self.has_moments or self.texts.has_moments):
            return "day"
        return "any" if self.has_days or self.texts.has_days else "moment"

    def type(self, *, reads_text: bool = False) -> str:
        """The type of the values, of `TYPES` where they can be used.

        Args:
            reads_text: whether strings are what they say although their file tells types.
        """
        kind = "float" if "float" in self.seen else next(iter(self.seen), "null")
        if kind != "string" or self.is_list:
            return kind
        said = self.texts.type
        # What has no type for dates, as JSON, has them as strings.
        return said if reads_text or self.is_text or said == "date" else kind

    def add(self, array: pa.Array) -> None:
        """Take the values of the next rows, as `Table.batches` gives them."""
        if array.null_count and self.first_null is None:
            self.first_null = self.num_rows + compute.index(array.is_null(), True).as_py()
        self.num_nulls += array.null_count
        values = array
        if is_list(array.type):
            self.is_list = True
            values = plain(array.flatten())
        known = values.drop_null()
        if len(known):
            self.num_occurrences += len(known)
            kind = type_of(values.type)
            self.seen.setdefault(kind or str(array.type), self.num_rows)
            if kind is not None:
                self._count(known)
                self._judge(kind, values, known)
        self.num_rows += len(array)

    def mark(self) -> None:
        """Note how many distinct values there are by now."""
        self.growth.append((self.num_rows, self.num_values))

    def _count(self, known: pa.Array) -> None:
        if self.is_text or self.is_exact:
            counted = compute.value_counts(known)
            values, times = counted.field("values"), counted.field("counts").to_numpy()
            self._counter.add(text_hashes(values) if self.is_text else hashes(values), times)
        else:  # once few hashes count, to hash all costs less than to find the distinct values
            self._counter.add(hashes(known))
        if len(self.examples) < NUM_EXAMPLES:
            found = _as_text(compute.unique(known)[:NUM_EXAMPLES])
            self.examples = list(dict.fromkeys([*self.examples, *found]))[:NUM_EXAMPLES]

    def _judge(self, kind: str, values: pa.Array, known: pa.Array) -> None:
        if kind == "string" and not self.is_list and (self.is_text or not self.texts.is_decided):
            self.range.add(self.texts.add(values, self.num_rows))
        elif kind in ("integer", "float"):
            self.range.add(known.cast(pa.float64(), safe=False).to_numpy())
        elif kind == "date":
            self.has_days |= types.is_date(values.type)
            self.has_moments = self.has_moments or _has_moments(known)


def type_of(kind: pa.DataType) -> str | None:
    """The type, of `TYPES`, of values of a type of Arrow's; None where they have no use."""
    tests = {
        "integer": types.is_integer,
        "string": is_string,
        "boolean": types.is_boolean,
        "float": lambda one: types.is_floating(one) or types.is_decimal(one),
        "date": lambda one: types.is_timestamp(one) or types.is_date(one),
    }
    return next((name for name, test in tests.items() if test(kind)), None)


def _has_moments(known: pa.Array) -> bool:
    """Whether a time of the day, in UTC, is other than midnight."""
    if not types.is_timestamp(known.type):
        return False
    counts = known.cast(pa.int64()).to_numpy()
    return bool((counts % (86_400 * PER_SECOND[known.type.unit])).any())


def _as_text(values: pa.Array) -> list[str]:
    """Values as a file of text has them."""
    if types.is_timestamp(values.type):
        values = values.cast(pa.timestamp(values.type.unit))
        return [re.sub(r"\.0+$", "", text) for text in values.cast(pa.string()).to_pylist()]
    return [str(text) for text in values.cast(pa.string()).to_pylist()]
