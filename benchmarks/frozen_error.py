"""What freezing costs: a GMF with deep hash embeddings, trained on ML-1M and frozen in each dtype.

Deep hash has 1/4 of the full tables' parameters and is trained as `tablefree train` does by
default. Every embedding of the data set, of users and items, is compared with that of the trained
model in float32, by its cosine; the test AUC is that of the same pairs; a batch has 4,096 distinct
ids, and its time is the median of seven.

Run: python benchmarks/frozen_error.py [--epochs 10] (data: $TABLEFREE_DATA/ml-1m, or downloaded)
"""

import argparse
import copy
import os
import time
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor

from tablefree import DeepHashEmbedding, Embedding
from tablefree.bench.case import dtype_text
from tablefree.data.load import load_interactions
from tablefree.experiments.run import train
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task
from tablefree.frozen_network import FROZEN_DTYPES
from tablefree.machine import describe_machine
from tablefree.models import Recommender
from tablefree.training.fit import Recipe, fast_precision
from tablefree.training.metrics import auc, score_pairs

TIMED_IDS, TIMINGS = 4096, 7


def ml_1m() -> Task:
    folder = os.environ.get("TABLEFREE_DATA")
    return Task.from_interactions(load_interactions(f"{folder}/ml-1m" if folder else "ml-1m"))


def recipe(epochs: int) -> Recipe:
    """That of `tablefree train`."""
    return Recipe(
        learning_rate=0.01, optimizer="muon", max_epochs=epochs, precision=fast_precision()
    )


def freeze(model: Recommender, dtype: torch.dtype) -> Recommender:
    """The model over frozen embeddings."""
    frozen = copy.deepcopy(model)
    for name in ("users", "items"):
        embedding = getattr(model, name)
        assert isinstance(embedding, DeepHashEmbedding)
        setattr(frozen, name, embedding.freeze(dtype))
    return frozen.eval()


def area(model: Recommender, task: Task) -> float:
    """The test AUC of a model without vocabularies."""
    users, items, labels = map(torch.from_numpy, task.test)
    user_ids, item_ids = torch.from_numpy(task.users.ids), torch.from_numpy(task.items.ids)
    return auc(score_pairs(model, user_ids[users], item_ids[items]), labels)


@torch.no_grad()
def cosines(embedding: Embedding, exact: Embedding, ids: Tensor) -> str:
    """Mean and least."""
    found = F.cosine_similarity(embedding(ids).double(), exact(ids).double())
    return f"{float(found.mean()):.6f} {float(found.min()):.6f}"


@torch.no_grad()
def milliseconds(embedding: Embedding) -> float:
    """Median time of a batch of distinct ids."""
    ids = torch.arange(TIMED_IDS)
    embedding(ids)
    times = []
    for _ in range(TIMINGS):
        start = time.perf_counter()
        embedding(ids)
        times.append((time.perf_counter() - start) * 1e3)
    return median(times)


def shape(embedding: Embedding) -> str:
    config = embedding.config()
    return f"k {config['num_hashes']}, hidden {config['hidden']}"


def main() -> None:
    """Train once, freeze in every dtype, print what differs."""
    parser = argparse.ArgumentParser(description="What freezing costs.")
    parser.add_argument("--epochs", type=int, default=10, help="at most")
    task = ml_1m()
    run = Run("deep_hash", "gmf", 1 / 4, 0, 32, recipe(parser.parse_args().epochs))
    trained, result = train(run, task)
    trained.eval()
    users, items = torch.from_numpy(task.users.ids), torch.from_numpy(task.items.ids)
    print(
        f"{describe_machine()}; torch {torch.__version__}\n"
        f"{task.interactions.name}, GMF, deep hash 1/4, best epoch {result.best_epoch} of "
        f"{result.epochs}; users {shape(trained.users)}; items {shape(trained.items)}\n"
        f"{'':<15} cosine, users     cosine, items               bytes of    ms for "
        f"{TIMED_IDS} ids\n"
        f"{'':<15} mean     least    mean     least    test AUC  embeddings   users  items"
    )
    models = {"trained": trained} | {
        f"frozen {dtype_text(dtype)}": freeze(trained, dtype) for dtype in FROZEN_DTYPES
    }
    for name, model in models.items():
        num_bytes = sum(one.describe().num_bytes for one in (model.users, model.items))
        print(
            f"{name:<15} {cosines(model.users, trained.users, users)} "
            f"{cosines(model.items, trained.items, items)} {area(model, task):.5f} "
            f"{num_bytes:>11,} {milliseconds(model.users):>7.2f} {milliseconds(model.items):>6.2f}"
        )


if __name__ == "__main__":
    main()
