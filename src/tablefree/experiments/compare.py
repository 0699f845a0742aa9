"""Train every method at every size on one task, each tuned alike.

A method at a size is a cell. With the first seed it has a number of trials, one after the other
(see `tuning`); the configuration with the best validation AUC is then trained with the other seeds.
Cells are trained side by side. The table of finished runs is the only state.
"""

import os
import pickle
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from math import inf
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import polars as pl
import torch

from tablefree.checks import check_choice
from tablefree.embeddings.budget import METHODS
from tablefree.errors import InputError
from tablefree.experiments.budgets import ONE_SIZE, in_bytes
from tablefree.experiments.forms import append_forms, read_forms
from tablefree.experiments.parquet import FILE_NAME
from tablefree.experiments.recipes import default_recipe, steps_per_epoch
from tablefree.experiments.results import CELL, SCHEMA, append_result, read_results
from tablefree.experiments.run import measure
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
class Job:
    """One run of a comparison.

    Attributes:
        cell: what is tuned.
        trial: number of the trial; with another seed than the first, of the trial selected.
        seed: of the run.
    """

    cell: Run
    trial: int
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        cells: one run for each model, method and size, of the first seed, with the defaults of the
            library, from which its tuning starts.
        seeds: number of seeds, from 0 on.
        trials: number of trials of each cell.
        left_out: why a method is not compared at a size, one line each.
        varied: columns of the results that may differ between the runs of the folder.
    """

    cells: tuple[Run, ...]
    seeds: int
    trials: int
    left_out: tuple[str, ...] = ()
    varied: frozenset[str] = VARIED

    def __len__(self) -> int:
        """Number of runs in all."""
        return len(self.cells) * (self.trials + self.seeds - 1)

    def next_jobs(self, finished: pl.DataFrame) -> list[Job]:
        """What can be started, given the runs that are finished."""
        jobs = []
        for cell in self.cells:
            runs = of_cell(finished, cell)
            num_finished = runs.filter(seed=0).height
            if num_finished < self.trials:
                jobs.append(Job(cell, num_finished))
                continue
            selected = runs.filter("selected")
            best, done = selected["trial"][0], set(selected["seed"])
            jobs += [Job(cell, best, seed) for seed in range(1, self.seeds) if seed not in done]
        return jobs


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
) -> Comparison:
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
    return Comparison(tuple(cells), seeds, trials, tuple(left_out))


def finished_runs(comparison: Comparison, task: Task, folder: Path) -> pl.DataFrame:
    """The runs that the folder holds already.

    Raises:
        InputError: a file that is no table of results; or runs of another command, of other data,
            of another recipe, or of another search.
    """
    if not (folder / FILE_NAME).exists():
        folder.mkdir(parents=True, exist_ok=True)
        return pl.DataFrame(schema=SCHEMA)
    finished = read_results(folder)
    if "study" in comparison.varied and finished.filter(study="").height:
        raise InputError(
            f"{folder} holds the runs of `tablefree compare`, and this is an ablation: choose "
            "another output folder"
        )
    for number, cell in enumerate(comparison.cells):
        columns = identity(cell, task)
        if number == 0:
            _check_same(finished, columns, comparison.varied, folder)
        columns["search_space"] = space_to_json(search_space(cell, task))
        _check_same(of_cell(finished, cell), columns, _OF_RUN, folder)
    has_budgets = any(cell.budgets for cell in comparison.cells)
    if finished.filter(~pl.col("pruned")).height and has_budgets == read_forms(folder).is_empty():
        other = "parameters" if has_budgets else "bytes"
        raise InputError(
            f"{folder} holds runs whose sizes are in {other}: choose another output folder, or "
            f"--sizes-in {other}"
        )
    return finished


def compare(
    comparison: Comparison, task: Task, folder: Path, *, jobs: int, threads: int
) -> Iterator[dict[str, object]]:
    """Train what the folder does not hold yet, and add each finished run to it.

    Args:
        comparison: what is compared.
        task: the data.
        folder: holds `results.parquet`, or will.
        jobs: processes that train, one run each at a time.
        threads: of each process.

    Yields:
        The row of each run, when it is finished and written.
    """
    finished = finished_runs(comparison, task, folder)
    with _workers(jobs, task, threads) as pool:
        running: dict[Future[dict[str, object]], Job] = {}
        while True:
            started = set(running.values())
            for job in comparison.next_jobs(finished):
                if job not in started:
                    trials = of_cell(finished, job.cell).filter(seed=0).sort("trial").to_dicts()
                    with _holding_interrupts():
                        running[pool.submit(_carry_out, job, trials)] = job
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                row = future.result()
                forms = row.pop("forms", [])
                # In this order: forms of a run that is not finished are ignored, and made again.
                append_forms(folder, cast(list[dict[str, object]], forms))
                append_result(folder, row)
                yield row
            finished = read_results(folder)


def carry_out(job: Job, trials: Sequence[Mapping[str, Any]], task: Task) -> dict[str, object]:
    """Train and measure one run.

    Args:
        job: what is run.
        trials: rows of the finished trials of its cell, in their order.
        task: the data.

    Returns:
        A row for `results.parquet`.
    """
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


def of_cell(runs: pl.DataFrame, cell: Run) -> pl.DataFrame:
    """The runs of a cell."""
    names = (name for name in CELL if name not in ("dataset", "split"))  # one a folder
    values = {name: getattr(cell, name) for name in names}
    return runs.filter(**values | {"decoder": decoder_text(cell)})


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


@contextmanager
def _workers(jobs: int, task: Task, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, at once when it stops early."""
    others = active_children()
    with TemporaryDirectory() as folder:
        # A worker that reads the task from this process would keep it waiting for its imports.
        path = Path(folder) / "task"
        path.write_bytes(pickle.dumps(task))
        with ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=_start_worker, initargs=(path, threads)
        ) as pool:
            try:
                yield pool
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in set(active_children()).difference(others):
                    process.kill()
                raise


@contextmanager
def _holding_interrupts() -> Iterator[None]:
    """Start processes whole, and have them see no interrupt: Ctrl-C reaches all, one decides.

    The mask is for the processes, which inherit it. Here another thread may take the signal, and
    Python would raise in the middle of a start, so a handler waits for its end.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone has handlers
        yield
        return
    held: list[int] = []
    handlers = {
        number: signal.signal(number, lambda number, _: held.append(number))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if held:
        signal.raise_signal(held[0])


_worker_task: Task


def _start_worker(path: Path, threads: int) -> None:  # pragma: no cover  (in another process)
    global _worker_task
    _worker_task = pickle.loads(path.read_bytes())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:  # pragma: no cover  (in another process)
    """End this process when its parent is gone, even killed: nobody would read the result."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _carry_out(
    job: Job, trials: Sequence[Mapping[str, Any]]
) -> dict[str, object]:  # pragma: no cover  (in another process)
    return carry_out(job, trials, _worker_task)
