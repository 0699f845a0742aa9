"""What a trained model is worth on the test part, as it is and in fewer bits, and what it takes."""

import time
from math import log
from statistics import median

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.embeddings import Embedding
from tablefree.embeddings.history import HistoryUsers
from tablefree.embeddings.quantize import BITS, deployed_bytes, quantize_rows
from tablefree.experiments.task import BUCKETS, Pairs, Task
from tablefree.models import GMF, Recommender
from tablefree.training.batches import Batch, Negatives
from tablefree.training.metrics import (
    auc,
    expected_calibration_error,
    log_loss,
    ranking,
    score_pairs,
)
from tablefree.training.ranking import full_ranking

TIMED_IDS, TIMINGS = 4096, 7
DTYPES = tuple(BITS)
FEWEST_IN_BUCKET = 50  # of either label, for an AUC by popularity


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
        The columns `test_…` of the model as it is, `calibration_error`, and those of the rankings;
        None for the AUC of a bucket with too few events, and for a ranking of none.
    """
    test = batch_of(task.test, user_keys, item_keys)
    logits = score_pairs(model, test.users, test.items)
    # Of implicit feedback training has several negatives for a positive, and the test part one.
    shift = 0.0 if task.interactions.label is not None else log(Negatives.per_positive)
    measures: dict[str, float | None] = {
        "test_auc": auc(logits, test.labels),
        "test_log_loss": log_loss(logits + shift, test.labels),
        "calibration_error": expected_calibration_error(logits + shift, test.labels),
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
    measures["recall_20"], measures["ndcg_20"] = rank_all(model, task, user_keys, item_keys)
    return measures


def rank_all(
    model: Recommender, task: Task, user_keys: Int[Tensor, " n"], item_keys: Int[Tensor, " m"]
) -> tuple[float | None, float | None]:
    """Recall@20 and NDCG@20 among all items; None where there is nothing to rank."""
    held_out = task.held_out if isinstance(model, GMF) else task.held_out_few
    if held_out is None:
        return None, None
    return full_ranking(model, held_out, user_keys, item_keys)


def evaluate_rounded(
    model: Recommender, task: Task, user_keys: Int[Tensor, " n"], item_keys: Int[Tensor, " m"]
) -> dict[str, float]:
    """Measure a model whose rows are held in fewer bits.

    Returns:
        For each dtype of `DTYPES`, `deployed_bytes_…`, the vocabularies included, and but for
        float32 `validation_auc_…`, by which one is chosen, and `test_auc_…`.
    """
    parts = {
        "validation": batch_of(task.validation, user_keys, item_keys),
        "test": batch_of(task.test, user_keys, item_keys),
    }
    keys = vocabulary_bytes(model, task)
    measures: dict[str, float] = {}
    for dtype in DTYPES:
        measures[f"deployed_bytes_{dtype}"] = deployed_bytes(model, dtype, keys)
        if dtype != "float32":
            rounded = quantize_rows(model, dtype)
            for part, pairs in parts.items():
                logits = score_pairs(rounded, pairs.users, pairs.items)
                measures[f"{part}_auc_{dtype}"] = auc(logits, pairs.labels)
    return measures


def vocabulary_bytes(model: Recommender, task: Task) -> int:
    """Bytes of the vocabularies that the embeddings of a model need."""
    users = model.users.own if isinstance(model.users, HistoryUsers) else model.users
    sides = ((task.users, users), (task.items, model.items))
    return sum(
        side.vocabulary.num_bytes
        for side, embedding in sides
        if embedding is not None and embedding.needs_vocabulary
    )


@torch.no_grad()
def milliseconds_per_id(embedding: Embedding, keys: Tensor) -> float:
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


def batch_of(pairs: Pairs, user_keys: Int[Tensor, " n"], item_keys: Int[Tensor, " m"]) -> Batch:
    """Pairs of positions as a model takes them, by what its embeddings take for each."""
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
