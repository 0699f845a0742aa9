"""Dates that are written as one number: 20141021, or with the hour 14102100, or with all of it."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tablefree.data.numbers import DAY

HOUR, SECOND = DAY // 24, 10**9  # nanoseconds
# Of the clock: how many there are, how they are written, and the nanoseconds of each.
CLOCK: Final = ((24, 100, HOUR), (60, 100, HOUR // 60), (60, 100, SECOND), (1000, 1000, 10**6))
# How they are written, the likelier first where numbers may be either → what comes before the year
# of two digits, and how much of the clock there is.
FORMATS: Final = {
    "YYYYMMDD": (0, 0),
    "YYYYMMDDHH": (0, 1),
    "YYMMDDHH": (2000, 1),
    "YYYYMMDDHHMM": (0, 2),
    "YYYYMMDDHHMMSS": (0, 3),
    "YYYYMMDDHHMMSSFFF": (0, 4),
}
MOST_EXACT = 3  # of the clock; numbers of more digits are floats of a few milliseconds
FIRST_YEAR, LAST_YEAR = 1970, 2100
FIRST_OF_CENTURY = 1  # 2001: numbers of fewer than seven digits are no dates


def moments(numbers: NDArray[np.float64], written: str) -> NDArray[np.int64]:
    """Nanoseconds since 1970 of dates as numbers [n]; -1 for one that is no date.

    Args:
        numbers: any; the dates are of the years 1970 to 2100.
        written: one of `FORMATS`.
    """
    century, num_clock = FORMATS[written]
    is_date = (np.abs(numbers) < 10.0**17) & (np.trunc(numbers) == numbers)
    rest = np.where(is_date, numbers, 0).astype(np.int64)
    clock = np.zeros_like(rest)
    for count, written_to, nanoseconds in reversed(CLOCK[:num_clock]):
        rest, digits = np.divmod(rest, written_to)
        is_rounded = num_clock > MOST_EXACT and nanoseconds == SECOND  # 59.999 may be 60
        is_date &= digits < count + is_rounded
        clock += digits * nanoseconds
    rest, day = np.divmod(rest, 100)
    year, month = np.divmod(rest, 100)
    first, last = (FIRST_OF_CENTURY, 99) if century else (FIRST_YEAR, LAST_YEAR)
    is_date &= (year >= first) & (year <= last) & (month >= 1) & (month <= 12) & (day >= 1)
    months = np.where(is_date, (year + century - FIRST_YEAR) * 12 + month - 1, 0)
    start = months.astype("datetime64[M]").astype("datetime64[D]")
    end = (months + 1).astype("datetime64[M]").astype("datetime64[D]")
    days = start.astype(np.int64) + day - 1
    is_date &= days < end.astype(np.int64)
    return np.where(is_date, days * DAY + clock, -1)


def formats_of(numbers: NDArray[np.float64], possible: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some formats in which all numbers [n] are dates."""
    return tuple(one for one in possible if (moments(numbers, one) >= 0).all())
