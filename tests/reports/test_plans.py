"""The report of a comparison of plans, from invented results, in text and in a browser."""

import json
import math
import re
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
from selenium.webdriver.support.wait import WebDriverWait

from tablefree import cli
from tablefree.errors import InputError
from tablefree.experiments.parquet import write_table
from tablefree.experiments.plan_columns import COLUMN_SCHEMA, COLUMNS, PLAN_SCHEMA, PLANS
from tablefree.experiments.plans import SCHEMA
from tablefree.reports.plan_summary import plan_advice, summarise_plans, tables_of
from tablefree.reports.plans import column_table, plan_report, read_planned

HOSTILE = "</script><script>console.error('escaped')</script><b>|`"
FULL = 640_000
# Plan → test AUC as trained, and within 1/4, 1/16 and 1/64 of the bytes: invented; none fits not.
AUCS = {
    "full_table": (0.752, 0.7525, None, None),
    "claimed_rows": (0.7522, 0.7521, 0.7505, 0.7430),
    "hashing_trick": (0.748, 0.7478, 0.735, 0.701),
}


def row(method, seed, budget, auc, **changes):
    noise = np.random.default_rng([len(method), seed]).normal(0, 0.0005)
    size = FULL if budget is None else budget - 1_000
    found = {
        "dataset": "clicks",
        "split": "time",
        "model": "dlrm",
        "method": method,
        "cell": json.dumps({"method": method}),
        "embedding_dim": 16,
        "seed": seed,
        "trial": 0,
        "learning_rate": 0.03,
        "network_learning_rate": 0.003,
        "weight_decay": 0.1,
        "max_epochs": 10,
        "epochs": 5,
        "best_epoch": 3,
        "train_seconds": 10.0,
        "training_bytes": 3 * FULL,
        "form": "float32" if budget is None else "residual-4x8",
        "budget_bytes": budget,
        "deployed_bytes": size,
        "validation_auc": auc + 0.001 + noise,
        "test_auc": auc + noise,
        "test_log_loss": 0.9 - auc / 2,
        "normalized_entropy": 0.85,
        "calibration_error": 0.02,
        "test_auc_unseen": auc - 0.05,
        "test_log_loss_unseen": 0.6,
        "normalized_entropy_unseen": 0.95,
        "calibration_error_unseen": 0.04,
    }
    return found | changes


def results(seeds=3, aucs=AUCS, **changes):
    """A whole comparison, with a trial that lost beside each run of seed 0."""
    budgets = (None, FULL // 4, FULL // 16, FULL // 64)
    rows = [
        row(method, seed, budget, auc, **changes)
        for method, of_method in aucs.items()
        for seed in range(seeds)
        for budget, auc in zip(budgets, of_method, strict=True)
        if auc is not None
    ]
    untested = dict.fromkeys(["test_auc", "test_log_loss", "test_auc_unseen"])
    lost = [row(method, 0, None, 0.6, trial=1, **changes | untested) for method in aucs]
    return pl.DataFrame([*rows, *lost], schema=SCHEMA)


def columns(worth=0.1, **changes):
    shared = {
        "model": "dlrm",
        "dataset": "clicks",
        "data_digest": "0123456789abcdef",
        "num_events": [800, 100, 100, 7],
        "max_epochs": 10,
        "reason": "strings",
        "num_nulls": 0,
        "growth_rows": [256, 512, 1_000],
    }
    kinds = (("site", "categorical", 40), ("user", "categorical", 900), ("price", "numeric", 700))
    rows = [
        shared
        | {
            "column": name,
            "kind": kind,
            "num_values": values,
            "num_occurrences": 1_000,
            "growth_values": [values // 2, values - 1, values],
            "worth": None if worth is None else worth / (at + 1),
        }
        | changes
        for at, (name, kind, values) in enumerate(kinds)
    ]
    label = rows[0] | {"column": "sold", "kind": "label", "worth": None}
    return pl.DataFrame([*rows, label], schema=COLUMN_SCHEMA)


def plans():
    rows = [
        {
            "method": method,
            "budget_bytes": budget,
            "column": name,
            "feature": name,
            "feature_method": method if name == "user" else "full_table",
            "num_rows": 100,
            "num_bytes": (budget or FULL) // 2,
            "table_bytes": FULL // 2,
        }
        for method, budget in (
            ("full_table", None),
            ("claimed_rows", FULL // 4),
            ("claimed_rows", FULL // 16),
            ("hashing_trick", FULL // 4),
        )
        for name in ("site", "user")
    ]
    return pl.DataFrame(rows, schema=PLAN_SCHEMA)


@pytest.fixture
def write(tmp_path):
    def to_page(runs, of_columns=None, of_plans=None):
        write_table(tmp_path, runs)
        if of_columns is not None:
            write_table(tmp_path, of_columns, COLUMNS)
            write_table(tmp_path, plans() if of_plans is None else of_plans, PLANS)
        return plan_report(tmp_path).write(tmp_path)

    return to_page


def advice(**options):
    return plan_advice(summarise_plans(results(**options)).to_dicts(), FULL)


class TestSummary:
    def test_differences_are_to_the_tables_of_the_same_seed(self):
        runs = results(seeds=2)
        own = runs.filter(pl.col("test_auc").is_not_null())
        rows = summarise_plans(runs)
        found = rows.filter(method="claimed_rows", budget_bytes=FULL // 16).row(0, named=True)

        def auc(method, budget, seed):
            of_run = own.filter(pl.col("budget_bytes").eq_missing(budget), method=method, seed=seed)
            return of_run["test_auc"].item()

        differences = [
            auc("claimed_rows", FULL // 16, seed) - auc("full_table", None, seed) for seed in (0, 1)
        ]
        assert found["difference"] == pytest.approx(np.mean(differences))
        assert found["seeds"] == 2

    def test_trials_that_lost_do_not_count(self):
        rows = summarise_plans(results(seeds=1)).to_dicts()
        assert tables_of(rows)["test_auc"] == pytest.approx(0.752, abs=0.003)
        assert tables_of(rows)["test_auc_sd"] is None

    def test_the_verdict_is_the_smallest_budget_that_holds(self):
        verdict, *_ = advice()
        assert verdict == "A plan within 1/16 (40.0 KB) holds the AUC of float32 tables, to .0030."

    def test_the_verdict_where_none_holds(self):
        worse = AUCS | {"claimed_rows": (0.75, 0.74, 0.73, 0.72)}
        verdict, *_ = advice(aucs=worse)
        assert verdict.startswith("No plan holds the AUC of float32 tables to .0030: the nearest, ")
        assert "within 1/4 (160 KB), differs by -.0" in verdict

    def test_packed_tables_are_no_plan(self):
        worse = {name: AUCS[name] for name in ("full_table", "hashing_trick")}
        verdict, *support = advice(aucs=worse)
        assert verdict.startswith("No plan holds")
        assert any(line.startswith("Tables packed within 1/4") for line in support)

    def test_tables_that_fit_in_no_form_are_said(self):
        assert "Tables fit in no form within 1/16 (40.0 KB), 1/64 (10.0 KB)." in advice()

    def test_one_seed_is_said(self):
        assert "one seed" in advice(seeds=1)[-1]
        assert "one seed" not in " ".join(advice(seeds=2))

    def test_plans_that_fit_in_no_form_are_said(self):
        none = {"hashing_trick": (0.748, None, None, None)}
        assert advice(aucs=AUCS | none)[-1] == (
            "Hashing trick of 640 KB as trained fit their budget in no form."
        )
        assert advice(aucs={"full_table": AUCS["full_table"]} | none)[0] == (
            "No plan fits its budget: allow more bytes, or drop columns."
        )

    @pytest.mark.parametrize("method", ["full_table", "claimed_rows"])
    def test_what_is_not_measured_yet_is_said(self, method):
        assert advice(aucs={method: AUCS[method]}) == [
            "The tables in float32, or the plans, are not measured yet."
        ]


class TestReport:
    def test_the_files(self, tmp_path, write):
        assert write(results(), columns()) == tmp_path / "report.html"
        names = {one.name for one in tmp_path.iterdir()} - {COLUMNS, PLANS, "results.parquet"}
        assert names == {"auc_by_bytes.svg", "report.html", "summary.md"}
        text = (tmp_path / "auc_by_bytes.svg").read_text()
        assert ElementTree.fromstring(text).tag.endswith("svg")
        assert all(name in text for name in ("Full table", "Claimed rows", "Hashing trick"))

    def test_the_summary_reads_well_raw(self, tmp_path, write):
        write(results(), columns())
        text = (tmp_path / "summary.md").read_text()
        assert "## clicks, DLRM, time split" in text
        assert "**A plan within 1/16 (40.0 KB) holds the AUC of float32 tables" in text
        tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        assert len(tables) == 2
        for table in tables:
            assert len({len(line) for line in table.splitlines()}) == 1
        assert "800 training, 100 validation, 100 test, 7 of these with new values" in text

    def test_what_is_as_trained_says_for_which_budget(self, tmp_path, write):
        cell = pl.format("{} {}", "method", pl.col("budget_bytes").fill_null(FULL // 4))
        runs = results().with_columns(cell=cell)
        trained = runs.filter(pl.col("budget_bytes").is_null(), method="claimed_rows")
        other = trained.with_columns(
            cell=pl.lit(f"claimed_rows {FULL // 16}"),
            validation_auc=pl.col("validation_auc") - 0.1,
        )
        write(runs.vstack(other))
        text = (tmp_path / "summary.md").read_text()
        rows = re.findall(r"^\| As trained.*?\| (.*?) +\|", text, re.MULTILINE)
        assert rows == ["Claimed rows, for 1/4", "Hashing trick, for 1/4", "Claimed rows, for 1/16"]

    def test_the_columns_are_told_by_worth(self, tmp_path, write):
        write(results(), columns())
        (section,) = read_planned(tmp_path)
        headings, rows = column_table(section)
        assert headings[4:] == [
            "Within 1/4 (160 KB)",
            "Within 1/16 (40.0 KB)",
            "As a table",
            "Worth",
        ]
        assert [cells[0] for cells in rows] == ["site", "user", "price"]
        assert rows[1][4:] == ["claimed rows, 80.0 KB", "claimed rows, 20.0 KB", "320 KB", "+.0500"]
        assert rows[2][4:] == ["-", "-", "-", "+.0333"]

    def test_worth_that_is_not_known_yet(self, tmp_path, write):
        write(results(), columns(worth=None))
        (section,) = read_planned(tmp_path)
        assert {cells[-1] for cells in column_table(section)[1]} == {"-"}

    def test_results_alone_have_a_report(self, tmp_path, write):
        text = write(results()).read_text()
        assert "By bytes" in text
        assert "By column" not in text
        assert "Distinct values against rows" not in text
        assert "By column" not in (tmp_path / "summary.md").read_text()

    def test_results_in_progress(self, write):
        text = write(pl.DataFrame(schema=SCHEMA)).read_text()
        assert "No run is finished yet" in text
        untested = results().filter(pl.col("test_auc").is_null())
        assert "are not measured yet" in write(untested).read_text()

    def test_models_have_a_section_each(self, tmp_path, write):
        both = results().vstack(results(model="deepfm"))
        write(both, columns().vstack(columns(model="deepfm", worth=0.7)))
        first, second = read_planned(tmp_path)
        assert (first.title, second.title) == (
            "clicks, DLRM, time split",
            "clicks, DeepFM, time split",
        )
        assert len({*first.columns["worth"]} & {*second.columns["worth"]}) == 1  # none, of labels

    def test_what_diverged_has_no_figures(self, write):
        runs = results()
        is_diverged = (pl.col("method") == "hashing_trick") & pl.col("test_auc").is_not_null()
        nan = pl.when(is_diverged).then(math.nan)
        text = write(
            runs.with_columns(
                test_auc=nan.otherwise("test_auc"), test_log_loss=nan.otherwise("test_log_loss")
            )
        ).read_text()
        assert "A plan within 1/16" in text

    def test_the_command_makes_it_again(self, tmp_path, write, capsys):
        first = write(results(), columns()).read_bytes()
        (tmp_path / "report.html").unlink()
        assert cli.run(["report", "--folder", str(tmp_path)]) == 0
        assert capsys.readouterr().out == f"Report: {tmp_path / 'report.html'}\n"
        assert (tmp_path / "report.html").read_bytes() == first

    def test_others_are_refused(self, tmp_path):
        write_table(tmp_path, results().drop("seed"))
        with pytest.raises(InputError, match="not a comparison of plans of this version"):
            plan_report(tmp_path)
        write_table(tmp_path, results())
        write_table(tmp_path, columns().drop("worth"), COLUMNS)
        with pytest.raises(InputError, match=r"columns\.parquet is not of this version"):
            plan_report(tmp_path)

    def test_the_page_refers_to_nothing_outside_itself(self, write):
        text = write(results(), columns()).read_text()
        assert not re.search(r"""(src|href)=["'](?!data:)""", text.partition("<script>")[0])

    @pytest.mark.parametrize("name", ["clicks", HOSTILE], ids=["a name", "a hostile one"])
    def test_a_browser_draws_every_chart(self, write, browser, name):
        of_columns = columns(dataset=name).with_columns(
            column=pl.when(pl.col("column") == "user").then(pl.lit(name)).otherwise("column")
        )
        browser.get(write(results(dataset=name), of_columns).as_uri())
        WebDriverWait(browser, 20).until(
            lambda driver: driver.execute_script(
                "return [...document.querySelectorAll('.chart')]"
                ".every(chart => chart.querySelector('svg .mark-symbol path'))"
            )
        )
        assert len(browser.find_elements("css selector", ".chart svg")) == 3
        points = "return document.querySelectorAll('#chart-1-1-1 .mark-symbol path').length"
        assert browser.execute_script(points) == 10
        assert browser.get_log("browser") == []
        assert browser.find_element("css selector", "h2").text == f"{name}, DLRM, time split"
        assert browser.find_elements("css selector", "b") == []
