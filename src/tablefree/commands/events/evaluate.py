"""`tablefree evaluate`, of a model of events of many columns."""

from typing import TYPE_CHECKING

from tablefree.commands.events.tables import open_table
from tablefree.commands.screen import EVENT_MEASURES, show_measures

if TYPE_CHECKING:
    from tablefree.fields.model import Predictor


def evaluate_on_events(predictor: "Predictor", data: str) -> None:
    """Measure a model on all rows of a table.

    Args:
        predictor: the model.
        data: what is read.
    """
    from tablefree.experiments.event_models import evaluate_predictor

    show_measures(evaluate_predictor(predictor, open_table(data)), EVENT_MEASURES)
