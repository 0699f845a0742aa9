"""What is said of a log before a model is made of it."""

import shlex

import numpy as np
import polars as pl
import pytest

from tablefree.fields.profile import profile

ROWS = 6_000


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def log(rng):
    clicked = rng.random(ROWS) < 0.2
    return pl.DataFrame({"click": clicked.astype(int), "ad": rng.integers(0, 50, ROWS)})


def some(log, rng, share):
    """Which clicks have something that no other event has."""
    return (log["click"].to_numpy() == 1) & (rng.random(ROWS) < share)


def one_in(warnings, *words):
    return [line for line in warnings if all(word in line for word in words)]


LATER = {
    "flag": lambda has: pl.Series(has.astype(int)),
    "null": lambda has: pl.Series(np.arange(ROWS) / 7).set(pl.Series(~has), None),
    "text": lambda has: pl.Series(np.where(has, "tv", "")),
    "sentinel": lambda has: pl.Series(np.where(has, np.arange(ROWS) % 900, -1)),
    "date": lambda has: pl.Series(np.where(has, "2026-01-31", "")),
    "bag": lambda has: pl.Series([["a", "won"] if one else ["a"] for one in has]),
}


@pytest.mark.parametrize("kind", LATER)
@pytest.mark.parametrize("form", ["frame", "text"])
def test_what_comes_of_few_events_gives_the_label_away(log, rng, kind, form, tmp_path):
    frame = log.with_columns(LATER[kind](some(log, rng, 0.1)).alias("later"))
    if form == "text" and frame["later"].dtype != pl.List:
        frame.write_csv(tmp_path / "x.csv")
        frame = tmp_path / "x.csv"
    found = profile(frame)
    assert found.columns["later"].auc < 0.9
    (line,) = found.warnings
    assert line.startswith("some values of 'later' come with one label alone: unless it is known")
    assert "(--drop later)" in line


@pytest.mark.parametrize("size", [2, 50, 1_000, 5_000])
def test_what_tells_little_is_not_sure(log, rng, size):
    found = profile(log.with_columns(x=rng.integers(0, size, ROWS)), categorical=["x"])
    assert not found.warnings


def test_a_feature_that_tells_much_is_not_sure(rng):
    ad = rng.integers(0, 400, ROWS)
    chance = rng.random(400) ** 3 * 0.9
    frame = pl.DataFrame({"click": rng.random(ROWS) < chance[ad], "ad": ad, "n": chance[ad]})
    found = profile(frame)
    assert found.columns["ad"].auc > 0.8
    assert not found.warnings


def test_all_that_is_known_too_late_is_left_out_at_once(log, rng):
    later = some(log, rng, 0.1).astype(int)
    log = log.with_columns(
        pl.Series("sold, or not", later), nonclk=1 - pl.col("click"), shares=pl.Series(later)
    )
    found = profile(log)
    option = found.warnings[-1].partition(" by ")[2]
    assert found.warnings[-1] == f"these 3 columns are left out by {option}"
    flag, names = shlex.split(option)
    assert (flag, names) == ("--drop", r"sold\, or not,nonclk,shares")
    assert not profile(log, drop=["sold, or not", "nonclk", "shares"]).warnings


def test_other_names_of_labels_are_said(log, rng):
    log = log.with_columns(
        conversion=rng.integers(0, 2, ROWS), conversion_id=rng.integers(0, 90, ROWS)
    )
    found = profile(log)
    assert one_in(found.warnings, "'conversion' goes by the name of a label too, of which 'click'")
    assert one_in(found.warnings, "'conversion_id' is of 'conversion'", "--drop conversion_id")
    found = profile(log, label="conversion")
    assert one_in(found.warnings, "'click' goes by the name of a label too")


def test_what_may_be_the_label_is_said(log):
    found = profile(log.rename({"click": "opened"}))
    assert found.like_labels == ("opened",)
    assert one_in(found.warnings, "no column goes by the name of a label", "'opened'", "--label")
    flags = pl.DataFrame({f"is_{at}": [0, 1] for at in range(12)})
    assert one_in(profile(flags).warnings, "'is_9' and 2 more")
    assert not profile(log.drop("click")).warnings


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["11/08/2019 08:00:08 AM"] * 2, "row 1 of the frame has '11/08/2019 08:00:08 AM'"),
        (["2026-01-31", "31.1.2026"], "row 2 of the frame has '31.1.2026': write dates as ISO"),
        (["2026-01-31", None], "row 2 of the frame has none (1 in all): remove such rows"),
        (["2026-01-31", "2026-02-01"], None),
        (["Monday", "Sunday"], None),
        (["1", "2"], None),
    ],
)
def test_what_would_be_the_time_is_said(values, said):
    frame = pl.DataFrame({"click_time": values, "x": ["a", "b"]})
    lines = one_in(profile(frame).warnings, "'click_time' would be the time, but", said or "")
    assert len(lines) == (said is not None)
    assert not one_in(profile(frame, drop=["click_time"]).warnings, "would be")


@pytest.mark.parametrize(
    ("header", "is_said"),
    [
        ("0,1,4931,0.5", True),
        ("1,1,user,7", True),
        ("0,1,2,3", False),
        ("click,ad,C1,101", False),
    ],
)
def test_a_first_row_of_data_is_said(header, is_said, tmp_path):
    (tmp_path / "x.csv").write_text("\n".join([header, "0,2,7,8.5", "1,3,a,9"]) + "\n")
    lines = one_in(profile(tmp_path / "x.csv").warnings, "most names of columns are numbers")
    assert len(lines) == is_said
