"""Dates that are written as one number: 20141021, 14102100 (with the hour) or 2014102100."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from tablefree.data.numbers import DAY

HOUR = DAY // 24  # nanoseconds
# How they are written, the likelier first where numbers may be either → what comes before the year
# of two digits, and whether there is an hour.
FORMATS: Final = {"YYYYMMDD": (0, False), "YYYYMMDDHH": (0, True), "YYMMDDHH": (2000, True)}
FIRST_YEAR, LAST_YEAR = 1970, 2100
FIRST_OF_CENTURY = 1  # 2001: numbers of fewer than seven digits are no dates


def moments(numbers: NDArray[np.float64], written: str) -> NDArray[np.int64]:
    """Nanoseconds since 1970 of dates as numbers [n]; -1 for one that is no date.

    Args:
        numbers: any; the dates are of the years 1970 to 2100.
        written: one of `FORMATS`.
    """
    century, has_hour = FORMATS[written]
    is_whole = (np.abs(numbers) < 10.0**10) & (np.trunc(numbers) == numbers)
    rest = np.where(is_whole, numbers, 0).astype(np.int64)
    hour = np.zeros_like(rest)
    if has_hour:
        rest, hour = np.divmod(rest, 100)
    rest, day = np.divmod(rest, 100)
    year, month = np.divmod(rest, 100)
    first, last = (FIRST_OF_CENTURY, 99) if century else (FIRST_YEAR, LAST_YEAR)
    is_date = is_whole & (year >= first) & (year <= last) & (month >= 1) & (month <= 12)
    is_date &= (day >= 1) & (hour < 24)
    months = np.where(is_date, (year + century - FIRST_YEAR) * 12 + month - 1, 0)
    start = months.astype("datetime64[M]").astype("datetime64[D]")
    end = (months + 1).astype("datetime64[M]").astype("datetime64[D]")
    days = start.astype(np.int64) + day - 1
    is_date &= days < end.astype(np.int64)
    return np.where(is_date, days * DAY + hour * HOUR, -1)


def formats_of(numbers: NDArray[np.float64], possible: tuple[str, ...]) -> tuple[str, ...]:
    """Those of some formats in which all numbers [n] are dates."""
    return tuple(one for one in possible if (moments(numbers, one) >= 0).all())
