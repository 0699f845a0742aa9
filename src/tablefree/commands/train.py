"""`tablefree train`."""

from pathlib import Path
from typing import Annotated

import typer

from tablefree.commands.events.tables import PAIR, are_events, others_given, refuse
from tablefree.commands.events.train import METHOD, train_on_events
from tablefree.commands.options import (
    METHOD_NAMES,
    MODELS,
    TRAINING,
    AnySplit,
    ByteSize,
    ColumnOptions,
    DataOptions,
    ModelOptions,
    Precision,
    TrainingOptions,
    given,
    ratio,
    widths,
)
from tablefree.commands.screen import say, show_measures


def train(
    data: DataOptions,
    columns: ColumnOptions,
    of_model: ModelOptions,
    training: TrainingOptions,
    split: AnySplit = None,
    model: Annotated[str | None, typer.Option(help=f"{MODELS}; by default gmf, or dlrm.")] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help=f"{METHOD_NAMES}; by default sketch. Of large columns of events: claimed_rows, "
            "multi_hash, hashing_trick, deep_hash, full_table; by default claimed_rows."
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Parameters, as a ratio to the full table's; by default 1/4."),
    ] = None,
    num_bytes: Annotated[
        str | None,
        typer.Option(
            "--bytes",
            help="Pack the trained embeddings into so many bytes, 1/16 of the full table's or "
            "500KB, in the form that is best in validation; in the place of --size. Of events of "
            "many columns: by default 1/16.",
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

    Data are users and items, or, with --label or another option of columns, events of any number
    of columns, whose model tablefree.load opens.

    Example: tablefree train --data ml-1m --method sketch --size 1/4 --output ml-1m-sketch

    Example: tablefree train --data clicks.parquet --label clicked --bytes 1/16 --output ctr
    """
    if are_events(data, columns, model):
        of_pairs = {"size": size, "precision": precision, "rows": rows}
        refuse([*others_given(data, *PAIR), *given(of_model, **of_pairs)])
        train_on_events(
            data,
            columns,
            training,
            split=split,
            model=model or "dlrm",
            method=method or METHOD,
            num_bytes=num_bytes,
            seed=seed,
            rates={
                "learning_rate": learning_rate,
                "network_learning_rate": network_learning_rate,
                "weight_decay": weight_decay,
            },
            output=output,
        )
        return
    model, method = model or "gmf", method or "sketch"
    from tablefree.experiments.budgets import in_bytes
    from tablefree.experiments.recipes import default_recipe, steps_per_epoch
    from tablefree.experiments.single import train_checkpoint
    from tablefree.experiments.spec import Run

    share, decoder = ratio(size or "1/4"), widths(of_model.decoder)
    wanted = None if num_bytes is None else ByteSize.of(num_bytes)
    task = data.task(split or "random")
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
        share,
        seed,
        training.width,
        recipe,
        decoder,
        users=of_model.users,
        side_features=of_model.side_features,
    )
    if wanted is not None:
        run = in_bytes(run, [wanted.ratio(task.table_bytes(training.width))], task)
    folder = output or Path("checkpoints") / f"{task.interactions.name}-{model}-{method}"
    checkpoint = train_checkpoint(run, task, folder, show_progress=True)
    show_measures(checkpoint.measures)
    say(f"Checkpoint: {folder}")
