"""The report of a comparison of plans: a web page, a summary in Markdown and a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tablefree.errors import InputError
from tablefree.experiments import charts, value_growth
from tablefree.experiments.growth_report import marks
from tablefree.experiments.page import markdown_table, plain, render
from tablefree.experiments.parquet import read_table
from tablefree.experiments.plan_charts import by_deployed_bytes
from tablefree.experiments.plan_columns import (
    COLUMN_SCHEMA,
    COLUMNS,
    PLAN_SCHEMA,
    PLANS,
    read_columns,
    read_plans,
)
from tablefree.experiments.plan_summary import (
    GLOSSARY,
    TABLE,
    budget,
    groups_of,
    plan_advice,
    summarise_plans,
    tables_of,
)
from tablefree.experiments.plans import SCHEMA
from tablefree.experiments.report import NOTHING
from tablefree.experiments.summary import Row, megabytes, method_name, signed
from tablefree.files import replace_file

TITLE = "Embeddings with and without tables"
NAMES = {"dlrm": "DLRM", "deepfm": "DeepFM", "dcn": "DCN-V2"}


@dataclass(frozen=True)
class PlanSection:
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
        """Of the section."""
        first = self.runs.row(0, named=True)
        return f"{first['dataset']}, {NAMES[first['model']]}, {first['split']} split"


def read_plan_sections(folder: Path) -> list[PlanSection]:
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
        _section(runs, columns, plans)
        for runs in results.partition_by("dataset", "split", "model", maintain_order=True)
    ]


def write_plan_report(folder: Path) -> Path:
    """Write `report.html`, `summary.md` and `auc_by_bytes.svg` beside a folder's results.

    Args:
        folder: holds `results.parquet`, and `columns.parquet` and `plans.parquet` where
            `tablefree compare` wrote them.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: the results cannot be read, or the folder cannot be written to.

    Example:
        >>> write_plan_report(Path("results/clicks-dlrm"))  # doctest: +SKIP
        PosixPath('results/clicks-dlrm/report.html')
    """
    sections = read_plan_sections(folder)
    figures = {section.title: _figures(section) for section in sections}
    if sections:
        first = {title: of_section[0]["chart"] for title, of_section in figures.items()}
        replace_file(folder / "auc_by_bytes.svg", charts.svg(first).encode())
    replace_file(folder / "summary.md", _markdown(sections).encode())
    page = render(
        "report.html.jinja",
        sections=[
            {
                "how": _how(section),
                "advice": section.advice,
                "marks": [],
                "figures": figures[section.title],
                "by_popularity": {},
                "tables": _tables(section),
            }
            for section in sections
        ],
        nothing=NOTHING,
        glossary=GLOSSARY,
    )
    replace_file(folder / "report.html", page.encode())
    return folder / "report.html"


def _section(runs: pl.DataFrame, columns: pl.DataFrame, plans: pl.DataFrame) -> PlanSection:
    rows = summarise_plans(runs).to_dicts()
    tables = tables_of(rows)
    measured = None if tables is None else tables["deployed_bytes"]
    for row in rows:
        row["ratio"] = None if measured is None else row["deployed_bytes"] / measured
    planned = int(plans.filter(method="full_table")["table_bytes"].sum())
    of_model = columns.filter(model=runs["model"][0])
    return PlanSection(runs, rows, planned or measured, of_model, plans)


def _figures(section: PlanSection) -> list[dict[str, Any]]:
    """The figures of a section, as the page takes them; the first tells the most."""
    methods = pl.Series([row["method"] for row in section.rows], dtype=pl.String)
    drawn = marks(methods)
    caption = (
        "A point is a plan as trained or in the form of a budget. Bars: one standard deviation "
        "over seeds. Dashed: tables in float32."
    )
    figures: list[dict[str, Any]] = [
        {
            "name": name,
            "heading": f"{title} against deployed bytes",
            "caption": f"{better} and further left is better. {caption}",
            "marks": drawn,
            "chart": by_deployed_bytes(section.rows, measure, f"{title} of the test part", drawn),
        }
        for name, measure, title, better in (
            ("auc", "test_auc", "AUC", "Higher"),
            ("loss", "test_log_loss", "Log loss", "Lower"),
        )
    ]
    growth = _growth(section)
    if growth:
        figures.append(
            {
                "name": "growth",
                "heading": "Distinct values against rows",
                "caption": "The largest columns; dashed: extrapolated by the last doublings.",
                "marks": value_growth.growth_marks(growth),
                "chart": value_growth.growth_chart(growth),
            }
        )
    return [figure | {"spec": charts.page_spec(figure["chart"])} for figure in figures]


def _growth(section: PlanSection) -> dict[str, value_growth.Growth]:
    embedded = ("categorical", "bag", "group")
    return value_growth.largest(
        {
            row["column"]: list(zip(row["growth_rows"], row["growth_values"], strict=True))
            for row in section.columns.to_dicts()
            if row["kind"] in embedded and row["num_values"]
        }
    )


def _tables(section: PlanSection) -> list[dict[str, Any]]:
    """Tables of the page, each with its rows in groups."""
    by_budget = {
        "heading": "By bytes",
        "caption": "Means over seeds; bold: the best in validation.",
        "headings": list(TABLE),
        "groups": {title: _cells(rows) for title, rows in section.groups.items()},
    }
    if not section.columns.height:
        return [by_budget]
    headings, cells = column_table(section)
    method = _shown_method(section)
    by_column = {
        "heading": "By column",
        "caption": f"Bytes as planned with {method_name(method).lower()} for large columns. Bold: "
        "the column of the most worth.",
        "headings": headings,
        "groups": {"Columns, by worth": cells},
    }
    return [by_budget, by_column]


def column_table(section: PlanSection) -> tuple[list[str], list[list[str]]]:
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


def _shown_method(section: PlanSection) -> str:
    """The method whose plans are told: claimed rows, if they are compared."""
    found = section.runs["method"].unique(maintain_order=True).to_list()
    others = [method for method in found if method != "full_table"]
    return "claimed_rows" if "claimed_rows" in others else (others or ["full_table"])[0]


def _cells(rows: Sequence[Row]) -> list[list[str]]:
    return [[cell(row) for cell in TABLE.values()] for row in rows]


def _markdown(sections: Sequence[PlanSection]) -> str:
    parts = [f"# {TITLE}"]
    for section in sections:
        verdict, *support = section.advice
        parts += [
            f"## {plain(section.title)}",
            f"**{plain(verdict)}**",
            "\n".join(f"- {plain(sentence)}" for sentence in support),
        ]
        for title, rows in section.groups.items():
            parts += [f"{title}:", markdown_table(list(TABLE), _cells(rows))]
        if section.columns.height:
            method = method_name(_shown_method(section)).lower()
            parts += [f"By column, planned with {method}:", markdown_table(*column_table(section))]
        how = [f"- {term}: {plain(text)}" for term, text in _how(section).items()]
        parts += ["How it was measured:", "\n".join(how)]
    if not sections:
        parts.append(NOTHING)
    parts += ["## Words", "\n".join(f"- {term}: {text}" for term, text in GLOSSARY.items())]
    return "\n\n".join(parts) + "\n"


def _how(section: PlanSection) -> Mapping[str, str]:
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
        parts = zip(("training", "validation", "test"), of_data["num_events"], strict=True)
        how["Events"] = ", ".join(f"{number:,} {part}" for part, number in parts)
        how["Epochs"] = f"at most {of_data['max_epochs']}"
        how["Label"] = ", ".join(section.columns.filter(kind="label")["column"])
    return how


def _range(values: pl.Series) -> str:
    low, high = (f"{value:.3g}" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"
