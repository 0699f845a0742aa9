"""`tablefree predict`."""

from typing import Annotated

import typer

from tablefree.commands.events.tables import open_table
from tablefree.commands.options import (
    DATA,
    LISTED,
    CheckpointFolder,
    ParquetFile,
    check_apart,
    names,
)
from tablefree.commands.screen import say


def predict(
    checkpoint: CheckpointFolder,
    data: Annotated[
        str,
        typer.Option(
            help="A file, a folder or pattern of files, or an address such as s3://bucket/x.parquet.",
            rich_help_panel=DATA,
        ),
    ],
    output: ParquetFile,
    keep: Annotated[
        str,
        typer.Option(
            help=f"Columns of the data that are written beside the probabilities, {LISTED}."
        ),
    ] = "",
) -> None:
    """Predict with a checkpoint, into a Parquet file.

    Its column probability, float32, is that of the label 1, a row for each of the data and in
    their order. The data need no label.

    Example: tablefree predict --checkpoint ctr --data new.parquet --output p.parquet --keep id
    """
    from tablefree.experiments.event_models import write_predictions
    from tablefree.training.checkpoint import load_checkpoint

    predictor = load_checkpoint(checkpoint).predictor
    table = open_table(data)
    check_apart(output, data)
    num_rows = write_predictions(predictor, table, output, names(keep))
    say(f"{num_rows:,} probabilities: {output}")
