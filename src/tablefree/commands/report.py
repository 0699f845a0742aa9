"""`tablefree report`."""

from pathlib import Path
from typing import Annotated

import typer

from tablefree.commands.screen import say


def report(
    folder: Annotated[
        Path, typer.Option(help="Folder of results, of compare, ablate or cold-start.")
    ],
) -> None:
    """Make the report of finished runs again, from their results alone.

    Writes report.html and summary.md beside results.parquet, and the figure if there is one.

    Example: tablefree report --folder results/ml-1m-gmf
    """
    from tablefree.reports.of_folder import report_of

    say(f"Report: {report_of(folder).write(folder)}")
