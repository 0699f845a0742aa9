import polars as pl

from tablefree.bench.chart import chart_spec, write_chart
from tablefree.bench.results import SCHEMA


def results(*ratios):
    row = {
        name: 1 if dtype.is_numeric() else "lower" if name == "better" else "text"
        for name, dtype in SCHEMA.items()
    }
    rows = [row | {"name": f"case {i}", "ratio": ratio} for i, ratio in enumerate(ratios)]
    rows[-1]["better"] = "higher"
    return pl.DataFrame(rows, schema=SCHEMA)


def test_each_ratio_is_a_bar_in_the_order_of_the_table():
    spec = chart_spec(results(1.25, 0.5, 60.0))
    bars = spec["layer"][0]
    assert bars["encoding"]["y"]["sort"] == ["case 0", "case 1", "case 2"]
    rows = spec["datasets"][bars["data"]["name"]]
    assert [row["text"] for row in rows] == ["1.25", "0.5", "60"]
    assert [row["better"] for row in rows] == ["less is better"] * 2 + ["more is better"]


def test_what_has_no_ratio_is_left_out(tmp_path):
    path = write_chart(tmp_path, results(1.25, None, 0.0, 3.0))
    svg = path.read_text()
    assert "case 0" in svg
    assert "case 3" in svg
    assert "case 1" not in svg
    assert "case 2" not in svg
