import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefree.reports.frontier import (
    FORM_TABLE,
    best_at_no_more_bytes,
    budget,
    measure,
    share,
)


@pytest.fixture
def results(run, table):
    """Two seeds of the full table and of claimed rows, and sketches of two sizes."""
    cells = [("full_table", 1.0), ("claimed_rows", 1.0), ("sketch", 1 / 8), ("sketch", 1 / 16)]
    return table([run(*cell, seed) for cell in cells for seed in range(2)])


def only(rows, **values):
    """The one row with these values."""
    (found,) = (row for row in rows if values.items() <= row.items())
    return found


def test_a_form_is_one_point_however_many_budgets_it_fits(results, packed):
    forms = packed(results, (1 / 8, 1 / 16, 1 / 32))
    points = measure(forms, results).points
    names = [(row["method"], row["size"], row["form"]) for row in points]
    assert len(set(names)) == len(names) == forms.n_unique(["method", "size", "form"])
    seeds = results.filter(method="claimed_rows")["test_auc"]
    point = only(points, method="claimed_rows", form="residual-4x8")
    assert point["test_auc"] == pytest.approx(seeds.mean() - 0.003)
    assert point["test_auc_sd"] == pytest.approx(seeds.std())
    assert point["seeds"] == 2


def test_a_method_is_shown_once_a_budget_in_its_best_size(results, packed):
    rows = measure(packed(results), results).by_budget[
        max(packed(results)["budget_bytes"].drop_nulls())
    ]
    assert [row["method"] for row in rows].count("sketch") == 1
    validation = [row["validation_auc"] for row in rows]
    assert validation == sorted(validation, reverse=True)


def test_differences_are_to_the_full_table_of_the_same_seeds(run, table, packed):
    full = [run("full_table", 1.0, seed, test_auc=auc) for seed, auc in enumerate((0.92, 0.96))]
    rows = [run("claimed_rows", 1.0, 1, test_auc=0.951)]
    results = table(full + rows)
    frontier = measure(packed(results), results)
    assert frontier.full["test_auc"] == pytest.approx(0.94)
    assert only(frontier.points, method="claimed_rows", form="float32")[
        "difference"
    ] == pytest.approx(-0.009)
    assert {row["full_bytes"] for row in frontier.points} == {frontier.full["deployed_bytes"]}


def test_the_full_table_is_that_of_ids_alone(run, table, packed):
    others = [{"users": "history"}, {}, {"decoder": "64"}, {"side_features": "input"}]
    results = table([run("full_table", 1.0, 0, **other) for other in others])
    full = measure(packed(results), results).full
    assert (full["users"], full["decoder"], full["side_features"]) == ("id", "", "none")


def test_forms_of_runs_that_are_not_selected_are_left_out(results, packed):
    forms = packed(results)
    assert measure(forms.with_columns(trial=pl.col("trial") + 1), results).points == []
    none_selected = results.with_columns(selected=pl.lit(False))
    assert measure(forms, none_selected).chosen == []


def test_seeds_that_chose_different_forms_name_both(results, packed):
    forms = packed(results, (1 / 8,))
    is_other = (pl.col("seed") == 1) & pl.col("chosen")
    forms = forms.with_columns(
        form=pl.when(is_other).then(pl.lit("product-16x4")).otherwise("form")
    )
    chosen = measure(forms, results).chosen
    assert only(chosen, method="claimed_rows")["form"] == "levels-4 or product-16x4"


def test_a_seed_that_diverged_is_no_seed(results, packed):
    nothing = pl.when(pl.col("seed") == 1, method="claimed_rows").then(math.nan)
    forms = packed(results).with_columns(
        nothing.otherwise(name).alias(name) for name in ("test_auc", "validation_auc")
    )
    row = only(measure(forms, results).points, method="claimed_rows", form="levels-4")
    assert row["seeds"] == 1
    assert row["test_auc_sd"] is None
    assert row["test_auc"] == pytest.approx(
        results.filter(method="claimed_rows")["test_auc"][0] - 0.001
    )


def test_without_forms_there_is_nothing(results, packed):
    frontier = measure(packed(results).clear(), results)
    assert (frontier.full, frontier.points, frontier.chosen) == (None, [], [])


@given(st.lists(st.tuples(st.integers(1, 9), st.none() | st.integers(0, 9)), max_size=12))
def test_the_frontier_is_what_no_point_of_as_few_bytes_surpasses(found):
    points = [
        {"deployed_bytes": size, "validation_auc": auc, "test_auc": auc} for size, auc in found
    ]
    best = best_at_no_more_bytes(points)
    known = [row for row in points if row["test_auc"] is not None]
    for row in known:
        reached = [one for one in best if one["deployed_bytes"] <= row["deployed_bytes"]]
        assert reached[-1]["validation_auc"] >= row["validation_auc"]
    for column in ("deployed_bytes", "validation_auc"):
        values = [row[column] for row in best]
        assert values == sorted(set(values))


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [(1000, "1"), (980, "1"), (175, "1/5.7"), (250, "1/4"), (100, "1/10"), (59, "1/17"),
     (1300, "1.3")],
)  # fmt: skip
def test_a_share_reads_as_people_say_it(num_bytes, text):
    assert share({"deployed_bytes": num_bytes, "full_bytes": 1000}) == text


def test_a_budget_reads_with_and_without_the_full_table():
    row = {"budget_bytes": 62_500, "full_bytes": 1_000_000}
    assert budget(row) == "1/16 (62.5 KB)"
    assert budget(row | {"full_bytes": None}) == "62.5 KB"
    assert share({"deployed_bytes": 1, "full_bytes": None}) == "-"


def test_what_diverged_has_cells_without_figures(results, packed):
    nothing = {"test_auc": math.nan, "validation_auc": math.nan, "recall_20": math.nan}
    rows = measure(packed(results, **nothing), results).chosen
    cells = {heading: cell(rows[0]) for heading, cell in FORM_TABLE.items()}
    assert (cells["Test AUC"], cells["To the full table"], cells["Recall@20"]) == ("-", "-", "-")
