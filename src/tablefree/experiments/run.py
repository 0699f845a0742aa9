"""One run: build the embeddings of a method at a size, train a model over them, measure it."""

import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.embeddings import Embedding
from tablefree.embeddings.budget import build
from tablefree.experiments.task import BUCKETS, Pairs, Side, Task
from tablefree.models import MODELS, Recommender
from tablefree.network import check_choice
from tablefree.training.batches import Batch, Negatives, TrainingBatches
from tablefree.training.fit import Fit, Recipe, fit
from tablefree.training.metrics import auc, log_loss, ranking, score_pairs

STEPS_PER_EPOCH = 128  # about so many, where the data allows
SMALLEST_BATCH, LARGEST_BATCH = 256, 4096
TIMED_IDS, TIMINGS = 4096, 7
FEWEST_IN_BUCKET = 50  # of either label, for an AUC by popularity


@dataclass(frozen=True)
class Run:
    """What is trained.

    Attributes:
        method: of the embeddings, one of `tablefree.embeddings.budget.METHODS`.
        model: "gmf" or "mlp".
        size: parameters of the embeddings, as a ratio to the full tables'.
        seed: of the weights, the hash functions, and the order and negatives of the training.
        embedding_dim: width of the embeddings.
        recipe: how it is trained.
    """

    method: str
    model: str
    size: float
    seed: int
    embedding_dim: int
    recipe: Recipe

    def build_model(self, task: Task) -> Recommender:
        """Build the untrained model, without touching the global random state.

        Raises:
            InputError: an unknown model or method, or a size that the method cannot have.
        """
        check_choice("model", self.model, tuple(MODELS))
        with _seeded(self.seed):
            return MODELS[self.model](self._embedding(task.users), self._embedding(task.items))

    def check(self, task: Task) -> None:
        """Refuse what cannot be built, without the time and memory of building it.

        Raises:
            InputError: as `build_model`.
        """
        with torch.device("meta"):
            self.build_model(task)

    def _embedding(self, side: Side) -> Embedding:
        return build(
            self.method,
            # At least one, so that a size too small is refused with the smallest that is possible.
            num_parameters=max(1, round(self.size * side.num_embeddings * self.embedding_dim)),
            num_embeddings=side.num_embeddings,
            embedding_dim=self.embedding_dim,
            seed=f"{side.name}:{self.seed}",
            frequent_ids=side.frequent_ids,
        )


def batch_size(task: Task) -> int:
    """Events a batch: about `STEPS_PER_EPOCH` batches, a power of two within bounds."""
    wanted = max(1, len(task.split.train) // STEPS_PER_EPOCH)
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, 1 << wanted.bit_length()))


def train(
    run: Run, task: Task, *, log_folder: Path | None = None, show_progress: bool = False
) -> tuple[Recommender, Fit]:
    """Train a run's model and return it with the weights of its best epoch."""
    model = run.build_model(task)
    data, events = task.interactions, task.split.train
    user_keys, item_keys = task.users.keys(model.users), task.items.keys(model.items)
    batches = TrainingBatches(
        data.user[events],
        data.item[events],
        None if data.label is None else data.label[events],
        user_keys=user_keys,
        item_keys=item_keys,
        negatives=Negatives(task.sampler, task.train_items) if data.label is None else None,
        batch_size=batch_size(task),
        seed=run.seed,
    )
    validation = _batch(task.validation, user_keys, item_keys)
    with _seeded(run.seed):  # for dropout
        try:
            result = fit(
                model,
                batches,
                validation,
                run.recipe,
                log_folder=log_folder,
                show_progress=show_progress,
            )
        except SystemExit as stop:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from stop
    return model.cpu(), result


def evaluate(
    model: Recommender, task: Task, user_keys: Int[Tensor, " n"], item_keys: Int[Tensor, " m"]
) -> dict[str, float | None]:
    """Measure a model on the test part.

    Args:
        model: any recommender.
        task: the data.
        user_keys: what the model's user embedding takes for each position (see `Side.keys`).
        item_keys: likewise for items.

    Returns:
        The columns `test_…`, `hit_rate_10` and `ndcg_10` of the results; None for the AUC of a
        bucket with too few events.
    """
    test = _batch(task.test, user_keys, item_keys)
    logits = score_pairs(model, test.users, test.items)
    measures: dict[str, float | None] = {
        "test_auc": auc(logits, test.labels),
        "test_log_loss": log_loss(logits, test.labels),
    }
    bucket = torch.from_numpy(task.item_bucket[task.test.items])
    for position, name in enumerate(BUCKETS):
        inside = bucket == position
        labels = test.labels[inside]
        fewest = min(int(labels.sum()), int((1 - labels).sum()))
        measures[f"test_auc_{name}"] = (
            auc(logits[inside], labels) if fewest >= FEWEST_IN_BUCKET else None
        )
    measures["hit_rate_10"], measures["ndcg_10"] = _ranking(model, task, user_keys, item_keys)
    return measures


def measure(run: Run, task: Task) -> dict[str, object]:
    """Train and evaluate a run.

    Returns:
        A row for `results.parquet`.
    """
    model, result = train(run, task)
    sides = ((task.users, model.users), (task.items, model.items))
    costs = [embedding.describe() for _, embedding in sides]
    user_keys, item_keys = (side.keys(embedding) for side, embedding in sides)
    return {
        **identity(run, task),
        "num_parameters": sum(cost.num_parameters for cost in costs),
        "num_bytes": sum(cost.num_bytes for cost in costs),
        "vocabulary_bytes": sum(
            side.vocabulary.num_bytes for side, embedding in sides if embedding.needs_vocabulary
        ),
        "multiply_adds": round(sum(cost.multiply_adds for cost in costs) / len(costs)),
        "epochs": result.epochs,
        "best_epoch": result.best_epoch,
        "validation_auc": result.validation_auc,
        "train_seconds": result.seconds,
        **evaluate(model, task, user_keys, item_keys),
        "milliseconds_per_id": sum(
            _milliseconds_per_id(embedding, keys)
            for embedding, keys in ((model.users, user_keys), (model.items, item_keys))
        )
        / len(sides),
        "configuration": json.dumps({"users": str(model.users), "items": str(model.items)}),
        "versions": json.dumps(
            {name: version(name) for name in ("tablefree", "torch", "lightning", "numpy")}
            | {"python": platform.python_version()}
        ),
        "machine": describe_machine(),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def identity(run: Run, task: Task) -> dict[str, object]:
    """The columns of the results that tell one run from another, known before it is trained."""
    return {
        "dataset": task.interactions.name,
        "split": task.how,
        "method": run.method,
        "model": run.model,
        "size": run.size,
        "seed": run.seed,
        "learning_rate": run.recipe.learning_rate,
        "weight_decay": run.recipe.weight_decay,
        "optimizer": run.recipe.optimizer,
        "precision": run.recipe.precision,
        "max_epochs": run.recipe.max_epochs,
        "patience": run.recipe.patience,
        "batch_size": batch_size(task),
        "embedding_dim": run.embedding_dim,
        "num_users": task.users.num_embeddings,
        "num_items": task.items.num_embeddings,
        "num_train_events": len(task.split.train),
    }


def describe_machine() -> str:
    """Processor, cores and threads in use."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.partition(":")[2].strip()
            for line in cpuinfo.read_text().splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads a run"


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Torch's generators seeded within, and as they were afterwards."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _batch(pairs: Pairs, user_keys: Tensor, item_keys: Tensor) -> Batch:
    return Batch(
        user_keys[torch.from_numpy(pairs.users)],
        item_keys[torch.from_numpy(pairs.items)],
        torch.from_numpy(pairs.labels),
    )


def _ranking(
    model: Recommender, task: Task, user_keys: Tensor, item_keys: Tensor
) -> tuple[float, float]:
    users, positives, negatives = task.test_ranking
    candidates = np.concatenate([positives[:, None], negatives], axis=1)
    repeated = np.repeat(users, candidates.shape[1])
    logits = score_pairs(
        model,
        user_keys[torch.from_numpy(repeated)],
        item_keys[torch.from_numpy(candidates.ravel())],
    ).view(candidates.shape)
    return ranking(logits[:, 0], logits[:, 1:])


@torch.no_grad()
def _milliseconds_per_id(embedding: Embedding, keys: Tensor) -> float:
    """Time of a batch of distinct ids at inference, in milliseconds an id: median of several."""
    embedding.eval()
    batch = torch.unique(keys)[:TIMED_IDS]
    embedding(batch)
    seconds = []
    for _ in range(TIMINGS):
        start = time.perf_counter()
        embedding(batch)
        seconds.append(time.perf_counter() - start)
    return median(seconds) * 1e3 / len(batch)
