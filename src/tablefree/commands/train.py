"""`tablefree train`."""

from pathlib import Path
from typing import Annotated

import typer

from tablefree.commands.options import (
    METHOD_NAMES,
    TRAINING,
    DataOptions,
    Model,
    ModelOptions,
    Precision,
    Size,
    Split,
    TrainingOptions,
    ratio,
    size_in_bytes,
    widths,
)
from tablefree.commands.screen import say, show_measures


def train(
    data: DataOptions,
    of_model: ModelOptions,
    training: TrainingOptions,
    split: Split = "random",
    model: Model = "gmf",
    method: Annotated[str, typer.Option(help=f"{METHOD_NAMES}.")] = "sketch",
    size: Size = "1/4",
    num_bytes: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            help="Pack the trained embeddings into so many bytes, 1/16 of the full table's or "
            "500KB, in the form that is best in validation; in the place of --size.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is random.")] = 0,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="Of rows; by default 0.03, and less in bfloat16 where ids have many events.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    network_learning_rate: Annotated[
        float | None,
        typer.Option(help="Of all else; by default 0.01.", rich_help_panel=TRAINING),
    ] = None,
    weight_decay: Annotated[
        float | None,
        typer.Option(
            help="Of rows; by default what suits the number of events.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    precision: Precision = None,
    rows: Annotated[
        str | None,
        typer.Option(
            help="What rows are held in as they learn: float32, or bfloat16 in a quarter of the "
            "memory; by default float32.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the checkpoint; checkpoints/DATA-MODEL-METHOD by default."),
    ] = None,
) -> None:
    """Train one configuration into a checkpoint.

    Writes model.safetensors, config.json and, in logs, a TensorBoard log.

    Example: tablefree train --data ml-1m --method sketch --size 1/4 --output ml-1m-sketch
    """
    from tablefree.experiments.budgets import in_bytes
    from tablefree.experiments.recipes import default_recipe, steps_per_epoch
    from tablefree.experiments.single import train_checkpoint
    from tablefree.experiments.spec import Run

    task = data.task(split)
    recipe = default_recipe(
        method,
        task.events_per_id,
        steps_per_epoch=steps_per_epoch(task),
        has_decoder=bool(of_model.decoder),
        learning_rate=learning_rate,
        network_learning_rate=network_learning_rate,
        weight_decay=weight_decay,
        optimizer=of_model.optimizer,
        max_epochs=training.epochs,
        precision=precision,
        rows=rows,
    )
    run = Run(
        method,
        model,
        ratio(size),
        seed,
        training.width,
        recipe,
        widths(of_model.decoder),
        users=of_model.users,
        side_features=of_model.side_features,
    )
    if num_bytes is not None:
        size_wanted = size_in_bytes(num_bytes, task.table_bytes(training.width))
        run = in_bytes(run, [size_wanted], task)
    folder = output or Path("checkpoints") / f"{task.interactions.name}-{model}-{method}"
    checkpoint = train_checkpoint(run, task, folder, show_progress=True)
    show_measures(checkpoint.measures)
    say(f"Checkpoint: {folder}")
