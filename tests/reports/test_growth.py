import json

import polars as pl
import pytest
from selenium.webdriver.support.wait import WebDriverWait

from tablefree.experiments.growth import SCHEMA
from tablefree.experiments.learner import CONTENDERS
from tablefree.reports.growth import finding, growth_report, marks, summarise_growth

HOSTILE = "</script><script>console.error('escaped')</script><b>|`"
COLD, STREAM = ("auc_new", "auc_new_among_all"), ("auc_old", "auc_new_users", "auc_new_items")


def invented(hold_out="item", seeds=1, **changes):
    """Results in which each contender is better than the one before, and forgets more."""
    row = {
        "hold_out": hold_out, "num_new_ids": 40, "num_new_events": 1200, "step_seconds": 2.0,
        "dataset": "ml-100k", "model": "gmf", "size": 0.25, "num_train_events": 80_000,
        "num_users": 943, "num_items": 1600, "max_epochs": 20, "patience": 4, "embedding_dim": 32,
        "train_seconds": 10.0, "machine": "2 cores", "versions": json.dumps({"torch": "2.13"}),
        "finished_at": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    steps, measures = ((5, 6, 7), STREAM) if hold_out == "time" else ((0, 1, 10), COLD)
    rows = [
        row
        | {"method": contender.name, "seed": seed, "step": step}
        | {"auc_kept": 0.92 - place * number / 100 + seed / 1000}
        | {
            measure: 0.5 + (place + 1) * number / 50 + seed / 1000
            for measure in measures
            if step != 5
        }
        for number, contender in enumerate(CONTENDERS)
        for seed in range(seeds)
        for place, step in enumerate(steps)
    ]
    return pl.DataFrame([one | changes for one in rows], schema=SCHEMA)


@pytest.fixture
def write(tmp_path):
    def results_to_page(results):
        results.write_parquet(tmp_path / "results.parquet")
        return growth_report(tmp_path).write(tmp_path)

    return results_to_page


@pytest.mark.parametrize(("hold_out", "measures"), [("user", COLD), ("time", STREAM)])
def test_a_table_for_each_measure(tmp_path, write, hold_out, measures):
    assert write(invented(hold_out, seeds=2)) == tmp_path / "report.html"
    text = (tmp_path / "summary.md").read_text()
    measured = {line.split("|")[1].strip() for line in text.splitlines() if "| Sketch with" in line}
    assert len(measured) == len(measures) + 1
    assert ("users held out" if hold_out == "user" else "the later half as a stream") in text
    assert ".5405 ± .0007" in text
    assert ("New users, old items:" in text) == (hold_out == "time")


def test_the_mean_and_spread_over_seeds_without_what_was_not_measured():
    rows = invented("time", seeds=2)
    rows = rows.with_columns(auc_old=pl.when(pl.col("step") == 6).then(float("nan")).otherwise(0.7))
    summary = summarise_growth(rows)
    assert summary.filter(measure="auc_old")["step"].unique().to_list() == [5, 7]
    assert summary.filter(measure="auc_new").is_empty()
    kept = summary.filter(measure="auc_kept", method="full_table", step=7)
    assert kept["auc"].item() == pytest.approx(0.9205)
    assert kept["sd"].item() == pytest.approx(0.000707, abs=1e-6)
    assert kept["seeds"].item() == 2


def test_findings_name_the_best_and_who_forgets():
    panels = {
        panel["measure"][0]: panel
        for panel in summarise_growth(invented()).partition_by("measure", maintain_order=True)
    }
    assert finding(panels["auc_new"]) == (
        "New ids, the best at each step: 0: Item history .6400, 1: Item history .7800, "
        "10: Item history .9200."
    )
    assert finding(panels["auc_kept"]) == (
        "Kept of the first training: the most by Full table (.9200 to .9200), the least by Item "
        "history (.9200 to .7800)."
    )


def test_every_contender_has_a_mark_of_its_own():
    drawn = marks(pl.Series("method", [contender.name for contender in CONTENDERS]))
    assert len({(mark.colour, mark.path) for mark in drawn}) == len(CONTENDERS)
    assert len({mark.name for mark in drawn}) == len(CONTENDERS)


def test_markdown_takes_names_as_text(tmp_path, write):
    write(invented(dataset=HOSTILE))
    text = (tmp_path / "summary.md").read_text()
    assert "<b>" not in text
    assert "<script" not in text


@pytest.mark.parametrize("results", [invented(seeds=2), invented("time", dataset=HOSTILE)])
def test_browser_draws_every_chart_without_a_word_on_the_console(write, browser, results):
    browser.get(write(results).as_uri())
    WebDriverWait(browser, 20).until(
        lambda driver: driver.execute_script(
            "return [...document.querySelectorAll('.chart')]"
            ".every(chart => chart.querySelector('svg .mark-symbol path'))"
        )
    )
    charts = browser.find_elements("css selector", ".chart svg")
    assert len(charts) == summarise_growth(results)["measure"].n_unique()
    assert all(chart.size["width"] > 200 for chart in charts)
    assert browser.get_log("browser") == []
    assert browser.find_elements("css selector", "b") == []


def test_when_nothing_was_measured(write):
    rows = invented("time", seeds=1)
    nothing = rows.with_columns(pl.col("^auc_.*$").fill_null(0.0) * float("nan"))
    assert "all trainings diverged" in write(nothing).read_text()
