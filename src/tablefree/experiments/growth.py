"""Studies of new ids: every variant meets them step by step, and the table of what came out.

A variant with a seed is trained once and then taken through all steps. Its rows are written
together: what a folder holds is left as it is, so that a study that was stopped can go on.
"""

import io
import json
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import polars as pl

from tablefree.embeddings.quantize import deployed_bytes
from tablefree.errors import InputError
from tablefree.experiments.learner import VARIANTS, Learner, Variant
from tablefree.experiments.results import FILE_NAME
from tablefree.experiments.results import SCHEMA as RUNS
from tablefree.experiments.run import Run, describe_machine, identity, vocabulary_bytes
from tablefree.experiments.task import Task
from tablefree.files import replace_file

MEASURES = ("auc_new", "auc_new_among_all", "auc_old", "auc_new_users", "auc_new_items", "auc_kept")
"""What is measured at a step, as far as a study has it."""

_OF_RUN = (
    "dataset", "method", "model", "size", "seed", "num_parameters", "num_bytes", "vocabulary_bytes",
    "multiply_adds", "learning_rate", "network_learning_rate", "weight_decay",
    "network_weight_decay", "optimizer", "precision", "batch_size", "max_epochs", "patience",
    "embedding_dim", "best_epoch", "validation_auc", "train_seconds", "num_users", "num_items",
    "num_train_events", "versions", "machine", "finished_at",
)  # fmt: skip

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "hold_out": pl.String,  # item, user, or time: a stream
    "step": pl.Int64,  # events known of each new id; in a stream the number of the part
    "auc_new": pl.Float64,  # events of new ids against the same partner and another new id
    "auc_new_among_all": pl.Float64,  # the same events against the same user and any item
    "auc_old": pl.Float64,  # events of the part whose user and item are old
    "auc_new_users": pl.Float64,  # those of a new user and an old item
    "auc_new_items": pl.Float64,  # those of a new item, against the others new in the part
    "auc_kept": pl.Float64,  # held-out events of the ids trained first, after the step
    "step_seconds": pl.Float64,  # that the step took to learn
    **{name: RUNS[name] for name in _OF_RUN},  # as in the results of a comparison
}
SCHEMA = pl.Schema(_COLUMNS)
"""Columns of the results of a study, in order."""


class Study(Protocol):
    """Data in which ids appear.

    Attributes:
        hold_out: its name.
        task: what is trained first.
    """

    hold_out: str
    task: Task

    def steps(self, learner: Learner) -> Iterator[dict[str, object]]:
        """The columns of each step, of a learner that is trained."""
        ...


Cell = tuple[Variant, Run]


def plan(
    study: Study, *, size: float, seeds: int, embedding_dim: int, max_epochs: int | None
) -> tuple[list[Cell], list[str]]:
    """Every variant that the data and the size allow, with each seed; and why others are left out.

    Args:
        study: the data.
        size: of the embeddings, as a ratio to full tables of the ids that are trained first.
        seeds: number of seeds.
        embedding_dim: width of an embedding.
        max_epochs: of the first training; by default the recipe's.

    Raises:
        InputError: no variant can have the size.
    """
    cells: list[Cell] = []
    left_out: list[str] = []
    for variant in VARIANTS:
        run = variant.run(size=size, seed=0, embedding_dim=embedding_dim, max_epochs=max_epochs)
        try:
            run.outline(variant.places(study.task))
        except InputError as error:
            left_out.append(f"{variant.name} at size {size:g}: {error}")
        else:
            cells += [(variant, replace(run, seed=seed)) for seed in range(seeds)]
    if not cells:
        raise InputError(f"no method can have size {size:g}: {left_out[-1]}")
    return cells, left_out


def carry_out(
    study: Study, cells: Sequence[Cell], folder: Path
) -> Iterator[tuple[Cell, pl.DataFrame]]:
    """Take every variant and seed that the folder does not hold yet through all steps.

    Args:
        study: the data.
        cells: see `plan`.
        folder: holds `results.parquet`, or will.

    Yields:
        Each cell with the rows of its steps, when they are written.

    Raises:
        InputError: the folder holds something else, or what other options gave.
    """
    finished = finished_rows(study, cells, folder)
    for variant, run in cells:
        if finished.filter(method=variant.name, seed=run.seed).height:
            continue
        rows = pl.DataFrame(_rows(study, variant, run), schema=SCHEMA)
        finished = pl.concat([finished, rows])
        buffer = io.BytesIO()
        finished.write_parquet(buffer)
        replace_file(folder / FILE_NAME, buffer.getvalue())
        yield (variant, run), rows


def finished_rows(study: Study, cells: Sequence[Cell], folder: Path) -> pl.DataFrame:
    """What the folder holds already; no rows where it is new.

    Raises:
        InputError: no results of such a study, or what other data or options gave.
    """
    if not (folder / FILE_NAME).exists():
        return pl.DataFrame(schema=SCHEMA)
    finished = read_growth(folder)
    for variant, run in cells:
        rows = finished.filter(method=variant.name, seed=run.seed)
        for column, value in _identity(study, variant, run).items():
            others = rows.filter(pl.col(column).ne_missing(value))
            if others.height:
                raise InputError(
                    f"{folder} holds rows with {column} {others[column][0]}, and this command asks "
                    f"for {value}: choose another output folder, or the same options to resume"
                )
    return finished


def read_growth(folder: Path) -> pl.DataFrame:
    """Read the rows of a folder.

    Raises:
        InputError: there is no table there, or another one.
    """
    path = folder / FILE_NAME
    try:
        rows = pl.read_parquet(io.BytesIO(path.read_bytes()))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(f"{path} cannot be read as Parquet: {reason}") from error
    if rows.schema != SCHEMA:
        raise InputError(f"{path} holds other results: choose another output folder")
    return rows


def _rows(study: Study, variant: Variant, run: Run) -> list[dict[str, object]]:
    learner = Learner(variant, run, study.task)
    trained = learner.learn()
    model = learner.model
    of_run = {
        **_identity(study, variant, run),
        "num_parameters": model.users.num_parameters + model.items.num_parameters,
        "num_bytes": sum(deployed_bytes(one, "float32", 0) for one in (model.users, model.items)),
        "vocabulary_bytes": vocabulary_bytes(model, learner.model_task),
        "multiply_adds": round((model.users.multiply_adds + model.items.multiply_adds) / 2),
        "best_epoch": trained.best_epoch,
        "validation_auc": trained.validation_auc,
        "train_seconds": trained.seconds,
        "versions": json.dumps(
            {name: version(name) for name in ("tablefree", "torch", "lightning", "numpy")}
            | {"python": platform.python_version()}
        ),
        "machine": describe_machine(),
    }
    return [
        {**of_run, **step, "finished_at": datetime.now(UTC).isoformat(timespec="seconds")}
        for step in study.steps(learner)
    ]


def _identity(study: Study, variant: Variant, run: Run) -> dict[str, object]:
    """What tells one row from another, but for the step, known before the training."""
    columns = {**identity(run, study.task), "method": variant.name, "hold_out": study.hold_out}
    return {name: value for name, value in columns.items() if name in SCHEMA}
