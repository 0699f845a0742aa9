"""The report of an ablation: for each study a table and a small chart, beside its results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from tablefree.experiments.results import read_results
from tablefree.experiments.studies import STUDIES, place
from tablefree.reports import charts
from tablefree.reports.report import Figure, Report, Section, Table, cells
from tablefree.reports.summary import (
    GLOSSARY,
    PRACTICAL_DIFFERENCE,
    TABLE,
    Row,
    auc,
    cell_name,
    fraction,
    how_measured,
    noise,
    summarise,
)

TITLE = "One factor at a time"
ADVICE = "What matters, the most first"
NOTHING = "No study is finished yet."
BASE, BEYOND, WITHIN = "base", "beyond the noise", "within the noise"
COLOURS = {BASE: charts.INK, BEYOND: "#0072b2", WITHIN: "#8a8a8a"}


@dataclass(frozen=True)
class Panel:
    """A study and its rows of `summarise`, one a variant that is finished, in their order.

    Each row has besides a `label`; the `difference` of its test AUC from the base's; and a `kind`,
    one of `COLOURS`.
    """

    title: str
    rows: tuple[Row, ...]
    varies_size: bool

    @property
    def finding(self) -> str:
        """What the study came to, in a sentence."""
        best, worst = (
            pick(self.rows, key=lambda row: float(row["test_auc"])) for pick in (max, min)
        )
        return (
            f"{self.title}: {_placed(best)} is the best, {_placed(worst)} the worst, "
            f"{auc(best['test_auc'] - worst['test_auc'])} apart."
        )

    @property
    def span(self) -> float:
        """From the worst test AUC to the best."""
        aucs = [float(row["test_auc"]) for row in self.rows]
        return max(aucs) - min(aucs)


CELLS: Mapping[str, Callable[[Row], str]] = {
    "Variant": lambda row: row["label"],
    "Test AUC": TABLE["Test AUC"],
    "Against the base": lambda row: (
        BASE if row["kind"] == BASE else f"{_signed(row['difference'])}, {row['kind']}"
    ),
    "Validation AUC": TABLE["Validation AUC"],
    "Recall@20": TABLE["Recall@20"],
    "Parameters": TABLE["Parameters"],
    "Multiply-adds an id": TABLE["Multiply-adds an id"],
    "Rate of rows": TABLE["Learning rate"],
    "Rate of the network": lambda row: f"{row['network_learning_rate']:.3g}",
    "Best epoch": TABLE["Best epoch"],
    "Training (s)": TABLE["Training (s)"],
    "Seeds": TABLE["Seeds"],
}
"""Heading → how the cell of a row of a panel reads."""


def ablation_report(folder: Path) -> Report:
    """The report of a folder, with the figure `ablation.svg`.

    Variants that are still missing are left out, so that it can be made after each run.

    Args:
        folder: holds `results.parquet`.

    Raises:
        InputError: the results cannot be read.
    """
    results = read_results(folder)
    panels = panels_of(results)
    glossary = {term: GLOSSARY[term] for term in ("±", "Size", "Recall@20, NDCG@20")}
    if not panels:
        return Report(TITLE, [], NOTHING, glossary)
    how = _how(results, panels)
    figure = Figure(
        "Test AUC by factor",
        f"All embeddings are {how['Size']}. Further right is better; each study has its own scale. "
        "Dashed: the base; shaded: the noise assumed of one seed around it. Blue: beyond the "
        "noise. Bars: one standard deviation over seeds.",
        {panel.title: _chart(panel) for panel in panels},
    )
    table = Table(
        "All figures",
        "",
        "Factor",
        list(CELLS),
        {panel.title: cells(CELLS, panel.rows) for panel in panels},
    )
    title = f"{how['Data set']}, {how['Model']}, {how['Split']} split"
    section = Section(title, [ADVICE, *findings(panels)], how, [figure], [table])
    drawing = vl_convert.vegalite_to_svg(_figure(panels), vl_version=charts.VEGA_LITE_VERSION)
    return Report(TITLE, [section], NOTHING, glossary, {"ablation.svg": drawing})


def panels_of(results: pl.DataFrame) -> list[Panel]:
    """The studies of which more than the base is finished, without what diverged.

    Args:
        results: rows of `tablefree.experiments.results.SCHEMA`, all of one data set and size.
    """
    rows = {
        (row["study"], row["variant"]): row
        for row in summarise(results).to_dicts()
        if row["test_auc"] is not None
    }
    panels = []
    for name, study in STUDIES.items():
        base = rows.get(("base", study.base))
        found = [
            (variant.label, rows[place(name, variant)])
            for variant in study.variants
            if place(name, variant) in rows
        ]
        if base is not None and any(row["study"] == name for _, row in found):
            shown = tuple(_against(row, base, label) for label, row in found)
            panels.append(Panel(study.title, shown, study.varies_size))
    return panels


def findings(panels: list[Panel]) -> list[str]:
    """A sentence for each study, that of the factor which matters most first."""
    return [panel.finding for panel in sorted(panels, key=lambda panel: -panel.span)]


def _against(row: Row, base: Row, label: str) -> Row:
    difference = row["test_auc"] - base["test_auc"]
    kind = BEYOND if abs(difference) > noise(row, base) else WITHIN
    return row | {
        "label": label,
        "difference": difference,
        "kind": BASE if row is base else kind,
    }


def _how(results: pl.DataFrame, panels: list[Panel]) -> dict[str, str]:
    """How it was measured; what studies vary, as the bases have it."""
    size = f"{fraction(results['size'][0])} of the full tables' size"
    if any(panel.varies_size for panel in panels):
        size += ", but where rows an id are varied: there see the parameters"
    how = how_measured(results)
    of_bases = how_measured(results.filter(study="base"))
    diverged = [cell_name(row) for row in summarise(results).to_dicts() if row["test_auc"] is None]
    return (
        how
        | {name: f"{of_bases[name]}, but in the study of it" for name in ("Optimizer", "Training")}
        | {"Size": size}
        | ({"Diverged, and so not shown": "; ".join(sorted(diverged))} if diverged else {})
    )


def _chart(panel: Panel) -> alt.LayerChart:
    """Test AUC of each variant; the base as a line, and the noise of one seed around it."""
    rows = [_point(row) for row in panel.rows]
    base = next(row["auc"] - row["difference"] for row in rows)
    noise_band = {"low": base - PRACTICAL_DIFFERENCE, "high": base + PRACTICAL_DIFFERENCE}
    aucs = alt.X("auc:Q", title="Test AUC", scale=alt.Scale(zero=False, padding=12))
    points = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("label:N", title=None, sort=[row["label"] for row in rows])
    )
    colour = alt.Color(
        "kind:N", scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())), title=None
    )
    band = alt.Chart(alt.InlineData(values=[noise_band])).mark_rect(color=charts.INK, opacity=0.08)
    level = alt.Chart(alt.InlineData(values=[{"auc": base}])).mark_rule(
        color=charts.INK, strokeDash=[5, 4], strokeOpacity=0.7
    )
    tooltip = [
        alt.Tooltip("label:N", title=panel.title),
        alt.Tooltip("auc_text:N", title="Test AUC"),
        alt.Tooltip("difference_text:N", title="Against the base"),
    ]
    return alt.LayerChart(
        layer=[
            band.encode(x="low:Q", x2="high:Q"),
            level.encode(x=aucs),
            points.mark_rule(strokeWidth=1.5).encode(x="low:Q", x2="high:Q", color=colour),
            points.mark_point(filled=True, size=70, opacity=1).encode(
                x=aucs, color=colour, tooltip=tooltip
            ),
        ]
    ).properties(width="container", height=24 * len(rows))


def _figure(panels: list[Panel]) -> dict[str, Any]:
    """All studies as one figure that stands alone."""
    small = [
        _chart(panel).properties(width=240, title=alt.Title(panel.title, anchor="start"))
        for panel in panels
    ]
    figure = alt.concat(*small, columns=3, background="white", spacing=24)
    figure = charts.styled(figure.resolve_scale(x="independent", y="independent"))
    spec: dict[str, Any] = figure.configure_legend(labelFontSize=12, orient="bottom").to_dict()
    return spec


def _point(row: Row) -> dict[str, Any]:
    spread = row["test_auc_sd"] or 0.0
    return {
        "label": row["label"],
        "kind": row["kind"],
        "auc": row["test_auc"],
        "difference": row["difference"],
        "low": row["test_auc"] - spread,
        "high": row["test_auc"] + spread,
        "auc_text": CELLS["Test AUC"](row),
        "difference_text": CELLS["Against the base"](row),
    }


def _placed(row: Row) -> str:
    against = "" if row["kind"] == BASE else f", {_signed(row['difference'])}, {row['kind']}"
    return f"{row['label']} ({auc(row['test_auc'])}{against})"


def _signed(difference: float) -> str:
    return f"{'-' if difference < 0 else '+'}{auc(abs(difference))}"
