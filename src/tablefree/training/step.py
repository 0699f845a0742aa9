"""One step of learning, whatever goes round it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tablefree.models import Recommender
from tablefree.training.batches import Batch


class Objective(NamedTuple):
    """What a training learns and is judged by.

    Attributes:
        loss: of a model and a batch, a scalar with a gradient.
        auc: of a model and the batch of validation, in evaluation mode.
        work: multiply-adds forward of a step of a model with such batches, about.
    """

    loss: Callable[[Any, Any], Tensor]
    auc: Callable[[Any, Any], float]
    work: Callable[[Any, Any], int]


def pair_loss(model: Recommender, batch: Batch) -> Tensor:
    """The binary cross-entropy of a model's logits of pairs, in float32 also under autocast."""
    items = model.items(batch.items)
    if batch.left_out is None:
        users = model.users(batch.users)
    else:  # no history may hold the item that it is asked about
        users = model.users(batch.users, batch.left_out)
    with torch.autocast(users.device.type, enabled=False):  # few operations, all of them exact
        logits = model.score(users.float(), items.float())
        return F.binary_cross_entropy_with_logits(logits, batch.labels)


def take_step(
    loss: Tensor,
    optimizers: Sequence[Optimizer],
    schedules: Sequence[LRScheduler],
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> None:
    """Step against the gradient of a loss, and go on in the schedule of each optimizer.

    Args:
        loss: a scalar.
        optimizers: of all that learns.
        schedules: one for each optimizer.
        backward: gives parameters their gradients.
    """
    for optimizer in optimizers:
        optimizer.zero_grad()
    backward(loss)
    for optimizer, schedule in zip(optimizers, schedules, strict=True):
        optimizer.step()
        schedule.step()
