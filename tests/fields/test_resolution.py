"""Dates of another resolution than in training are taken where they are exactly the same."""

from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta, timezone

import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree.errors import InputError
from tablefree.fields.events import read_events
from tablefree.fields.profile import profile
from tablefree.fields.table import Table

DAY, NOON = date(2026, 1, 31), datetime(2026, 1, 31, 12)
MIDNIGHT = datetime(2026, 1, 31)
EAST = datetime(2026, 1, 31, tzinfo=timezone(timedelta(hours=2)))
SECONDS = int(NOON.replace(tzinfo=UTC).timestamp())
DAYS = {
    "days": [DAY, date(2026, 2, 1)],
    "midnights": [MIDNIGHT, datetime(2026, 2, 1)],
    "midnights of UTC": [MIDNIGHT.replace(tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)],
    "text of days": ["2026-01-31", "2026-02-01"],
    "text of midnights": ["2026-01-31 00:00:00.000", "2026-02-01T00:00Z", "2026-02-01T00:00+00:00"],
}
MOMENTS = {
    "moments": [MIDNIGHT, NOON],
    "moments of a zone": [EAST, EAST + timedelta(days=1)],
    "text": ["2026-01-31T00:00", "2026-01-31 12:00:00"],
    "text of a zone": ["2026-01-31T00:00+02:00", "2026-02-01T00:00+02:00"],
    "seconds": [SECONDS, SECONDS + 86_400],
    "text of seconds": [str(SECONDS), str(SECONDS + 86_400)],
}
BOTH = {"text of both": ["2026-01-31", "2026-01-31T12:00"]}
LACKS = "dates with times of the day"
LOSES = "dates without times of the day"


def columns_of(values, **kinds):
    """What a column of these values is taken for, beside others."""
    frame = pl.DataFrame({"seen": values * 4, "other": ["a", "b"] * (2 * len(values))})
    return [one.column for one in profile(frame, **(kinds or {"date": ["seen"]})).columns.values()]


def events(values, columns):
    array = pa.array(values, from_pandas=True)
    return read_events(Table.of(pa.table({"seen": array, "other": ["a"] * len(array)})), columns)


@pytest.mark.parametrize(
    ("trained", "asked"),
    [
        *((one, [asked]) for one in DAYS for asked in (DAY, MIDNIGHT, "2026-01-31")),
        *((one, ["2026-01-31T00:00:00.0Z", None]) for one in DAYS),
        *((one, [asked]) for one in MOMENTS for asked in (MIDNIGHT, "2026-01-31T00:00")),
        *((one, [asked]) for one in BOTH for asked in (DAY, MIDNIGHT, "2026-01-31")),
    ],
)
def test_a_date_that_is_the_same_is_taken(trained, asked):
    columns = columns_of((DAYS | MOMENTS | BOTH)[trained])
    hour, weekday = events(asked, columns).ids[0, :2].tolist()
    assert (hour, weekday) == (0, DAY.weekday())


@pytest.mark.parametrize(
    ("trained", "asked", "what"),
    [
        *((one, DAY, LACKS) for one in MOMENTS),
        *((one, "2026-01-31", LACKS) for one in MOMENTS),
        *((one, NOON, LOSES) for one in DAYS),
        *((one, EAST, LOSES) for one in DAYS),
        *((one, SECONDS, LOSES) for one in DAYS),
        *((one, "2026-01-31T12:00", LOSES) for one in DAYS),
        *((one, "2026-01-31T00:00+02:00", LOSES) for one in DAYS),
    ],
)
def test_a_date_that_is_not_is_refused_by_name(trained, asked, what):
    columns = columns_of((DAYS | MOMENTS)[trained])
    words = (
        f"^the column 'seen' has {what} for the model, and row 2 of the frame has .*{what} first"
    )
    with pytest.raises(InputError, match=words):
        events([None, asked], columns)


@pytest.mark.parametrize("asked", [DAY, NOON, "2026-01-31", "2026-01-31T12:00"])
def test_numbers_that_only_order_events_are_no_dates(asked):
    columns = columns_of([1, 2, 3, 4], time="seen")
    assert events([5], columns).times.tolist() == [5 * 10**9]
    with pytest.raises(InputError, match="'seen' has numbers for the model, and row 1 of"):
        events([asked], columns)


def test_a_number_of_another_time_is_no_date():
    columns = columns_of([SECONDS, SECONDS + 7], time="seen")
    with pytest.raises(InputError, match=r"'seen' has dates for the model, and row 1 of .* has 5,"):
        events([5], columns)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_files_of_days(tmp_path, form):
    """A file that lost the times of the day is refused, whatever its form."""
    columns = columns_of([MIDNIGHT, NOON])
    path = tmp_path / f"x.{form}"
    frame = pl.DataFrame({"seen": [DAY, DAY], "other": ["a", "b"]})
    write = {"parquet": frame.write_parquet, "csv": frame.write_csv, "jsonl": frame.write_ndjson}
    write[form](path)
    with pytest.raises(InputError, match=f"'seen' has {LACKS} for the model, and row 1 of .*x"):
        read_events(Table.of(path), columns)


WRITTEN = {
    "days": pl.col("seen").cast(pl.Date),
    "text of days": pl.col("seen").dt.strftime("%Y-%m-%d"),
    "text": pl.col("seen").dt.strftime("%Y-%m-%dT%H:%M"),
    "zone": pl.col("seen").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
    "milliseconds": pl.col("seen").dt.epoch("ms"),
}


@given(
    st.lists(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), min_size=2, max_size=5),
    st.booleans(),
    st.sampled_from(sorted(WRITTEN)),
)
def test_the_same_moments_are_the_same_events_or_refused(moments, are_days, form):
    unit = "1d" if are_days else "1h"
    frame = pl.DataFrame({"seen": moments}).with_columns(pl.col("seen").dt.truncate(unit))
    columns = columns_of(frame["seen"].to_list())
    written = frame.select(WRITTEN[form])["seen"].to_arrow()
    is_lossy = "days" in form and bool((frame["seen"].dt.hour() > 0).any())
    with pytest.raises(InputError, match=LACKS) if is_lossy else nullcontext():
        found = events(written, columns).ids
    if not is_lossy:
        assert torch.equal(found, events(frame["seen"].to_list(), columns).ids)


@pytest.mark.parametrize("per_second", [1, 10**3, 10**6, 10**9])
def test_numbers_since_1970_are_moments_in_every_form(per_second, form):
    """Also in text, where ten digits are as long as a day is."""
    seconds = [SECONDS + 3_600 * hour for hour in range(48)]
    table = pa.table({"ts": [one * per_second for one in seconds], "other": ["a", "b"] * 24})
    data = form(table)
    column = profile(data).columns["ts"].column
    assert (column.kind, column.resolution) == ("time", "moment")
    found = read_events(Table.of(data), [column])
    assert found.times.tolist() == [one * 10**9 for one in seconds]
    assert found.ids[:3, 0].tolist() == [12, 13, 14]
