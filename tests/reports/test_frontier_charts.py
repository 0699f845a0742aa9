import math

import polars as pl
import pytest

from tablefree.reports.charts import page_spec
from tablefree.reports.frontier import measure
from tablefree.reports.frontier_charts import auc_by_deployed_bytes, auc_by_training_bytes
from tablefree.reports.summary import summarise


@pytest.fixture
def results(run, table):
    cells = [("full_table", 1.0), ("claimed_rows", 1.0), ("sketch", 1 / 8)]
    return table([run(*cell, seed) for cell in cells for seed in range(2)])


def layers(chart):
    """The data of each layer, the first beneath."""
    spec = page_spec(chart)
    shared = spec.get("data")  # of all layers, where they have the same
    return [spec["datasets"][layer.get("data", shared)["name"]] for layer in spec["layer"]]


def test_every_form_is_a_point_and_the_frontier_a_line(results, packed):
    frontier = measure(packed(results), results)
    chart = auc_by_deployed_bytes(summarise(results), frontier)
    level, line, points = layers(chart)
    assert [row["form"] for row in level] == ["float32"]
    assert len(points) == len(frontier.points)
    sizes = [row["deployed_bytes"] for row in line]
    assert sizes == sorted(sizes)
    assert sizes[-1] == max(row["deployed_bytes"] for row in points)
    large = {row["form"] for row in points if row["area"] > 100}
    assert large == {row["form"] for row in line}
    one = next(row for row in points if (row["name"], row["form"]) == ("Claimed rows", "levels-4"))
    assert (one["deployed"], one["ratio"]) == ("162 KB", "1/8.9")
    assert "±" in one["auc_text"]
    spec = page_spec(chart)["layer"][2]["encoding"]
    assert spec["x"]["scale"]["type"] == "log"
    titles = [tip["title"] for tip in spec["tooltip"]]
    assert titles[:4] == ["Method", "Form", "Deployed", "Of the full table"]


def test_training_shows_what_is_chosen_and_float32(results, packed):
    frontier = measure(packed(results), results)
    _, points = layers(auc_by_training_bytes(summarise(results), frontier))
    assert len(points) == len(frontier.chosen) + 3
    assert {row["training_bytes"] for row in points} == {3 * 4 * 312_000, 3 * 4 * 39_000}


def test_without_the_full_table_there_is_no_level(results, packed):
    results = results.filter(pl.col("method") != "full_table")
    frontier = measure(packed(results), results)
    for draw in (auc_by_deployed_bytes, auc_by_training_bytes):
        assert all(layers(draw(summarise(results), frontier)))


@pytest.mark.parametrize("draw", [auc_by_deployed_bytes, auc_by_training_bytes])
def test_what_diverged_leaves_an_empty_chart(results, packed, draw):
    nothing = {"test_auc": math.nan, "validation_auc": math.nan}
    forms = packed(results, **nothing).filter(form="int8")
    assert not any(layers(draw(summarise(results), measure(forms, results))))
