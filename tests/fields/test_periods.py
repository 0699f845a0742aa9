from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tablefree.fields.periods import PERIODS, periods
from tablefree.fields.values import MISSING, NO_TIME

MOMENTS = st.datetimes(datetime(1678, 1, 1), datetime(2262, 1, 1), timezones=st.just(UTC))


@given(moments=st.lists(MOMENTS, min_size=1))
def test_hours_and_weekdays_are_those_of_the_calendar(moments):
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    seconds = [(one.replace(microsecond=0) - epoch) for one in moments]
    times = np.array([one.days * 86_400 + one.seconds for one in seconds]) * 10**9
    found = periods(times + 999_999_999)
    assert found["hour"].tolist() == [one.hour for one in moments]
    assert found["weekday"].tolist() == [one.weekday() for one in moments]


def test_no_time_has_no_period():
    found = periods(np.array([NO_TIME, 0]))
    assert {name: one.tolist() for name, one in found.items()} == {
        "hour": [MISSING, 0],
        "weekday": [MISSING, 3],
    }
    assert found.keys() == PERIODS.keys()
