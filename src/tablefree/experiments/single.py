"""One configuration: train it into a checkpoint, and measure a checkpoint on any data."""

from dataclasses import asdict
from math import isnan
from pathlib import Path

from tablefree.data import Interactions
from tablefree.data.interactions import IdType
from tablefree.embeddings import Embedding
from tablefree.errors import InputError
from tablefree.experiments.run import Run, evaluate, train
from tablefree.experiments.task import Side, Task
from tablefree.training.checkpoint import LOGS, Checkpoint, Keys, check_folder, save_checkpoint


def train_checkpoint(
    run: Run, task: Task, folder: Path, *, show_progress: bool = False
) -> Checkpoint:
    """Train a run, measure it on the test part and write its checkpoint.

    Args:
        run: what is trained.
        task: the data.
        folder: where the checkpoint goes, and a TensorBoard log into `logs` in it.
        show_progress: whether a progress bar is shown.

    Raises:
        InputError: a run that cannot be built, a folder that is not free or cannot be written to,
            all before any training; or a training that diverged.
    """
    run.outline(task)
    check_folder(folder)
    model, result = train(run, task, log_folder=folder / LOGS, show_progress=show_progress)
    if isnan(result.validation_auc):
        raise InputError(
            f"the training diverged at learning rate {run.recipe.learning_rate:g}: choose a "
            "smaller one"
        )
    data = task.interactions
    users = _keys(task.users, model.users, data.user_id_type)
    items = _keys(task.items, model.items, data.item_id_type)
    measures = {
        "validation_auc": result.validation_auc,
        **evaluate(model, task, users(task.users.ids), items(task.items.ids)),
    }
    checkpoint = Checkpoint(model.eval(), users, items, data.name, task.how, asdict(run), measures)
    save_checkpoint(folder, checkpoint)
    return checkpoint


def evaluate_checkpoint(
    checkpoint: Checkpoint, interactions: Interactions, how: str | None = None
) -> dict[str, float | None]:
    """Measure a checkpoint on the test part of a data set.

    The data of its training and the same split give the measures of its training. Popularity is
    counted in the training part of these data, and ids that the checkpoint's vocabularies do not
    know have the row of unknown ids.

    Args:
        checkpoint: the trained model.
        interactions: any data with ids of the same types.
        how: name of the split; that of the training by default.

    Raises:
        InputError: ids of another type than in training, or data that cannot be split so.
    """
    for feature, got, keys in (
        ("user", interactions.user_id_type, checkpoint.users),
        ("item", interactions.item_id_type, checkpoint.items),
    ):
        if got != keys.id_type:
            raise InputError(
                f"the {feature} ids of {interactions.name} are of type {got}, and the checkpoint "
                f"was trained on ids of type {keys.id_type}: pass the ids as in training"
            )
    task = Task.from_interactions(interactions, how or checkpoint.split)
    return evaluate(
        checkpoint.model,
        task,
        checkpoint.users(interactions.user_ids),
        checkpoint.items(interactions.item_ids),
    )


def _keys(side: Side, embedding: Embedding, id_type: IdType) -> Keys:
    return Keys(id_type, side.vocabulary if embedding.needs_vocabulary else None)
