"""The report of a folder of runs: a web page, a summary in Markdown and a figure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tablefree.experiments import charts
from tablefree.experiments.figures import figures
from tablefree.experiments.frontier import FORM_GLOSSARY, FORM_TABLE, budget
from tablefree.experiments.page import markdown_table, plain, render
from tablefree.experiments.sections import Section, read_sections
from tablefree.experiments.summary import GLOSSARY, TABLE, Row, fraction, how_measured
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

Columns = Mapping[str, Callable[[Row], str]]
"""Heading → how a cell of a row reads."""


def write_report(folder: Path) -> Path:
    """Write `report.html`, `summary.md` and a figure beside a folder's results.

    The figure is `auc_by_bytes.svg` where runs were packed, and `auc_by_size.svg` where none was;
    one of the other name is removed, for its figures are old. Runs that are still missing are left
    out, so that it can be called after each run.

    Args:
        folder: Holds `results.parquet`, and `forms.parquet` where runs were packed.

    Returns:
        The path of `report.html`.

    Raises:
        InputError: The results cannot be read, or the folder cannot be written to.

    Example:
        >>> write_report(Path("runs/ml-1m"))  # doctest: +SKIP
        PosixPath('runs/ml-1m/report.html')
    """
    sections = read_sections(folder)
    page = folder / "report.html"
    if sections:
        _write_figure(folder, sections)
    replace_file(folder / "summary.md", _markdown(sections).encode())
    replace_file(page, _page(sections).encode())
    return page


def _write_figure(folder: Path, sections: Sequence[Section]) -> None:
    in_bytes = [section for section in sections if section.frontier]
    first = {section.title: figures(section)[0].chart for section in in_bytes or sections}
    by, old = ("bytes", "size") if in_bytes else ("size", "bytes")
    replace_file(folder / f"auc_by_{by}.svg", charts.svg(first).encode())
    (folder / f"auc_by_{old}.svg").unlink(missing_ok=True)


def _page(sections: Sequence[Section]) -> str:
    return render(
        "report.html.jinja",
        sections=[_section_on_page(section) for section in sections],
        nothing=NOTHING,
        glossary=_glossary(sections),
    )


def _section_on_page(section: Section) -> dict[str, Any]:
    return {
        "how": how_measured(section.runs),
        "advice": section.advice,
        "marks": charts.marks(section.rows),
        "figures": figures(section),
        "by_popularity": {
            fraction(size): charts.page_spec(chart)
            for size, chart in charts.auc_by_popularity(section.rows).items()
        },
        "tables": _tables(section),
    }


def _tables(section: Section) -> list[dict[str, Any]]:
    """Tables of the page, each with its rows in groups."""
    columns = _of_trained(section, [heading for heading in TABLE if heading != "Size"])
    groups = {
        f"Size {fraction(rows['size'][0])}": _cells(columns, rows.to_dicts())
        for rows in section.rows.partition_by("size", maintain_order=True)
    }
    trained = {
        "heading": "As trained, before packing" if section.frontier else "All figures",
        "caption": "Means over seeds; bold: the best test AUC at its size.",
        "headings": list(columns),
        "groups": groups,
    }
    return [*_packed(section), trained]


def _packed(section: Section) -> Iterable[dict[str, Any]]:
    if section.frontier is None:
        return
    columns = {heading: cell for heading, cell in FORM_TABLE.items() if heading != "Within"}
    full = section.frontier.full
    groups = {"The full table": _cells(columns, [full])} if full else {}
    for rows in section.frontier.by_budget.values():
        groups[f"Within {budget(rows[0])}"] = _cells(columns, rows)
    yield {
        "heading": "By bytes",
        "caption": "Means over seeds, each method in the form that validation chose for it; bold: "
        "the best in validation.",
        "headings": list(columns),
        "groups": groups,
    }


def _of_trained(section: Section, headings: Iterable[str]) -> Columns:
    """Columns of `TABLE`; bytes of packed forms are told by `FORM_TABLE`, where there are any."""
    return {
        heading: TABLE[heading]
        for heading in headings
        if section.frontier is None or heading != "Deployed bytes"
    }


def _cells(columns: Columns, rows: Iterable[Row]) -> list[list[str]]:
    return [[cell(row) for cell in columns.values()] for row in rows]


def _markdown(sections: Sequence[Section]) -> str:
    parts = ["# Embeddings with and without tables"]
    for section in sections:
        how = how_measured(section.runs)
        verdict, *support = section.advice
        columns = _of_trained(section, COMPACT)
        parts += [
            f"## {plain(how['Data set'])}, {how['Model']}, {plain(how['Split'])} split",
            f"**{plain(verdict)}**",
            "\n".join(f"- {plain(sentence)}" for sentence in support),
        ]
        if section.frontier:
            packed = _cells(FORM_TABLE, section.frontier.rows)
            parts += [markdown_table(list(FORM_TABLE), packed), "As trained, before packing:"]
        parts += [
            markdown_table(list(columns), _cells(columns, section.rows.to_dicts())),
            "How it was measured:",
            "\n".join(f"- {term}: {plain(text)}" for term, text in how.items()),
        ]
    if not sections:
        parts.append(NOTHING)
    words = _glossary(sections)
    parts += ["## Words", "\n".join(f"- {term}: {text}" for term, text in words.items())]
    return "\n\n".join(parts) + "\n"


def _glossary(sections: Sequence[Section]) -> dict[str, str]:
    return GLOSSARY | (FORM_GLOSSARY if any(section.frontier for section in sections) else {})
