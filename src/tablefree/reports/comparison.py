"""The report of a comparison of embeddings of users and items: in bytes where runs were packed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tablefree.experiments.forms import read_forms
from tablefree.experiments.results import read_results
from tablefree.reports import charts, frontier_charts
from tablefree.reports.frontier import FORM_GLOSSARY, FORM_TABLE, Frontier, budget, measure
from tablefree.reports.report import Figure, Report, Section, Table, cells
from tablefree.reports.summary import (
    GLOSSARY,
    SECTION,
    TABLE,
    Row,
    advice,
    fraction,
    how_measured,
    summarise,
)
from tablefree.reports.verdict import advice_in_bytes

TITLE = "Embeddings with and without tables"
NOTHING = "No run is finished yet."
COMPACT = (
    "Method",
    "Test AUC",
    "Recall@20",
    "Bytes in all",
    "Deployed bytes",
    "Multiply-adds an id",
    "ms an id",
    "Learning rate",
    "Seeds",
)
"""Columns of all figures in `summary.md`."""

Columns = Mapping[str, Callable[[Row], str]]
"""Heading → how a cell of a row reads."""


@dataclass(frozen=True)
class Compared:
    """Runs that can be compared: of a data set, a split and a model.

    Attributes:
        rows: of `summarise`.
        runs: behind them.
        frontier: of their packed forms; None where there are none.
    """

    rows: pl.DataFrame
    runs: pl.DataFrame
    frontier: Frontier | None

    @cached_property
    def advice(self) -> list[str]:
        """The verdict, then the sentences that support it."""
        return advice_in_bytes(self.frontier) if self.frontier else advice(self.rows)

    @cached_property
    def how(self) -> dict[str, str]:
        """How the runs were made."""
        return how_measured(self.runs)

    @property
    def title(self) -> str:
        """The names of the data set, the model and the split."""
        return f"{self.how['Data set']}, {self.how['Model']}, {self.how['Split']} split"


def read_compared(folder: Path) -> list[Compared]:
    """What can be compared in a folder.

    Args:
        folder: holds `results.parquet`, and `forms.parquet` where the runs were packed.

    Raises:
        InputError: one of the two cannot be read.
    """
    results, forms = read_results(folder), read_forms(folder)
    found = []
    for _, rows in summarise(results).group_by(*SECTION, maintain_order=True):
        key = rows.select(SECTION).unique()
        runs = results.join(key, on=SECTION)
        frontier = measure(forms.join(key, on=SECTION), runs)
        found.append(Compared(rows, runs, frontier if frontier.chosen else None))
    return found


def comparison_report(folder: Path) -> Report:
    """The report of a folder, with the figure `auc_by_bytes.svg`, or `auc_by_size.svg`.

    One of the other name is removed, for its figures are old. Runs that are still missing are left
    out, so that it can be made after each run.

    Raises:
        InputError: as `read_compared`.
    """
    found = read_compared(folder)
    figures = [_figures(one) for one in found]
    in_bytes = any(one.frontier for one in found)
    drawn = {
        ", ".join(one.rows.select(SECTION).row(0)): of_one[0].charts[""]
        for one, of_one in zip(found, figures, strict=True)
        if one.frontier or not in_bytes
    }
    by, old = ("bytes", "size") if in_bytes else ("size", "bytes")
    drawings = {f"auc_by_{by}.svg": charts.svg(drawn), f"auc_by_{old}.svg": None} if found else {}
    return Report(
        TITLE,
        [
            Section(one.title, one.advice, one.how, of_one, _tables(one))
            for one, of_one in zip(found, figures, strict=True)
        ],
        NOTHING,
        GLOSSARY | (FORM_GLOSSARY if in_bytes else {}),
        drawings,
    )


def _figures(compared: Compared) -> list[Figure]:
    """The figures; the first tells the most."""
    rows, drawn = compared.rows, charts.marks(compared.rows)
    by_time = Figure(
        "AUC against time",
        "Higher and further left is better. The larger the mark, the larger the embeddings.",
        {"": charts.auc_by_time(rows)},
        drawn,
    )
    by_popularity = Figure(
        "AUC by popularity of the item",
        "Head, middle and tail items each hold a third of the training events; unseen items have "
        "none. Level lines: the full table.",
        {
            f"{fraction(size)} of the full table": chart
            for size, chart in charts.auc_by_popularity(rows).items()
        },
        drawn,
    )
    frontier = compared.frontier
    sizes = _by_size(rows, drawn) if frontier is None else _by_bytes(rows, frontier, drawn)
    return [*sizes, by_time, *([by_popularity] if by_popularity.charts else [])]


def _by_bytes(
    rows: pl.DataFrame, frontier: Frontier, drawn: Sequence[charts.Mark]
) -> Iterable[Figure]:
    yield Figure(
        "AUC against deployed bytes",
        "Higher and further left is better. A point is a method in a form; large ones and the line "
        "are the frontier, which is the best in validation at no more bytes. The bytes are those "
        "of the packed embeddings, vocabularies included. Dashed: the full table in float32.",
        {"": frontier_charts.auc_by_deployed_bytes(rows, frontier)},
        drawn,
    )
    yield Figure(
        "AUC against bytes in training",
        "Higher and further left is better. Large: in float32; small: in the forms that were "
        "chosen. Dashed: the full table in float32.",
        {"": frontier_charts.auc_by_training_bytes(rows, frontier)},
        drawn,
    )


def _by_size(rows: pl.DataFrame, drawn: Sequence[charts.Mark]) -> Iterable[Figure]:
    yield Figure(
        "AUC against size",
        "Higher and further left is better. Bars: one standard deviation over seeds. Dashed: the "
        "full table.",
        {"": charts.auc_by_size(rows)},
        drawn,
    )
    yield Figure(
        "AUC against deployed bytes",
        "Higher and further left is better. The bytes are those of the whole model with its "
        "vocabularies; the marks of a line, from large to small, are rows in float32, float16, "
        "int8, int4 and a codebook. Dashed: the full table in float32.",
        {"": charts.auc_by_bytes(rows)},
        drawn,
    )


def _tables(compared: Compared) -> list[Table]:
    frontier = compared.frontier
    # Bytes of packed forms are told by `FORM_TABLE`, where there are any.
    untold = {"Size"} if frontier is None else {"Size", "Deployed bytes"}
    columns = {heading: cell for heading, cell in TABLE.items() if heading not in untold}
    sizes = compared.rows.partition_by("size", maintain_order=True)
    trained = Table(
        "All figures" if frontier is None else "As trained, before packing",
        "Means over seeds; bold: the best test AUC at its size.",
        "Size",
        list(columns),
        {
            f"{fraction(rows['size'][0])} of the full table": cells(columns, rows.to_dicts())
            for rows in sizes
        },
        is_best_first=True,
        in_summary=[heading for heading in COMPACT if heading in columns],
        on_screen=() if frontier else (*COMPACT[:2], "Bytes in all", "Multiply-adds an id"),
    )
    return [trained] if frontier is None else [_packed(frontier), trained]


def _packed(frontier: Frontier) -> Table:
    groups = {"Full table in float32": cells(FORM_TABLE, [frontier.full])} if frontier.full else {}
    for rows in frontier.by_budget.values():
        groups[f"Within {budget(rows[0])}"] = cells(FORM_TABLE, rows)
    return Table(
        "By bytes",
        "Means over seeds, each method in the form that validation chose for it; bold: the best "
        "in validation.",
        "Bytes",
        list(FORM_TABLE),
        groups,
        is_best_first=True,
        on_screen=("Method", "Form", "Test AUC", "Deployed bytes", "Ratio"),
    )
