"""`tablefree evaluate`, of a model of events of many columns."""

from pathlib import Path

from tablefree.commands.events.tables import open_table
from tablefree.commands.screen import EVENT_MEASURES, show_measures


def evaluate_on_events(checkpoint: Path, data: str) -> None:
    """Measure a model on all rows of a table.

    Args:
        checkpoint: folder of the model.
        data: what is read.
    """
    from tablefree.experiments.event_models import evaluate_predictor, load_predictor

    show_measures(evaluate_predictor(load_predictor(checkpoint), open_table(data)), EVENT_MEASURES)
