"""The training loop: Lightning, binary cross-entropy, early stopping, the best epoch restored."""

import copy
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, IterableDataset

from tablefree.checks import check_choice, check_positive
from tablefree.errors import CapacityWarning, InputError
from tablefree.rows import hold_rows
from tablefree.rows.table import sparse_gradients
from tablefree.training.optimizers import OPTIMIZERS, build_optimizers, training_bytes
from tablefree.training.pairs import PAIRS
from tablefree.training.schedules import SCHEDULES
from tablefree.training.step import Objective, take_step

ROWS = {"float32": "number", "bfloat16": "row"}  # their dtype → what has a second moment
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}
MOST_EPOCHS = 10**6  # more is a slip of the keyboard, and would train for ever
# Multiply-adds of a step forward that are worth another thread. Threads that share the work of a
# smaller step bring nothing, and on a busy machine they wait for each other, a hundred times as
# long as they work (benchmarks/busy_machine.py).
WORK_PER_THREAD = 2**29


@dataclass(frozen=True)
class Recipe:
    """How a model is trained.

    Attributes:
        learning_rate: of the rows that ids look up, before the schedule.
        network_learning_rate: of everything else; as the rows' if None.
        optimizer: "adamw" or "muon" (see `build_optimizers`).
        weight_decay: of the rows, decoupled, per unit of learning rate.
        network_weight_decay: of the matrices of everything else; as the rows' if None.
        schedule: how both rates change over `max_epochs`: "linear", to zero, "constant", "cosine"
            or "one_cycle".
        batch_size: events a step; by default what suits the number of events.
        max_epochs: passes over the training events at most.
        patience: epochs without a better validation AUC before it stops.
        precision: "float32", or "bfloat16" for matrix products in bfloat16 (autocast).
        rows: "float32", or "bfloat16" for rows in half of the bytes, and a fraction of that for
            their optimizer: see `tablefree.hold_rows`.

    Raises:
        InputError: an option out of its range.
    """

    learning_rate: float
    network_learning_rate: float | None = None
    optimizer: str = "adamw"
    weight_decay: float = 0.1
    network_weight_decay: float | None = None
    schedule: str = "linear"
    batch_size: int | None = None
    max_epochs: int = 10
    patience: int = 2
    precision: str = "float32"
    rows: str = "float32"

    def __post_init__(self) -> None:
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("schedule", self.schedule, tuple(SCHEDULES))
        check_choice("precision", self.precision, tuple(PRECISIONS))
        check_choice("rows", self.rows, tuple(ROWS))
        for name in ("learning_rate", "network_learning_rate"):
            rate = getattr(self, name)
            if rate is not None and not 0 < rate < float("inf"):
                raise InputError(f"{name} must be above 0 and finite, got {rate}")
        for name in ("weight_decay", "network_weight_decay"):
            decay = getattr(self, name)
            if decay is not None and not 0 <= decay < float("inf"):
                raise InputError(f"{name} must be at least 0 and finite, got {decay}")
        if self.batch_size is not None:
            check_positive(batch_size=self.batch_size)
        for name in ("max_epochs", "patience"):
            epochs = getattr(self, name)
            if not 1 <= epochs <= MOST_EPOCHS:
                raise InputError(f"{name} must be from 1 to {MOST_EPOCHS:,}, got {epochs}")


@dataclass(frozen=True)
class Fit:
    """What a training came to.

    Attributes:
        best_epoch: whose weights were kept, from 1.
        epochs: that were trained.
        validation_auc: of the best epoch; NaN where training diverged at once.
        seconds: that it took.
        training_bytes: see `tablefree.training.optimizers.training_bytes`.
    """

    best_epoch: int
    epochs: int
    validation_auc: float
    seconds: float
    training_bytes: int


def fast_precision() -> str:
    """The faster precision here: bfloat16 where the processor has instructions for it."""
    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    has_bfloat16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "bfloat16" if has_bfloat16 else "float32"


def fit(
    model: nn.Module,
    batches: IterableDataset[Any],
    validation: Any,
    recipe: Recipe,
    *,
    objective: Objective = PAIRS,
    log_folder: Path | None = None,
    show_progress: bool = False,
    on_epoch: Callable[[int, float], bool] | None = None,
) -> Fit:
    """Train a model in place and leave it with the weights of its best epoch.

    Small steps run in one thread, whatever torch's number of threads is (see `step_threads`).

    Args:
        model: any that the objective knows.
        batches: the training events.
        validation: a batch on which AUC decides when to stop and which epoch is best.
        recipe: the optimizer and its options.
        objective: what is to be learned; by default to score pairs, as a `Recommender` does.
        log_folder: where a TensorBoard log goes, if anywhere.
        show_progress: whether a progress bar is shown.
        on_epoch: called after each epoch with its number and the validation AUC; the training ends
            when it returns True.
    """
    best = _BestEpoch(on_epoch)
    if recipe.rows == "bfloat16":
        hold_rows(model, torch.bfloat16)
    generator = torch.Generator()  # a loader would draw from the global one, if only for workers
    start = time.perf_counter()
    threads = step_threads(objective.work(model, batches))
    with _quiet_lightning(), _threads(threads), sparse_gradients(model):
        trainer = L.Trainer(
            max_epochs=recipe.max_epochs,
            devices=1,  # by default Lightning takes all, and has each repeat all batches
            precision=PRECISIONS[recipe.precision],  # type: ignore[arg-type]
            logger=TensorBoardLogger(log_folder, name="", version="") if log_folder else False,
            callbacks=[
                best,
                EarlyStopping("validation_auc", mode="max", patience=recipe.patience),
                *([_Progress()] if show_progress else []),
            ],
            enable_checkpointing=False,
            enable_progress_bar=show_progress,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
        )
        trainer.fit(
            _Module(model, recipe, len(batches), objective),  # type: ignore[arg-type]
            DataLoader(batches, batch_size=None, generator=generator),
            DataLoader([validation], batch_size=None, generator=generator),  # type: ignore[arg-type]
        )
    best.restore(model)
    seconds, num_bytes = time.perf_counter() - start, training_bytes(model, *trainer.optimizers)
    return Fit(best.epoch, best.epochs, best.auc, seconds, num_bytes)


def step_threads(work: int) -> int:
    """Threads that a training step is worth: at most torch's, fewer where the products are small.

    Args:
        work: multiply-adds of a step forward.
    """
    return max(1, min(torch.get_num_threads(), work // WORK_PER_THREAD))


class _Progress(RichProgressBar):
    """Lightning's bar, which counts epochs from 0, from 1."""

    def _get_train_description(self, current_epoch: int) -> str:
        text = f"Epoch {current_epoch + 1}/{self.trainer.max_epochs}"
        return text.ljust(len(self.validation_description))  # else the bars would flicker


class _Module(L.LightningModule):
    """Steps of training and validation, for Lightning's loop."""

    def __init__(
        self, model: nn.Module, recipe: Recipe, steps_per_epoch: int, objective: Objective
    ) -> None:
        super().__init__()
        self.model, self.objective = model, objective
        self.recipe = recipe
        self.num_steps = recipe.max_epochs * steps_per_epoch
        self.automatic_optimization = False  # there may be two optimizers

    def configure_optimizers(self) -> tuple[list[Optimizer], list[LambdaLR]]:
        recipe = self.recipe
        optimizers = build_optimizers(
            self.model,
            recipe.optimizer,
            learning_rate=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            network_learning_rate=_either(recipe.network_learning_rate, recipe.learning_rate),
            network_weight_decay=_either(recipe.network_weight_decay, recipe.weight_decay),
            row_moments=ROWS[recipe.rows],
        )
        factor = SCHEDULES[recipe.schedule]
        return optimizers, [
            LambdaLR(one, lambda step: factor(step / self.num_steps)) for one in optimizers
        ]

    def training_step(self, batch: Any, _index: int) -> None:
        loss = self.objective.loss(self.model, batch)
        optimizers, schedules = _as_list(self.optimizers()), _as_list(self.lr_schedulers())
        take_step(loss, optimizers, schedules, self.manual_backward)
        self.log(
            "training_loss",
            loss,
            on_step=False,
            on_epoch=True,
            prog_bar=True,
            batch_size=len(batch.labels),
        )

    def validation_step(self, batch: Any, _index: int) -> None:
        # NaN for a model that diverged: EarlyStopping then ends its training.
        value = self.objective.auc(self.model, batch)
        self.log("validation_auc", value, batch_size=1, prog_bar=True)


class _BestEpoch(Callback):
    """Keeps a copy of the weights with the best validation AUC."""

    def __init__(self, on_epoch: Callable[[int, float], bool] | None) -> None:
        self.on_epoch = on_epoch
        self.epoch, self.epochs, self.auc = 0, 0, float("nan")
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs = trainer.current_epoch + 1
        value = float(trainer.callback_metrics["validation_auc"])
        if not value <= self.auc and value == value:
            self.epoch, self.auc = self.epochs, value
            assert isinstance(pl_module, _Module)
            self.weights = copy.deepcopy(pl_module.model.state_dict())
        if self.on_epoch is not None and self.on_epoch(self.epochs, value):
            trainer.should_stop = True

    def restore(self, model: nn.Module) -> None:
        if self.weights:
            model.load_state_dict(self.weights)


def _either(value: float | None, default: float) -> float:
    return default if value is None else value


def _as_list(one_or_many: Any) -> list[Any]:
    return one_or_many if isinstance(one_or_many, list) else [one_or_many]


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Torch's threads on the CPU within, and as many as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence what Lightning tells developers: hardware found, tips, loaders without workers."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*does not have many workers.*")
            warnings.filterwarnings("ignore", ".*`IterableDataset` has `__len__` defined.*")
            warnings.filterwarnings("ignore", ".*treespec.*", category=FutureWarning)
            warnings.filterwarnings("ignore", category=CapacityWarning)  # sizes are chosen here
            yield
    finally:
        logger.setLevel(level)
