"""What embeddings make of new ids, step by step, and the table of what came out.

Each contender is trained once with each seed, and then taken through all steps of a scenario. The
rows of these are written together, and what a folder holds is not made again: so it resumes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from tablefree.checks import check_choice
from tablefree.data import Interactions
from tablefree.embeddings.quantize import deployed_bytes
from tablefree.errors import InputError
from tablefree.experiments.cold_start import ColdStart
from tablefree.experiments.evaluation import vocabulary_bytes
from tablefree.experiments.learner import CONTENDERS, Contender, Learner
from tablefree.experiments.parquet import FILE_NAME, read_table, write_table
from tablefree.experiments.recipes import steps_per_epoch
from tablefree.experiments.results import SCHEMA as RUNS
from tablefree.experiments.spec import Run, identity
from tablefree.experiments.stream import Stream
from tablefree.experiments.task import Task
from tablefree.machine import describe_machine, describe_versions

HOLD_OUTS = ("item", "user", "time")

_OF_RUN = (
    "dataset", "data_digest", "method", "model", "size", "seed",
    "num_parameters", "num_bytes", "vocabulary_bytes",
    "multiply_adds", "learning_rate", "network_learning_rate", "weight_decay",
    "network_weight_decay", "optimizer", "precision", "batch_size", "max_epochs", "patience",
    "embedding_dim", "best_epoch", "validation_auc", "train_seconds", "num_users", "num_items",
    "num_train_events", "versions", "machine", "finished_at",
)  # fmt: skip

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "hold_out": pl.String,  # item, user, or time: a stream
    "step": pl.Int64,  # events known of each new id; in a stream the number of the part
    "num_new_ids": pl.Int64,  # those held out; in a stream the users and items new in the part
    "num_new_events": pl.Int64,  # positives that they are tested on
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
"""Columns of the results of a scenario, in order."""


class Scenario(Protocol):
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


Cell = tuple[Contender, Run]


def scenario_of(interactions: Interactions, hold_out: str) -> Scenario:
    """The scenario in which items or users are held out, or in which time passes.

    Args:
        interactions: the data.
        hold_out: "item", "user" or "time".

    Raises:
        InputError: another name, or data that the scenario cannot have.
    """
    check_choice("hold_out", hold_out, HOLD_OUTS)
    return Stream(interactions) if hold_out == "time" else ColdStart(interactions, hold_out)


def plan(
    scenario: Scenario,
    *,
    methods: Sequence[str] | None,
    size: float,
    seeds: int,
    embedding_dim: int,
    max_epochs: int | None,
) -> tuple[list[Cell], list[str]]:
    """The contenders that the data and the size allow, with each seed; why others are left out.

    Args:
        scenario: the data.
        methods: names of contenders; None for all.
        size: of the embeddings, as a ratio to full tables of the ids that are trained first.
        seeds: number of seeds.
        embedding_dim: width of an embedding.
        max_epochs: of the first training; by default the recipe's.

    Raises:
        InputError: an unknown name, or no contender can have the size.
    """
    names = tuple(contender.name for contender in CONTENDERS)
    chosen = names if methods is None else methods
    for name in chosen:
        check_choice("method", name, names)
    cells: list[Cell] = []
    left_out: list[str] = []
    for contender in CONTENDERS:
        if contender.name not in chosen:
            continue
        run = contender.run(
            scenario.task.events_per_id,
            steps_per_epoch(scenario.task),
            size=size,
            seed=0,
            embedding_dim=embedding_dim,
            max_epochs=max_epochs,
        )
        try:
            run.outline(contender.places(scenario.task))
        except InputError as error:
            left_out.append(f"{contender.name} at size {size:g}: {error}")
        else:
            cells += [(contender, replace(run, seed=seed)) for seed in range(seeds)]
    if not cells:
        raise InputError(f"no method can have size {size:g}: {left_out[-1]}")
    return cells, left_out


def carry_out(
    scenario: Scenario, cells: Sequence[Cell], folder: Path
) -> Iterator[list[dict[str, Any]]]:
    """Take every contender and seed that the folder does not hold yet through all steps.

    Args:
        scenario: the data.
        cells: see `plan`.
        folder: holds `results.parquet`, or will.

    Yields:
        The rows of the steps of each, when they are written.

    Raises:
        InputError: the folder holds something else, or what other options gave.
    """
    finished = finished_rows(scenario, cells, folder)
    for contender, run in cells:
        if finished.filter(method=contender.name, seed=run.seed).height:
            continue
        rows = pl.DataFrame(_rows(scenario, contender, run), schema=SCHEMA)
        finished = pl.concat([finished, rows])
        write_table(folder, finished)
        yield rows.to_dicts()


def finished_rows(scenario: Scenario, cells: Sequence[Cell], folder: Path) -> pl.DataFrame:
    """What the folder holds already; no rows where it is new.

    Raises:
        InputError: other results, or what other data or options gave.
    """
    if not (folder / FILE_NAME).exists():
        return pl.DataFrame(schema=SCHEMA)
    finished = read_growth(folder)
    for contender, run in cells:
        rows = finished.filter(method=contender.name, seed=run.seed)
        for column, value in _identity(scenario, contender, run).items():
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
    rows = read_table(folder)
    if rows.schema != SCHEMA or rows.is_empty():
        raise InputError(f"{folder / FILE_NAME} holds other results: choose another folder")
    return rows


def _rows(scenario: Scenario, contender: Contender, run: Run) -> list[dict[str, object]]:
    learner = Learner(contender, run, scenario.task)
    trained = learner.learn()
    model = learner.model
    of_run = {
        **_identity(scenario, contender, run),
        "num_parameters": model.users.num_parameters + model.items.num_parameters,
        "num_bytes": sum(deployed_bytes(one, "float32", 0) for one in (model.users, model.items)),
        "vocabulary_bytes": vocabulary_bytes(model, learner.model_task),
        "multiply_adds": round((model.users.multiply_adds + model.items.multiply_adds) / 2),
        "best_epoch": trained.best_epoch,
        "validation_auc": trained.validation_auc,
        "train_seconds": trained.seconds,
        "versions": describe_versions(),
        "machine": describe_machine(),
    }
    return [
        {**of_run, **step, "finished_at": datetime.now(UTC).isoformat(timespec="seconds")}
        for step in scenario.steps(learner)
    ]


def _identity(scenario: Scenario, contender: Contender, run: Run) -> dict[str, object]:
    """What tells one row from another, but for the step, known before the training."""
    columns = {
        "hold_out": scenario.hold_out,
        **identity(run, scenario.task),
        "method": contender.name,
    }
    return {name: value for name, value in columns.items() if name in SCHEMA}
