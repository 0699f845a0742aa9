"""The picture of how the distinct values of columns grow with the rows, and will grow."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tablefree.fields.growth import extrapolated
from tablefree.fields.profile import Profile
from tablefree.reports import charts

Growth = Sequence[tuple[int, int]]
"""(Rows read, distinct values until then), ascending; the last is all."""

MOST_COLUMNS = 8
AHEAD = 10  # times the rows, as far as the picture reaches at least
STEPS = 4  # points of what is extrapolated
_PATHS = [path for name, (_, path) in charts.DRAWN.items() if name != "full_table"]
_COLOURS = [colour for name, (colour, _) in charts.DRAWN.items() if name != "full_table"]


def growth_of(profile: Profile) -> dict[str, Growth]:
    """The growth of each column of values that are embedded."""
    return {
        name: one.growth
        for name, one in profile.columns.items()
        if one.column.kind in ("categorical", "bag", "group") and one.num_values
    }


def largest(growth: Mapping[str, Growth]) -> dict[str, Growth]:
    """The columns of most distinct values, the largest first."""
    by_size = sorted(growth, key=lambda name: (-growth[name][-1][1], name))
    return {name: growth[name] for name in by_size[:MOST_COLUMNS]}


def growth_figure(profile: Profile, growth: float) -> str | None:
    """An SVG of the growth of the largest columns; None where no column is embedded by values.

    Args:
        profile: of the table.
        growth: how many times as many rows are expected.
    """
    columns = largest(growth_of(profile))
    if not columns:
        return None
    chart = growth_chart(columns, max(growth, AHEAD))
    return charts.svg({f"{profile.name}: distinct values": chart})


def growth_marks(columns: Mapping[str, Growth]) -> list[charts.Mark]:
    """How each column is drawn."""
    return [
        charts.Mark(name, _COLOURS[at], _PATHS[at]) for at, name in enumerate(columns)
    ]  # MOST_COLUMNS are no more than there are colours


def growth_chart(columns: Mapping[str, Growth], ahead: float = AHEAD) -> alt.LayerChart:
    """Distinct values against rows, both logarithmic: points as measured, dashes beyond.

    Args:
        columns: the growth of each, at most `MOST_COLUMNS`.
        ahead: how many times the rows the dashes reach.

    Returns:
        A layered chart as wide as its container.
    """
    measured = [
        {"name": name, "rows": rows, "values": values, "text": f"{values:,}"}
        for name, growth in columns.items()
        for rows, values in growth
        if values
    ]
    beyond = [
        {"name": name, "rows": rows, "values": extrapolated(growth, rows)}
        for name, growth in columns.items()
        for rows in (growth[-1][0] * ahead ** (step / STEPS) for step in range(STEPS + 1))
    ]
    marks = growth_marks(columns)
    names = [mark.name for mark in marks]
    colour = alt.Color(
        "name:N", scale=alt.Scale(domain=names, range=[mark.colour for mark in marks]), title=None
    )
    shape = alt.Shape(
        "name:N", scale=alt.Scale(domain=names, range=[mark.path for mark in marks]), title=None
    )
    x, y = (
        _axis(alt.X, "rows", "Rows", [*measured, *beyond]),
        _axis(alt.Y, "values", "Distinct values", [*measured, *beyond]),
    )
    tooltip = [alt.Tooltip("name:N", title="Column"), alt.Tooltip("rows:Q", format=",")]
    points = alt.Chart(alt.InlineData(values=measured)).encode(
        x=x, y=y, color=colour, tooltip=[*tooltip, alt.Tooltip("text:N", title="Distinct values")]
    )
    dashes = alt.Chart(alt.InlineData(values=beyond)).encode(x=x, y=y, color=colour)
    return charts.layered(
        points.mark_line(strokeWidth=1.5, strokeOpacity=0.6),
        dashes.mark_line(strokeWidth=1.5, strokeDash=[5, 4], strokeOpacity=0.8),
        points.mark_point(filled=True, opacity=1, size=60).encode(shape=shape),
        height=380,
    )


def _axis(channel: Any, name: str, title: str, points: Sequence[Mapping[str, Any]]) -> Any:
    return channel(
        f"{name}:Q",
        title=f"{title} (logarithmic)",
        scale=alt.Scale(type="log", padding=14, nice=False),
        axis=alt.Axis(
            values=charts.ticks([point[name] for point in points]),
            format="~s",
            labelOverlap="greedy",
        ),
    )
