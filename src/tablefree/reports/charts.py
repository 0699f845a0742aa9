"""The report's charts, each a function from the rows of `summarise` of one section to Altair.

A method has the same colour and mark in every chart: the palette of Okabe and Ito (2008), which
the colour-blind can tell apart, and a shape besides. Text and grid take the page's own colour.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from tablefree.embeddings.quantize import BITS
from tablefree.experiments.results import CELL
from tablefree.experiments.task import BUCKETS
from tablefree.reports.summary import (
    METHOD_NAMES,
    auc_by_dtype,
    cell_name,
    fraction,
    megabytes,
    spread,
)

VEGA_LITE_VERSION = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
INK = "currentColor"
Area = alt.Size | alt.SizeValue


@dataclass(frozen=True)
class Mark:
    """How a method is drawn."""

    name: str
    colour: str
    path: str  # SVG, in the square from -1 to 1; for Vega as well


_CIRCLE = "M-0.9,0A0.9,0.9,0,1,1,0.9,0A0.9,0.9,0,1,1,-0.9,0Z"
_SQUARE = "M-0.8,-0.8H0.8V0.8H-0.8Z"
_DIAMOND = "M0,-1.1L1.1,0L0,1.1L-1.1,0Z"
_UP = "M0,-1L1,0.8H-1Z"
_DOWN = "M0,1L1,-0.8H-1Z"
_LEFT = "M-1,0L0.8,-1V1Z"
_RIGHT = "M1,0L-0.8,-1V1Z"
_STAR = (
    "M0,-1.2L0.29,-0.4L1.14,-0.37L0.48,0.15L0.71,0.97"
    "L0,0.5L-0.71,0.97L-0.48,0.15L-1.14,-0.37L-0.29,-0.4Z"
)
_CROSS = "M-1,-0.4H-0.4V-1H0.4V-0.4H1V0.4H0.4V1H-0.4V0.4H-1Z"
_PENTAGON = "M0,-1.1L1.05,-0.34L0.65,0.89H-0.65L-1.05,-0.34Z"

DRAWN = {
    "full_table": (INK, "M-1.2,-0.3H1.2V0.3H-1.2Z"),
    "narrow_table": ("#e69f00", _SQUARE),
    "hashing_trick": ("#8a8a8a", _CROSS),
    "multi_hash": ("#cc79a7", _UP),
    "hash_embedding": ("#56b4e9", _DOWN),
    "quotient_remainder": ("#d55e00", _LEFT),
    "hybrid_hash": ("#009e73", _DIAMOND),
    "cafe": ("#7a5230", _RIGHT),
    "deep_hash": ("#0072b2", _CIRCLE),
    "sketch": ("#8b3fbf", _STAR),
    "claimed_rows": ("#d81b60", _PENTAGON),
}
# Of a method in another form than its usual, or one that has none of its own: no two are alike.
_COLOURS = ("#b3a000", "#1b9e77", "#a6303e", "#5b6abf")
_PATHS = (_RIGHT, _DOWN, _DIAMOND, _SQUARE)
_OTHERS = [
    drawn
    for i in range(len(_PATHS))
    for drawn in zip(_COLOURS, _PATHS[i:] + _PATHS[:i], strict=True)
]


def marks(section: pl.DataFrame) -> list[Mark]:
    """The marks of what is in a section, in the order of the legend."""
    order, others = list(METHOD_NAMES), cycle(_OTHERS)
    found = {cell_name(row): row["method"] for row in section.to_dicts()}
    names = sorted(
        found, key=lambda name: (order.index(found[name]) if found[name] in order else 99, name)
    )
    own = {METHOD_NAMES[method]: drawn for method, drawn in DRAWN.items()}
    return [Mark(name, *(own.get(name) or next(others))) for name in names]


def auc_by_size(section: pl.DataFrame) -> alt.LayerChart:
    """Test AUC against size, one line a method, the full table as a level to compare with.

    Args:
        section: Rows of `summarise` for one data set, split and model.

    Returns:
        A layered chart as wide as its container.
    """
    size = alt.X(
        "size:Q",
        title="Size, as a ratio to the full table (logarithmic)",
        scale=alt.Scale(type="log", base=2, padding=24, nice=False),
        axis=alt.Axis(
            values=sorted(section["size"].unique()),
            labelExpr="abs(1 / datum.value - round(1 / datum.value)) > 0.01 ? format(datum.value, "
            "'.3~g') : datum.value == 1 ? '1' : '1/' + round(1 / datum.value)",
        ),
    )
    return _auc_chart(section, size, alt.SizeValue(80))


def auc_by_time(section: pl.DataFrame) -> alt.LayerChart:
    """Test AUC against the milliseconds that embedding an id takes; larger marks, larger tables.

    Args:
        section: Rows of `summarise` for one data set, split and model.

    Returns:
        A layered chart as wide as its container.
    """
    milliseconds = alt.X(
        "milliseconds_per_id:Q",
        title="Milliseconds an id (logarithmic)",
        scale=alt.Scale(type="log", padding=24, nice=False),
        axis=alt.Axis(
            values=ticks(section["milliseconds_per_id"].to_list()),
            format=".2~r",
            labelOverlap="greedy",
        ),
    )
    area = alt.Size("size:Q", scale=alt.Scale(type="log", range=[50, 220]), legend=None)
    return _auc_chart(section, milliseconds, area)


def auc_by_bytes(section: pl.DataFrame) -> alt.LayerChart:
    """Test AUC against deployed bytes: a line a method and size, its points the dtypes of the rows.

    Args:
        section: Rows of `summarise` for one data set, split and model.

    Returns:
        A layered chart as wide as its container.
    """
    points = [
        {
            **row,
            "auc": value,
            "sd": None,
            "dtype": dtype,
            "bits": BITS[dtype],
            "deployed_bytes": row[f"deployed_bytes_{dtype}"],
            "bytes_text": megabytes(row[f"deployed_bytes_{dtype}"]),
        }
        for row in section.to_dicts()
        for dtype, value in auc_by_dtype(row).items()
    ]
    rows = _tidy(pl.DataFrame(points, infer_schema_length=None).with_columns(sd=None))
    size = alt.X(
        "deployed_bytes:Q",
        title="Deployed bytes, vocabulary included (logarithmic)",
        scale=alt.Scale(type="log", padding=24, nice=False),
        axis=alt.Axis(
            values=ticks([point["deployed_bytes"] for point in points]),
            format="~s",
            labelOverlap="greedy",
        ),
    )
    base = alt.Chart(_values(rows)).encode(
        x=size,
        y=alt.Y("auc:Q", title="Test AUC", scale=auc_scale()),
        tooltip=[*_TOOLTIP, *_ROUNDED_TOOLTIP],
    )
    lines = base.mark_line(strokeWidth=1.5, strokeOpacity=0.6).encode(
        color=_colour(section), detail="size:Q", order="deployed_bytes:Q"
    )
    area = alt.Size("bits:Q", scale=alt.Scale(type="log", range=[45, 150]), legend=None)
    full = rows.filter(method="full_table", dtype="float32")
    level = (
        alt.Chart(_values(full))
        .mark_rule(color=INK, strokeDash=[5, 4], strokeOpacity=0.7)
        .encode(y="auc:Q")
    )
    return layered(level, lines, marked(base, section, area), height=380)


def auc_by_popularity(section: pl.DataFrame) -> dict[float, alt.LayerChart]:
    """Test AUC by popularity of the item, for each size, on one common scale.

    Args:
        section: Rows of `summarise` for one data set, split and model.

    Returns:
        Size → a layered chart as wide as its container; the full table is a line in each.
        Sizes without a figure, for lack of test events, are left out.
    """
    rows = _tidy(
        pl.concat(
            section.select(
                *CELL,
                "seeds",
                pl.lit(bucket).alias("bucket"),
                pl.col(f"test_auc_{bucket}").alias("auc"),
                pl.col(f"test_auc_{bucket}_sd").alias("sd"),
            )
            for bucket in BUCKETS
        )
    )
    full = rows.filter(pl.col("method") == "full_table")
    others = rows.filter(pl.col("method") != "full_table")
    sizes = sorted(others["size"].unique(), reverse=True) or sorted(full["size"].unique())
    limits = [rows["low"].min(), rows["high"].max()]
    y = alt.Y("auc:Q", title="AUC within the bucket", scale=auc_scale(domain=limits))
    bucket = alt.X(
        "bucket:N",
        title=None,
        sort=list(BUCKETS),
        axis=alt.Axis(labelAngle=0),
        scale=alt.Scale(paddingInner=0.15),
    )
    level = (
        alt.Chart(_values(full))
        .mark_rule(color=INK, strokeWidth=2)
        .encode(
            x=bucket.bandPosition(0), x2=alt.X2("bucket", bandPosition=1), y=y, tooltip=_TOOLTIP
        )
    )
    charts = {}
    for size in sizes:
        base = alt.Chart(_values(others.filter(pl.col("size") == size))).encode(
            x=bucket, xOffset=alt.XOffset("name:N", sort=_names(section)), tooltip=_TOOLTIP
        )
        points = marked(base, section, alt.SizeValue(60)).encode(y=y)
        bars = _error_bars(base, section)
        charts[size] = layered(level, bars, points, height=260)
    return charts


def page_spec(chart: alt.LayerChart) -> dict[str, Any]:
    """A chart as the page shows it: no legend, for the page has one that wraps."""
    spec: dict[str, Any] = styled(chart).configure_legend(disable=True).to_dict()
    return spec


def figure_spec(charts: Mapping[str, alt.LayerChart]) -> dict[str, Any]:
    """Charts by their titles, as one figure that stands alone."""
    titled = [
        chart.properties(width=560, title=alt.Title(title, anchor="start"))
        for title, chart in charts.items()
    ]
    # Room on the right: the reader's font may be wider than the one measured here.
    padding = {"left": 8, "top": 8, "right": 40, "bottom": 8}
    figure = styled(alt.vconcat(*titled, background="white", padding=padding))
    spec: dict[str, Any] = figure.configure_legend(labelFontSize=12, symbolSize=90).to_dict()
    return spec


def svg(charts: Mapping[str, alt.LayerChart]) -> str:
    """The figure of charts by their titles, as SVG."""
    text: str = vl_convert.vegalite_to_svg(figure_spec(charts), vl_version=VEGA_LITE_VERSION)
    return text


def styled(chart: Any) -> Any:
    """A chart in the type and the lines of the reports."""
    axis: dict[str, Any] = {
        "labelColor": INK,
        "titleColor": INK,
        "domainColor": INK,
        "tickColor": INK,
        "gridColor": INK,
        "gridOpacity": 0.12,
        "domainOpacity": 0.4,
        "tickOpacity": 0.4,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
    }
    return (
        chart.configure(font="system-ui, sans-serif", background="transparent")
        .configure_view(stroke=None)
        .configure_axis(**axis)
    )


_ROUNDED_TOOLTIP = [
    alt.Tooltip("dtype:N", title="Rows in"),
    alt.Tooltip("bytes_text:N", title="Deployed"),
]
_TOOLTIP = [
    alt.Tooltip("name:N", title="Method"),
    alt.Tooltip("size_text:N", title="Size"),
    alt.Tooltip("auc_text:N", title="AUC"),
    alt.Tooltip("seeds:Q", title="Seeds"),
]


def _auc_chart(section: pl.DataFrame, x: alt.X, area: Area) -> alt.LayerChart:
    rows = _tidy(section.with_columns(auc="test_auc", sd="test_auc_sd"))
    full = rows.filter(pl.col("method") == "full_table")
    base = alt.Chart(_values(rows)).encode(x=x, tooltip=_TOOLTIP)
    lines = base.mark_line(strokeWidth=1.5, strokeOpacity=0.6).encode(
        y="auc:Q", color=_colour(section), order="size:Q"
    )
    points = marked(base, section, area).encode(
        y=alt.Y("auc:Q", title="Test AUC", scale=auc_scale())
    )
    level = (
        alt.Chart(_values(full))
        .mark_rule(color=INK, strokeDash=[5, 4], strokeOpacity=0.7)
        .encode(y="auc:Q")
    )
    return layered(level, lines, _error_bars(base, section), points, height=380)


def ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of each power of ten in the range; its ends where it is narrow."""
    if not values:
        return []
    low, high = min(values), max(values)
    if high < 10 * low:
        return sorted({low, high})
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [digit * 10.0**power for power in powers for digit in (1, 2, 5)]


def _tidy(rows: pl.DataFrame) -> pl.DataFrame:
    """Leave out what has no AUC; add names, the ends of the error bars and texts."""
    deviation = pl.col("sd").fill_null(0.0)
    rows = rows.filter(pl.col("auc").is_not_null()).with_columns(
        low=pl.col("auc") - deviation, high=pl.col("auc") + deviation
    )
    return rows.with_columns(
        name=pl.Series([cell_name(row) for row in rows.to_dicts()], dtype=pl.String),
        size_text=pl.Series([fraction(size) for size in rows["size"]], dtype=pl.String),
        auc_text=pl.Series(
            [spread(*pair) for pair in rows.select("auc", "sd").iter_rows()], dtype=pl.String
        ),
    )


def _values(rows: pl.DataFrame) -> alt.InlineData:
    kept = ["name", "size", "size_text", "seeds", "auc", "auc_text", "low", "high"]
    special = ("bucket", "milliseconds_per_id", "dtype", "bits", "deployed_bytes", "bytes_text")
    present = [name for name in (*kept, *special) if name in rows.columns]
    return alt.InlineData(values=rows.select(present).to_dicts())


def marked(base: alt.Chart, section: pl.DataFrame, area: Area) -> alt.Chart:
    """The points of a chart, each with the mark of its `name`."""
    drawn = marks(section)
    points: alt.Chart = base.mark_point(filled=True, opacity=1).encode(
        color=_colour(section),
        size=area,
        shape=alt.Shape(
            "name:N",
            scale=alt.Scale(domain=_names(section), range=[mark.path for mark in drawn]),
            title=None,
        ),
    )
    return points


def _error_bars(base: alt.Chart, section: pl.DataFrame) -> alt.Chart:
    bars: alt.Chart = base.mark_rule(strokeWidth=1.5).encode(
        y="low:Q", y2="high:Q", color=_colour(section)
    )
    return bars


def _names(section: pl.DataFrame) -> list[str]:
    return [mark.name for mark in marks(section)]


def _colour(section: pl.DataFrame) -> alt.Color:
    drawn = marks(section)
    scale = alt.Scale(domain=_names(section), range=[mark.colour for mark in drawn])
    return alt.Color("name:N", scale=scale, title=None)


def auc_scale(**domain: Any) -> alt.Scale:
    """A scale from the lowest AUC to the highest."""
    return alt.Scale(zero=False, padding=14, **domain)


def layered(*layers: alt.Chart, height: int) -> alt.LayerChart:
    """A chart as wide as its container, the first layer beneath.

    Layers without data are left out, for Vega warns of them on the console.
    """
    drawn = [layer for layer in layers if layer["data"]["values"]] or list(layers)
    return alt.LayerChart(layer=drawn).properties(width="container", height=height)
