"""`tablefree compare`, on events of many columns."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tablefree.commands.events.tables import WIDTH, plan_tables, read_task
from tablefree.commands.options import ByteSize, ColumnOptions, DataOptions, TrainingOptions
from tablefree.commands.screen import say
from tablefree.commands.training import tell_results, train_all
from tablefree.errors import InputError

SIZES = "1/4,1/16,1/64"


def compare_on_events(
    data: DataOptions,
    columns: ColumnOptions,
    training: TrainingOptions,
    *,
    split: str | None,
    models: Sequence[str],
    methods: Sequence[str] | None,
    sizes: Sequence[str],
    seeds: int,
    trials: int,
    jobs: int | None,
    output: Path | None,
) -> None:
    """Compare plans; what each option is, `tablefree compare` says.

    Args:
        data: what is read, as all that follow.
        columns: what they are taken for.
        training: width and epochs.
        split: of the events.
        models: over the embeddings.
        methods: of large columns; by default all.
        sizes: of packed embeddings and vocabularies, as ratios to those of tables or in bytes.
        seeds: runs of each.
        trials: recipes that each plan is tried with.
        jobs: runs at a time.
        output: the folder.
    """
    from tablefree.checks import check_choice
    from tablefree.experiments.plan_cells import cells
    from tablefree.experiments.plan_columns import write_columns, write_plans
    from tablefree.experiments.plans import RECIPE, PlanComparison
    from tablefree.fields.model import MODELS
    from tablefree.fields.plan import LARGE_METHODS
    from tablefree.files import held

    for name, values in (("models", models), ("methods", methods), ("sizes", sizes)):
        if values is not None and not values:
            raise InputError(f"{name} must be one or more, got none")
    for model in models:
        check_choice("model", model, tuple(MODELS))
    for method in methods or ():
        check_choice("method", method, LARGE_METHODS)
    wanted = [ByteSize.of(size) for size in sizes]
    recipe = replace(RECIPE, max_epochs=training.epochs or RECIPE.max_epochs)
    task = read_task(data, columns, split)
    width = training.embedding_dim or WIDTH
    full = plan_tables(task.profile, width).table_bytes
    ratios = list(dict.fromkeys(size.ratio(full) for size in wanted))  # a size counts once
    chosen, left_out = cells(task.profile, ratios, methods, models, width)
    folder = output or Path("results") / f"{task.name}-{'-'.join(models)}"
    for reason in left_out:
        say(f"left out: {reason}")
    with held(folder):
        write_columns(folder, task, models, recipe.max_epochs, width)
        write_plans(folder, task.profile, chosen)
        train_all(PlanComparison(chosen, seeds, trials, recipe), task, folder, jobs, _in_a_line)
        tell_results(folder)


def _in_a_line(row: Mapping[str, Any]) -> str:
    tested = "" if row.get("test_auc") is None else f", test AUC {row['test_auc']:.4f}"
    return (
        f"{row['method']} {row['model']} seed {row['seed']} trial {row['trial']}, "
        f"{row['training_bytes']:,} bytes in training: validation AUC "
        f"{row['validation_auc']:.4f}{tested}, {row['train_seconds']:.0f} s"
    )
