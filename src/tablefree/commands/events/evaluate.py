"""`tablefree evaluate`, of a model of events of many columns."""

from typing import TYPE_CHECKING, Any

from tablefree.commands.events.tables import open_table
from tablefree.commands.options import DataOptions, given
from tablefree.commands.screen import EVENT_MEASURES, say, show_measures
from tablefree.errors import InputError

if TYPE_CHECKING:
    from tablefree.training.checkpoint import Checkpoint


def evaluate_on_events(checkpoint: "Checkpoint", data: DataOptions, split: str | None) -> None:
    """Measure a model on all rows of a table, or on the test part of a split.

    Args:
        checkpoint: the model.
        data: what is read, and from which on ratings are the label 1.
        split: of the events; None for all of them.
    """
    from tablefree.checks import check_choice
    from tablefree.data.parts import name_of
    from tablefree.experiments.event_models import evaluate_predictor
    from tablefree.experiments.positives import Pair
    from tablefree.fields.split import SPLITS

    if not given(data):
        raise InputError("say which events the model is measured on (--data)")
    if split is not None:
        check_choice("split", split, SPLITS)
    predictor = checkpoint.predictor
    label = next((one.name for one in predictor.columns if one.kind == "label"), None)
    of_pair: Any = checkpoint.run.get("pair")  # none of an earlier version
    pair = None if of_pair is None else Pair.from_config(of_pair)
    table = open_table(data.data, label, data.positive_rating)
    if split is None and name_of(data.data) == checkpoint.data:
        say(
            f"note: {checkpoint.data} is what the model was trained on: pass --split "
            f"{checkpoint.split} for its test part alone"
        )
    show_measures(evaluate_predictor(predictor, table, split, pair), EVENT_MEASURES)
