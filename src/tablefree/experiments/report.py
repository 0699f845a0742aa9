"""The report of a folder of runs: a web page, a summary in Markdown and a figure."""

from pathlib import Path
from typing import Any

import polars as pl
import vl_convert

from tablefree.experiments import charts
from tablefree.experiments.page import markdown_table, plain, render
from tablefree.experiments.results import read_results
from tablefree.experiments.summary import (
    GLOSSARY,
    SECTION,
    TABLE,
    advice,
    fraction,
    how_measured,
    summarise,
)
from tablefree.files import replace_file

COMPACT = (
    "Size",
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
"""Columns of the table in `summary.md`."""

NOTHING = "No run is finished yet."


def write_report(folder: Path) -> Path:
    """Write `report.html`, `summary.md` and `auc_by_size.svg` beside a folder's results.

    Runs that are still missing are left out, so that it can be called after each run.

    Args:
        folder: Holds `results.parquet`.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: The results cannot be read, or the folder cannot be written to.

    Example:
        >>> write_report(Path("runs/ml-1m"))  # doctest: +SKIP
        PosixPath('runs/ml-1m/report.html')
    """
    results = read_results(folder)
    summary = summarise(results)
    sections = [
        (section, results.join(section.select(SECTION).unique(), on=SECTION))
        for _, section in summary.group_by(*SECTION, maintain_order=True)
    ]
    page = folder / "report.html"
    if sections:
        figure = vl_convert.vegalite_to_svg(
            charts.figure_spec(summary), vl_version=charts.VEGA_LITE_VERSION
        )
        replace_file(folder / "auc_by_size.svg", figure.encode())
    replace_file(folder / "summary.md", _markdown(sections).encode())
    replace_file(page, _page(sections).encode())
    return page


Section = tuple[pl.DataFrame, pl.DataFrame]
"""Rows of `summarise`, and the runs behind them."""


def _page(sections: list[Section]) -> str:
    return render(
        "report.html.jinja",
        sections=[_section_on_page(*section) for section in sections],
        nothing=NOTHING,
        glossary=GLOSSARY,
        headings=[heading for heading in TABLE if heading != "Size"],
    )


def _section_on_page(section: pl.DataFrame, runs: pl.DataFrame) -> dict[str, Any]:
    return {
        "how": how_measured(runs),
        "advice": advice(section),
        "marks": charts.marks(section),
        "by_size": charts.page_spec(charts.auc_by_size(section)),
        "by_bytes": charts.page_spec(charts.auc_by_bytes(section)),
        "by_time": charts.page_spec(charts.auc_by_time(section)),
        "by_popularity": {
            fraction(size): charts.page_spec(chart)
            for size, chart in charts.auc_by_popularity(section).items()
        },
        "rows_by_size": {
            fraction(rows["size"][0]): [
                [cell(row) for heading, cell in TABLE.items() if heading != "Size"]
                for row in rows.to_dicts()
            ]
            for rows in section.partition_by("size", maintain_order=True)
        },
    }


def _markdown(sections: list[Section]) -> str:
    parts = ["# Embeddings with and without tables"]
    for section, runs in sections:
        how = how_measured(runs)
        verdict, *support = advice(section)
        rows = [[TABLE[heading](row) for heading in COMPACT] for row in section.to_dicts()]
        parts += [
            f"## {plain(how['Data set'])}, {how['Model']}, {plain(how['Split'])} split",
            f"**{verdict}**",
            "\n".join(f"- {sentence}" for sentence in support),
            markdown_table(COMPACT, rows),
            "How it was measured:",
            "\n".join(f"- {term}: {plain(text)}" for term, text in how.items()),
        ]
    if not sections:
        parts.append(NOTHING)
    parts += ["## Words", "\n".join(f"- {term}: {text}" for term, text in GLOSSARY.items())]
    return "\n\n".join(parts) + "\n"
