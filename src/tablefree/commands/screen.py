"""What commands print."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import isnan
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tablefree.console import printable

if TYPE_CHECKING:
    from tablefree.reports.report import Section

MEASURES = {
    "validation_auc": "Validation AUC",
    "test_auc": "Test AUC",
    "test_log_loss": "Test log loss",
    "calibration_error": "Calibration error",
    "test_auc_head": "Test AUC, popular items",
    "test_auc_middle": "Test AUC, items between",
    "test_auc_tail": "Test AUC, rare items",
    "test_auc_unseen": "Test AUC, items unseen in training",
    "hit_rate_10": "HR@10",
    "ndcg_10": "NDCG@10",
    "recall_20": "Recall@20 of all items",
    "ndcg_20": "NDCG@20 of all items",
}

EVENT_MEASURES = {
    "validation_auc": "Validation AUC",
    "test_events": "Test events",
    "test_events_unseen": "Test events with new values",
    "test_auc": "Test AUC",
    "test_log_loss": "Test log loss",
    "events": "Events",
    "auc": "AUC",
    "log_loss": "Log loss",
    "normalized_entropy": "Normalised entropy",
    "calibration_error": "Calibration error",
    "test_auc_unseen": "Test AUC, events with new values",
    "test_log_loss_unseen": "Test log loss, events with new values",
    "normalized_entropy_unseen": "Normalised entropy, events with new values",
    "calibration_error_unseen": "Calibration error, events with new values",
}


class PlainConsole(Console):
    """A console that prints strings, in tables too, as they are: no markup, no controls."""

    def __init__(self) -> None:
        super().__init__(markup=False, emoji=False, highlight=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As every console's, with control characters escaped."""
        return super().render_str(printable(text), **options)


console = PlainConsole()


def say(text: str) -> None:
    """Print text as it is, whatever brackets and numbers it has, and break no line of it."""
    console.print(text, soft_wrap=True)


def say_notes(notes: Iterable[str]) -> None:
    """Print what is to be known of the data before a figure is believed."""
    for note in notes:
        say(f"note: {note}")


def show_measures(
    measures: Mapping[str, float | None], names: Mapping[str, str] = MEASURES
) -> None:
    """Print what a checkpoint comes to, a measure a line."""
    table = Table("Measure", "Value")
    for name, value in measures.items():
        table.add_row(names[name], _shown(value))
    console.print(table)
    if (measures.get("normalized_entropy") or 0) > 1:
        say("note: a normalised entropy above 1 is worse than the mean label for all events")


def show_sections(sections: Iterable["Section"]) -> None:
    """Print the main columns of a report's tables, and its advice."""
    for section in sections:
        for one in section.tables:
            for title, rows in one.columns(one.on_screen).items() if one.on_screen else ():
                table = Table(*one.on_screen, title=title, title_justify="left")
                for row in rows:
                    table.add_row(*row)
                console.print(table)
        console.print(" ".join(section.advice))


def _shown(value: float | None) -> str:
    if value is None:
        return "too few events"
    if isinstance(value, int):
        return f"{value:,}"
    return "all labels are the same" if isnan(value) else f"{value:.4f}"


@contextmanager
def resumable() -> Iterator[None]:
    """Work that may be interrupted and goes on where it was."""
    try:
        yield
    except KeyboardInterrupt:
        print("tablefree: stopped; the same command resumes", file=sys.stderr)
        raise typer.Exit(130) from None
