"""A run: train what is specified, and make of it a row of the results."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from math import inf
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.embeddings.history import HistoryUsers
from tablefree.embeddings.quantize import deployed_bytes
from tablefree.experiments.evaluation import (
    batch_of,
    evaluate,
    evaluate_rounded,
    milliseconds_per_id,
    vocabulary_bytes,
)
from tablefree.experiments.forms import measured_forms
from tablefree.experiments.pairs import training_pairs
from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.spec import Run, identity, seeded
from tablefree.experiments.task import Task
from tablefree.machine import describe_machine, describe_versions
from tablefree.models import Recommender
from tablefree.training.fit import Fit, fit

# With what a run is specified by, in one place for whoever scripts runs.
__all__ = ["Run", "default_recipe", "evaluate", "measure", "tell_histories", "train"]


def measure(
    run: Run,
    task: Task,
    *,
    prune: Callable[[int, float], bool] = lambda _epoch, _auc: False,
    best_so_far: float = -inf,
) -> dict[str, object]:
    """Train and evaluate a run.

    Args:
        run: what is trained.
        task: the data.
        best_so_far: of the validation AUCs of other trials; a run that is not better is not
            packed, for it will not be selected.
        prune: called after each epoch with its number, from 1, and the validation AUC; when it
            returns True the training ends there, and the run is not tested.

    Returns:
        A row for `results.parquet`, without the columns of the tuning; and, of a run with budgets
        that may be selected, "forms", rows for `forms.parquet`.
    """
    curve: list[float] = []
    was_pruned = False

    def on_epoch(epoch: int, validation_auc: float) -> bool:
        nonlocal was_pruned
        curve.append(validation_auc)
        was_pruned = prune(epoch, validation_auc)
        return was_pruned

    model, result = train(run, task, on_epoch=on_epoch)
    sides = ((task.users, model.users), (task.items, model.items))
    embeddings = (model.users, model.items)
    user_keys, item_keys = (side.keys(embedding) for side, embedding in sides)
    row: dict[str, object] = {
        **identity(run, task),
        "notes": "\n".join(task.notes),
        "num_parameters": sum(embedding.num_parameters for embedding in embeddings),
        "num_bytes": sum(deployed_bytes(embedding, "float32", 0) for embedding in embeddings),
        "vocabulary_bytes": vocabulary_bytes(model, task),
        "multiply_adds": round(sum(one.multiply_adds for one in embeddings) / len(embeddings)),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "pruned": was_pruned,
        "validation_curve": curve,
        "validation_auc": result.validation_auc,
        "train_seconds": result.seconds,
        "configuration": json.dumps({"users": str(model.users), "items": str(model.items)}),
        "versions": describe_versions(),
        "machine": describe_machine(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if was_pruned:
        return row
    if run.budgets and result.validation_auc > best_so_far:
        row["forms"] = measured_forms(run, model, task, user_keys, item_keys, result.training_bytes)
    return {
        **row,
        **evaluate(model, task, user_keys, item_keys),
        **evaluate_rounded(model, task, user_keys, item_keys),
        "milliseconds_per_id": sum(
            milliseconds_per_id(embedding, keys)
            for embedding, keys in ((model.users, user_keys), (model.items, item_keys))
        )
        / len(sides),
    }


def train(
    run: Run,
    task: Task,
    *,
    log_folder: Path | None = None,
    show_progress: bool = False,
    on_epoch: Callable[[int, float], bool] | None = None,
) -> tuple[Recommender, Fit]:
    """Train a run's model and return it with the weights of its best epoch.

    Args:
        run: what is trained.
        task: the data.
        log_folder: see `fit`, as all that follow.
        show_progress: whether a progress bar is shown.
        on_epoch: called after each epoch; the training ends when it returns True.
    """
    model = run.build_model(task)
    user_keys, item_keys = task.users.keys(model.users), task.items.keys(model.items)
    histories = None
    if isinstance(model.users, HistoryUsers):
        histories = task.histories
        tell_histories(
            model.users, task, item_keys, task.users.keys(model.users.own or model.users)
        )
    batches = training_pairs(run, task, user_keys, item_keys, seed=run.seed, histories=histories)
    validation = batch_of(task.validation, user_keys, item_keys)
    with seeded(run.seed):  # for dropout
        try:
            result = fit(
                model,
                batches,
                validation,
                run.recipe,
                log_folder=log_folder,
                show_progress=show_progress,
                on_epoch=on_epoch,
            )
        except SystemExit as stop:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from stop
    return model.cpu(), result


def tell_histories(
    users: HistoryUsers, task: Task, item_keys: Int[Tensor, " m"], own_keys: Int[Tensor, " n"]
) -> None:
    """Tell an embedding of users what each did in the training part of a task.

    Args:
        users: the embedding.
        task: the data.
        item_keys: what the embedding of the items takes for each position.
        own_keys: what the embedding of the users' own ids takes, if there is one.
    """
    histories = task.histories
    users.set_histories(
        torch.from_numpy(histories.offsets),
        item_keys[torch.from_numpy(histories.items)],
        None if users.own is None else own_keys,
    )
