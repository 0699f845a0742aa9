"""`tablefree evaluate`, of a model of events of many columns."""

from typing import TYPE_CHECKING

from tablefree.commands.events.tables import open_table
from tablefree.commands.options import DataOptions
from tablefree.commands.screen import EVENT_MEASURES, show_measures

if TYPE_CHECKING:
    from tablefree.fields.model import Predictor


def evaluate_on_events(predictor: "Predictor", data: DataOptions) -> None:
    """Measure a model on all rows of a table.

    Args:
        predictor: the model.
        data: what is read, and from which on ratings are the label 1.
    """
    from tablefree.experiments.event_models import evaluate_predictor

    label = next(one.name for one in predictor.columns if one.kind == "label")
    table = open_table(data.data, label, data.positive_rating)
    show_measures(evaluate_predictor(predictor, table), EVENT_MEASURES)
