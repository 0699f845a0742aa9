"""Training of many runs, with a bar and a line for each that is finished."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tablefree.commands.screen import console, resumable, say, show_sections

if TYPE_CHECKING:
    from tablefree.experiments.compare import PairComparison
    from tablefree.experiments.scheduler import Comparison
    from tablefree.experiments.task import Task

MAX_JOBS = 8


def train_pairs(comparison: "PairComparison", task: "Task", folder: Path, jobs: int | None) -> None:
    """`train_all` of users and items."""
    for left_out in comparison.left_out:
        say(f"left out: {left_out}")
    train_all(comparison, task, folder, jobs, _in_a_line)


def train_all(
    comparison: "Comparison",
    task: object,
    folder: Path,
    jobs: int | None,
    in_a_line: Callable[[Mapping[str, Any]], str],
) -> None:
    """Train what a folder does not hold yet, and say how it goes.

    Args:
        comparison: what is wanted.
        task: the data.
        folder: of the results.
        jobs: runs at a time; None for one a core.
        in_a_line: what is said of a run, given its row.
    """
    from tablefree.experiments.scheduler import run_all

    finished = comparison.finished(task, folder)
    num_finished = comparison.num_done(finished)
    jobs = jobs or min(MAX_JOBS, os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with resumable(), bar_of_runs() as progress:
        bar = progress.add_task("Training", total=len(comparison), completed=num_finished)
        for row in run_all(comparison, task, folder, jobs=jobs, threads=threads):
            progress.update(bar, advance=1)
            say(in_a_line(row))


def tell_results(folder: Path) -> None:
    """Write the report of a folder of results, and print its main figures and where it is."""
    from tablefree.reports.of_folder import report_of

    report = report_of(folder)
    page = report.write(folder)
    show_sections(report.sections)
    say(f"\nReport: {page}")


def bar_of_runs() -> Progress:
    """A bar that tells how many runs are done, and how long the others may take."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )


def _in_a_line(row: Mapping[str, Any]) -> str:
    tested = "pruned" if row["pruned"] else f"test AUC {row['test_auc']:.4f}"
    study = f"{row['study']}, {row['variant']}: " if row["study"] else ""
    return (
        f"{study}{row['method']} {row['model']} size {row['size']:g} seed {row['seed']} "
        f"trial {row['trial']}: validation AUC {row['validation_auc']:.4f}, {tested}, "
        f"{row['train_seconds']:.0f} s"
    )
