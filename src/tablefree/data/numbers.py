"""Numbers of a column: labels, ratings, numeric side features, and times as nanoseconds.

Text is read as a typed file would have it: numbers, true and false, dates of ISO 8601.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tablefree.data.parts import Rows
from tablefree.errors import InputError

LARGEST = float(np.finfo(np.float32).max)  # models take float32
PER_UNIT = {"ns": 1, "us": 10**3, "ms": 10**6}
DAY = 86_400 * 10**9
# Units of a number by its size, and nanoseconds in each: seconds reach 10^11 in the year 5138.
UNITS = (
    (0, "seconds", 10**9),
    (10**11, "milliseconds", 10**6),
    (10**14, "microseconds", 10**3),
    (10**17, "nanoseconds", 1),
)
TIME = (
    r"^(\d{4}-\d\d-\d\d)"
    r"(?:[T ](\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?) ?(Z|UTC|[+-]\d\d(?::?\d\d)?)?)?$"
)


def as_numbers(column: pl.Series) -> pl.Series:
    """Float64, null for a value that is missing or no number."""
    if column.dtype == pl.String:
        text = column.str.to_lowercase()
        are_booleans = (text.is_in(["true", "false"]) | (text == "")).fill_null(True)
        if are_booleans.all() and (text != "").any():
            return (text == "true").set(text == "", None).cast(pl.Float64)
    elif not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        return pl.Series(column.name, [None] * len(column), pl.Float64)
    return column.cast(pl.Float64, strict=False).fill_nan(None)


def no_numbers(column: pl.Series, values: pl.Series) -> pl.Series:
    """Where a column has a value and no number was found for it; NaN, also in text, is no value."""
    is_odd = values.is_null() & column.is_not_null()
    if column.dtype == pl.String:
        is_odd &= column.str.to_lowercase() != "nan"
    return is_odd


def numbers(column: pl.Series, rows: Rows) -> npt.NDArray[np.float64]:
    """Finite numbers, one for each row.

    Raises:
        InputError: a row without a number, or with one that no float32 holds.
    """
    values = as_numbers(column)
    if values.null_count():
        raise no_value(column, rows, values.is_null())
    check_finite(values, rows)
    return values.to_numpy()


def no_value(column: pl.Series, rows: Rows, missing: pl.Series) -> InputError:
    """What to say of rows without a value."""
    at = int(missing.arg_max() or 0)
    shown = "" if column.is_null()[at] else _shown(column, at)
    found = f", but {shown!r}" if shown else ""
    remedy = "remove these rows or fill them in"
    if column.name == "label":
        remedy = "a label is 0 or 1, or true or false; rename a column that is none"
    return InputError(
        f"{rows.at(at)} has no {column.name}, or none that can be read{found} "
        f"({int(missing.sum())} such rows in all): {remedy}"
    )


def _shown(column: pl.Series, at: int) -> str:
    """A value for a message; a date in NumPy's way, for Python has no year 10,000."""
    if column.dtype in (pl.Datetime, pl.Date):
        unit: Any = getattr(column.dtype, "time_unit", "D")
        return str(np.datetime64(column.to_physical()[at], unit))
    return str(column[at])[:50]


def check_finite(values: pl.Series, rows: Rows) -> None:
    """Refuse infinite numbers, and those that would be infinite as float32."""
    wrong = (values.abs() > LARGEST).fill_null(False)
    if wrong.any():
        at = int(wrong.arg_max() or 0)
        raise InputError(
            f"{rows.at(at)} has the {values.name} {values[at]:g}, which is not finite as float32: "
            "correct it, or leave it empty where it is missing"
        )


def feature_from_text(column: pl.Series, rows: Rows) -> pl.Series:
    """Floats if all values are numbers or missing, strings if most are no numbers.

    Raises:
        InputError: most are numbers but not all.
    """
    text = column.set(column == "", None)
    values = as_numbers(text)
    is_odd = values.is_null() & text.is_not_null() & (text.str.to_lowercase() != "nan")
    if not is_odd.any():
        return values
    if 2 * values.count() >= text.count():
        at = int(is_odd.arg_max() or 0)
        raise InputError(
            f"{rows.at(at)} has the {text.name} {text[at][:50]!r}, where most are numbers: correct "
            "it, leave it empty where it is missing, or save categories as strings in a Parquet "
            "file"
        )
    return text


def nanoseconds(column: pl.Series, rows: Rows, *, is_needed: bool) -> npt.NDArray[np.int64] | None:
    """Times as int64 nanoseconds since 1970, in the column's full resolution.

    Args:
        column: dates, with or without a time zone (UTC where there is none), or as text of ISO
            8601; or numbers, whose unit, the same for all, is told by their size.
        rows: where they are.
        is_needed: whether a row without a time is refused; else there is no result.

    Raises:
        InputError: a row without a time; one that is infinite, outside the years 1678 to 2261, or,
            by its size, in another unit than the others.
    """
    if column.dtype in (pl.Datetime, pl.Date):
        times, is_missing = _of_dates(column, rows), column.is_null()
    elif column.dtype == pl.String and (parsed := _parsed(column, rows)) is not None:
        times, is_missing = parsed.fill_null(0).to_numpy(), parsed.is_null()
    else:
        values = _exact(column)
        is_missing = values.is_null()
        times = (
            _of_numbers(column, values, rows) if values.count() else np.zeros(len(column), np.int64)
        )
    if is_missing.any():
        if is_needed:
            raise no_value(column, rows, is_missing)
        return None
    return times


def _of_dates(column: pl.Series, rows: Rows) -> npt.NDArray[np.int64]:
    unit = getattr(column.dtype, "time_unit", None)
    per_unit = DAY if unit is None else PER_UNIT[unit]
    return _scaled(column, column.to_physical().cast(pl.Int64), per_unit, rows)


def _parsed(column: pl.Series, rows: Rows) -> pl.Series | None:
    """Text of ISO 8601 as nanoseconds; None if it is no such text, but numbers or anything."""
    parts = column.str.extract_groups(TIME).struct.rename_fields(["date", "time", "zone"])
    date, time, zone = (parts.struct.field(name) for name in ("date", "time", "zone"))
    is_time = date.is_not_null()
    if 2 * int(is_time.sum()) < (column.fill_null("") != "").sum() or not is_time.any():
        return None
    time = time.fill_null("00:00").str.replace(",", ".", literal=True)
    seconds = pl.select(pl.when(time.str.len_bytes() == 5).then(time + ":00").otherwise(time))
    clock, fraction = (
        seconds.to_series().str.extract(pattern).fill_null("")
        for pattern in (r"^([\d:]+)", r"\.(\d{1,9})")
    )
    moment = (date + " " + clock).str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False)
    offset = zone.fill_null("Z").str.replace_all(r"[:ZUTC]", "")
    sign = pl.select(pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)).to_series()
    hours, minutes = (
        offset.str.extract(pattern).cast(pl.Int64).fill_null(0)
        for pattern in (r"^[+-](\d\d)", r"^[+-]\d\d(\d\d)")
    )
    micro = moment.to_physical() - sign * (hours * 60 + minutes) * 60_000_000
    whole = _scaled(column, micro, 10**3, rows)
    nano = fraction.str.pad_end(9, "0").str.replace_all(r"^$", "0").cast(pl.Int64).fill_null(0)
    return pl.Series(column.name, whole + nano.to_numpy()).set(moment.is_null(), None)


def _exact(column: pl.Series) -> pl.Series:
    """Numbers as integers or decimals where they are; float64 else; null for what is none."""
    if column.dtype == pl.String:
        for dtype in (pl.Int64, pl.Decimal(38, 9)):
            values = column.cast(dtype, strict=False)
            is_lost = values.is_null() & as_numbers(column).is_not_null()
            if not is_lost.any():
                return values
        return as_numbers(column)
    if column.dtype.is_integer():
        return column.cast(pl.UInt64 if column.dtype == pl.UInt64 else pl.Int64)
    if column.dtype.is_decimal():
        return column.cast(pl.Decimal(38, 9))
    return as_numbers(column) if column.dtype.is_float() else column.clear(len(column))


def _of_numbers(column: pl.Series, values: pl.Series, rows: Rows) -> npt.NDArray[np.int64]:
    known = values.is_not_null().to_numpy()
    size = np.abs(values.cast(pl.Float64).fill_null(0.0).to_numpy())
    if not np.isfinite(size).all():
        at = int(np.argmin(np.isfinite(size)))
        raise InputError(f"{rows.at(at)} has an infinite {values.name}: correct or remove it")
    unit = np.searchsorted([least for least, _, _ in UNITS], size, side="right") - 1
    counts = np.bincount(unit[known], minlength=len(UNITS))
    usual = int(counts.argmax())
    odd = known & (unit != usual)
    _, name, per_unit = UNITS[usual]
    if odd.any():
        at, like = int(odd.argmax()), int((known & ~odd).argmax())
        raise InputError(
            f"{rows.at(at)} has the {column.name} {_shown(column, at)}, which by its size is in "
            f"{UNITS[unit[at]][1]}, and {rows.at(like)} has {_shown(column, like)}, {name}: "
            "correct it, or save the column as dates"
        )
    if values.dtype.is_integer():
        return _scaled(column, values, per_unit, rows)
    whole = values.cast(pl.Float64).floor() if values.dtype.is_float() else values.floor()
    rest = ((values - whole).cast(pl.Float64).fill_null(0.0).to_numpy() * per_unit).round()
    scaled: npt.NDArray[np.int64] = _scaled(column, whole, per_unit, rows) + rest.astype(np.int64)
    return scaled


def _scaled(
    column: pl.Series, values: pl.Series, per_unit: int, rows: Rows
) -> npt.NDArray[np.int64]:
    """Whole numbers times nanoseconds in each, none of them beyond 64 bits."""
    limit = (2**63 - 1) // per_unit - 1
    beyond = (values > limit).fill_null(False)
    if values.dtype != pl.UInt64:
        beyond |= (values < -limit).fill_null(False)
    if beyond.any():
        at = int(beyond.arg_max() or 0)
        raise InputError(
            f"{rows.at(at)} has the {column.name} {_shown(column, at)}, outside the years 1678 to "
            "2261: correct it, or remove the row"
        )
    return values.fill_null(0).cast(pl.Int64).to_numpy() * np.int64(per_unit)
