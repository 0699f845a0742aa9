"""What a report is: sections of advice, figures and tables, on a page and in Markdown.

Whatever was measured, it is told in one form. The page holds all that it shows, the charts'
JavaScript included, and needs no network.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import altair as alt
import jinja2
import vl_convert

from tablefree.files import replace_file
from tablefree.reports.charts import VEGA_LITE_VERSION, Mark, page_spec

PAGE, SUMMARY = "report.html", "summary.md"
Rows = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Figure:
    """A chart with its words, or several small ones that share them.

    Attributes:
        heading: above it.
        caption: beneath the heading.
        charts: as wide as their container, by their titles; "" of one that needs none.
        marks: of its legend.
    """

    heading: str
    caption: str
    charts: Mapping[str, alt.LayerChart]
    marks: Sequence[Mark] = ()

    @property
    def specs(self) -> dict[str, dict[str, Any]]:
        """The charts as the page shows them."""
        return {title: page_spec(chart) for title, chart in self.charts.items()}


@dataclass(frozen=True)
class Table:
    """Rows of text in groups.

    Attributes:
        heading: above it.
        caption: beneath the heading; "" for none.
        group: what groups are of, such as "Size".
        headings: of the columns.
        groups: rows by the name of their group.
        is_best_first: whether the first of each group is bold.
        in_summary: the columns that `summary.md` has.
        on_screen: the columns that a command prints; none for no such table.
    """

    heading: str
    caption: str
    group: str
    headings: Sequence[str]
    groups: Mapping[str, Rows]
    is_best_first: bool = False
    in_summary: Sequence[str] | None = None
    on_screen: Sequence[str] = ()

    def columns(self, names: Sequence[str]) -> dict[str, list[list[str]]]:
        """The groups, of some columns alone."""
        places = [self.headings.index(name) for name in names]
        return {
            group: [[row[place] for place in places] for row in rows]
            for group, rows in self.groups.items()
        }


@dataclass(frozen=True)
class Section:
    """What can be compared.

    Attributes:
        title: of the section.
        advice: the verdict, then the sentences that support it.
        how: how it was measured, term by term.
        figures: the first tells the most.
        tables: with all numbers.
    """

    title: str
    advice: Sequence[str]
    how: Mapping[str, str]
    figures: Sequence[Figure]
    tables: Sequence[Table]


@dataclass(frozen=True)
class Report:
    """All that is said of a folder of results.

    Attributes:
        title: of the page.
        sections: may be none.
        nothing: what is said then.
        glossary: its words.
        drawings: SVG by the names of their files; None for one that is to be removed.
    """

    title: str
    sections: Sequence[Section]
    nothing: str
    glossary: Mapping[str, str]
    drawings: Mapping[str, str | None] = field(default_factory=dict)

    def write(self, folder: Path) -> Path:
        """Write `report.html`, `summary.md` and the drawings into a folder.

        Returns:
            The path of `report.html`.

        Raises:
            InputError: the folder cannot be written to.
        """
        for name, text in self.drawings.items():
            if text is None:
                (folder / name).unlink(missing_ok=True)
            else:
                replace_file(folder / name, text.encode())
        replace_file(folder / SUMMARY, self._markdown().encode())
        replace_file(folder / PAGE, self._page().encode())
        return folder / PAGE

    def _page(self) -> str:
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        template = environment.get_template("page.html.jinja")
        return template.render(report=self, javascript=_javascript())

    def _markdown(self) -> str:
        parts = [f"# {self.title}"]
        for section in self.sections:
            verdict, *support = section.advice
            parts += [f"## {plain(section.title)}", f"**{plain(verdict)}**", _listed(support)]
            for table in section.tables:
                parts += [f"{table.heading}:", _markdown_table(table)]
            how = (f"{term}: {text}" for term, text in section.how.items())
            parts += ["How it was measured:", _listed(how)]
        if not self.sections:
            parts.append(self.nothing)
        words = (f"{term}: {text}" for term, text in self.glossary.items())
        parts += ["## Words", _listed(words)]
        return "\n\n".join(filter(None, parts)) + "\n"


def cells(columns: Mapping[str, Any], rows: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """The cells of rows, by how each column reads."""
    return [[cell(row) for cell in columns.values()] for row in rows]


def plain(text: str) -> str:
    """Keep a name from acting as Markdown or HTML."""
    return " ".join(text.replace("<", "&lt;").replace("|", "\\|").split())


@functools.cache
def _javascript() -> str:
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE_VERSION
    )
    return bundle.replace("</script", "<\\/script")


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences)


def _markdown_table(table: Table) -> str:
    """All groups in one table, whose columns line up when read raw."""
    names = list(table.headings if table.in_summary is None else table.in_summary)
    lines = [[table.group, *names]]
    for group, rows in table.columns(names).items():
        lines += [[plain(cell) for cell in (group, *row)] for row in rows]
    if len(table.groups) == 1:
        lines = [line[1:] for line in lines]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )
