import json
from xml.etree import ElementTree

import polars as pl
import pytest
from selenium.webdriver.support.wait import WebDriverWait

from tablefree.experiments.results import SCHEMA
from tablefree.reports.ablation import ablation_report, findings, panels_of

# Invented: the study and variant, and the test AUC of each seed.
AUCS = {
    ("base", "deep_hash"): (0.900, 0.901),
    ("base", "sketch"): (0.920, 0.919),
    ("activation", "ReLU"): (0.880, 0.881),
    ("activation", "GELU"): (0.901, 0.900),
    ("sketch-norm", "batch"): (0.910, 0.911),
}


@pytest.fixture
def results(run, table):
    def invented(aucs, **changes):
        return table(
            [
                run(
                    "sketch" if "sketch" in (study + variant) else "deep_hash", 0.25, seed,
                    study=study, variant=variant, design="{}", trial=0, test_auc=auc, **changes,
                )
                for (study, variant), values in aucs.items()
                for seed, auc in enumerate(values)
            ]
        )  # fmt: skip

    return invented


@pytest.fixture
def write(tmp_path):
    def results_to_page(results):
        results.write_parquet(tmp_path / "results.parquet")
        return ablation_report(tmp_path).write(tmp_path)

    return results_to_page


def test_panels_have_the_base_and_what_is_finished_in_their_order(results):
    activation, norm = panels_of(results(AUCS))
    assert activation.title == "Activation"
    assert [(row["label"], row["kind"]) for row in activation.rows] == [
        ("Mish", "base"), ("ReLU", "beyond the noise"), ("GELU", "within the noise"),
    ]  # fmt: skip
    assert [row["difference"] for row in activation.rows] == pytest.approx([0, -0.02, 0])
    assert [row["label"] for row in norm.rows] == ["RMS", "batch"]


def test_a_study_of_which_only_the_base_is_finished_is_not_shown(results):
    assert panels_of(results({("base", "deep_hash"): (0.9,)})) == []
    assert panels_of(results({("norm", "layer"): (0.9,)})) == []
    encoding = {("base", "deep_hash"): (0.9,), ("base", "sketch"): (0.92,)}
    assert panels_of(results(encoding)) == []
    (panel,) = panels_of(results(encoding | {("encoding", "±1"): (0.89,)}))
    assert [row["label"] for row in panel.rows] == ["uniform", "±1", "sketch"]


def test_findings_begin_with_what_matters_most(results):
    assert findings(panels_of(results(AUCS))) == [
        "Activation: Mish (.9005) is the best, ReLU (.8805, -.0200, beyond the noise) the worst, "
        ".0200 apart.",
        "Norm over a sketch: RMS (.9195) is the best, batch (.9105, -.0090, beyond the noise) the "
        "worst, .0090 apart.",
    ]


def test_the_summary_has_a_table_for_each_study(write, results, tmp_path):
    page = write(results(AUCS))
    assert page == tmp_path / "report.html"
    assert {path.name for path in tmp_path.iterdir()} == {
        "ablation.svg", "report.html", "results.parquet", "summary.md",
    }  # fmt: skip
    text = (tmp_path / "summary.md").read_text()
    assert "| Factor             | Variant" in text
    assert "| Activation         | ReLU    | .8805 ± .0007 | -.0200, beyond the noise |" in text
    assert "- Optimizer: adamw; batch 4096, but in the study of it" in text
    assert "- Size: 1/4 of the full tables' size\n" in text
    assert "Diverged" not in text
    figure = (tmp_path / "ablation.svg").read_text()
    assert ElementTree.fromstring(figure).tag.endswith("svg")
    assert all(label in figure for label in ("Activation", "ReLU", "Norm over a sketch"))


def test_equal_sizes_are_claimed_only_where_they_are(write, results, tmp_path):
    load = {("base", "sketch"): (0.92,), ("load", "1/2"): (0.9,)}
    page = write(results(load)).read_text()
    claim = (
        "1/4 of the full tables' size, but where rows an id are varied: there see the parameters"
    )
    assert f"- Size: {claim}\n" in (tmp_path / "summary.md").read_text()
    assert f"All embeddings are {claim.replace(chr(39), '&#39;')}." in page
    assert "but where" not in write(results(AUCS)).read_text().split("All embeddings")[1][:100]


def test_what_diverged_is_named_and_not_shown(write, results, tmp_path):
    write(results(AUCS | {("dropout", "0.5"): (float("nan"),)}))
    text = (tmp_path / "summary.md").read_text()
    assert "- Diverged, and so not shown: dropout, 0.5\n" in text
    assert "| 0.5" not in text


def test_before_the_first_study_is_finished(write, tmp_path):
    page = write(pl.DataFrame(schema=SCHEMA))
    assert "No study is finished yet" in page.read_text()
    assert "No study is finished yet" in (tmp_path / "summary.md").read_text()


def test_browser_draws_every_chart_without_a_word_on_the_console(write, results, browser):
    hostile = "</script><script>console.error('escaped')</script>"
    spaces = json.dumps({})
    browser.get(write(results(AUCS, dataset=hostile, search_space=spaces)).as_uri())
    WebDriverWait(browser, 20).until(
        lambda driver: driver.execute_script(
            "return [...document.querySelectorAll('.chart')]"
            ".every(chart => chart.querySelector('svg .mark-symbol path'))"
        )
    )
    points = "return document.querySelectorAll('#chart-1-1-1 .mark-symbol path').length"
    assert browser.execute_script(points) == 3
    assert len(browser.find_elements("css selector", ".chart svg")) == 2
    assert browser.find_element("css selector", "h1").text == "One factor at a time"
    assert browser.get_log("browser") == []
