"""`tablefree predict`."""

from pathlib import Path
from typing import Annotated

import typer

from tablefree.commands.events.tables import open_table
from tablefree.commands.options import CheckpointFolder, Data, names
from tablefree.commands.screen import say
from tablefree.errors import InputError


def predict(
    checkpoint: CheckpointFolder,
    data: Data,
    output: Annotated[Path, typer.Option(help="A Parquet file.")],
    keep: Annotated[
        str, typer.Option(help="Columns of the data that are written beside the probabilities.")
    ] = "",
) -> None:
    """Predict with a checkpoint of events of many columns, into a Parquet file.

    Its column probability, float32, is that of the label 1, a row for each of the data and in
    their order. The data need no label.

    Example: tablefree predict --checkpoint ctr --data new.parquet --output p.parquet --keep id
    """
    from tablefree.experiments.event_models import load_predictor, write_predictions

    predictor = load_predictor(checkpoint)
    if output.exists() and Path(data).exists() and output.samefile(data):
        raise InputError(f"{output} is the data: choose another output")
    num_rows = write_predictions(predictor, open_table(data), output, names(keep))
    say(f"{num_rows:,} probabilities: {output}")
