"""The report of a comparison of plans: a web page, a summary in Markdown and a figure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tablefree.errors import InputError
from tablefree.experiments.parquet import read_table
from tablefree.experiments.plan_columns import (
    COLUMN_SCHEMA,
    COLUMNS,
    PLAN_SCHEMA,
    PLANS,
    read_columns,
    read_plans,
)
from tablefree.experiments.plans import SCHEMA
from tablefree.reports import charts, value_growth
from tablefree.reports.comparison import NOTHING, TITLE
from tablefree.reports.growth import marks
from tablefree.reports.plan_charts import by_deployed_bytes
from tablefree.reports.plan_summary import (
    GLOSSARY,
    TABLE,
    budget,
    groups_of,
    plan_advice,
    summarise_plans,
    tables_of,
)
from tablefree.reports.report import Figure, Report, Section, Table, cells
from tablefree.reports.summary import Row, fraction, megabytes, method_name, signed

NAMES = {"dlrm": "DLRM", "deepfm": "DeepFM", "dcn": "DCN-V2"}
NO_LABEL = (
    "none: each event took place, and is told from others with another item that its user did not "
    "have (docs/many-fields.md)"
)


@dataclass(frozen=True)
class Planned:
    """What can be compared: the plans of one model over the same events.

    Attributes:
        runs: of `plans.SCHEMA`.
        rows: of `summarise_plans`, with the `ratio` of deployed bytes to those of tables.
        full_bytes: planned for tables in float32; as measured where no plan says.
        columns: of `plan_columns.COLUMN_SCHEMA`; no rows where they are not known.
        plans: of `plan_columns.PLAN_SCHEMA`; likewise.
    """

    runs: pl.DataFrame
    rows: list[Row]
    full_bytes: float | None
    columns: pl.DataFrame
    plans: pl.DataFrame

    @property
    def groups(self) -> dict[str, list[Row]]:
        """The rows of each budget by its title."""
        return groups_of(self.rows, self.full_bytes)

    @property
    def advice(self) -> list[str]:
        """The verdict, then what supports it."""
        return plan_advice(self.rows, self.full_bytes)

    @property
    def title(self) -> str:
        """The names of the data set, the model and the split."""
        first = self.runs.row(0, named=True)
        return f"{first['dataset']}, {NAMES[first['model']]}, {first['split']} split"


def read_planned(folder: Path) -> list[Planned]:
    """The sections of a folder of results.

    Raises:
        InputError: the results are missing, damaged or others.
    """
    results = read_table(folder)
    if results.schema != SCHEMA:
        raise InputError(
            f"{folder / 'results.parquet'} is not a comparison of plans of this version: choose "
            "another folder"
        )
    has_columns, has_plans = ((folder / name).exists() for name in (COLUMNS, PLANS))
    columns = read_columns(folder) if has_columns else pl.DataFrame(schema=COLUMN_SCHEMA)
    plans = read_plans(folder) if has_plans else pl.DataFrame(schema=PLAN_SCHEMA)
    return [
        _planned_of(runs, columns, plans)
        for runs in results.partition_by("dataset", "split", "model", maintain_order=True)
    ]


def plan_report(folder: Path) -> Report:
    """The report of a folder, with the figure `auc_by_bytes.svg`.

    Args:
        folder: holds `results.parquet`, and `columns.parquet` and `plans.parquet` where
            `tablefree compare` wrote them.

    Raises:
        InputError: as `read_planned`.
    """
    found = read_planned(folder)
    figures = [_figures(one) for one in found]
    drawn = {one.title: some[0].charts[""] for one, some in zip(found, figures, strict=True)}
    sections = [
        Section(one.title, one.advice, _how(one), some, _tables(one))
        for one, some in zip(found, figures, strict=True)
    ]
    drawings = {"auc_by_bytes.svg": charts.svg(drawn)} if found else {}
    return Report(TITLE, sections, NOTHING, GLOSSARY, drawings)


def _planned_of(runs: pl.DataFrame, columns: pl.DataFrame, plans: pl.DataFrame) -> Planned:
    rows = summarise_plans(runs).to_dicts()
    tables = tables_of(rows)
    measured = None if tables is None else tables["deployed_bytes"]
    for row in rows:
        row["ratio"] = None if measured is None else row["deployed_bytes"] / measured
    planned = int(plans.filter(method="full_table")["table_bytes"].sum())
    full = planned or measured
    for row in rows:
        row["planned_for"] = _planned_for(row, runs, full)
    of_model = columns.filter(model=runs["model"][0])
    return Planned(runs, rows, full, of_model, plans)


def _planned_for(row: Row, runs: pl.DataFrame, full_bytes: float | None) -> str:
    """What tells plans of one method apart, as trained: the budgets that each is for."""
    if row["budget_bytes"] is not None or row["method"] == "full_table":
        return ""
    budgets = runs.filter(cell=row["cell"])["budget_bytes"].drop_nulls().unique()
    shown = [
        fraction(one / full_bytes) if full_bytes else megabytes(one)
        for one in budgets.sort(descending=True)
    ]
    return f", for {', '.join(shown)}" if shown else ""


def _figures(section: Planned) -> list[Figure]:
    """The figures; the first tells the most."""
    drawn = marks(pl.Series([row["method"] for row in section.rows], dtype=pl.String))
    caption = (
        "A point is a plan as trained or in the form of a budget. Bars: one standard deviation "
        "over seeds. Dashed: tables in float32."
    )
    figures = [
        Figure(
            f"{title} against deployed bytes",
            f"{better} and further left is better. {caption}",
            {"": by_deployed_bytes(section.rows, name, f"{title} of the test part", drawn)},
            drawn,
        )
        for name, title, better in (
            ("test_auc", "AUC", "Higher"),
            ("test_log_loss", "Log loss", "Lower"),
        )
    ]
    growth = _growth(section)
    if growth:
        figures.append(
            Figure(
                "Distinct values against rows",
                "The largest columns; dashed: extrapolated by the last doublings.",
                {"": value_growth.growth_chart(growth)},
                value_growth.growth_marks(growth),
            )
        )
    return figures


def _growth(section: Planned) -> dict[str, value_growth.Growth]:
    embedded = ("categorical", "bag", "group")
    return value_growth.largest(
        {
            row["column"]: list(zip(row["growth_rows"], row["growth_values"], strict=True))
            for row in section.columns.to_dicts()
            if row["kind"] in embedded and row["num_values"]
        }
    )


def _tables(section: Planned) -> list[Table]:
    by_budget = Table(
        "By bytes",
        "Means over seeds; bold: the best in validation.",
        "Bytes",
        list(TABLE),
        {title: cells(TABLE, rows) for title, rows in section.groups.items()},
        is_best_first=True,
        on_screen=("Method", "Form", "Deployed bytes", "Ratio", "Test AUC", "To tables"),
    )
    if not section.columns.height:
        return [by_budget]
    headings, rows = column_table(section)
    method = method_name(_shown_method(section)).lower()
    by_column = Table(
        "By column",
        f"Bytes as planned with {method} for large columns. Bold: the column of the most worth.",
        "Columns",
        headings,
        {"Columns, by worth": rows},
        is_best_first=True,
    )
    return [by_budget, by_column]


def column_table(section: Planned) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row for each input column, those of the most worth first."""
    plans = section.plans.filter(method=_shown_method(section))
    tables = section.plans.filter(method="full_table")
    budgets: list[int] = plans["budget_bytes"].unique().drop_nulls().sort(descending=True).to_list()
    headings = ["Column", "Kind", "Distinct values", "Occurrences"]
    headings += [f"Within {budget(one, section.full_bytes)}" for one in budgets]
    headings += ["As a table", "Worth"]
    inputs = section.columns.filter(pl.col("kind") != "label")
    rows = []
    for row in inputs.sort("worth", descending=True, nulls_last=True).to_dicts():
        of_column = plans.filter(column=row["column"])
        of_tables = tables.filter(column=row["column"])
        rows.append(
            [
                *(row["column"], row["kind"]),
                *(f"{row['num_values']:,}", f"{row['num_occurrences']:,}"),
                *(_planned(of_column.filter(budget_bytes=one)) for one in budgets),
                _total(of_tables["table_bytes"]),
                signed(row["worth"]),
            ]
        )
    return headings, rows


def _planned(features: pl.DataFrame) -> str:
    """What the features of a column get in a plan; - for numbers."""
    methods = features["feature_method"].unique(maintain_order=True)
    names = " and ".join(method_name(method).lower() for method in methods)
    return ", ".join([*filter(None, [names]), _total(features["num_bytes"])])


def _total(sizes: pl.Series) -> str:
    return megabytes(float(sizes.sum())) if len(sizes) else "-"


def _shown_method(section: Planned) -> str:
    """The method whose plans are told: claimed rows, if they are compared."""
    found = section.runs["method"].unique(maintain_order=True).to_list()
    others = [method for method in found if method != "full_table"]
    return "claimed_rows" if "claimed_rows" in others else (others or ["full_table"])[0]


def _how(section: Planned) -> Mapping[str, str]:
    runs = section.runs
    first = runs.row(0, named=True)
    trained = runs.filter(pl.col("budget_bytes").is_null())
    how = {
        "Data set": first["dataset"],
        "Model": NAMES[first["model"]],
        "Split": first["split"],
        "Embedding dimension": str(first["embedding_dim"]),
        "Trials": f"{trained['trial'].n_unique()} of each plan, on seed 0, chosen in validation",
        "Seeds": str(trained["seed"].n_unique()),
        "Learning rates of rows": _range(trained["learning_rate"]),
        "Learning rates of the network": _range(trained["network_learning_rate"]),
        "Weight decay": _range(trained["weight_decay"]),
        "Training (s)": f"{trained['train_seconds'].sum():,.0f} in all",
    }
    if section.columns.height:
        of_data = section.columns.row(0, named=True)
        names = ("training", "validation", "test", "of these with new values")
        parts = zip(names, of_data["num_events"], strict=False)  # the last is told since lately
        how["Events"] = ", ".join(f"{number:,} {part}" for part, number in parts)
        how["Epochs"] = f"at most {of_data['max_epochs']}"
        how["Label"] = ", ".join(section.columns.filter(kind="label")["column"]) or NO_LABEL
    return how


def _range(values: pl.Series) -> str:
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
