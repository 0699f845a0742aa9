"""The pairs that a run learns from."""

from jaxtyping import Int
from torch import Tensor

from tablefree.data.histories import Histories
from tablefree.experiments.recipes import batch_size
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task
from tablefree.training.batches import Negatives, TrainingBatches


def training_pairs(
    run: Run,
    task: Task,
    user_keys: Int[Tensor, " n"],
    item_keys: Int[Tensor, " m"],
    *,
    seed: int,
    histories: Histories | None = None,
) -> TrainingBatches:
    """The training part in batches, of implicit data with negatives that are drawn anew each time.

    Args:
        run: whose batch size they have.
        task: the data.
        user_keys: what the model's user embedding takes for each position (see `Side.keys`).
        item_keys: likewise for items.
        seed: of their order and the negatives.
        histories: of users who are the bag of what they did.
    """
    data, events = task.interactions, task.split.train
    return TrainingBatches(
        data.user[events],
        data.item[events],
        None if data.label is None else data.label[events],
        user_keys=user_keys,
        item_keys=item_keys,
        negatives=Negatives(task.train_sampler, task.train_items) if data.label is None else None,
        batch_size=run.recipe.batch_size or batch_size(task),
        seed=seed,
        histories=histories,
    )
