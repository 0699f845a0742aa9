"""The command line: parses, calls, prints.

Exit codes: 0 done, 2 bad input (one line says what, where and what to do), 1 anything else.
"""

import os
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from tablefree.errors import InputError, TablefreeError

if TYPE_CHECKING:
    from tablefree.data import Interactions

# What is slow to import is imported by the command that needs it: --help should be quick.

MAX_JOBS = 8

app = typer.Typer(
    name="tablefree",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
console = Console()


@app.callback()
def _commands() -> None:
    """Embeddings of categorical features without embedding tables."""


_DATA = "Data"
_TRAINING = "Training"

Data = Annotated[
    str,
    typer.Option(
        help="A file or folder, the name of a public data set such as ml-1m, or 'synthetic'.",
        rich_help_panel=_DATA,
    ),
]
UserColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
ItemColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
LabelColumn = Annotated[str | None, typer.Option(help="Column of 0 and 1.", rich_help_panel=_DATA)]
RatingColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
TimestampColumn = Annotated[str | None, typer.Option(rich_help_panel=_DATA)]
PositiveRating = Annotated[
    float | None,
    typer.Option(help="Ratings of at least this are label 1, others 0.", rich_help_panel=_DATA),
]
SplitName = Annotated[
    str,
    typer.Option(
        "--split",
        help="random, leave-last-out, time, cold-items or cold-users.",
        rich_help_panel=_DATA,
    ),
]
EmbeddingDim = Annotated[int, typer.Option(min=1, rich_help_panel=_TRAINING)]
OptimizerName = Annotated[
    str,
    typer.Option(
        "--optimizer",
        help="adamw, or muon: Muon for hidden matrices, AdamW for all else.",
        rich_help_panel=_TRAINING,
    ),
]
WeightDecay = Annotated[float, typer.Option(rich_help_panel=_TRAINING)]
Epochs = Annotated[int, typer.Option(help="At most.", min=1, rich_help_panel=_TRAINING)]
Precision = Annotated[
    str | None,
    typer.Option(
        help="float32 or bfloat16; by default whichever is faster here.",
        rich_help_panel=_TRAINING,
    ),
]


@app.command()
def compare(
    data: Data = "synthetic",
    user_column: UserColumn = None,
    item_column: ItemColumn = None,
    label_column: LabelColumn = None,
    rating_column: RatingColumn = None,
    timestamp_column: TimestampColumn = None,
    positive_rating: PositiveRating = None,
    split: SplitName = "random",
    model: Annotated[str, typer.Option(help="gmf, mlp or both: gmf,mlp.")] = "gmf",
    methods: Annotated[
        str | None,
        typer.Option(
            help="full_table, narrow_table, hashing_trick, multi_hash, hash_embedding, "
            "quotient_remainder, hybrid_hash, deep_hash; by default all, each at the sizes that "
            "it can have."
        ),
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Parameters, as ratios to the full table's.")
    ] = "1/4,1/16",
    seeds: Annotated[int, typer.Option(min=1, help="How many runs each.")] = 1,
    learning_rates: Annotated[
        str, typer.Option(help="The grid that each method is tuned over.")
    ] = "0.003,0.01,0.03,0.1",
    embedding_dim: EmbeddingDim = 32,
    optimizer: OptimizerName = "muon",
    weight_decay: WeightDecay = 0.1,
    epochs: Epochs = 10,
    precision: Precision = None,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Runs at a time; by default one a core.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; results/DATA-MODEL by default.")
    ] = None,
) -> None:
    """Compare embeddings with and without tables on your data.

    Trains each method at each size, its learning rate tuned on validation, and writes
    results.parquet, summary.md and report.html. Stopped, it resumes where it was.

    Example: tablefree compare --data ml-1m --model gmf --sizes 1/4,1/16 --seeds 3
    """
    from tablefree.experiments import compare as comparing
    from tablefree.experiments.report import write_report
    from tablefree.experiments.run import Run
    from tablefree.experiments.task import Task
    from tablefree.training.fit import Recipe, fast_precision

    recipe = Recipe(
        learning_rate=1.0,  # a place holder
        optimizer=optimizer,
        weight_decay=weight_decay,
        max_epochs=epochs,
        precision=precision or fast_precision(),
    )
    task = Task.from_interactions(
        _load(
            data,
            user_column=user_column,
            item_column=item_column,
            label_column=label_column,
            rating_column=rating_column,
            timestamp_column=timestamp_column,
            positive_rating=positive_rating,
        ),
        split,
    )
    models = _names(model)
    comparison = comparing.plan(
        task,
        template=Run("deep_hash", models[0], 1.0, 0, embedding_dim, recipe),
        models=models,
        methods=None if methods is None else _names(methods),
        sizes=[_ratio("size", size) for size in _names(sizes)],
        seeds=seeds,
        learning_rates=[_ratio("learning rate", rate) for rate in _names(learning_rates)],
    )
    folder = output or Path("results") / f"{task.interactions.name}-{'-'.join(models)}"
    finished = comparing.finished_runs(comparison, task, folder)
    for left_out in comparison.left_out:
        console.print(f"left out: {left_out}", soft_wrap=True, highlight=False)
    jobs = jobs or min(MAX_JOBS, os.cpu_count() or 1)
    threads = max(1, (os.cpu_count() or 1) // jobs)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(), console=console,
    ) as progress:  # fmt: skip
        bar = progress.add_task("Training", total=len(comparison), completed=finished.height)
        for row in comparing.compare(comparison, task, folder, jobs=jobs, threads=threads):
            progress.update(bar, advance=1)
            progress.console.print(_one_line(row), soft_wrap=True, highlight=False)
    report = write_report(folder)
    _print_table(folder)
    console.print(f"\nReport: {report}", soft_wrap=True, highlight=False)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except TablefreeError as error:
        print(f"tablefree: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)


def _load(data: str, **options: str | float | None) -> "Interactions":
    from tablefree.data.load import load_interactions

    return load_interactions(data, **options)


def _names(text: str) -> list[str]:
    """The names in a comma-separated list."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _ratio(what: str, text: str) -> float:
    """A positive number, as 0.25 or 1/4."""
    try:
        value = float(Fraction(text))
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"a {what} must be a number such as 1/4 or 0.25, got {text!r}") from error
    if value <= 0:
        raise InputError(f"a {what} must be above 0, got {text}")
    return value


def _one_line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['method']} {row['model']} size {row['size']:g} seed {row['seed']} "
        f"rate {row['learning_rate']:g}: validation AUC {row['validation_auc']:.4f}, "
        f"test AUC {row['test_auc']:.4f}, {row['train_seconds']:.0f} s"
    )


def _print_table(folder: Path) -> None:
    """Print the main columns of the results, and the verdict."""
    from tablefree.experiments.results import read_results
    from tablefree.experiments.summary import SECTION, TABLE, advice, summarise

    columns = ("Size", "Method", "Test AUC", "Bytes in all", "Multiply-adds an id")
    summary = summarise(read_results(folder))
    for _, section in summary.group_by(SECTION, maintain_order=True):
        table = Table(*columns)
        for row in section.to_dicts():
            table.add_row(*(TABLE[column](row) for column in columns))
        console.print(table)
        console.print(" ".join(advice(section)), highlight=False)


if __name__ == "__main__":
    main()
