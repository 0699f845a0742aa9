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
