"""Dates as the periods that they fall into: the hour of the day and the day of the week."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tablefree.data.numbers import DAY
from tablefree.fields.digits import HOUR
from tablefree.fields.values import MISSING, NO_TIME

PERIODS: Final = {"hour": 24, "weekday": 7}  # and how many of each there are
THURSDAY = 3  # of 1970-01-01, where Monday is 0


def periods(times: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
    """The hour, 0 to 23, and the weekday, 0 to 6 from Monday on, in UTC, of nanoseconds since 1970.

    `MISSING` where a time is `NO_TIME`.
    """
    is_missing = times == NO_TIME
    found = {"hour": times // HOUR % 24, "weekday": (times // DAY + THURSDAY) % 7}
    return {name: np.where(is_missing, MISSING, values) for name, values in found.items()}
