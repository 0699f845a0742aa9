"""One run: build the embeddings of a method at a size, train a model over them, measure it."""

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from math import log
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.checks import check_choice
from tablefree.embeddings import DecodedEmbedding, Embedding, NarrowTable
from tablefree.embeddings.budget import build
from tablefree.embeddings.history import HistoryUsers
from tablefree.embeddings.quantize import BITS, deployed_bytes, quantize_rows
from tablefree.encodings import DenseHashEncoding, Encoding, SideFeatures
from tablefree.errors import InputError
from tablefree.experiments.designs import Design
from tablefree.experiments.task import BUCKETS, Pairs, Side, Task
from tablefree.models import GMF, MODELS, Recommender
from tablefree.training.batches import Batch, Negatives, TrainingBatches
from tablefree.training.fit import Fit, Recipe, fast_precision, fit
from tablefree.training.metrics import (
    auc,
    expected_calibration_error,
    log_loss,
    ranking,
    score_pairs,
)
from tablefree.training.ranking import full_ranking
from tablefree.version import __version__

STEPS_PER_EPOCH = 128  # about so many, where the data allows
SMALLEST_BATCH, LARGEST_BATCH = 256, 4096
EPOCHS = 20
TIMED_IDS, TIMINGS = 4096, 7
USERS = ("id", "history", "both")
SIDE_FEATURES = ("none", "encoding", "input")
# Decay of rows under a decoder is this over the root of the events an id. Adam divides a row's
# gradient by the root of its mean square, which grows with its events: so the decay is that of one
# prior for all rows.
CODE_DECAY = 2.7
# Rows that are embeddings themselves want this much in an epoch, whatever their events, and each
# step its share. Both were found on eight data sets: docs/lab-notes.md, "Defaults again".
TABLE_DECAY = 110.0
LARGEST_DECAY = 2.0  # the largest that was the best on any data
HISTORY_ALPHA = 0.75  # better than .5 on sparse data
DTYPES = tuple(BITS)
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
        decoder: widths of the hidden layers of a decoder over the embeddings of any method.
        code_width: numbers of the code under a decoder or a projection; by default what `build`
            chooses.
        users: what a user is, one of `USERS`: its "id"; its "history", the bag of the items of its
            training events, in the code of the items; or "both", added.
        side_features: where the features that the data has go, one of `SIDE_FEATURES`: nowhere
            ("none"), beside the code under the decoder ("encoding"), or into a linear layer over
            the finished embedding ("input").
        study: of an ablation, the factor that it varies.
        variant: likewise, the level of the factor.
        design: likewise, the encoding and the network, in place of the method's own.
        fixed: fields of the recipe that tuning leaves as they are.
    """

    method: str
    model: str
    size: float
    seed: int
    embedding_dim: int
    recipe: Recipe
    decoder: tuple[int, ...] = ()
    code_width: int | None = None
    users: str = "id"
    side_features: str = "none"
    study: str = ""
    variant: str = ""
    design: Design | None = None
    fixed: tuple[str, ...] = ()

    def build_model(self, task: Task) -> Recommender:
        """Build the untrained model, without touching the global random state.

        Raises:
            InputError: an unknown model, method, kind of users or place of the features, data
                without features, or a size that the method cannot have.
        """
        check_choice("model", self.model, tuple(MODELS))
        check_choice("users", self.users, USERS)
        check_choice("side_features", self.side_features, SIDE_FEATURES)
        has_features = task.users.features is not None or task.items.features is not None
        if self.side_features != "none" and not has_features:
            raise InputError(
                f"{task.interactions.name} has no features of users or items: use "
                "side_features none, or other data"
            )
        with _seeded(self.seed):
            users = self._embedding(task.users) if self.users != "history" else None
            items = self._embedding(task.items)
            if self.users != "id":
                users = self._histories(items, own=users)
            assert users is not None
            return MODELS[self.model](users, items)

    def outline(self, task: Task) -> Recommender:
        """The untrained model without the time and memory of its weights.

        Raises:
            InputError: as `build_model`.
        """
        with torch.device("meta"):
            return self.build_model(task)

    def _histories(self, items: Embedding, own: Embedding | None) -> HistoryUsers:
        """Users over the learned code of the items, with a decoder like theirs if it has one."""
        is_learned = isinstance(items, DecodedEmbedding) and not isinstance(
            items.encodings[0], DenseHashEncoding
        )
        if not is_learned:
            return HistoryUsers(items, self.embedding_dim, alpha=HISTORY_ALPHA, own=own)
        items = cast(DecodedEmbedding, items)
        return HistoryUsers(
            cast(Encoding, items.encodings[0]),
            self.embedding_dim,
            hidden=items.options["hidden"],
            alpha=HISTORY_ALPHA,
            own=own,
        )

    def _embedding(self, side: Side) -> Embedding:
        """The embedding of the method, over features too where it has some and they are asked for.

        What the features' weights take is taken from the size, so that sizes stay comparable.
        """
        if self.side_features == "none" or side.features is None:
            return self._without_features(side)
        width, dim = side.features.shape[1] + 1, self.embedding_dim  # and a flag
        if self.side_features == "input":
            embedding = self._without_features(side, (dim + width + 1) * dim)
            return self._over_features(side, embedding, [embedding], hidden=(), skip=False)
        embedding = self._without_features(side)
        if not isinstance(embedding, DecodedEmbedding):
            raise InputError(
                f"side features at the encoding need a network: give {self.method} a decoder, or "
                "use side_features input"
            )
        spent = width * (embedding.options["hidden"][0] + dim * embedding.options["skip"])
        embedding = cast(DecodedEmbedding, self._without_features(side, spent))
        codes = cast(Sequence[Encoding], embedding.encodings)
        return self._over_features(side, embedding, codes, **embedding.options)

    def _over_features(
        self, side: Side, of: Embedding, codes: Sequence[Encoding], **options: Any
    ) -> DecodedEmbedding:
        """A network over the codes and the features, by what the embedding of the ids takes."""
        assert side.features is not None
        keys, values = side.keys(of), torch.from_numpy(side.features)
        is_trained = torch.from_numpy(side.train_counts > 0)
        features = SideFeatures(keys[is_trained], values[is_trained])
        embedding = DecodedEmbedding(self.embedding_dim, [*codes, features], **options)
        if not of.needs_vocabulary:  # else the other ids have one row, and no features of their own
            # Now, as the scale of the first weights is that of the trained ids.
            embedding.encodings[-1] = SideFeatures(keys, values)
        return embedding

    def _without_features(self, side: Side, spent: int = 0) -> Embedding:
        """The embedding of the method, with `spent` parameters less than its size allows.

        A full table has one size, and features come on top.
        """
        spent = 0 if self.method == "full_table" else spent
        if self.method == "narrow_table" and self.code_width and not self.decoder:
            return NarrowTable(side.num_embeddings, self.embedding_dim, self.code_width)
        # At least one, so that a size too small is refused with the smallest that is possible.
        left = max(1, round(self.size * side.num_embeddings * self.embedding_dim) - spent)
        seed = f"{side.name}:{self.seed}"
        if self.design is not None:
            return self.design.build(side, left, self.embedding_dim, seed)
        return build(
            self.method,
            num_parameters=left,
            num_embeddings=side.num_embeddings,
            embedding_dim=self.embedding_dim,
            seed=seed,
            frequent_ids=side.frequent_ids,
            decoder=self.decoder,
            code_width=self.code_width,
        )


def default_recipe(
    method: str,
    events_per_id: float,
    *,
    steps_per_epoch: float = STEPS_PER_EPOCH,
    has_decoder: bool = False,
    **changes: Any,
) -> Recipe:
    """The recipe for a method where nothing is tuned, and the first trial where something is.

    Rows learn faster than networks, and decay: see `TABLE_DECAY` and `CODE_DECAY`. A network
    without rows under it, that of "deep_hash", has Muon and decay instead.

    Args:
        method: of the embeddings.
        events_per_id: see `Task.events_per_id`.
        steps_per_epoch: batches of an epoch, see `steps_per_epoch`.
        has_decoder: whether a method that has no decoder of its own is given one.
        changes: fields of `Recipe` that are to be other than the default, unless None.
    """
    has_rows = method != "deep_hash"
    is_code = has_decoder or method in ("sketch", "narrow_table")
    decay = (
        CODE_DECAY / max(1.0, events_per_id) ** 0.5
        if is_code
        else min(LARGEST_DECAY, TABLE_DECAY / steps_per_epoch)
    )
    defaults: dict[str, Any] = {
        "learning_rate": 0.03,
        "weight_decay": float(f"{decay:.2g}"),
        "network_learning_rate": 0.01,
        "network_weight_decay": 0.0 if has_rows else 0.1,
        "optimizer": "adamw" if has_rows else "muon",
        "max_epochs": EPOCHS,
        # Rates fall to zero, and what stood still for half of the epochs rises when they are low.
        "patience": changes.get("max_epochs") or EPOCHS,
        # With few numbers a row, products in bfloat16 are slower: each new number of distinct ids
        # has oneDNN compile a kernel.
        "precision": "float32" if has_rows else fast_precision(),
    }
    given = {name: value for name, value in changes.items() if value is not None}
    return Recipe(**defaults | given)


def batch_size(task: Task) -> int:
    """Events a batch: about `STEPS_PER_EPOCH` batches, a power of two within bounds."""
    wanted = max(1, len(task.split.train) // STEPS_PER_EPOCH)
    return min(LARGEST_BATCH, max(SMALLEST_BATCH, 1 << wanted.bit_length()))


def steps_per_epoch(task: Task) -> int:
    """Batches of an epoch, of the size that is the default."""
    return -(-len(task.split.train) // batch_size(task))


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
    data, events = task.interactions, task.split.train
    user_keys, item_keys = task.users.keys(model.users), task.items.keys(model.items)
    histories = None
    if isinstance(model.users, HistoryUsers):
        histories = task.histories
        tell_histories(
            model.users, task, item_keys, task.users.keys(model.users.own or model.users)
        )
    batches = TrainingBatches(
        data.user[events],
        data.item[events],
        None if data.label is None else data.label[events],
        user_keys=user_keys,
        item_keys=item_keys,
        negatives=Negatives(task.train_sampler, task.train_items) if data.label is None else None,
        batch_size=run.recipe.batch_size or batch_size(task),
        seed=run.seed,
        histories=histories,
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
                on_epoch=on_epoch,
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
        The columns `test_…` of the model as it is, `calibration_error`, and those of the rankings;
        None for the AUC of a bucket with too few events, and for a ranking of none.
    """
    test = _batch(task.test, user_keys, item_keys)
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
    held_out = task.held_out if isinstance(model, GMF) else task.held_out_few
    measures["recall_20"], measures["ndcg_20"] = (
        full_ranking(model, held_out, user_keys, item_keys)
        if held_out is not None
        else (None, None)
    )
    return measures


def evaluate_rounded(
    model: Recommender, task: Task, user_keys: Int[Tensor, " n"], item_keys: Int[Tensor, " m"]
) -> dict[str, float]:
    """Measure a model whose rows are held in fewer bits.

    Returns:
        For each dtype of `DTYPES`, `deployed_bytes_…`, the vocabularies included, and but for
        float32 `validation_auc_…`, by which one is chosen, and `test_auc_…`.
    """
    parts = {
        "validation": _batch(task.validation, user_keys, item_keys),
        "test": _batch(task.test, user_keys, item_keys),
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


def measure(
    run: Run, task: Task, *, prune: Callable[[int, float], bool] = lambda _epoch, _auc: False
) -> dict[str, object]:
    """Train and evaluate a run.

    Args:
        run: what is trained.
        task: the data.
        prune: called after each epoch with its number, from 1, and the validation AUC; when it
            returns True the training ends there, and the run is not tested.

    Returns:
        A row for `results.parquet`, without the columns of the tuning.
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
    return {
        **row,
        **evaluate(model, task, user_keys, item_keys),
        **evaluate_rounded(model, task, user_keys, item_keys),
        "milliseconds_per_id": sum(
            _milliseconds_per_id(embedding, keys)
            for embedding, keys in ((model.users, user_keys), (model.items, item_keys))
        )
        / len(sides),
    }


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


def vocabulary_bytes(model: Recommender, task: Task) -> int:
    """Bytes of the vocabularies that the embeddings of a model need."""
    users = model.users.own if isinstance(model.users, HistoryUsers) else model.users
    sides = ((task.users, users), (task.items, model.items))
    return sum(
        side.vocabulary.num_bytes
        for side, embedding in sides
        if embedding is not None and embedding.needs_vocabulary
    )


def identity(run: Run, task: Task) -> dict[str, object]:
    """The columns of the results that tell one run from another, known before it is trained."""
    recipe = run.recipe
    if recipe.network_learning_rate is None:
        recipe = replace(recipe, network_learning_rate=recipe.learning_rate)
    if recipe.network_weight_decay is None:
        recipe = replace(recipe, network_weight_decay=recipe.weight_decay)
    return {
        "dataset": task.interactions.name,
        "data_digest": task.data_digest,
        "split": task.how,
        "study": run.study,
        "variant": run.variant,
        "design": "" if run.design is None else run.design.to_json(),
        "method": run.method,
        "model": run.model,
        "size": run.size,
        "seed": run.seed,
        "users": run.users,
        "side_features": run.side_features,
        "decoder": decoder_text(run),
        "code_width": run.code_width,
        "learning_rate": recipe.learning_rate,
        "network_learning_rate": recipe.network_learning_rate,
        "weight_decay": recipe.weight_decay,
        "network_weight_decay": recipe.network_weight_decay,
        "optimizer": recipe.optimizer,
        "schedule": recipe.schedule,
        "precision": recipe.precision,
        "max_epochs": recipe.max_epochs,
        "patience": recipe.patience,
        "batch_size": recipe.batch_size or batch_size(task),
        "embedding_dim": run.embedding_dim,
        "num_users": task.users.num_embeddings,
        "num_items": task.items.num_embeddings,
        "num_train_events": len(task.split.train),
    }


def decoder_text(run: Run) -> str:
    """The decoder over the embeddings of any method as results name it: 64-64, or nothing."""
    return "-".join(map(str, run.decoder))


def describe_versions() -> str:
    """The versions of what computes, in JSON."""
    of_others = {name: version(name) for name in ("torch", "lightning", "numpy")}
    return json.dumps({"tablefree": __version__, **of_others, "python": platform.python_version()})


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
