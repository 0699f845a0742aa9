"""The picture of a benchmark: a bar a case from 1, where both calls cost the same, to its ratio."""

from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from tablefree.bench.results import heading
from tablefree.files import replace_file
from tablefree.reports.charts import VEGA_LITE_VERSION

FILE_NAME = "bench.svg"

_COLOURS = {"less is better": "#0072b2", "more is better": "#009e73"}
_INK = "#222222"


def write_chart(folder: Path, results: pl.DataFrame) -> Path:
    """Write `bench.svg` from the rows of `bench.parquet`.

    Raises:
        InputError: the folder cannot be written to.
    """
    svg = vl_convert.vegalite_to_svg(chart_spec(results), vl_version=VEGA_LITE_VERSION)
    path = folder / FILE_NAME
    replace_file(path, svg.encode())
    return path


def chart_spec(results: pl.DataFrame) -> dict[str, Any]:
    """The chart, in Vega-Lite, of the cases that have a ratio above 0."""
    rows = results.filter(pl.col("ratio") > 0).select(
        "name",
        "ratio",
        one=pl.lit(1.0),
        text=pl.col("ratio").map_elements(lambda ratio: f"{ratio:.3g}", return_dtype=pl.String),
        better=pl.when(pl.col("better") == "lower")
        .then(pl.lit("less is better"))
        .otherwise(pl.lit("more is better")),
    )
    base = alt.Chart(alt.InlineData(values=rows.to_dicts())).encode(
        y=alt.Y(
            "name:N",
            sort=rows["name"].to_list(),
            title=None,
            axis=alt.Axis(labelLimit=520, ticks=False, domain=False),
        )
    )
    x = alt.X(
        "ratio:Q",
        title="Ratio (logarithmic)",
        scale=alt.Scale(type="log", padding=44, nice=False),
        axis=alt.Axis(format="~g", grid=False),
    )
    bars = base.mark_bar(height={"band": 0.7}).encode(
        x=x,
        x2="one:Q",
        color=alt.Color(
            "better:N",
            title=None,
            scale=alt.Scale(domain=list(_COLOURS), range=list(_COLOURS.values())),
            legend=alt.Legend(orient="top"),
        ),
    )
    side = "datum.ratio < 1"
    texts = base.mark_text(
        dx=alt.expr(f"{side} ? -4 : 4"), align=alt.expr(f"{side} ? 'right' : 'left'"), color=_INK
    ).encode(x=x, text="text:N")
    rule = alt.Chart(alt.InlineData(values=[{"one": 1}])).mark_rule(color=_INK).encode(x="one:Q")
    chart = (
        alt.LayerChart(layer=[bars, texts, rule])
        .properties(
            width=420,
            height=alt.Step(20),
            title=alt.Title(
                heading(results.row(0, named=True)),
                anchor="start",
                fontWeight="normal",
                fontSize=12,
            ),
            background="white",
            padding=12,
        )
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
    )
    spec: dict[str, Any] = chart.to_dict()
    return spec
