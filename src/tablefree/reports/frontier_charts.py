"""The charts of packed forms, from what `tablefree.reports.frontier` measures of a section."""

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import polars as pl

from tablefree.reports.charts import INK, auc_scale, layered, marked, ticks
from tablefree.reports.frontier import Frontier, best_at_no_more_bytes, measured, share
from tablefree.reports.summary import Row, cell_name, megabytes, spread

_AREA, _AREA_OF_BEST = 45, 140
_TITLES = {
    "deployed_bytes": "Deployed bytes, vocabulary included",
    "training_bytes": "Bytes in training, moments of the optimizer included",
}
_TOOLTIP = [
    alt.Tooltip("name:N", title="Method"),
    alt.Tooltip("form:N", title="Form"),
    alt.Tooltip("deployed:N", title="Deployed"),
    alt.Tooltip("ratio:N", title="Of the full table"),
    alt.Tooltip("training:N", title="In training"),
    alt.Tooltip("auc_text:N", title="AUC"),
    alt.Tooltip("seeds:Q", title="Seeds"),
]


def auc_by_deployed_bytes(section: pl.DataFrame, frontier: Frontier) -> alt.LayerChart:
    """Test AUC against deployed bytes: a point for each form, and the frontier as steps.

    Args:
        section: rows of `summarise` for one data set, split and model.
        frontier: of the same.

    Returns:
        A layered chart as wide as its container.
    """
    best = best_at_no_more_bytes(frontier.points)
    others = [row for row in measured(frontier.points) if row not in best]
    most = max((row["deployed_bytes"] for row in [*others, *best]), default=0)
    steps = [*best, *(row | {"deployed_bytes": most} for row in best[-1:])]
    line = (
        alt.Chart(_data(_tidy(steps)))
        .mark_line(interpolate="step-after", color=INK, strokeWidth=2, strokeOpacity=0.4)
        .encode(x="deployed_bytes:Q", y="auc:Q", order="deployed_bytes:Q")
    )
    points = [*_tidy(others), *_tidy(best, area=_AREA_OF_BEST)]
    return _chart(section, frontier, points, "deployed_bytes", line)


def auc_by_training_bytes(section: pl.DataFrame, frontier: Frontier) -> alt.LayerChart:
    """Test AUC of the forms that are chosen, and of float32, against the bytes of the training.

    Args:
        section: rows of `summarise` for one data set, split and model.
        frontier: of the same.

    Returns:
        A layered chart as wide as its container.
    """
    whole = [row for row in measured(frontier.points) if row["form"] == "float32"]
    points = [*_tidy(measured(frontier.chosen)), *_tidy(whole, area=_AREA_OF_BEST)]
    return _chart(section, frontier, points, "training_bytes")


def _chart(
    section: pl.DataFrame,
    frontier: Frontier,
    points: Sequence[dict[str, Any]],
    column: str,
    *lines: alt.Chart,
) -> alt.LayerChart:
    x = alt.X(
        f"{column}:Q",
        title=f"{_TITLES[column]} (logarithmic)",
        scale=alt.Scale(type="log", padding=24, nice=False),
        axis=alt.Axis(
            values=ticks([point[column] for point in points]),
            labelExpr="upper(format(datum.value, '.3~s')) + 'B'",
            labelOverlap="greedy",
        ),
    )
    base = alt.Chart(_data(points)).encode(
        x=x, y=alt.Y("auc:Q", title="Test AUC", scale=auc_scale()), tooltip=_TOOLTIP
    )
    level = (
        alt.Chart(_data(_tidy([frontier.full] if frontier.full else [])))
        .mark_rule(color=INK, strokeDash=[5, 4], strokeOpacity=0.7)
        .encode(y="auc:Q")
    )
    return layered(level, *lines, marked(base, section, alt.Size("area:Q", scale=None)), height=420)


def _tidy(rows: Iterable[Row], area: int = _AREA) -> list[dict[str, Any]]:
    """What a chart shows of each row."""
    return [
        {
            "name": cell_name(row),
            "form": row["form"],
            "deployed_bytes": row["deployed_bytes"],
            "training_bytes": row["training_bytes"],
            "deployed": megabytes(row["deployed_bytes"]),
            "training": megabytes(row["training_bytes"]),
            "ratio": share(row),
            "auc": row["test_auc"],
            "auc_text": spread(row["test_auc"], row["test_auc_sd"]),
            "seeds": row["seeds"],
            "area": area,
        }
        for row in rows
    ]


def _data(points: Sequence[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(points))
