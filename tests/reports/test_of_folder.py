"""One command makes the report of any folder of results, and tells which it is by their columns."""

import json

import polars as pl
import pytest

from tablefree import cli
from tablefree.experiments import growth, plans
from tablefree.experiments.parquet import write_table
from tablefree.reports.of_folder import report_of


@pytest.fixture
def comparison(runs):
    return runs((0.25,), 2)


@pytest.fixture
def ablation(run, table):
    variants = (("base", "deep_hash", 0.90), ("activation", "ReLU", 0.88))
    return table(
        [
            run("deep_hash", 0.25, 0, study=study, variant=variant, design="{}", test_auc=auc)
            for study, variant, auc in variants
        ]
    )


@pytest.fixture
def new_ids():
    row = {
        "hold_out": "item", "num_new_ids": 40, "num_new_events": 1200, "step_seconds": 2.0,
        "dataset": "ml-100k", "model": "gmf", "method": "sketch", "size": 0.25, "seed": 0,
        "num_train_events": 80_000, "num_users": 943, "num_items": 1600, "max_epochs": 20,
        "patience": 4, "embedding_dim": 32, "train_seconds": 10.0, "machine": "2 cores",
        "versions": json.dumps({"torch": "2.13"}), "finished_at": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    steps = [{"step": step, "auc_new": 0.5 + step / 20, "auc_kept": 0.9} for step in (0, 1, 2)]
    return pl.DataFrame([row | step for step in steps], schema=growth.SCHEMA)


@pytest.fixture
def of_plans():
    return pl.DataFrame(schema=plans.SCHEMA)


@pytest.mark.parametrize(
    ("results", "title"),
    [
        ("of_plans", "Embeddings with and without tables"),
        ("comparison", "Embeddings with and without tables"),
        ("ablation", "One factor at a time"),
        ("new_ids", "New ids"),
    ],
)
def test_the_columns_tell_whose_report_it_is(tmp_path, request, results, title, capsys):
    write_table(tmp_path, request.getfixturevalue(results))
    page = tmp_path / "report.html"
    assert cli.run(["report", "--folder", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"Report: {page}\n"
    assert f"<title>{title}" in page.read_text()
    assert (tmp_path / "summary.md").read_text().startswith(f"# {title}")


def test_the_results_stay_as_they_are(tmp_path, comparison):
    write_table(tmp_path, comparison)
    before = (tmp_path / "results.parquet").read_bytes()
    first = report_of(tmp_path).write(tmp_path).read_bytes()
    assert report_of(tmp_path).write(tmp_path).read_bytes() == first
    assert (tmp_path / "results.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (None, "does not exist: run `tablefree compare`, `ablate` or `cold-start`"),
        (pl.DataFrame({"a": [1]}), "is not a table of results of this version"),
        (pl.DataFrame({"hold_out": ["item"]}), "holds other results"),
        (pl.DataFrame({"cell": ["{}"]}), "is not a comparison of plans of this version"),
        (pl.DataFrame(schema=growth.SCHEMA), "holds other results"),
    ],
)
def test_what_has_no_report_is_refused_in_a_line(tmp_path, table, said, capsys):
    if table is not None:
        write_table(tmp_path, table)
    assert cli.run(["report", "--folder", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
    assert not (tmp_path / "report.html").exists()
