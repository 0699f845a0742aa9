"""What reports are written with: a page from a template that needs no network, and Markdown."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jinja2
import vl_convert

from tablefree.experiments.charts import VEGA_LITE_VERSION


def render(template: str, **values: object) -> str:
    """A page that holds all that it shows, the charts' JavaScript included.

    Args:
        template: name of a template in this folder that extends `page.html.jinja`.
        values: what it takes.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(javascript=_javascript(), **values)


@functools.cache
def _javascript() -> str:
    bundle: str = vl_convert.javascript_bundle(
        "window.vegaEmbed = vegaEmbed;", vl_version=VEGA_LITE_VERSION
    )
    return bundle.replace("</script", "<\\/script")


def markdown_table(headings: Sequence[str], rows: list[list[str]]) -> str:
    """A table whose columns line up when read raw."""
    lines = [list(headings), *([plain(cell) for cell in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |"
        for line in lines
    )


def plain(text: str) -> str:
    """Keep a name from acting as Markdown or HTML."""
    return " ".join(text.replace("<", "&lt;").replace("|", "\\|").split())
