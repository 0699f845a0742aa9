"""How good probabilities of events are, in all and where a value is new."""

from math import log
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from tablefree.embeddings.jagged import Bags
from tablefree.fields.events import Events
from tablefree.training.metrics import auc, expected_calibration_error, log_loss


class Measures(NamedTuple):
    """Of the scores of some events.

    Attributes:
        auc: area under the ROC curve; NaN where all labels are one.
        log_loss: mean binary cross-entropy, in nats.
        normalized_entropy: the log loss as a share of that of the events' own mean label (He et
            al., "Practical Lessons from Predicting Clicks on Ads at Facebook", 2014); NaN where
            all labels are one.
        calibration_error: see `expected_calibration_error`.
    """

    auc: float
    log_loss: float
    normalized_entropy: float
    calibration_error: float


def measures(logits: Float[Tensor, " n"], labels: Float[Tensor, " n"]) -> Measures:
    """The measures of events, at least one."""
    mean, loss = float(labels.mean()), log_loss(logits, labels)
    entropy = 0.0 if mean in (0, 1) else -mean * log(mean) - (1 - mean) * log(1 - mean)
    share = loss / entropy if entropy else float("nan")
    error = expected_calibration_error(logits, labels)
    return Measures(auc(logits, labels), loss, share, error)


def has_new_value(events: Events, train: Events) -> Bool[Tensor, " n"]:
    """Which events have, in any column of categories, a value that training has not."""
    known, asked = train.features(), events.features()
    found = torch.zeros(len(events), dtype=torch.bool)
    for name, ids in asked.items():
        seen = known[name]
        if isinstance(ids, Bags):
            assert isinstance(seen, Bags)
            of_bags = (~torch.isin(ids.ids, torch.unique(seen.ids))).long()
            sums = torch.cat([of_bags.new_zeros(1), of_bags.cumsum(0)])
            found |= sums[ids.offsets[1:]] > sums[ids.offsets[:-1]]
        else:
            found |= ~torch.isin(ids, torch.unique(seen))
    return found
