import errno
import math
import os
from pathlib import Path

import polars as pl
import pytest

from tablefree.errors import InputError
from tablefree.experiments.results import (
    CELL,
    SCHEMA,
    TESTED,
    append_result,
    read_results,
)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_appended_runs_are_read_back_in_order(tmp_path, run):
    rows = [run("deep_hash", 0.25, 0), run("deep_hash", 0.25, 1, test_auc_unseen=None)]
    for row in rows:
        append_result(tmp_path / "new", row)
    results = read_results(tmp_path / "new")
    assert results.schema == SCHEMA
    assert results.drop("selected").to_dicts() == rows
    assert names(tmp_path / "new") == ["results.parquet"]


def selected(folder: Path) -> list[tuple[int, int]]:
    chosen = read_results(folder).filter(pl.col("selected"))
    return list(chosen.select("trial", "seed").iter_rows())


def test_the_best_trial_of_the_smallest_seed_is_selected_anew_with_each_row(tmp_path, run):
    def append(trial: int, auc: float, seed: int = 0, **changes: object) -> list[tuple[int, int]]:
        changes |= {"trial": trial, "validation_auc": auc}
        append_result(tmp_path, run("deep_hash", 0.25, seed, **changes))
        return selected(tmp_path)

    assert append(0, 0.8) == [(0, 0)]
    assert append(1, math.nan) == [(0, 0)]
    assert append(2, 0.85) == [(2, 0)]
    assert append(3, 0.95, pruned=True) == [(2, 0)]
    assert append(2, 0.5, seed=1) == [(2, 0), (2, 1)]
    assert append(0, 0.99, seed=1) == [(2, 0), (2, 1)]
    assert append(4, 0.9) == [(4, 0)]


@pytest.mark.parametrize("aucs", [(0.9, 0.9), (math.nan, math.nan)])
def test_of_equal_trials_the_first_is_selected(tmp_path, run, aucs):
    for trial, auc in enumerate(aucs):
        append_result(tmp_path, run("deep_hash", 0.25, 0, trial=trial, validation_auc=auc))
    assert selected(tmp_path) == [(0, 0)]


@pytest.mark.parametrize("column", CELL)
def test_trials_are_selected_apart_for_each_thing_compared(tmp_path, run, column):
    other = 0.5 if column == "size" else "other"
    for trial, auc, changes in ((0, 0.8, {}), (1, 0.9, {column: other})):
        row = run("deep_hash", 0.25, 0, trial=trial, validation_auc=auc)
        append_result(tmp_path, row | changes)
    assert selected(tmp_path) == [(0, 0), (1, 0)]


def test_a_pruned_run_needs_no_test(tmp_path, run):
    untested = dict.fromkeys(TESTED)
    append_result(tmp_path, run("deep_hash", 0.25, 0, pruned=True, **untested))
    assert read_results(tmp_path)["test_auc"].to_list() == [None]
    with pytest.raises(InputError, match=r"without a value .*'test_auc'"):
        append_result(tmp_path, run("deep_hash", 0.25, 0, **untested))


def test_each_variant_of_a_study_has_a_selected_trial(tmp_path, run):
    for variant, trial in (("ReLU", 0), ("ReLU", 1), ("Mish", 0)):
        changes = {"study": "activation", "variant": variant, "validation_auc": 0.8 + trial / 10}
        append_result(tmp_path, run("deep_hash", 0.25, 0, trial=trial, **changes))
    assert read_results(tmp_path)["selected"].to_list() == [False, True, True]


def test_whole_numbers_are_taken_for_floats(tmp_path, run):
    append_result(tmp_path, run("full_table", 1, 0, train_seconds=130))
    assert read_results(tmp_path)["size"].to_list() == [1.0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"test_auc": None}, "test_auc"),
        ({"colour": "red"}, "colour"),
        ({"selected": True}, "selected"),
        ({"epochs": "three"}, "does not fit SCHEMA"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_name(tmp_path, run, change, named):
    with pytest.raises(InputError, match=named):
        append_result(tmp_path, run("deep_hash", 0.25, 0, **change))
    assert names(tmp_path) == []


def test_reading_a_folder_without_results_says_what_to_run(tmp_path):
    with pytest.raises(
        InputError, match=r"results\.parquet does not exist: run `tablefree compare`"
    ):
        read_results(tmp_path)


@pytest.mark.parametrize("kept", [0, 3, 100, -1])
def test_a_truncated_file_is_refused_and_left_alone(tmp_path, run, kept):
    append_result(tmp_path, run("deep_hash", 0.25, 0))
    path = tmp_path / "results.parquet"
    content = path.read_bytes()[:kept]
    path.write_bytes(content)
    for action in (read_results, lambda folder: append_result(folder, run("deep_hash", 0.25, 1))):
        with pytest.raises(InputError, match="damaged") as caught:
            action(tmp_path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


@pytest.mark.parametrize("column", ["data_digest", "notes", "validation_auc_int8", "decoder"])
def test_a_table_from_before_the_protocol_is_refused(tmp_path, run, table, column):
    frame = table([run("deep_hash", 0.25, 0)])
    frame.drop(column).write_parquet(tmp_path / "results.parquet")
    with pytest.raises(InputError, match=f"column '{column}' should be .*, got no such column"):
        read_results(tmp_path)


def test_a_foreign_table_is_refused(tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "results.parquet")
    with pytest.raises(InputError, match="column 'dataset' should be String, got no such column"):
        read_results(tmp_path)


def test_a_column_of_another_type_is_refused(tmp_path, run, table):
    frame = table([run("deep_hash", 0.25, 0)])
    frame.with_columns(pl.col("seed").cast(pl.String)).write_parquet(tmp_path / "results.parquet")
    with pytest.raises(InputError, match="column 'seed' should be Int64, got String"):
        read_results(tmp_path)


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, run, monkeypatch):
    append_result(tmp_path, run("deep_hash", 0.25, 0))
    before = (tmp_path / "results.parquet").read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"results\.parquet: No space left on device; free"):
        append_result(tmp_path, run("deep_hash", 0.25, 1))
    assert (tmp_path / "results.parquet").read_bytes() == before
    assert names(tmp_path) == ["results.parquet"]
