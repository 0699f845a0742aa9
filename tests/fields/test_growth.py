import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.fields.growth import extrapolated


def growth_of(count, rows=2**17):
    points = [2**power for power in range(10, 30) if 2**power < rows]
    return [(one, count(one)) for one in [*points, rows]]


@pytest.mark.parametrize("exponent", [0.3, 0.5, 0.8, 1.0])
def test_a_power_of_the_rows_goes_on(exponent):
    growth = growth_of(lambda rows: round(50 * rows**exponent))
    asked = 50 * (10 * 2**17) ** exponent
    assert extrapolated(growth, 10 * 2**17) == pytest.approx(asked, rel=0.01)


def test_a_column_that_has_shown_all_grows_no_more():
    assert extrapolated(growth_of(lambda rows: min(rows, 2000)), 10**9) == 2000


@given(
    values=st.lists(st.integers(0, 1000), min_size=1, max_size=12).map(sorted),
    rows=st.floats(1, 1e9),
    more=st.floats(1, 100),
)
@settings(max_examples=100, deadline=None)
def test_more_rows_never_have_fewer_values_nor_more_than_one_each(values, rows, more):
    growth = [(1024 * 2**at, value) for at, value in enumerate(values)]
    last_rows, last = growth[-1]
    found = extrapolated(growth, rows)
    assert last <= found <= extrapolated(growth, rows * more)
    assert found <= last * max(1, rows / last_rows) + 1


@pytest.mark.parametrize("growth", [[(5, 3)], [(5, 0)], [(1024, 0), (2048, 0)], [(7, 7), (7, 7)]])
def test_what_has_no_slope(growth):
    assert extrapolated(growth, 10**6) == growth[-1][1]
