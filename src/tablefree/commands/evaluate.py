"""`tablefree evaluate`."""

from typing import Annotated

import typer

from tablefree.commands.events.evaluate import evaluate_on_events
from tablefree.commands.events.tables import others_given, refuse
from tablefree.commands.options import DATA, SPLITS, CheckpointFolder, DataOptions
from tablefree.commands.screen import show_measures


def evaluate(
    checkpoint: CheckpointFolder,
    data: DataOptions,
    split: Annotated[
        str | None,
        typer.Option(
            help=f"{SPLITS}; as in training by default. Of events of many columns: time, group or "
            "random, for the test part; by default all rows.",
            rich_help_panel=DATA,
        ),
    ] = None,
) -> None:
    """Measure a checkpoint on the test part of a data set.

    An id that a table has not seen in training has the row of unknown ids. A model of events of
    many columns is measured on all rows of the data, unless a split is given.

    Example: tablefree evaluate --checkpoint ml-1m-dhe --data ml-1m
    """
    from tablefree.experiments.single import evaluate_checkpoint
    from tablefree.models import Recommender
    from tablefree.training.checkpoint import load_checkpoint

    loaded = load_checkpoint(checkpoint)
    if not isinstance(loaded.predictor.model, Recommender):
        refuse(others_given(data))
        evaluate_on_events(loaded, data, split)
        return
    task = data.task(split or loaded.split)
    show_measures(evaluate_checkpoint(loaded, task))
