"""`tablefree cold-start`, from a file to a report."""

import os

import polars as pl
import pytest

from tablefree import cli
from tablefree.data import synthetic_interactions
from tablefree.experiments import growth
from tablefree.experiments.learner import CONTENDERS
from tablefree.files import held

QUICK = ("--epochs", "1", "--embedding-dim", "4", "--size", "1")


def cold_start(*arguments):
    return cli.run(["cold-start", *map(str, arguments), *QUICK])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "invented.csv"
    events = synthetic_interactions(3_000, num_users=120, num_items=100)
    columns = {"who": events.user, "what": events.item, "when": events.timestamp}
    pl.DataFrame(columns).write_csv(path)
    return (
        "--data", path, "--user-column", "who", "--item-column", "what", "--timestamp-column",
        "when",
    )  # fmt: skip


def test_help_shows_an_example_in_80_columns(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.run(["cold-start", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example: tablefree cold-start " in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert all(contender.name in shown for contender in CONTENDERS)


@pytest.mark.parametrize(("hold_out", "measure"), [("item", "auc_new"), ("time", "auc_old")])
def test_it_reports_what_fits(data, tmp_path, capsys, hold_out, measure):
    assert cold_start(*data, "--hold-out", hold_out, "--output", tmp_path / "results") == 0
    said = capsys.readouterr().out
    assert "left out: sketch_with_features at size 1: " in said
    assert f"full_table seed 0: {measure} " in said
    files = sorted(path.name for path in (tmp_path / "results").iterdir())
    assert files == ["report.html", "results.parquet", "summary.md"]


def test_stopped_it_says_that_it_resumes(data, tmp_path, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(growth, "_rows", stop)
    assert cold_start(*data, "--output", tmp_path) == 130
    assert capsys.readouterr().err == "tablefree: stopped; the same command resumes\n"


def test_a_folder_that_another_command_holds_is_left_alone(data, tmp_path, capsys):
    with held(tmp_path):
        assert cold_start(*data, "--output", tmp_path) == 2
    assert f"process {os.getpid()} is writing its results into" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_scenario_is_refused_in_a_line(data, tmp_path, capsys):
    assert cold_start(*data, "--hold-out", "items", "--output", tmp_path) == 2
    said = capsys.readouterr().err
    assert "hold_out must be one of item, user, time" in said
    assert said.count("\n") == 1
