"""`tablefree ablate`."""

from pathlib import Path
from typing import Annotated

import typer

from tablefree.commands.options import (
    DataOptions,
    Jobs,
    Model,
    Precision,
    Seeds,
    Size,
    Split,
    TrainingOptions,
    names,
    ratio,
)
from tablefree.commands.training import tell_results, train_pairs


def ablate(
    data: DataOptions,
    training: TrainingOptions,
    split: Split = "random",
    model: Model = "gmf",
    studies: Annotated[
        str | None,
        typer.Option(
            help="encoding, k, m, family, depth, activation, norm, skip, dropout, decay, "
            "optimizer, schedule, batch, epochs; and sketch-hashes, sketch-depth and so on, of the "
            "sketch instead of the paper's network; and load, load-shared and load-hashes, of its "
            "rows an id. By default all."
        ),
    ] = None,
    size: Size = "1/4",
    seeds: Seeds = 1,
    trials: Annotated[
        int,
        typer.Option(
            min=1, help="Configurations that each variant is tried with; 1: the defaults."
        ),
    ] = 12,
    precision: Precision = None,
    jobs: Jobs = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; results/ablate-DATA-MODEL by default.")
    ] = None,
) -> None:
    """Vary one factor at a time: encoding, depth, activation and so on.

    Each variant has the same number of parameters, but where rows an id are the factor, and its
    rates are tuned on validation. Writes results.parquet, summary.md, report.html and ablation.svg.
    Stopped, it resumes.

    Example: tablefree ablate --data ml-100k --studies encoding,depth --size 1/4
    """
    from tablefree.experiments.ablate import plan
    from tablefree.experiments.recipes import default_recipe
    from tablefree.experiments.spec import Run
    from tablefree.experiments.studies import STUDIES
    from tablefree.files import held

    share = ratio(size)
    task = data.task(split)
    recipe = default_recipe(
        "deep_hash", task.events_per_id, max_epochs=training.epochs, precision=precision
    )
    template = Run("deep_hash", model, share, 0, training.width, recipe)
    chosen = list(STUDIES) if studies is None else names(studies)
    comparison = plan(task, template=template, studies=chosen, seeds=seeds, trials=trials)
    folder = output or Path("results") / f"ablate-{task.interactions.name}-{model}"
    with held(folder):
        train_pairs(comparison, task, folder, jobs)
        tell_results(folder)
