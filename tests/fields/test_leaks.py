"""What a column alone tells of the label, on rows that did not count for it."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_auroc

from tablefree.fields.kinds import Column
from tablefree.fields.leaks import Sample, Trial, _auc

ROWS = 4_000
RANDOM = np.random.default_rng(0)
LABEL = RANDOM.random(ROWS) < 0.1


def auc(values, kind="categorical", its_type="string", label=LABEL):
    column = Column("x", kind, its_type)
    return Trial(pl.Series(label)).auc(column, pl.Series("x", values))


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2))
def test_the_area_is_torchmetrics(pairs):
    scores, truth = (np.array(one) for one in zip(*pairs, strict=True))
    assume(0 < truth.sum() < len(truth))
    wanted = binary_auroc(torch.from_numpy(scores / 9), torch.from_numpy(truth).long())
    assert _auc(scores, truth) == pytest.approx(float(wanted), abs=1e-6)


@pytest.mark.parametrize("number", [2, 50, ROWS])
def test_values_that_tell_nothing(number):
    values = RANDOM.integers(0, number, ROWS)
    assert auc(values, its_type="integer") == pytest.approx(0.5, abs=0.08)
    assert auc(values, "numeric", "integer") == pytest.approx(0.5, abs=0.08)


def test_a_value_a_row_tells_nothing():
    assert auc([f"row {row}" for row in range(ROWS)]) == 0.5


NOISE = RANDOM.random(ROWS)


@pytest.mark.parametrize(
    ("values", "kind", "its_type"),
    [
        (np.where(LABEL, "yes", "no"), "categorical", "string"),
        ([None if one else "x" for one in LABEL], "categorical", "string"),
        ((NOISE * 50).astype(int) * 2 + LABEL, "categorical", "integer"),
        (LABEL + NOISE / 2, "numeric", "float"),
        (-(LABEL + NOISE / 2), "numeric", "float"),
        (
            [None if one else noise for one, noise in zip(LABEL, NOISE, strict=True)],
            "numeric",
            "float",
        ),
        ([str(one) for one in LABEL + NOISE / 2], "numeric", "float"),
        (np.where(LABEL, 1, 2 * (NOISE > 0.5)), "numeric", "integer"),
        ([["a", "won"] if one else ["a"] for one in LABEL], "bag", "string"),
        ([["won"] if one else [] for one in LABEL], "bag", "string"),
        ([f"2026-01-{1 + one:02}" for one in LABEL], "date", "date"),
        ((LABEL * 10**15).astype("M8[us]"), "time", "date"),
    ],
)
def test_what_gives_the_label_away(values, kind, its_type):
    assert auc(values, kind, its_type) > 0.99


def test_rows_without_a_label_do_not_count():
    label = pl.Series(LABEL).cast(pl.Int8).set(pl.Series(NOISE < 0.3), None)
    values = np.where(LABEL & (NOISE >= 0.3), "yes", "no")
    assert auc(values, label=label) > 0.99


@pytest.mark.parametrize(
    "label",
    [
        LABEL.astype(int),
        np.where(LABEL, 1, -1),
        np.where(LABEL, 1.0, 0.0),
        np.where(LABEL, "1", "0"),
        np.where(LABEL, "+1", "-1"),
        np.where(LABEL, "1.0", "0.0"),
        np.where(LABEL, "TRUE", "FALSE"),
    ],
)
def test_labels_in_every_form(label):
    assert auc(LABEL + NOISE / 2, "numeric", "float", label) == auc(
        LABEL + NOISE / 2, "numeric", "float"
    )


def test_few_rows_tell_nothing_for_sure():
    assert auc(["a", "b"] * 40, label=[True, False] * 40) is None
    assert auc([1.5, 2.5] * 40, "numeric", "float", label=[True, False] * 40) is None


def sampled(sizes, size, **options):
    sample, start = Sample(size, **options), 0
    for number in sizes:
        rows = range(start, start + number)
        sample.add(pa.RecordBatch.from_pydict({"x": list(rows), "y": ["a"] * number}))
        start += number
    return sample.column("x").to_list()


@given(st.lists(st.integers(1, 500), min_size=1, max_size=20))
def test_a_sample_depends_on_places_alone(sizes):
    total = sum(sizes)
    found = sampled(sizes, 100)
    assert found == sorted(set(found))
    assert len(found) <= 100
    assert set(found) <= set(range(total))
    if total <= 100:
        assert found == list(range(total))


def test_a_sample_is_spread_over_the_rows():
    found = sampled([1_000] * 50, 2_000)
    assert 900 < len(found) <= 2_000
    thirds, _ = np.histogram(found, [0, 16_667, 33_333, 50_000])
    assert (np.abs(thirds / len(found) - 1 / 3) < 0.05).all()


def test_a_sample_of_wide_rows_is_smaller():
    assert 0 < len(sampled([1_000] * 10, 5_000, num_bytes=20_000)) < 2_000


def test_a_column_of_several_types_has_no_sample():
    sample = Sample()
    for values in (["a"], [1]):
        sample.add(pa.RecordBatch.from_pydict({"x": values, "y": [1]}))
    assert sample.column("x") is None
    assert sample.column("y").to_list() == [1, 1]
