"""Integers that the label shows to be codes are categorical, and numbers are not."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tablefree.fields.leaks import Trial
from tablefree.fields.profile import profile

ROWS = 20_000
CODES = {
    "codes": lambda rng: (rng.integers(0, 500, ROWS), rng.normal(size=500)),
    "few": lambda rng: (rng.integers(0, 120, ROWS), rng.normal(size=120)),
    "many": lambda rng: (rng.integers(0, 2_000, ROWS), 2 * rng.normal(size=2_000)),
    "frequent": lambda rng: (rng.zipf(1.3, ROWS) % 5_000, rng.normal(size=5_000)),
}


def kind(values, logits, rng, **options):
    label = rng.random(ROWS) < 1 / (1 + np.exp(logits.mean() - logits))
    frame = pl.DataFrame({"label": label, "x": values})
    return profile(frame, **options).columns["x"].column


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("seed", range(3))
def test_codes_are_categorical(name, seed):
    rng = np.random.default_rng(seed)
    values, worth = CODES[name](rng)
    scattered = rng.permutation(10**6)[: len(worth)]  # codes have no order
    found = kind(scattered[values], worth[values], rng)
    assert (found.kind, found.type) == ("categorical", "integer")
    assert found.reason.startswith("codes: they tell the label (AUC 0.")


@pytest.mark.parametrize("shape", ["order", "middle", "noise"])
@pytest.mark.parametrize("values", [150, 1_000, 10**6])
@pytest.mark.parametrize("seed", range(3))
def test_numbers_are_numeric(shape, values, seed):
    rng = np.random.default_rng(seed)
    numbers = rng.integers(0, values, ROWS)
    share = numbers / values
    logits = {"order": 2 * share, "middle": 2 * np.sin(np.pi * share), "noise": 0 * share}[shape]
    found = kind(numbers, logits, rng)
    assert (found.kind, found.type) == ("numeric", "integer")
    assert "distinct integers" in found.reason


def test_what_is_given_stays():
    rng = np.random.default_rng(0)
    values, worth = CODES["codes"](rng)
    assert kind(values, worth[values], rng, numeric=["x"]).kind == "numeric"


def test_without_a_label_integers_are_numbers():
    values = np.random.default_rng(0).integers(0, 500, ROWS)
    assert profile(pl.DataFrame({"x": values})).columns["x"].column.kind == "numeric"


def test_text_and_nulls_of_codes(tmp_path):
    rng = np.random.default_rng(0)
    values, worth = CODES["codes"](rng)
    label = rng.random(ROWS) < 1 / (1 + np.exp(-worth[values]))
    some = pl.Series(values).set(pl.Series(rng.random(ROWS) < 0.1), None)
    frame = pl.DataFrame({"label": label, "x": some})
    frame.write_csv(tmp_path / "x.csv")
    for data in (frame, frame.to_pandas(), tmp_path / "x.csv"):
        column = profile(data).columns["x"].column
        assert (column.kind, column.type) == ("categorical", "integer")


@pytest.mark.parametrize("size", [0, 60, 150])
def test_too_few_rows_say_nothing(size):
    rng = np.random.default_rng(0)
    trial = Trial(pl.Series(rng.integers(0, 2, size)))
    assert trial.as_codes(pl.Series(rng.integers(0, 500, size))) is None


@pytest.mark.parametrize("lists", [pl.List(pl.Int64), pl.Array(pl.Int64, 2)])
def test_bags_that_are_empty_or_missing(lists):
    """Rows without a value count as rows."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1_000)
    empty = None if isinstance(lists, pl.Array) else []
    bags = pl.Series([[0, 0] if one else (empty if n % 2 else None) for n, one in enumerate(label)])
    assert Trial(pl.Series(label)).of_categories(bags.cast(lists)) == 1


def test_real_codes_and_numbers():
    if "TABLEFREE_DATA" not in os.environ:
        pytest.skip("TABLEFREE_DATA is not set")
    data = Path(os.environ["TABLEFREE_DATA"])
    access = profile(data / "amazon-access").columns
    assert {one.column.kind for name, one in access.items() if name != "label"} == {"categorical"}
    flights = profile(data / "nycflights13").columns
    assert flights["flight"].column.kind == "categorical"
    assert flights["sched_dep_time"].column.kind == "numeric"


def spread(rng, size, power=1.0):
    """Codes as they are given out, some frequent: their places in a shuffled range."""
    share = 1 / np.arange(1, size + 1) ** power
    return rng.permutation(size)[rng.choice(size, ROWS, p=share / share.sum())]


SCATTERED = {
    "encoded": lambda rng: spread(rng, 5_000),
    "few": lambda rng: spread(rng, 150),
    "sparse": lambda rng: np.sort(rng.permutation(10**6)[:900])[spread(rng, 900)] + 10**9,
    "with -1 for none": lambda rng: np.where(rng.random(ROWS) < 0.2, -1, spread(rng, 900) + 5_000),
    "flat": lambda rng: spread(rng, 500, 0.4),
}
SMOOTH = {
    "counts": lambda rng: rng.zipf(1.6, ROWS).clip(0, 10**6),
    "visits": lambda rng: rng.lognormal(3, 1.5, ROWS),
    "seconds, some in minutes": lambda rng: np.where(
        rng.random(ROWS) < 0.3, 60 * rng.geometric(0.2, ROWS), rng.exponential(300, ROWS)
    ),
    "rounded salaries": lambda rng: (
        rng.lognormal(10.5, 0.5, ROWS).round(-3)
        + np.where(rng.random(ROWS) < 0.5, 0, rng.integers(-500, 500, ROWS))
    ),
    "bell": lambda rng: rng.normal(0, 100, ROWS),
    "two bells": lambda rng: rng.normal(0, 30, ROWS) + 500 * rng.integers(0, 2, ROWS),
    "mostly 0": lambda rng: np.where(rng.random(ROWS) < 0.7, 0, rng.lognormal(5, 1, ROWS)),
    "uniform": lambda rng: rng.integers(0, 1_000, ROWS),
    "minutes of a day": lambda rng: rng.integers(0, 288, ROWS) * 5,
    "years": lambda rng: 1800 + 220 * rng.beta(5, 1.2, ROWS),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SCATTERED)
def test_how_often_codes_occur_follows_no_order(name, seed, tmp_path):
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"x": SCATTERED[name](rng), "y": rng.random(ROWS) < 0.3})
    frame.with_columns(pl.col("x").cast(pl.String)).write_csv(tmp_path / "x.csv")
    missing = frame.with_columns(pl.when(pl.int_range(ROWS) % 9 > 0).then("x"), "y").to_pandas()
    floats = frame.with_columns(pl.col("x").cast(pl.Float64))  # as encoders of scikit-learn give
    for data in (frame, tmp_path / "x.csv", missing, floats):
        for given in ({}, {"label": "y"}):
            column = profile(data, **given).columns["x"].column
            assert (column.kind, column.type) == ("categorical", "integer")
            assert column.reason == "codes: how often they occur follows no order"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", SMOOTH)
def test_how_often_numbers_occur_does(name, seed):
    values = SMOOTH[name](np.random.default_rng(seed)).astype(int)
    for one in (values, values.astype(float)):
        assert profile(pl.DataFrame({"x": one})).columns["x"].column.kind == "numeric"


def test_amounts_by_their_names_are_numbers():
    """As the prices of a catalogue, of which some are frequent."""
    values = spread(np.random.default_rng(0), 500)
    frame = pl.DataFrame({"price": values, "x": values})
    kinds = {name: one.column.kind for name, one in profile(frame).columns.items()}
    assert kinds == {"price": "numeric", "x": "categorical"}


def test_what_tells_the_label_by_its_size_is_a_number():
    rng = np.random.default_rng(0)
    values = spread(rng, 3_000, 0.7)
    label = rng.random(ROWS) < 0.2 + 0.2 * values / 3_000
    frame = pl.DataFrame({"label": label, "x": values})
    assert profile(frame).columns["x"].column.kind == "numeric"
    assert profile(frame.drop("label")).columns["x"].column.kind == "categorical"
