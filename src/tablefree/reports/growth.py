"""The report of new ids: for each measure a chart and a table by step, beside the results."""

import json
from pathlib import Path

import altair as alt
import polars as pl

from tablefree.experiments import cold_start, learner, stream
from tablefree.experiments.growth import read_growth
from tablefree.reports import charts
from tablefree.reports.report import Figure, Report, Section, Table
from tablefree.reports.summary import auc, fraction, method_name, spread

TITLE = "New ids"
NOTHING = "Nothing was measured: all trainings diverged."
STEPS = {
    "item": "By the number of known events of each new item",
    "user": "By the number of known events of each new user",
    "time": "By part",
}
NAMES = {
    "auc_new": "New ids",
    "auc_new_among_all": "New ids, as in a comparison",
    "auc_old": "Old users and items",
    "auc_new_users": "New users, old items",
    "auc_new_items": "New items",
    "auc_kept": "Kept of the first training",
}
GLOSSARY = {
    "New ids": "AUC of events of the ids held out. A negative has the same partner (the user of a "
    "new item, the item of a new user) and another new id that the partner is not known with: "
    ".5 is what knowing that an id is new, or how popular its partner is, comes to.",
    "New ids, as in a comparison": "AUC of the same events. A negative has the same user and any "
    "item that the user is not known with, so that how popular old items are counts too.",
    "Old users and items": "AUC of the events of a part, before it is learned, whose user and item "
    "occurred before. A negative has the same user, and an old item.",
    "New users, old items": "the same of users that did not occur before: it measures what a model "
    "says of an unknown user.",
    "New items": "AUC of the events of items that did not occur before. A negative has the same "
    "user, and another item that is new in the part.",
    "Kept of the first training": "AUC of held-out events of the ids trained first, after each "
    "step: what falls is forgotten. A negative has the same user, and an old item.",
    "User history, item history": "a sketch of the items, and users as bags of what they did; or a "
    "sketch of the users, and items as bags of who took them.",
    "Sketch with features": "the features of users and items, where the data has them, go beside "
    "the code of the id.",
    "Tables": "a new id has the row of unknown ids, zeros; with its first event it gets a row of "
    "its own, which starts as any row does.",
    "±": "one standard deviation over seeds.",
}
_ALWAYS = ("User history, item history", "Sketch with features", "Tables", "±")
_DRAWN = charts.DRAWN | {
    "sketch_with_features": ("#b3a000", "M-1,0L0.8,-1V1Z"),
    "user_history": ("#009e73", "M0,-1L1,0.8H-1Z"),
    "item_history": ("#d55e00", "M0,1L1,-0.8H-1Z"),
}


def growth_report(folder: Path) -> Report:
    """The report of a folder.

    Args:
        folder: holds `results.parquet`, as `tablefree cold-start` writes it.

    Raises:
        InputError: the results cannot be read.
    """
    rows = read_growth(folder)
    panels = summarise_growth(rows).partition_by("measure", maintain_order=True)
    if not panels:  # all diverged
        return Report(TITLE, [], NOTHING, {})
    how, steps = _how(rows), rows["step"].unique().sort().to_list()
    names = [NAMES[panel["measure"][0]] for panel in panels]
    figure = Figure(
        "AUC by step",
        f"{how['Steps']}. Higher is better; each chart has its own scale. Bars: one standard "
        "deviation over seeds.",
        {name: chart(panel) for name, panel in zip(names, panels, strict=True)},
        marks(rows["method"]),
    )
    table = Table(
        "All figures",
        f"{how['Steps']}.",
        "Measure",
        ["Embedding", *map(str, steps)],
        {name: _table(panel, steps) for name, panel in zip(names, panels, strict=True)},
    )
    title = f"{how['Data set']}, {how['Held out']}"
    section = Section(title, [*map(finding, panels)], how, [figure], [table])
    glossary = {term: text for term, text in GLOSSARY.items() if term in {*names, *_ALWAYS}}
    return Report(TITLE, [section], NOTHING, glossary)


def summarise_growth(rows: pl.DataFrame) -> pl.DataFrame:
    """Average over seeds.

    Args:
        rows: of `tablefree.experiments.growth.SCHEMA`.

    Returns:
        One row for each measure, method and step: the mean `auc`, its standard deviation `sd` (null
        for one seed) and the number of `seeds`. What was not measured is left out.
    """
    return (
        rows.unpivot(
            list(NAMES), index=["method", "step"], variable_name="measure", value_name="auc"
        )
        .filter(pl.col("auc").is_not_nan())
        .group_by("measure", "method", "step", maintain_order=True)
        .agg(pl.col("auc").mean(), pl.col("auc").std().alias("sd"), pl.len().alias("seeds"))
    )


def finding(panel: pl.DataFrame) -> str:
    """The best of each step; of what was kept, who kept the most and the least of it.

    Args:
        panel: rows of `summarise_growth` of one measure.
    """
    name = NAMES[panel["measure"][0]]
    if panel["measure"][0] == "auc_kept":
        ends = panel.group_by("method", maintain_order=True).agg(
            pl.col("auc").first().alias("first"), pl.col("auc").last().alias("last")
        )
        ends = ends.sort(pl.col("last") - pl.col("first"), descending=True)
        most, least = (
            f"{method_name(row['method'])} ({auc(row['first'])} to {auc(row['last'])})"
            for row in (ends.row(0, named=True), ends.row(-1, named=True))
        )
        return f"{name}: the most by {most}, the least by {least}."
    best = panel.sort("step", "auc", descending=[False, True]).unique("step", keep="first")
    parts = (
        f"{row['step']}: {method_name(row['method'])} {auc(row['auc'])}"
        for row in best.sort("step").to_dicts()
    )
    return f"{name}, the best at each step: {', '.join(parts)}."


def marks(methods: pl.Series) -> list[charts.Mark]:
    """How each method is drawn, as in the report of a comparison."""
    return [
        charts.Mark(method_name(method), *_DRAWN[method])
        for method in methods.unique(maintain_order=True)
    ]


def chart(panel: pl.DataFrame) -> alt.LayerChart:
    """AUC by step, a line a method.

    Args:
        panel: rows of `summarise_growth` of one measure.
    """
    drawn = marks(panel["method"])
    spreads = panel["sd"].fill_null(0.0)
    rows = panel.with_columns(
        (panel["auc"] - spreads).alias("low"),
        (panel["auc"] + spreads).alias("high"),
        pl.Series("name", [method_name(method) for method in panel["method"]]),
        pl.Series("text", [spread(*pair) for pair in panel.select("auc", "sd").iter_rows()]),
    )
    names = [mark.name for mark in drawn]
    colours = alt.Scale(domain=names, range=[mark.colour for mark in drawn])
    shapes = alt.Scale(domain=names, range=[mark.path for mark in drawn])
    base = alt.Chart(alt.InlineData(values=rows.to_dicts())).encode(
        x=alt.X("step:O", title=None, axis=alt.Axis(labelAngle=0)),
        color=alt.Color("name:N", scale=colours, title=None),
        tooltip=[
            alt.Tooltip("name:N", title="Embedding"),
            alt.Tooltip("step:O", title="Step"),
            alt.Tooltip("text:N", title="AUC"),
            alt.Tooltip("seeds:Q", title="Seeds"),
        ],
    )
    y = alt.Y("auc:Q", title="AUC", scale=alt.Scale(zero=False, padding=14))
    return alt.LayerChart(
        layer=[
            base.mark_line(strokeWidth=1.5, strokeOpacity=0.6).encode(y=y),
            base.mark_rule(strokeWidth=1.5).encode(y="low:Q", y2="high:Q"),
            base.mark_point(filled=True, opacity=1, size=60).encode(
                y=y, shape=alt.Shape("name:N", scale=shapes, title=None)
            ),
        ]
    ).properties(width="container", height=300)


def _table(panel: pl.DataFrame, steps: list[int]) -> list[list[str]]:
    """A row for each method, its name first, then a cell for each step."""
    return [
        [
            method_name(method),
            *(
                spread(*cells.row(0)) if cells.height else "-"
                for cells in (
                    panel.filter(method=method, step=step).select("auc", "sd") for step in steps
                )
            ),
        ]
        for method in panel["method"].unique(maintain_order=True)
    ]


def _how(rows: pl.DataFrame) -> dict[str, str]:
    first, last = (rows.row(place, named=True) for place in (0, -1))
    seconds = rows.unique(["method", "seed"])["train_seconds"].sum()
    side = first["hold_out"]
    going_on = (
        f"in batches of {learner.SMALL_BATCH}, at {learner.RATE:g} of the first rates, falling to "
        "zero, without decay"
    )
    sizes = f"{last['num_new_ids']:,} ids, tested on {last['num_new_events']:,} events"
    if side == "time":
        held_out = "the later half as a stream"
        numbers = f"{stream.PARTS - stream.FIRST_PARTS} parts; in the last {sizes} are new"
        then = f"one pass over each part, after it was predicted, {going_on}"
    else:
        held_out = f"{side}s held out"
        numbers = (
            f"{cold_start.HELD_OUT:.0%} of the {side}s with at least {cold_start.FEWEST_EVENTS} "
            f"events: {sizes}"
        )
        then = (
            f"{cold_start.PASSES} passes over the known events and {cold_start.OLD_EVENTS} old "
            f"ones for each, {going_on}; none where the new {side}s are histories"
        )
    return {
        "Data set": first["dataset"],
        "Held out": held_out,
        "Steps": STEPS[side],
        "New": numbers,
        "Trained first": f"{first['num_train_events']:,} events of {first['num_users']:,} users "
        f"and {first['num_items']:,} items: the default recipes, at most {first['max_epochs']} "
        f"epochs, stopped after {first['patience']} without a better validation AUC",
        "Then": then,
        "Size": f"{fraction(last['size'])} of the full tables",
        "Embedding dimension": str(first["embedding_dim"]),
        "Seeds": str(rows["seed"].n_unique()),
        "Training (s)": f"{seconds:,.0f} in all, and {rows['step_seconds'].sum():,.0f} for the "
        "steps",
        "Machine": first["machine"],
        "Versions": ", ".join(
            f"{name} {number}" for name, number in json.loads(first["versions"]).items()
        ),
        "Last finished": last["finished_at"],
    }
