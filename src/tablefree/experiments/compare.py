"""Train every method at every size on one task, each with its learning rate tuned alike.

Of a method at a size, the first seed is trained with every learning rate of the grid; the rate
with the best validation AUC is then trained with the other seeds.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path

import polars as pl
import torch

from tablefree.embeddings.budget import METHODS
from tablefree.errors import InputError
from tablefree.experiments.results import FILE_NAME, append_result, read_results
from tablefree.experiments.run import Run, identity, measure
from tablefree.experiments.task import Task
from tablefree.models import MODELS
from tablefree.network import check_choice

# What may differ between the runs of one folder.
_VARIED = ("method", "model", "size", "seed", "learning_rate")


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        cells: one run for each model, method and size, of the first seed; its learning rate is a
            place holder.
        seeds: number of seeds, from 0 on.
        learning_rates: the grid.
        left_out: why a method is not compared at a size, one line each.
    """

    cells: tuple[Run, ...]
    seeds: int
    learning_rates: tuple[float, ...]
    left_out: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of runs in all."""
        return len(self.cells) * (len(self.learning_rates) + self.seeds - 1)

    def next_runs(self, finished: pl.DataFrame) -> list[Run]:
        """The runs that can be started, given those that are finished."""
        done = set(finished.select(_VARIED).iter_rows())
        runs = []
        for cell in self.cells:
            trials = [_with(cell, learning_rate=rate) for rate in self.learning_rates]
            missing = [trial for trial in trials if _key(trial) not in done]
            if not missing:
                best = _selected_rate(finished, cell)
                later = [_with(cell, learning_rate=best, seed=s) for s in range(1, self.seeds)]
                missing = [run for run in later if _key(run) not in done]
            runs += missing
        return runs


def plan(
    task: Task,
    *,
    template: Run,
    models: Sequence[str],
    methods: Sequence[str] | None,
    sizes: Sequence[float],
    seeds: int,
    learning_rates: Sequence[float],
) -> Comparison:
    """Plan a comparison, and refuse what cannot be trained before anything is.

    The full table has one size, 1, and is compared at it whatever the sizes.

    Args:
        task: the data.
        template: a run with the embedding_dim and the recipe of all runs.
        models: "gmf", "mlp" or both.
        methods: of `tablefree.embeddings.budget.METHODS`; None for all, each at the sizes that it
            can have.
        sizes: parameters, as ratios to the full tables'.
        seeds: number of seeds.
        learning_rates: the grid.

    Raises:
        InputError: nothing to compare, something twice, an unknown model or method, or a size that
            a method named cannot have, or no method.
    """
    chosen = METHODS if methods is None else methods
    for name, values in (
        ("models", models),
        ("methods", chosen),
        ("sizes", sizes),
        ("learning rates", learning_rates),
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
    cells: list[Run] = []
    left_out: dict[str, float] = {}  # why → the size
    for method, model in product(chosen, models):
        for size in (1.0,) if method == "full_table" else sizes:
            cell = replace(template, model=model, method=method, size=size, seed=0)
            try:
                cell.check(task)
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
    cells.sort(key=lambda cell: (cell.method != "deep_hash", -cell.size))
    return Comparison(tuple(cells), seeds, tuple(learning_rates), tuple(left_out))


def finished_runs(comparison: Comparison, task: Task, folder: Path) -> pl.DataFrame:
    """The runs that the folder holds already.

    Raises:
        InputError: a file that is no table of results, or runs of other data or another recipe.
    """
    if not (folder / FILE_NAME).exists():
        folder.mkdir(parents=True, exist_ok=True)
        return pl.DataFrame(schema=dict.fromkeys(_VARIED))
    finished = read_results(folder)
    for column, value in identity(comparison.cells[0], task).items():
        others = finished.filter(pl.col(column) != value)
        if column not in _VARIED and others.height:
            raise InputError(
                f"{folder} holds runs with {column} {others[column][0]}, and this command asks for "
                f"{value}: choose another output folder, or the same options to resume"
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
    with _workers(jobs, task, threads) as pool:
        running: dict[Future[dict[str, object]], Run] = {}
        while True:
            started = set(running.values())
            for run in comparison.next_runs(finished_runs(comparison, task, folder)):
                if run not in started:
                    running[pool.submit(_measure, run)] = run
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                row = future.result()
                append_result(folder, row)
                yield row


@contextmanager
def _workers(jobs: int, task: Task, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, at once when it stops early."""
    others = active_children()
    with ProcessPoolExecutor(
        jobs, get_context("spawn"), initializer=_start_worker, initargs=(task, threads)
    ) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(active_children()).difference(others):
                process.kill()
            raise


_worker_task: Task


def _start_worker(task: Task, threads: int) -> None:  # pragma: no cover  (in another process)
    global _worker_task
    _worker_task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches all; the parent decides
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:  # pragma: no cover  (in another process)
    """End this process when its parent is gone, even killed: nobody would read the result."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _measure(run: Run) -> dict[str, object]:  # pragma: no cover  (in another process)
    return measure(run, _worker_task)


def _with(run: Run, *, learning_rate: float, seed: int = 0) -> Run:
    return replace(run, seed=seed, recipe=replace(run.recipe, learning_rate=learning_rate))


def _key(run: Run) -> tuple[object, ...]:
    return (run.method, run.model, run.size, run.seed, run.recipe.learning_rate)


def _selected_rate(finished: pl.DataFrame, cell: Run) -> float:
    of_cell = finished.filter(
        pl.col("selected"),
        pl.col("method") == cell.method,
        pl.col("model") == cell.model,
        pl.col("size") == cell.size,
    )
    return float(of_cell["learning_rate"][0])
