import math
import re
from xml.etree import ElementTree

import polars as pl
import pytest
from selenium.webdriver.support.wait import WebDriverWait

from tablefree.commands.training import tell_results
from tablefree.errors import InputError
from tablefree.experiments.forms import FILE_NAME
from tablefree.experiments.parquet import write_table
from tablefree.experiments.results import SCHEMA, append_result
from tablefree.reports.comparison import comparison_report

HOSTILE = "</script><script>console.error('escaped')</script><b>|`"


@pytest.fixture
def write(tmp_path):
    def results_to_page(results, forms=None):
        results.write_parquet(tmp_path / "results.parquet")
        if forms is not None:
            write_table(tmp_path, forms, FILE_NAME)
        return comparison_report(tmp_path).write(tmp_path)

    return results_to_page


@pytest.fixture
def read(write, browser):
    """Open the report of some results, once its charts are drawn."""

    def page(results, forms=None):
        browser.get(write(results, forms).as_uri())
        WebDriverWait(browser, 20).until(
            lambda driver: driver.execute_script(
                "return [...document.querySelectorAll('.chart')]"
                ".every(chart => chart.querySelector('svg .mark-symbol path, svg .mark-rule line'))"
            )
        )
        return browser

    return page


def test_report_writes_whole_files_and_returns_the_page(tmp_path, write, runs):
    page = write(runs((0.25, 0.0625), 2))
    assert page == tmp_path / "report.html"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "auc_by_size.svg",
        "report.html",
        "results.parquet",
        "summary.md",
    ]
    text = (tmp_path / "auc_by_size.svg").read_text()
    assert ElementTree.fromstring(text).tag.endswith("svg")
    assert all(label in text for label in ("Deep hash", "Full table", "1/16", "Test AUC"))


def test_report_of_a_run_in_progress(tmp_path, run):
    pl.DataFrame(schema=SCHEMA).write_parquet(tmp_path / "results.parquet")
    assert "No run is finished yet" in comparison_report(tmp_path).write(tmp_path).read_text()
    assert "No run is finished yet" in (tmp_path / "summary.md").read_text()
    append_result(tmp_path, run("deep_hash", 0.25, 0))
    assert (
        "The full table is not measured yet"
        in comparison_report(tmp_path).write(tmp_path).read_text()
    )


def test_report_without_results_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        comparison_report(tmp_path).write(tmp_path)


def test_summary_reads_well_raw(tmp_path, write, runs):
    write(runs((0.25, 0.0625), 3))
    text = (tmp_path / "summary.md").read_text()
    assert "**Keep the full table where it fits" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 17
    assert len({len(line) for line in table}) == 1
    assert "learning rate 0.003 to 0.3" in text


def test_what_diverged_is_shown_without_figures(write, runs):
    aucs = [name for name in SCHEMA if name.startswith(("test_auc", "validation_auc"))]
    text = write(runs((0.25,), 2, **dict.fromkeys(aucs, math.nan))).read_text()
    assert "Neither the full table nor a method without a vocabulary is measured yet" in text


def test_users_as_histories_stand_beside_ids(write, runs):
    page = write(runs((0.25,), 2).vstack(runs((0.25,), 2, users="history"))).read_text()
    legend = page.partition('<ul class="legend">')[2].partition("</ul>")[0]
    drawn = dict(re.findall(r"(<path .*?/>)</svg>(.*?)</li>", legend))
    assert len(drawn) == legend.count("<li>") == 16
    assert {"Deep hash", "Deep hash, users as histories"} <= set(drawn.values())


def test_markdown_takes_names_as_text(tmp_path, write, runs):
    write(runs((0.25,), 1, dataset=HOSTILE))
    text = (tmp_path / "summary.md").read_text()
    assert "<b>" not in text
    assert "<script" not in text


def test_page_refers_to_nothing_outside_itself(write, runs):
    text = write(runs((0.25,), 1)).read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)""", text.partition("<script>")[0])
    assert "default-src 'none'" in text


def test_browser_draws_every_chart_without_a_word_on_the_console(read, runs):
    results = runs((0.25, 0.0625), 2).vstack(runs((0.25,), 1, model="mlp"))
    browser = read(results)
    charts = browser.find_elements("css selector", ".chart svg")
    assert len(charts) == 2 + 2 + 2 + 2 + 1
    assert all(chart.size["width"] > 200 and chart.size["height"] > 200 for chart in charts)
    points = "return document.querySelectorAll('#chart-1-1-1 .mark-symbol path').length"
    assert browser.execute_script(points) == 15
    assert browser.get_log("browser") == []
    fetched = "return performance.getEntriesByType('resource').map(entry => entry.name)"
    assert [name for name in browser.execute_script(fetched) if name.startswith("http")] == []


@pytest.mark.parametrize(
    ("sizes", "seeds", "changes"),
    [
        ((0.25,), 1, {"test_auc_unseen": None}),
        ((), 2, {}),
        ((0.25,), 2, {"dataset": HOSTILE, "machine": HOSTILE}),
    ],
    ids=["one seed, one size, no unseen item", "full table only", "hostile names"],
)
def test_browser_shows_any_results(read, runs, sizes, seeds, changes):
    browser = read(runs(sizes, seeds, **changes))
    assert browser.get_log("browser") == []
    title = browser.find_element("css selector", "h2").text
    assert title == f"{changes.get('dataset', 'ml-1m')}, GMF, random split"
    assert browser.find_elements("css selector", "b") == []


@pytest.fixture
def packed_runs(runs, run, table):
    """A comparison in bytes, with a method that is trained once."""

    def some(seeds, **changes):
        rows = [run("claimed_rows", 1.0, seed, **changes) for seed in range(seeds)]
        return runs((1 / 8,), seeds, **changes).vstack(table(rows))

    return some


def test_packed_runs_have_a_figure_and_tables_in_bytes(tmp_path, write, packed_runs, packed):
    (tmp_path / "auc_by_size.svg").write_text("of an earlier report")
    results = packed_runs(2)
    page = write(results, packed(results)).read_text()
    assert not (tmp_path / "auc_by_size.svg").exists()
    figure = (tmp_path / "auc_by_bytes.svg").read_text()
    assert all(label in figure for label in ("Claimed rows", "Full table", "100KB", "1MB"))
    assert page.index("By bytes") < page.index("As trained, before packing")
    assert "Within 1/16 (90.2 KB)" in page
    assert "a codebook" not in page
    text = (tmp_path / "summary.md").read_text()
    assert "**The table can go: its AUC is held in 1/" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert sum("| Within 1/16 (90.2 KB) | Claimed rows " in line for line in lines) == 1
    assert "Deployed bytes" in lines[0]
    assert not any("Deployed bytes" in line for line in lines[1:])
    write(results, packed(results).clear())
    assert not (tmp_path / "auc_by_bytes.svg").exists()


def test_forms_of_one_model_leave_the_other_as_it_is(tmp_path, write, runs, packed):
    results = runs((0.25,), 1)
    write(results.vstack(runs((0.25,), 1, model="mlp")), packed(results))
    text = (tmp_path / "summary.md").read_text()
    gmf, mlp = text.split("## ml-1m")[1:]
    assert "| Within" in gmf
    assert "| Within" not in mlp
    assert "(int8)" in mlp
    assert "(int8)" not in gmf


def test_markdown_and_page_of_forms_take_names_as_text(tmp_path, write, packed_runs, packed):
    results = packed_runs(1, dataset=HOSTILE)
    page = write(results, packed(results, form=HOSTILE)).read_text()
    assert HOSTILE not in page
    assert "<b>" not in (tmp_path / "summary.md").read_text()


def test_the_command_prints_a_table_for_each_budget(tmp_path, write, packed_runs, packed, capsys):
    results = packed_runs(2)
    write(results, packed(results))
    tell_results(tmp_path)
    said = capsys.readouterr().out
    assert said.index("Within 1/8 (180 KB)") < said.index("Within 1/16 (90.2 KB)")
    assert said.count("Claimed rows") == 2 + len(re.findall("Claimed rows in", said))
    assert all(word in said for word in ("residual-4x8", "1/26", "The table can go"))


@pytest.mark.parametrize(
    ("methods", "changes"),
    [
        (None, {}),
        (None, {"dataset": HOSTILE}),
        (("claimed_rows", "deep_hash"), {}),
    ],
    ids=["two seeds", "hostile names", "no full table"],
)
def test_browser_shows_forms(read, packed_runs, packed, methods, changes):
    results = packed_runs(2, **changes)
    if methods:
        results = results.filter(pl.col("method").is_in(methods))
    forms = packed(results)
    browser = read(results, forms)
    assert browser.get_log("browser") == []
    headings = [heading.text for heading in browser.find_elements("css selector", "h3")]
    assert headings[:2] == ["AUC against deployed bytes", "AUC against bytes in training"]
    assert browser.find_elements("css selector", "b") == []
    drawn = "return document.querySelectorAll('#chart-1-1-1 .mark-{} path').length"
    num_forms = forms.filter(seed=0).n_unique(["method", "size", "form"])
    assert browser.execute_script(drawn.format("symbol")) == num_forms
    assert browser.execute_script(drawn.format("line")) == 1


@pytest.mark.parametrize("width", [400, 1200])
def test_page_fits_a_phone_and_a_desk(read, browser, runs, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        page = read(runs((0.25, 0.0625), 2))
        assert page.execute_script("return document.documentElement.scrollWidth") <= width
        chart = page.find_element("css selector", ".chart svg").size["width"]
        assert 0.8 * width < chart <= width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
