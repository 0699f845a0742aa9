"""The figures of a section's report, in order: in bytes where its runs were packed."""

from dataclasses import dataclass
from typing import Any

import altair as alt

from tablefree.experiments import charts, frontier_charts
from tablefree.experiments.sections import Section


@dataclass(frozen=True)
class Figure:
    """A chart with its words.

    Attributes:
        name: of its place on the page.
        heading: above it.
        caption: beneath the heading.
        chart: as wide as its container.
    """

    name: str
    heading: str
    caption: str
    chart: alt.LayerChart

    @property
    def spec(self) -> dict[str, Any]:
        """As the page shows it."""
        return charts.page_spec(self.chart)


def figures(section: Section) -> list[Figure]:
    """The figures of a section; the first tells the most."""
    by_time = Figure(
        "time",
        "AUC against time",
        "Higher and further left is better. The larger the mark, the larger the embeddings.",
        charts.auc_by_time(section.rows),
    )
    if section.frontier is None:
        return [*_by_size(section), by_time]
    return [
        Figure(
            "bytes",
            "AUC against deployed bytes",
            "Higher and further left is better. A point is a method in a form; large ones and the "
            "line are the frontier, which is the best in validation at no more bytes. The bytes "
            "are those of the packed embeddings, vocabularies included. Dashed: the full table in "
            "float32.",
            frontier_charts.auc_by_deployed_bytes(section.rows, section.frontier),
        ),
        Figure(
            "training",
            "AUC against bytes in training",
            "Higher and further left is better. Large: in float32; small: in the forms that were "
            "chosen. Dashed: the full table in float32.",
            frontier_charts.auc_by_training_bytes(section.rows, section.frontier),
        ),
        by_time,
    ]


def _by_size(section: Section) -> list[Figure]:
    return [
        Figure(
            "size",
            "AUC against size",
            "Higher and further left is better. Bars: one standard deviation over seeds. Dashed: "
            "the full table.",
            charts.auc_by_size(section.rows),
        ),
        Figure(
            "bytes",
            "AUC against deployed bytes",
            "Higher and further left is better. The bytes are those of the whole model with its "
            "vocabularies; the marks of a line, from large to small, are rows in float32, float16, "
            "int8, int4 and a codebook. Dashed: the full table in float32.",
            charts.auc_by_bytes(section.rows),
        ),
    ]
