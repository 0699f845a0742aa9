"""Dates as one number are dates exactly: every one that there is, and no other."""

from datetime import UTC, date, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefree.errors import InputError
from tablefree.fields.digits import FORMATS, moments
from tablefree.fields.events import read_events
from tablefree.fields.profile import profile
from tablefree.fields.table import Table
from tablefree.fields.values import MISSING

WRITTEN = {
    "YYYYMMDD": "%Y%m%d",
    "YYYYMMDDHH": "%Y%m%d%H",
    "YYMMDDHH": "%y%m%d%H",
    "YYYYMMDDHHMM": "%Y%m%d%H%M",
    "YYYYMMDDHHMMSS": "%Y%m%d%H%M%S",
    "YYYYMMDDHHMMSSFFF": "%Y%m%d%H%M%S000",
}
EXACT = [one for one in WRITTEN if len(one) < 16]
TIMES = st.datetimes(datetime(2001, 1, 1), datetime(2099, 12, 31, 23))
DAYS = [date(2014, 10, day) for day in range(1, 12) for _ in range(3)]
HOURS = [datetime(2014, 10, day, hour) for day in range(20, 31) for hour in (0, 7, 23)]


@given(time=TIMES, written=st.sampled_from(list(FORMATS)))
def test_a_date_is_the_moment_it_says(time, written):
    time = time.replace(microsecond=0)
    for part, letters in (("second", "SS"), ("minute", "HHMM"), ("hour", "HH")):
        time = time if letters in written else time.replace(**{part: 0})
    number = float(time.strftime(WRITTEN[written]))
    wanted = int(time.replace(tzinfo=UTC).timestamp()) * 10**9
    assert moments(np.array([number]), written).tolist() == [wanted]


@given(
    number=st.integers(0, 10**10 - 1) | st.integers(19 * 10**10, 22 * 10**12),
    written=st.sampled_from(list(FORMATS)),
)
def test_what_python_does_not_read_is_no_date(number, written):
    (found,) = moments(np.array([float(number)]), written)
    assert (found >= 0) == is_date(f"{number:0{len(written)}d}", written)


@given(time=TIMES, milliseconds=st.integers(0, 999))
def test_milliseconds_are_exact_to_a_few(time, milliseconds):
    number = float(time.strftime("%Y%m%d%H%M%S") + f"{milliseconds:03}")
    (found,) = moments(np.array([number]), "YYYYMMDDHHMMSSFFF")
    wanted = int(time.replace(microsecond=0, tzinfo=UTC).timestamp()) * 1000 + milliseconds
    assert abs(found - wanted * 10**6) <= 2 * 10**6


def is_date(text, written):
    if len(text) != len(written):
        return False
    text = f"20{text}" if written == "YYMMDDHH" else text
    try:
        time = datetime.strptime(text, WRITTEN[written].replace("%y", "%Y"))
    except ValueError:
        return False
    return (2001 if written == "YYMMDDHH" else 1970) <= time.year <= 2100


@pytest.mark.parametrize("number", [14102124, 14023000, 14102100.5, -14102100, 1e300, np.nan])
def test_no_dates(number):
    assert moments(np.array([number]), "YYMMDDHH").tolist() == [-1]


def log(values, **columns):
    return pl.DataFrame({"hour": values, "site": ["a", "b", "c"] * 11, **columns})


def column_of(frame, name="hour", **kinds):
    return profile(frame, **kinds).columns[name].column


@pytest.mark.parametrize("written", FORMATS)
@pytest.mark.parametrize("kind", [int, float, str])
def test_a_column_of_them_is_a_time(written, kind, tmp_path):
    numbers = [int(time.strftime(WRITTEN[written])) for time in HOURS]
    frame = log([kind(number) for number in numbers])
    if kind is str:
        frame.write_csv(tmp_path / "x.csv")
        frame = tmp_path / "x.csv"
    column = column_of(frame)
    assert (column.kind, column.type, column.resolution) == ("time", "date", written)
    events = read_events(Table.of(frame), [column])
    assert events.names == ("hour:hour", "hour:weekday")
    hours = [time.hour if "HH" in written else 0 for time in HOURS]
    assert events.ids[:, 0].tolist() == hours
    assert events.ids[:, 1].tolist() == [time.weekday() for time in HOURS]


def test_by_other_names_many_of_them_are_dates():
    numbers = [int(time.strftime("%y%m%d%H")) for time in HOURS]
    assert column_of(log(HOURS, seen=numbers), "seen").kind == "date"
    few = [numbers[at % 2] for at in range(33)]
    assert column_of(log(HOURS, code=few), "code").kind == "categorical"


def test_other_numbers_of_as_many_digits_are_none():
    numbers = [*range(14102100, 14102133)]  # hours up to 32
    assert column_of(log(HOURS, seen=numbers), "seen").kind == "categorical"


def test_dates_are_taken_for_them_and_others_are_refused():
    numbers = [int(time.strftime("%y%m%d%H")) for time in HOURS]
    column = column_of(log(numbers))
    same = read_events(Table.of(log(HOURS)), [column])
    assert same.ids.tolist() == read_events(Table.of(log(numbers)), [column]).ids.tolist()
    with pytest.raises(InputError, match="has dates as YYMMDDHH for the model, and row 1 of"):
        read_events(Table.of(log([14102124, *numbers[1:]])), [column])


@pytest.mark.parametrize(("written", "odd"), [("YYYYMMDD", HOURS), ("YYMMDDHH", DAYS)])
def test_dates_of_another_resolution_are_refused(written, odd):
    numbers = [int(time.strftime(WRITTEN[written])) for time in HOURS]
    column = column_of(log(numbers))
    with pytest.raises(InputError, match="the column 'hour' has dates with"):
        read_events(Table.of(log(odd)), [column])


def test_what_says_that_it_is_no_number_is_missing(tmp_path):
    numbers = [time.strftime("%y%m%d%H") for time in HOURS]
    log(numbers).write_csv(tmp_path / "x.csv")
    column = column_of(tmp_path / "x.csv")
    events = read_events(Table.of(log(["nan", *numbers[1:]])), [column])
    assert events.ids[0].tolist() == [MISSING, MISSING]
    assert events.ids[1, 0] == HOURS[1].hour


def test_numbers_that_are_no_dates_are_an_order_alone():
    frame = log([*range(33)])
    found = profile(frame, time="hour")
    column = found.columns["hour"].column
    assert column.resolution == "order"
    assert read_events(Table.of(frame), [column]).names == ()
    assert "numbers that are no dates" in found.warnings[0]
