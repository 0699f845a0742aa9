"""One configuration: train it into a checkpoint, and measure a checkpoint on any data."""

from dataclasses import asdict, replace
from math import isnan
from pathlib import Path

import torch

from tablefree.embeddings import Embedding
from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.experiments.evaluation import evaluate
from tablefree.experiments.forms import packed_into
from tablefree.experiments.run import tell_histories, train
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.models import Recommender
from tablefree.training.checkpoint import LOGS, Checkpoint, check_folder, save_checkpoint
from tablefree.training.fit import Recipe


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
    check_converged(result.validation_auc, run.recipe)
    vocabularies = _vocabularies(task, model)
    if run.budgets:
        trial = packed_into(run, model, task)
        model, result = trial.module, replace(result, validation_auc=trial.quality)
    predictor = Predictor(model, _columns(task), [], vocabularies).eval()
    measures = {"validation_auc": result.validation_auc, **_evaluate(predictor, task)}
    data = task.interactions.name
    checkpoint = Checkpoint(predictor, data, task.how, asdict(run), measures)
    save_checkpoint(folder, checkpoint)
    return checkpoint


def check_converged(validation_auc: float, recipe: Recipe) -> None:
    """Refuse a training that has no AUC, with an InputError."""
    if isnan(validation_auc):
        raise InputError(
            f"the training diverged at learning rate {recipe.learning_rate:g}: choose a smaller one"
        )


def evaluate_checkpoint(checkpoint: Checkpoint, task: Task) -> dict[str, float | None]:
    """Measure a checkpoint on the test part of a data set.

    The data of its training and the same split give the measures of its training. Popularity is
    counted in the training part of these data, and ids that the checkpoint's vocabularies do not
    know have the row of unknown ids.

    Args:
        checkpoint: the trained model, a recommender.
        task: any data with ids of the same types.

    Raises:
        InputError: ids of another type than in training.
    """
    data, columns = task.interactions, checkpoint.predictor.columns
    for what, got, column in zip(
        ("user", "item"), (data.user_id_type, data.item_id_type), columns, strict=True
    ):
        if got != column.type:
            types = ",".join(one.type for one in columns)
            raise InputError(
                f"the {what} ids of {data.name} are of type {got}, and the checkpoint was trained "
                f"on ids of type {column.type}: pass the ids as in training, or say --id-type "
                f"{types}"
            )
    return _evaluate(checkpoint.predictor, task)


def _evaluate(predictor: Predictor, task: Task) -> dict[str, float | None]:
    model = predictor.model
    assert isinstance(model, Recommender)
    user_keys, item_keys = (
        predictor.keys(feature, torch.from_numpy(side.ids))
        for feature, side in zip(predictor.features, (task.users, task.items), strict=True)
    )
    if isinstance(model.users, HistoryUsers):
        tell_histories(model.users, task, item_keys, user_keys)
        user_keys = task.users.keys(model.users)
    return evaluate(model, task, user_keys, item_keys)


def _columns(task: Task) -> list[Column]:
    """The user and the item, as any table's columns."""
    data = task.interactions
    return [
        Column(data.user_column, "categorical", data.user_id_type),
        Column(data.item_column, "categorical", data.item_id_type),
    ]


def _vocabularies(task: Task, model: Recommender) -> dict[str, torch.Tensor]:
    """The ids of those sides whose embeddings are tables."""
    embeddings = (model.users, model.items)
    sides = zip(_columns(task), embeddings, (task.users, task.items), strict=True)
    return {
        column.name: torch.from_numpy(side.vocabulary.ids)
        for column, embedding, side in sides
        if _is_table(embedding)
    }


def _is_table(embedding: Embedding) -> bool:
    own = embedding.own if isinstance(embedding, HistoryUsers) else embedding
    return own is not None and own.needs_vocabulary
