"""Runs of a comparison side by side, each in a process, until a folder holds them all.

A cell is what is tuned as one. With the first seed it has a number of trials, one after the other;
the configuration with the best validation AUC is then trained with the other seeds. The table of
finished runs is the only state: a comparison that was stopped goes on from it.
"""

import os
import pickle
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import torch

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Job:
    """One run of a comparison.

    Attributes:
        cell: what is tuned.
        trial: number of the trial; with another seed than the first, of the trial selected.
        seed: of the run.
    """

    cell: Any
    trial: int
    seed: int = 0


@dataclass(frozen=True)
class Comparison(ABC):
    """What is compared.

    Attributes:
        cells: what is tuned, each as one.
        seeds: number of seeds, from 0 on.
        trials: number of trials of each cell.
    """

    cells: tuple[Any, ...]
    seeds: int
    trials: int

    def __len__(self) -> int:
        """Number of runs in all."""
        return len(self.cells) * (self.trials + self.seeds - 1)

    @abstractmethod
    def finished(self, task: Any, folder: Path) -> pl.DataFrame:
        """The runs that the folder holds already, once they are known to be of this comparison.

        Raises:
            InputError: they are damaged, or of another comparison.
        """

    @abstractmethod
    def read(self, folder: Path) -> pl.DataFrame:
        """The runs that the folder holds, which are known to be of this comparison."""

    @abstractmethod
    def of_cell(self, finished: pl.DataFrame, cell: Any) -> pl.DataFrame:
        """The runs of a cell: `seed`, `trial`, whether that is `selected`, and it is `measured`."""

    @abstractmethod
    def carry_out(self, job: Job, trials: Sequence[Row], task: Any) -> Row:
        """Train and measure one run.

        Args:
            job: what is run.
            trials: the finished trials of its cell, in their order.
            task: the data.
        """

    @abstractmethod
    def append(self, folder: Path, outcome: Row) -> Row:
        """Write what `carry_out` gave into the folder; the row of the run."""

    def num_done(self, finished: pl.DataFrame) -> int:
        """How many of the runs are finished."""
        return sum(self.of_cell(finished, cell).height for cell in self.cells)

    def next_jobs(self, finished: pl.DataFrame) -> list[Job]:
        """What can be started, given the runs that are finished."""
        jobs = []
        for cell in self.cells:
            runs = self.of_cell(finished, cell)
            num_finished = runs.filter(seed=0).height
            if num_finished < self.trials:
                jobs.append(Job(cell, num_finished))
                continue
            selected = runs.filter("selected")
            best, done = selected["trial"][0], set(selected.filter("measured")["seed"])
            jobs += [Job(cell, best, seed) for seed in range(self.seeds) if seed not in done]
        return jobs


def run_all(
    comparison: Comparison, task: object, folder: Path, *, jobs: int, threads: int
) -> Iterator[Row]:
    """Train what the folder does not hold yet, and add each finished run to it.

    Args:
        comparison: what is compared.
        task: the data.
        folder: of the results.
        jobs: processes that train, one run each at a time.
        threads: of each process.

    Yields:
        The row of each run, when it is finished and written.
    """
    finished = comparison.finished(task, folder)
    with _workers(jobs, task, threads) as pool:
        running: dict[Future[Row], Job] = {}
        while True:
            started = set(running.values())
            for job in comparison.next_jobs(finished):
                if job not in started:
                    runs = comparison.of_cell(finished, job.cell)
                    trials = runs.filter(seed=0).sort("trial").to_dicts()
                    with _holding_interrupts():
                        running[pool.submit(_carry_out, comparison, job, trials)] = job
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                del running[future]
                yield comparison.append(folder, future.result())
            finished = comparison.read(folder)


@contextmanager
def _workers(jobs: int, task: object, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that end with this one, at once when it stops early."""
    others = active_children()
    with TemporaryDirectory() as folder:
        # A worker that reads the task from this process would keep it waiting for its imports.
        path = Path(folder) / "task"
        with path.open("wb") as file:
            pickle.dump(task, file)
        with ProcessPoolExecutor(
            jobs, get_context("spawn"), initializer=_start_worker, initargs=(path, threads)
        ) as pool:
            try:
                yield pool
            except BaseException:
                for process in set(active_children()).difference(others):
                    process.kill()
                # Its thread lets go of semaphores: who ends before leaves them behind.
                pool.shutdown(wait=True, cancel_futures=True)
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


_worker_task: Any


def _start_worker(path: Path, threads: int) -> None:  # pragma: no cover  (in another process)
    global _worker_task
    with path.open("rb") as file:
        _worker_task = pickle.load(file)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:  # pragma: no cover  (in another process)
    """End this process when its parent is gone, even killed: nobody would read the result."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _carry_out(
    comparison: Comparison, job: Job, trials: Sequence[Row]
) -> Row:  # pragma: no cover  (in another process)
    return comparison.carry_out(job, trials, _worker_task)
