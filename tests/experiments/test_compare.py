import re
from dataclasses import replace
from multiprocessing import active_children

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tablefree.data import synthetic_interactions
from tablefree.embeddings.budget import METHODS
from tablefree.errors import InputError
from tablefree.experiments.compare import Comparison, compare, finished_runs, plan
from tablefree.experiments.results import append_result, read_results
from tablefree.experiments.run import Run, identity, measure
from tablefree.experiments.task import Task
from tablefree.training.fit import Recipe

TEMPLATE = Run("deep_hash", "gmf", 1.0, 0, 8, Recipe(1.0, max_epochs=1))
RATES = (0.01, 0.03, 0.1)
SEEDS = 3


def planned(task, **changes):
    options = {
        "template": TEMPLATE,
        "models": ("gmf",),
        "methods": ("full_table", "hashing_trick"),
        "sizes": (0.5, 0.25),
        "seeds": SEEDS,
        "learning_rates": RATES,
    }
    return plan(task, **options | changes)


@pytest.fixture(scope="module")
def comparison(task):
    return planned(task)


def key(run):
    return (run.method, run.model, run.size, run.seed, run.recipe.learning_rate)


def finished_row(run, score):
    """The columns of a finished run that decide what is trained next."""
    row = dict(zip(("method", "model", "size", "seed", "learning_rate"), key(run), strict=True))
    return row | {"validation_auc": score(run)}


def finished_table(rows):
    """A table with the best rate of the first seed selected, as `append_result` does it."""
    frame = pl.DataFrame(
        rows,
        schema={
            "method": pl.String, "model": pl.String, "size": pl.Float64, "seed": pl.Int64,
            "learning_rate": pl.Float64, "validation_auc": pl.Float64,
        },
    )  # fmt: skip
    cell = ["method", "model", "size"]
    best = (
        frame.filter(seed=0)
        .sort("validation_auc", descending=True)
        .group_by(cell, maintain_order=True)
        .agg(best=pl.col("learning_rate").first())
    )
    return frame.join(best, on=cell, how="left").with_columns(
        selected=pl.col("learning_rate") == pl.col("best")
    )


def favours(rate):
    return lambda run: 1 - abs(run.recipe.learning_rate - rate)


def test_every_rate_is_tried_first(comparison):
    runs = comparison.next_runs(finished_table([]))
    expected = {
        (method, "gmf", size, 0, rate)
        for method, size in (("full_table", 1.0), ("hashing_trick", 0.5), ("hashing_trick", 0.25))
        for rate in RATES
    }
    assert {key(run) for run in runs} == expected
    assert len(runs) == len(expected)


def test_the_other_seeds_take_the_best_rate_of_a_cell_whose_trials_are_done(comparison):
    trials = comparison.next_runs(finished_table([]))
    done = [run for run in trials if run.method == "full_table"]
    runs = comparison.next_runs(finished_table([finished_row(r, favours(0.03)) for r in done]))
    of_cell = [run for run in runs if run.method == "full_table"]
    assert [(run.seed, run.recipe.learning_rate) for run in of_cell] == [(1, 0.03), (2, 0.03)]
    assert [key(run) for run in runs if run.method != "full_table"] == [
        key(run) for run in trials if run.method != "full_table"
    ]


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), rate=st.sampled_from(RATES))
def test_it_ends_after_any_interruption_and_order(comparison, data, rate):
    """Whatever finishes first, the same runs are trained in the end, each once."""
    rows, trained = [], []
    while runs := comparison.next_runs(finished_table(rows)):
        run = data.draw(st.sampled_from(runs), label="finishes next")
        trained.append(key(run))
        rows.append(finished_row(run, favours(rate)))
    expected = [
        (cell.method, cell.model, cell.size, seed, one)
        for cell in comparison.cells
        for seed in range(SEEDS)
        for one in (RATES if seed == 0 else (rate,))
    ]
    assert sorted(trained) == sorted(expected)
    assert len(trained) == len(comparison)


def test_a_wider_grid_only_trains_what_is_missing(comparison, task):
    rows, score = [], favours(0.3)
    while runs := comparison.next_runs(finished_table(rows)):
        rows += [finished_row(run, score) for run in runs]
    wider = planned(task, learning_rates=(*RATES, 0.3))
    trials = wider.next_runs(finished_table(rows))
    assert {run.recipe.learning_rate for run in trials} == {0.3}
    rows += [finished_row(run, score) for run in trials]
    later = wider.next_runs(finished_table(rows))
    assert {(run.seed, run.recipe.learning_rate) for run in later} == {(1, 0.3), (2, 0.3)}


def test_the_full_table_has_one_size_whatever_the_sizes(task):
    assert [cell.size for cell in planned(task, methods=("full_table",)).cells] == [1.0]


def test_the_slowest_runs_come_first(task):
    cells = planned(task, methods=("hashing_trick", "deep_hash"), models=("gmf", "mlp")).cells
    assert [(cell.method, cell.size) for cell in cells[::2]] == [
        ("deep_hash", 0.5), ("deep_hash", 0.25), ("hashing_trick", 0.5), ("hashing_trick", 0.25),
    ]  # fmt: skip
    assert {cell.model for cell in cells} == {"gmf", "mlp"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"models": ()}, "models must be one or more and none of them twice, got none"),
        ({"models": ("gmf", "gmf")}, "models must be .* none of them twice, got gmf, gmf"),
        ({"methods": ("deep_hash",) * 2}, "methods must be .* got deep_hash, deep_hash"),
        ({"methods": ()}, "methods must be one or more"),
        ({"sizes": (0.5, 0.5)}, "sizes must be .* got 0.5, 0.5"),
        ({"learning_rates": (0.1, 0.1)}, "learning rates must be .* got 0.1, 0.1"),
        ({"methods": ("magic",)}, "method must be one of .*; got 'magic'"),
        ({"models": ("gmf", "dlrm")}, "model must be one of gmf, mlp; got 'dlrm'"),
        ({"models": ("dlrm",), "methods": None}, "model must be one of gmf, mlp; got 'dlrm'"),
        (
            {"methods": ("hashing_trick", "narrow_table"), "sizes": (0.5, 0.05)},
            "narrow_table at size 0.05: narrow_table needs at least",
        ),
        (
            {"methods": None, "sizes": (0.001, 0.5, 0.002)},
            "no method can have size 0.001: deep_hash at size 0.001: ",
        ),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(task, change, named):
    with pytest.raises(InputError, match=named) as caught:
        planned(task, **change)
    assert "\n" not in str(caught.value)


def test_methods_that_cannot_have_a_size_are_left_out_unless_named(task):
    comparison = planned(task, methods=None, sizes=(0.5, 0.05), models=("gmf", "mlp"))
    (reason,) = (one for one in comparison.left_out if one.startswith("narrow_table"))
    assert reason.startswith("narrow_table at size 0.05: narrow_table needs at least")
    assert {cell.method for cell in comparison.cells} == set(METHODS)
    assert not [c for c in comparison.cells if (c.method, c.size) == ("narrow_table", 0.05)]


@pytest.fixture
def result(task, run):
    """A row of a run of the comparison."""

    def row(one, **changes):
        return run(one.method, one.size, one.seed) | identity(one, task) | changes

    return row


def test_a_new_folder_holds_no_runs(comparison, task, tmp_path):
    finished = finished_runs(comparison, task, tmp_path / "new")
    assert finished.is_empty()
    assert (tmp_path / "new").is_dir()
    assert len(comparison.next_runs(finished)) == 9


def test_finished_runs_are_read_and_not_run_again(comparison, task, tmp_path, result):
    first, *others = comparison.next_runs(finished_table([]))
    append_result(tmp_path, result(first))
    finished = finished_runs(comparison, task, tmp_path)
    assert comparison.next_runs(finished) == others


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("dataset", "another"),
        ("split", "time"),
        ("precision", "bfloat16"),
        ("optimizer", "muon"),
        ("weight_decay", 0.5),
        ("max_epochs", 50),
        ("patience", 7),
        ("embedding_dim", 64),
        ("num_train_events", 1),
    ],
)
def test_runs_of_other_data_or_another_recipe_are_refused(
    comparison, task, tmp_path, result, column, other
):
    first, second, *_ = comparison.next_runs(finished_table([]))
    append_result(tmp_path, result(first))
    append_result(tmp_path, result(second, **{column: other}))
    wanted = identity(first, task)[column]
    with pytest.raises(
        InputError,
        match=re.escape(
            f"with {column} {other}, and this command asks "
            f"for {wanted}: choose another output folder"
        ),
    ):
        finished_runs(comparison, task, tmp_path)


def test_a_comparison_resumes_and_runs_to_its_end(tmp_path):
    task = Task.from_interactions(synthetic_interactions(1_500, num_users=60, num_items=80))
    options = {"methods": ("hashing_trick",), "sizes": (0.5,), "learning_rates": (0.01, 0.1)}
    comparison = planned(task, seeds=2, **options)
    first, second = comparison.next_runs(finished_table([]))
    append_result(tmp_path, measure(first, task))
    before = read_results(tmp_path)
    rows = list(compare(comparison, task, tmp_path, jobs=1, threads=1))
    results = read_results(tmp_path)
    best = results.filter(seed=0).sort("validation_auc", "learning_rate")["learning_rate"][-1]
    assert [(row["seed"], row["learning_rate"]) for row in rows] == [
        (0, second.recipe.learning_rate),
        (1, best),
    ]
    assert results.height == len(comparison) == 3
    assert results.drop("selected")[:1].equals(before.drop("selected"))
    assert set(results.filter(pl.col("selected"))["learning_rate"]) == {best}
    assert list(compare(comparison, task, tmp_path, jobs=1, threads=1)) == []


def test_a_run_that_fails_ends_the_comparison_and_its_processes(tmp_path, task):
    impossible = replace(planned(task).cells[0], method="deep_hash", size=1e-9)
    before = active_children()
    with pytest.raises(InputError, match="deep_hash needs at least 25 parameters"):
        list(compare(Comparison((impossible,), 1, (0.1,)), task, tmp_path, jobs=1, threads=1))
    for process in set(active_children()).difference(before):
        process.join(timeout=20)
        assert not process.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_counts_its_runs(comparison):
    assert len(comparison) == 3 * (len(RATES) + SEEDS - 1)
    assert len(Comparison(comparison.cells, 1, (0.1,))) == 3
