"""Train every method at every size on one task, each tuned alike.

A method at a size is a cell (see `scheduler`).
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import inf
from pathlib import Path
from typing import cast

import polars as pl

from tablefree.checks import check_choice
from tablefree.embeddings.budget import METHODS
from tablefree.errors import InputError
from tablefree.experiments.budgets import ONE_SIZE, in_bytes
from tablefree.experiments.forms import append_forms, read_forms
from tablefree.experiments.parquet import FILE_NAME
from tablefree.experiments.recipes import default_recipe, steps_per_epoch
from tablefree.experiments.results import CELL, SCHEMA, append_result, read_results
from tablefree.experiments.run import measure
from tablefree.experiments.scheduler import Comparison, Job, Row
from tablefree.experiments.spec import Run, decoder_text, identity
from tablefree.experiments.task import Task
from tablefree.experiments.tuning import (
    PARAMETERS,
    configured,
    next_trial,
    search_space,
    should_prune,
    space_to_json,
)
from tablefree.models import MODELS

VARIED = frozenset(
    {"method", "model", "size", "seed", "users", "side_features", "decoder"}
    | {"optimizer", "precision", *PARAMETERS}
)
"""Columns that may differ between the runs of a comparison."""

SIZES_IN = ("bytes", "parameters")

# Those that may differ between the runs of a cell.
_OF_RUN = {"seed", *PARAMETERS}


@dataclass(frozen=True)
class PairComparison(Comparison):
    """A comparison of embeddings of users and items, whose cells are runs of the first seed.

    They have the defaults of the library, from which their tuning starts.

    Attributes:
        left_out: why a method is not compared at a size, one line each.
        varied: columns of the results that may differ between the runs of the folder.
    """

    cells: tuple[Run, ...]
    left_out: tuple[str, ...] = ()
    varied: frozenset[str] = VARIED

    def finished(self, task: Task, folder: Path) -> pl.DataFrame:
        """The runs that the folder holds already.

        Raises:
            InputError: a file that is no table of results; or runs of another command, of other
                data, of another recipe, or of another search.
        """
        if not (folder / FILE_NAME).exists():
            folder.mkdir(parents=True, exist_ok=True)
            return pl.DataFrame(schema=SCHEMA)
        finished = self.read(folder)
        if "study" in self.varied and finished.filter(study="").height:
            raise InputError(
                f"{folder} holds the runs of `tablefree compare`, and this is an ablation: choose "
                "another output folder"
            )
        for number, cell in enumerate(self.cells):
            columns = identity(cell, task)
            if number == 0:
                _check_same(finished, columns, self.varied, folder)
            columns["search_space"] = space_to_json(search_space(cell, task))
            _check_same(self.of_cell(finished, cell), columns, _OF_RUN, folder)
        has_budgets = any(cell.budgets for cell in self.cells)
        has_forms = not read_forms(folder).is_empty()
        if finished.filter(~pl.col("pruned")).height and has_budgets != has_forms:
            other = "parameters" if has_budgets else "bytes"
            raise InputError(
                f"{folder} holds runs whose sizes are in {other}: choose another output folder, or "
                f"--sizes-in {other}"
            )
        return finished

    def read(self, folder: Path) -> pl.DataFrame:
        """The runs of the folder."""
        return read_results(folder)

    def of_cell(self, finished: pl.DataFrame, cell: Run) -> pl.DataFrame:
        """The runs of a cell."""
        names = (name for name in CELL if name not in ("dataset", "split"))  # one a folder
        values = {name: getattr(cell, name) for name in names}
        runs = finished.filter(**values | {"decoder": decoder_text(cell)})
        return runs.with_columns(measured=pl.lit(True))

    def carry_out(self, job: Job, trials: Sequence[Row], task: Task) -> Row:
        """Train and measure one run: a row for `results.parquet`, and those of its forms."""
        cell, space = job.cell, search_space(job.cell, task)
        if job.seed == 0:
            trial = next_trial(cell, space, trials)
            prune = partial(should_prune, cell, trial)
            best = max((one["validation_auc"] for one in trials if not one["pruned"]), default=-inf)
            row = measure(configured(cell, trial.params), task, prune=prune, best_so_far=best)
        else:
            selected = trials[job.trial]
            run = configured(cell, {name: selected[name] for name in space})
            row = measure(replace(run, seed=job.seed), task)
        for form in cast(list[dict[str, object]], row.get("forms", [])):
            form["trial"] = job.trial
        return row | {"trial": job.trial, "search_space": space_to_json(space)}

    def append(self, folder: Path, outcome: Row) -> Row:
        """Write a run and its forms; the row of the run."""
        row = dict(outcome)
        # In this order: forms of a run that is not finished are ignored, and made again.
        append_forms(folder, row.pop("forms", []))
        append_result(folder, row)
        return row


def plan(
    task: Task,
    *,
    template: Run,
    models: Sequence[str],
    methods: Sequence[str] | None,
    sizes: Sequence[float],
    sizes_in: str = "parameters",
    seeds: int,
    trials: int,
    optimizer: str | None = None,
    precision: str | None = None,
) -> PairComparison:
    """Plan a comparison, and refuse what cannot be trained before anything is.

    The full table has one size, 1, and is compared at it whatever the sizes. In bytes, sizes are
    those of packed embeddings: methods of one size are trained once and packed into each, and
    others are trained with as many parameters as are worth so many bytes packed, and packed.

    Args:
        task: the data.
        template: a run with all that does not depend on the method; of its recipe the epochs and
            the patience.
        models: "gmf", "mlp" or both.
        methods: of `tablefree.embeddings.budget.METHODS`; None for all, each at the sizes that it
            can have.
        sizes: as ratios to the full tables'.
        sizes_in: what sizes are ratios of: "bytes", those of full tables in float32 with their
            vocabularies, or "parameters".
        seeds: number of seeds.
        trials: number of trials of each method at each size.
        optimizer: of all methods; by default that of each one's recipe.
        precision: likewise.

    Raises:
        InputError: nothing to compare, something twice, an unknown model or method, or a size that
            a method named cannot have, or no method.
    """
    chosen = METHODS if methods is None else methods
    for name, values in (
        ("models", models),
        ("methods", chosen),
        ("sizes", sizes),
    ):
        if not values or len(set(values)) < len(values):
            raise InputError(
                f"{name} must be one or more and none of them twice, got "
                f"{', '.join(map(str, values)) or 'none'}"
            )
    for model in models:
        check_choice("model", model, tuple(MODELS))
    for method in chosen:
        check_choice("method", method, METHODS)
    check_choice("sizes_in", sizes_in, SIZES_IN)
    same = {
        "max_epochs": template.recipe.max_epochs,
        "patience": template.recipe.patience,
        "optimizer": optimizer,
        "precision": precision,
    }
    recipes = {
        method: default_recipe(
            method,
            task.events_per_id,
            steps_per_epoch=steps_per_epoch(task),
            has_decoder=bool(template.decoder),
            **same,
        )
        for method in chosen
    }
    cells: list[Run] = []
    left_out: dict[str, float] = {}  # why → the size
    for method, model in product(chosen, models):
        is_fixed = method == "full_table" or (sizes_in == "bytes" and method in ONE_SIZE)
        for size in (1.0,) if is_fixed else sizes:
            cell = replace(template, model=model, method=method, size=size, recipe=recipes[method])
            if sizes_in == "bytes":
                cell = in_bytes(cell, sizes if is_fixed else [size], task)
            try:
                cell.outline(task)
            except InputError as error:
                reason = f"{method} at size {size:g}: {error}"
                if methods is not None:
                    raise InputError(reason) from error
                left_out[reason] = size
            else:
                cells.append(cell)
    for size in sizes:
        reasons = [reason for reason, of_size in left_out.items() if of_size == size]
        if reasons and not any(cell.size == size for cell in cells):
            raise InputError(f"no method can have size {size:g}: {reasons[-1]}")
    # The slowest first, so that no worker is left alone with one at the end.
    cells.sort(key=lambda cell: (cell.method != "deep_hash", cell.method != "sketch", -cell.size))
    return PairComparison(tuple(cells), seeds, trials, tuple(left_out))


def _check_same(
    runs: pl.DataFrame, wanted: Mapping[str, object], varied: Set[str], folder: Path
) -> None:
    for column, value in wanted.items():
        others = runs.filter(pl.col(column).ne_missing(value))
        if others.height and column not in varied:
            found, asked = ("none" if text == "" else text for text in (others[column][0], value))
            raise InputError(
                f"{folder} holds runs with {column} {found}, and this command asks for {asked}: "
                "choose another output folder, or the same options to resume"
            )
