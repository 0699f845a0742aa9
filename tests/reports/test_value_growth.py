"""The picture of distinct values: what is drawn, and how far beyond the rows."""

from xml.etree import ElementTree

import numpy as np
import polars as pl

from tablefree.fields.growth import extrapolated
from tablefree.fields.profile import profile
from tablefree.reports.value_growth import (
    AHEAD,
    MOST_COLUMNS,
    growth_chart,
    growth_figure,
    growth_marks,
    growth_of,
    largest,
)

GROWTH = {"user": [(1_024, 500), (2_048, 700), (3_000, 800)], "site": [(1_024, 9), (3_000, 9)]}


def test_points_are_measured_and_dashes_extrapolated():
    first, second, points = growth_chart(GROWTH).layer
    drawn = [(one["name"], one["rows"], one["values"]) for one in points["data"]["values"]]
    assert drawn == [(name, *pair) for name, pairs in GROWTH.items() for pair in pairs]
    assert first["data"]["values"] == points["data"]["values"]
    beyond = [one for one in second["data"]["values"] if one["name"] == "user"]
    assert (beyond[0]["rows"], beyond[0]["values"]) == (3_000, 800)
    assert beyond[-1]["rows"] == 3_000 * AHEAD
    assert beyond[-1]["values"] == extrapolated(GROWTH["user"], 3_000 * AHEAD) > 800


def test_the_largest_columns_are_drawn_each_in_its_own_way():
    many = {f"column_{at}": [(100, at + 1)] for at in range(MOST_COLUMNS + 3)}
    shown = largest(many)
    assert list(shown) == [f"column_{at}" for at in reversed(range(3, MOST_COLUMNS + 3))]
    marks = growth_marks(shown)
    assert len({mark.colour for mark in marks}) == len({mark.path for mark in marks}) == len(shown)


def test_a_figure_of_a_profile():
    rng = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "user": [f"u{one}" for one in rng.zipf(1.3, 3_000) % 900],
            "tags": [[f"t{one}"] for one in rng.integers(30, size=3_000)],
            "price": rng.normal(size=3_000),
        }
    )
    found = profile(frame)
    assert set(growth_of(found)) == {"user", "tags"}
    text = growth_figure(found, 2)
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert "user" in text
    assert growth_figure(profile(frame.select("price")), 2) is None
