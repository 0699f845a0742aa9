"""What each column is worth to a model: the AUC that is lost when its values are shuffled.

Permutation importance (Breiman, "Random Forests", 2001), on the test part: nothing is trained.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from tablefree.fields.events import Events
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.hashing import seed_from
from tablefree.training.metrics import auc


def column_worth(predictor: Predictor, events: Events) -> dict[str, float]:
    """The AUC that each input column adds, by its name; below 0 where it misleads.

    The values of a column, the periods of a date and the lists of a bag are permuted together, the
    same for the same column and number of events.

    Args:
        predictor: in evaluation mode.
        events: with labels of both classes, as of the test part.
    """
    assert events.labels is not None
    labels = torch.from_numpy(events.labels)
    whole = auc(predictor.logits(events), labels)
    found = {}
    for column in predictor.inputs:
        rng = np.random.default_rng(seed_from(column.name))
        shuffled = _permuted(predictor, events, column, rng.permutation(len(events)))
        found[column.name] = whole - auc(predictor.logits(shuffled), labels)
    return found


def _permuted(
    predictor: Predictor, events: Events, column: Column, order: NDArray[np.int64]
) -> Events:
    """The events with the values of one column in another order."""
    if column.kind == "bag":
        bags = events.bags[column.name].at(torch.from_numpy(order))
        return replace(events, bags={**events.bags, column.name: bags})
    if column.kind == "numeric":
        at = [one.name for one in predictor.inputs if one.kind == "numeric"].index(column.name)
        numbers = events.numbers.copy()
        numbers[:, at] = numbers[order, at]
        return replace(events, numbers=numbers)
    places = [at for at, name in enumerate(events.names) if _is_of(name, column)]
    return replace(events, ids=_in_order(events.ids, places, torch.from_numpy(order)))


def _is_of(feature: str, column: Column) -> bool:
    """Whether a feature is a column, or a period of one that is a date."""
    if column.kind in ("date", "time"):
        return feature.rpartition(":")[0] == column.name
    return feature == column.name


def _in_order(
    ids: Int[Tensor, "n columns"], places: list[int], order: Int[Tensor, " n"]
) -> Int[Tensor, "n columns"]:
    permuted = ids.clone()
    permuted[:, places] = ids[order][:, places]
    return permuted
