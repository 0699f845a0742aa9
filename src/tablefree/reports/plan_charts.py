"""The charts of a comparison of plans, from the rows of `summarise_plans`."""

from collections.abc import Sequence
from typing import Any

import altair as alt

from tablefree.reports import charts
from tablefree.reports.plan_summary import is_tables
from tablefree.reports.summary import Row, megabytes, method_name, spread

_TOOLTIP = [
    alt.Tooltip("name:N", title="Method"),
    alt.Tooltip("form:N", title="Form"),
    alt.Tooltip("bytes_text:N", title="Deployed"),
    alt.Tooltip("text:N", title="Value"),
    alt.Tooltip("seeds:Q", title="Seeds"),
]


def by_deployed_bytes(
    rows: Sequence[Row], measure: str, title: str, drawn: Sequence[charts.Mark]
) -> alt.LayerChart:
    """A measure against deployed bytes: a point for each form, with its spread over seeds.

    Args:
        rows: of one model.
        measure: "test_auc" or "test_log_loss".
        title: of its axis.
        drawn: how each method is drawn.

    Returns:
        A layered chart as wide as its container; dashed, the tables in float32.
    """
    points = [_point(row, measure) for row in rows if row[measure] is not None]
    levels = [_point(row, measure) for row in rows if is_tables(row) and row[measure] is not None]
    names = [mark.name for mark in drawn]
    colours = alt.Scale(domain=names, range=[mark.colour for mark in drawn])
    paths = alt.Scale(domain=names, range=[mark.path for mark in drawn])
    x = alt.X(
        "deployed_bytes:Q",
        title="Deployed bytes, vocabularies included (logarithmic)",
        scale=alt.Scale(type="log", padding=24, nice=False),
        axis=alt.Axis(
            values=charts.ticks([point["deployed_bytes"] for point in points]),
            labelExpr="upper(format(datum.value, '.3~s')) + 'B'",
            labelOverlap="greedy",
        ),
    )
    y = alt.Y("value:Q", title=title, scale=charts.auc_scale())
    colour = alt.Color("name:N", scale=colours, title=None)
    base = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=colour, tooltip=_TOOLTIP)
    level = (
        alt.Chart(alt.InlineData(values=levels))
        .mark_rule(color=charts.INK, strokeDash=[5, 4], strokeOpacity=0.7)
        .encode(y=y)
    )
    return charts.layered(
        level,
        base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2="high:Q"),
        base.mark_point(filled=True, opacity=1, size=80).encode(
            y=y, shape=alt.Shape("name:N", scale=paths, title=None)
        ),
        height=380,
    )


def _point(row: Row, measure: str) -> dict[str, Any]:
    value, deviation = row[measure], row[f"{measure}_sd"]
    return {
        "name": method_name(row["method"]),
        "form": row["form"],
        "deployed_bytes": row["deployed_bytes"],
        "bytes_text": megabytes(row["deployed_bytes"]),
        "value": value,
        "low": value - (deviation or 0.0),
        "high": value + (deviation or 0.0),
        "text": spread(value, deviation),
        "seeds": row["seeds"],
    }
