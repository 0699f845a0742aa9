import re
import time
from dataclasses import replace
from multiprocessing import active_children

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tablefree.data import synthetic_interactions
from tablefree.embeddings.budget import METHODS
from tablefree.errors import InputError
from tablefree.experiments.ablate import ABLATED
from tablefree.experiments.compare import PairComparison, plan
from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.results import SCHEMA, append_result, read_results
from tablefree.experiments.scheduler import Job, run_all
from tablefree.experiments.spec import Run, decoder_text, identity
from tablefree.experiments.task import Task
from tablefree.experiments.tuning import search_space, space_to_json

RECIPE = default_recipe("sketch", 10, max_epochs=1)
TEMPLATE = Run("sketch", "gmf", 1.0, 0, 8, RECIPE)
TRIALS = 3
SEEDS = 3


def planned(task, **changes):
    options = {
        "template": TEMPLATE,
        "models": ("gmf",),
        "methods": ("full_table", "hashing_trick"),
        "sizes": (0.5, 0.25),
        "seeds": SEEDS,
        "trials": TRIALS,
        "precision": "float32",
    }
    return plan(task, **options | changes)


@pytest.fixture(scope="module")
def comparison(task):
    return planned(task)


def key(job):
    return (job.cell.method, job.cell.size, job.seed, job.trial)


def finished_table(jobs, best=1):
    """The columns that decide what is trained next, with the best trial selected."""
    return pl.DataFrame(
        [
            {
                "study": job.cell.study, "variant": job.cell.variant, "method": job.cell.method,
                "model": job.cell.model, "size": job.cell.size, "seed": job.seed,
                "trial": job.trial, "selected": job.trial == best, "users": job.cell.users,
                "side_features": job.cell.side_features, "decoder": decoder_text(job.cell),
            }
            for job in jobs
        ],
        schema={
            name: SCHEMA[name]
            for name in (
                "study", "variant", "method", "model", "size", "seed", "trial", "selected",
                "users", "side_features", "decoder",
            )
        },
    )  # fmt: skip


CELLS = (("full_table", 1.0), ("hashing_trick", 0.5), ("hashing_trick", 0.25))


def test_the_trials_of_a_cell_come_one_after_the_other(comparison):
    jobs = comparison.next_jobs(finished_table([]))
    assert [key(job) for job in jobs] == [(*cell, 0, 0) for cell in CELLS]
    later = comparison.next_jobs(finished_table(jobs[:1]))
    assert [key(job) for job in later] == [
        ("full_table", 1.0, 0, 1), ("hashing_trick", 0.5, 0, 0), ("hashing_trick", 0.25, 0, 0),
    ]  # fmt: skip


def test_the_other_seeds_take_the_best_trial_of_a_cell_whose_trials_are_done(comparison):
    cell = comparison.cells[0]
    done = [Job(cell, trial) for trial in range(TRIALS)]
    jobs = [job for job in comparison.next_jobs(finished_table(done)) if job.cell == cell]
    assert jobs == [Job(cell, 1, 1), Job(cell, 1, 2)]
    more = finished_table([*done, jobs[1]])
    assert [job for job in comparison.next_jobs(more) if job.cell == cell] == jobs[:1]


@settings(
    deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data(), best=st.integers(0, TRIALS - 1))
def test_it_ends_after_any_interruption_and_order(comparison, data, best):
    """Whatever finishes first, the same runs are trained in the end, each once."""
    trained = []
    while jobs := comparison.next_jobs(finished_table(trained, best)):
        trained.append(data.draw(st.sampled_from(jobs), label="finishes next"))
    expected = [
        (*cell, seed, trial)
        for cell in CELLS
        for seed in range(SEEDS)
        for trial in (range(TRIALS) if seed == 0 else (best,))
    ]
    assert sorted(map(key, trained)) == sorted(expected)
    assert len(trained) == len(comparison)


def test_more_trials_only_train_what_is_missing(comparison, task):
    done = []
    while jobs := comparison.next_jobs(finished_table(done)):
        done += jobs
    longer = planned(task, trials=TRIALS + 1)
    trials = longer.next_jobs(finished_table(done))
    assert {(job.seed, job.trial) for job in trials} == {(0, TRIALS)}
    later = longer.next_jobs(finished_table([*done, *trials], best=TRIALS))
    assert {(job.seed, job.trial) for job in later} == {(1, TRIALS), (2, TRIALS)}


def test_the_full_table_has_one_size_whatever_the_sizes(task):
    assert [cell.size for cell in planned(task, methods=("full_table",)).cells] == [1.0]


def test_each_method_starts_from_its_own_defaults(task):
    cells = planned(task, methods=("hashing_trick", "deep_hash"), sizes=(0.5,)).cells
    assert {cell.method: cell.recipe.optimizer for cell in cells} == {
        "deep_hash": "muon", "hashing_trick": "adamw",
    }  # fmt: skip
    assert {cell.recipe.max_epochs for cell in cells} == {1}
    alike = planned(task, methods=("hashing_trick", "deep_hash"), sizes=(0.5,), optimizer="adamw")
    assert {cell.recipe.optimizer for cell in alike.cells} == {"adamw"}


def test_the_slowest_runs_come_first(task):
    methods = ("hashing_trick", "sketch", "deep_hash")
    cells = planned(task, methods=methods, sizes=(2.0, 1.0), models=("gmf", "mlp")).cells
    assert [(cell.method, cell.size) for cell in cells[::2]] == [
        ("deep_hash", 2.0), ("deep_hash", 1.0), ("sketch", 2.0), ("sketch", 1.0),
        ("hashing_trick", 2.0), ("hashing_trick", 1.0),
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
        ({"methods": ("magic",)}, "method must be one of .*; got 'magic'"),
        ({"models": ("gmf", "dlrm")}, "model must be one of gmf, mlp; got 'dlrm'"),
        ({"models": ("dlrm",), "methods": None}, "model must be one of gmf, mlp; got 'dlrm'"),
        (
            {"methods": ("hashing_trick", "narrow_table"), "sizes": (0.5, 0.05)},
            "narrow_table at size 0.05: narrow_table needs at least",
        ),
        (
            {"methods": None, "sizes": (0.001, 0.5, 0.002)},
            "no method can have size 0.001: claimed_rows at size 0.001: ",
        ),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused(task, change, named):
    with pytest.raises(InputError, match=named) as caught:
        planned(task, **change)
    assert "\n" not in str(caught.value)


def test_methods_that_cannot_have_a_size_are_left_out_unless_named(task):
    comparison = planned(task, methods=None, sizes=(1.0, 0.05), models=("gmf", "mlp"))
    (reason,) = (one for one in comparison.left_out if one.startswith("narrow_table"))
    assert reason.startswith("narrow_table at size 0.05: narrow_table needs at least")
    assert {cell.method for cell in comparison.cells} == set(METHODS)
    assert not [c for c in comparison.cells if (c.method, c.size) == ("narrow_table", 0.05)]


@pytest.fixture
def result(task, run):
    """A row of a run of the comparison."""

    def row(job, **changes):
        cell = job.cell
        tuning = {"trial": job.trial, "search_space": space_to_json(search_space(cell, task))}
        return run(cell.method, cell.size, job.seed) | identity(cell, task) | tuning | changes

    return row


def test_a_new_folder_holds_no_runs(comparison, task, tmp_path):
    finished = comparison.finished(task, tmp_path / "new")
    assert finished.is_empty()
    assert (tmp_path / "new").is_dir()
    assert len(comparison.next_jobs(finished)) == 3


def test_finished_runs_are_read_and_not_run_again(comparison, task, tmp_path, result):
    first, *others = comparison.next_jobs(finished_table([]))
    append_result(tmp_path, result(first))
    finished = comparison.finished(task, tmp_path)
    assert comparison.next_jobs(finished) == [Job(first.cell, 1), *others]


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ("dataset", "another"),
        ("data_digest", "0" * 16),
        ("split", "time"),
        ("precision", "bfloat16"),
        ("optimizer", "muon"),
        ("schedule", "cosine"),
        ("study", "depth"),
        ("max_epochs", 50),
        ("patience", 7),
        ("embedding_dim", 64),
        ("num_train_events", 1),
        ("search_space", "{}"),
    ],
)
def test_runs_of_other_data_or_another_recipe_are_refused(
    comparison, task, tmp_path, result, column, other
):
    first, second, *_ = comparison.next_jobs(finished_table([]))
    append_result(tmp_path, result(first))
    append_result(tmp_path, result(second, **{column: other}))
    wanted = result(second)[column] or "none"
    with pytest.raises(
        InputError,
        match=re.escape(
            f"with {column} {other}, and this command asks "
            f"for {wanted}: choose another output folder"
        ),
    ):
        comparison.finished(task, tmp_path)


def test_an_ablation_does_not_go_into_the_folder_of_a_comparison(
    comparison, task, tmp_path, result
):
    append_result(tmp_path, result(comparison.next_jobs(finished_table([]))[0]))
    before = (tmp_path / "results.parquet").read_bytes()
    with pytest.raises(InputError, match="holds the runs of `tablefree compare`, and this is an"):
        replace(comparison, varied=ABLATED).finished(task, tmp_path)
    assert (tmp_path / "results.parquet").read_bytes() == before


def test_runs_in_another_form_stand_beside_those_asked_for(comparison, task, tmp_path, result):
    """They are cells of their own, and none of this comparison's trials."""
    first, *others = comparison.next_jobs(finished_table([]))
    forms = ({"users": "history"}, {"decoder": "64"}, {"side_features": "input"})
    for form in forms:
        append_result(tmp_path, result(first, **form))
    finished = comparison.finished(task, tmp_path)
    assert finished.height == len(forms)
    assert comparison.next_jobs(finished) == [first, *others]
    append_result(tmp_path, result(first))
    assert read_results(tmp_path)["selected"].to_list() == [True] * (len(forms) + 1)


def test_runs_of_an_older_version_are_refused(comparison, task, tmp_path, table, result):
    first, *_ = comparison.next_jobs(finished_table([]))
    old = table([result(first)]).drop("users", "side_features", "decoder", "data_digest")
    old.write_parquet(tmp_path / "results.parquet")
    with pytest.raises(InputError, match="'data_digest' should be String, got no such column"):
        comparison.finished(task, tmp_path)


@pytest.fixture(scope="module")
def small():
    return Task.from_interactions(synthetic_interactions(1_500, num_users=60, num_items=80))


def same(results):
    """What does not depend on when and how fast it was trained."""
    times = ("train_seconds", "milliseconds_per_id", "finished_at")
    return results.drop(times).sort("method", "seed", "trial")


def test_a_comparison_that_is_cut_off_comes_to_the_same_end(tmp_path, small):
    comparison = planned(small, methods=("hashing_trick", "narrow_table"), sizes=(0.5,), seeds=2)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    rows = list(run_all(comparison, small, whole, jobs=1, threads=1))
    assert len(rows) == len(comparison) == 8
    # Cut off after three runs, of which the last is lost.
    for row in rows[:2]:
        append_result(cut, row)
    assert len(list(run_all(comparison, small, cut, jobs=1, threads=1))) == 6
    assert same(read_results(cut)).equals(same(read_results(whole)))
    assert list(run_all(comparison, small, whole, jobs=1, threads=1)) == []


def test_a_comparison_runs_the_best_trial_with_the_other_seeds(tmp_path, small):
    comparison = planned(small, methods=("hashing_trick",), sizes=(0.5,), seeds=2)
    list(run_all(comparison, small, tmp_path, jobs=1, threads=1))
    results = read_results(tmp_path)
    assert results["trial"].to_list()[:TRIALS] == [0, 1, 2]
    assert results["learning_rate"].n_unique() == TRIALS
    best = results.filter(seed=0).sort("validation_auc", descending=True).row(0, named=True)
    other = results.filter(seed=1).row(0, named=True)
    tuned = ("trial", "learning_rate", "weight_decay", "network_learning_rate", "selected")
    assert [other[name] for name in tuned] == [best[name] for name in tuned]
    assert comparison.of_cell(results, comparison.cells[0]).height == results.height


def test_a_trial_that_is_behind_is_pruned(small, run):
    cell = replace(planned(small).cells[1], recipe=replace(RECIPE, max_epochs=4, patience=4))
    space = search_space(cell, small)
    better = {"validation_curve": [0.99] * 4, "validation_auc": 0.99}
    trials = [run(cell.method, cell.size, 0) | better] * 4
    row = PairComparison((cell,), 1, 5).carry_out(Job(cell, 4), trials, small)
    assert row["pruned"]
    assert row["epochs"] == len(row["validation_curve"]) == 3
    assert "test_auc" not in row
    assert row["search_space"] == space_to_json(space)


def test_a_run_that_fails_ends_the_comparison_and_its_processes(tmp_path, task, monkeypatch):
    impossible = replace(planned(task).cells[0], method="deep_hash", size=1e-9)
    monkeypatch.setattr(PairComparison, "finished", lambda *_: pl.DataFrame(schema=SCHEMA))
    before = active_children()
    with pytest.raises(InputError, match="deep_hash needs at least 25 parameters"):
        list(run_all(PairComparison((impossible,), 1, 1), task, tmp_path, jobs=1, threads=1))
    for process in set(active_children()).difference(before):
        # The pool's own thread may be the one that is told of the end, a moment later: look again.
        deadline = time.monotonic() + 20
        while process.is_alive() and time.monotonic() < deadline:
            process.join(timeout=0.1)
        assert not process.is_alive()
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_counts_its_runs(comparison):
    assert len(comparison) == 3 * (TRIALS + SEEDS - 1)
    assert len(PairComparison(comparison.cells, 1, 1)) == 3
