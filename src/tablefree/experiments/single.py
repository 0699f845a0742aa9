"""One configuration: train it into a checkpoint, and measure a checkpoint on any data."""

from dataclasses import asdict, replace
from math import isnan
from pathlib import Path

from tablefree.embeddings import Embedding
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.experiments.evaluation import evaluate
from tablefree.experiments.forms import packed_into
from tablefree.experiments.run import tell_histories, train
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Side, Task
from tablefree.ids import IdType
from tablefree.models import Recommender
from tablefree.training.checkpoint import LOGS, Checkpoint, Keys, check_folder, save_checkpoint


def train_checkpoint(
    run: Run, task: Task, folder: Path, *, show_progress: bool = False
) -> Checkpoint:
    """Train a run, pack it into its budget, measure it on the test part and write its checkpoint.

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
    if run.budgets:
        trial = packed_into(run, model, task)
        model, result = trial.module, replace(result, validation_auc=trial.quality)
    measures: dict[str, float | None] = {
        "validation_auc": result.validation_auc,
        **_evaluate(model, task, users, items),
    }
    checkpoint = Checkpoint(model.eval(), users, items, data.name, task.how, asdict(run), measures)
    save_checkpoint(folder, checkpoint)
    return checkpoint


def evaluate_checkpoint(checkpoint: Checkpoint, task: Task) -> dict[str, float | None]:
    """Measure a checkpoint on the test part of a data set.

    The data of its training and the same split give the measures of its training. Popularity is
    counted in the training part of these data, and ids that the checkpoint's vocabularies do not
    know have the row of unknown ids.

    Args:
        checkpoint: the trained model.
        task: any data with ids of the same types.

    Raises:
        InputError: ids of another type than in training.
    """
    data = task.interactions
    for feature, got, keys in (
        ("user", data.user_id_type, checkpoint.users),
        ("item", data.item_id_type, checkpoint.items),
    ):
        if got != keys.id_type:
            raise InputError(
                f"the {feature} ids of {data.name} are of type {got}, and the checkpoint was "
                f"trained on ids of type {keys.id_type}: pass the ids as in training, or say "
                f"--id-type {checkpoint.users.id_type},{checkpoint.items.id_type}"
            )
    return _evaluate(checkpoint.model, task, checkpoint.users, checkpoint.items)


def _evaluate(model: Recommender, task: Task, users: Keys, items: Keys) -> dict[str, float | None]:
    user_keys, item_keys = users(task.users.ids), items(task.items.ids)
    if isinstance(model.users, HistoryUsers):
        tell_histories(model.users, task, item_keys, user_keys)
        user_keys = task.users.keys(model.users)
    return evaluate(model, task, user_keys, item_keys)


def _keys(side: Side, embedding: Embedding, id_type: IdType) -> Keys:
    own = embedding.own if isinstance(embedding, HistoryUsers) else embedding
    is_table = own is not None and own.needs_vocabulary
    return Keys(id_type, side.vocabulary if is_table else None)
