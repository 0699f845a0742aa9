"""A comparison of plans: what is trained, packed and measured next, whatever was before."""

import re
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tablefree.errors import InputError
from tablefree.experiments.event_task import EventTask
from tablefree.experiments.plan_cells import cells
from tablefree.experiments.plan_columns import (
    OF_PLAN,
    read_columns,
    read_plans,
    write_columns,
    write_plans,
)
from tablefree.experiments.plans import RECIPE, PlanComparison, read_results, selected
from tablefree.fields.profile import profile
from tablefree.fields.table import Table
from tablefree.reports.plan_summary import summarise_plans

SIZES = (0.5, 0.25)


@pytest.fixture(scope="module")
def task():
    rng = np.random.default_rng(0)
    users, items = rng.integers(900, size=1_500), rng.integers(30, size=1_500)
    columns = {"user": [f"u{one}" for one in users], "item": items, "sold": (users + items) % 2}
    frame = pl.DataFrame(columns)
    return EventTask.of("clicks", Table.of(frame), profile(frame, label="sold"), "random")


def compared(task, sizes=SIZES, seeds=1, trials=1, methods=("claimed_rows",), epochs=2):
    chosen, _ = cells(task.profile, sizes, methods, ["dlrm"], 4)
    return PlanComparison(chosen, seeds, trials, replace(RECIPE, max_epochs=epochs))


def trained(comparison, task, folder):
    """The rows of all runs, one after the other in this process."""
    write_columns(folder, task, ["dlrm"], comparison.recipe.max_epochs, 4)
    rows = []
    while jobs := comparison.next_jobs(finished := comparison.finished(task, folder)):
        trials = comparison.of_cell(finished, jobs[0].cell).filter(seed=0).sort("trial").to_dicts()
        outcome = comparison.carry_out(jobs[0], trials, task)
        rows.append(comparison.append(folder, outcome))
    return rows


def same(results):
    return results.drop("train_seconds").sort("method", "cell", "seed", "trial", "budget_bytes")


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    rows = trained(compared(task, seeds=2, trials=3), task, folder)
    return folder, rows


def test_the_best_trial_is_measured_and_trained_with_the_other_seeds(task, whole):
    folder, rows = whole
    comparison = compared(task, seeds=2, trials=3)
    assert len(rows) == len(comparison) == 5 * len(comparison.cells)
    results = read_results(folder)
    assert comparison.num_done(results) == len(comparison)
    for cell in comparison.cells:
        runs = comparison.of_cell(results, cell)
        assert sorted(runs.filter(seed=0)["trial"]) == [0, 1, 2]
        best = runs.filter(seed=0).sort("validation_auc", descending=True)["trial"][0]
        chosen = runs.filter("selected")
        assert sorted(chosen.select("seed", "trial").rows()) == [(0, best), (1, best)]
        assert chosen["measured"].all()
        assert chosen["learning_rate"].n_unique() == 1
        packed = selected(results).filter(cell=cell.name, seed=1)["budget_bytes"]
        assert set(packed) == {None, *cell.budgets}


def test_the_second_trial_ends_where_the_first_was_best(whole):
    _, rows = whole
    first, second = (
        next(row for row in rows if row["method"] == "full_table" and row["trial"] == trial)
        for trial in (0, 1)
    )
    assert first["max_epochs"] == 2
    if first["best_epoch"] == 1:
        assert (second["max_epochs"], second["learning_rate"]) == (1, first["learning_rate"])


def test_a_comparison_that_is_cut_off_comes_to_the_same_end(task, whole, tmp_path):
    trained(compared(task, trials=2), task, tmp_path)
    trained(compared(task, seeds=2, trials=3), task, tmp_path)
    summaries = [summarise_plans(read_results(folder)) for folder in (whole[0], tmp_path)]
    assert summaries[0].equals(summaries[1], null_equal=True)
    assert summaries[0]["seeds"].to_list() == [2] * summaries[0].height


def test_a_cell_that_is_done_is_packed_into_new_sizes(task, tmp_path):
    before = compared(task, (0.5,), methods=())
    trained(before, task, tmp_path)
    first = read_results(tmp_path)
    rows = trained(compared(task, methods=()), task, tmp_path)
    assert [(row["seed"], row["trial"]) for row in rows] == [(0, 0)]
    results = read_results(tmp_path)
    assert set(results["budget_bytes"]) == {None, *compared(task, methods=()).cells[0].budgets}
    known = results.filter(pl.col("budget_bytes").is_in(first["budget_bytes"].implode()))
    assert same(known).equals(same(first.drop_nulls("budget_bytes")))
    assert trained(compared(task, methods=()), task, tmp_path) == []


def test_a_size_that_no_form_fits_is_not_tried_again(task, tmp_path):
    tables = compared(task, (0.9, 1e-4), methods=())
    trained(tables, task, tmp_path)
    results = read_results(tmp_path)
    row = results.filter(form="none").row(0, named=True)
    assert (row["deployed_bytes"], row["test_auc"]) == (None, None)
    assert summarise_plans(results)["budget_bytes"].to_list() == [tables.cells[0].budgets[0], None]
    assert trained(tables, task, tmp_path) == []


def test_the_worth_of_columns_is_that_of_the_tables_that_were_chosen(whole):
    worth = dict(read_columns(whole[0]).select("column", "worth").iter_rows())
    assert worth.pop("sold") is None
    assert all(isinstance(one, float) for one in worth.values())


def test_a_method_that_cannot_have_a_size_is_left_out_unless_named(task):
    chosen, left_out = cells(task.profile, (0.5, 0.02), None, ["dlrm"], 4)
    budgets = {cell.method: cell.budgets for cell in chosen if cell.method != "claimed_rows"}
    assert len(budgets["deep_hash"]) == 1
    (reason,) = left_out
    assert re.match(r"deep_hash within \d+ bytes: deep_hash needs at least", reason)
    with pytest.raises(InputError, match=reason):
        cells(task.profile, (0.5, 0.02), ["deep_hash"], ["dlrm"], 4)
    with pytest.raises(InputError, match="bytes are too few"):
        cells(task.profile, (0.5, 1e-4), None, ["dlrm"], 4)


def test_a_plan_of_several_models_is_told_once(task, tmp_path):
    for models in (["dlrm", "dcn"], ["dcn"]):
        chosen, _ = cells(task.profile, SIZES, ["claimed_rows"], models, 4)
        write_plans(tmp_path, task.profile, chosen)
        plans = read_plans(tmp_path)
        assert len(plans) == 3 * 2  # tables and two budgets, of two columns
        assert not plans.select(OF_PLAN).is_duplicated().any()
