import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

from tablefree.kernels import threads
from tablefree.kernels.threads import in_threads

LOTS = 2**17  # work of a row that is worth a thread


def rows_and_threads(size: int, work: int, num_threads: int) -> tuple[np.ndarray, set[int]]:
    """How often each row was filled, and the threads that did so."""
    filled, used = np.zeros(size, int), set()
    meet = threading.Barrier(num_threads, timeout=20) if work == LOTS else None

    def fill(part: slice) -> None:
        if meet is not None:
            meet.wait()
        filled[part] += 1
        used.add(threading.get_native_id())

    in_threads(fill, size, work, num_threads)
    return filled, used


@pytest.fixture(params=["openmp", "pool"])
def either_kind(request, monkeypatch):
    if request.param == "pool":
        monkeypatch.setattr(threads, "_openmp", lambda _process: None)
    elif threads._openmp(os.getpid()) is None:
        pytest.skip("torch has no GNU OpenMP here")


@pytest.mark.parametrize("num_threads", [2, 3])
@pytest.mark.usefixtures("either_kind")
def test_each_row_is_filled_once_by_as_many_threads_as_asked_for(num_threads):
    filled, used = rows_and_threads(1001, LOTS, num_threads)
    assert (filled == 1).all()
    assert len(used) == num_threads


def test_little_work_stays_in_this_thread():
    filled, used = rows_and_threads(100, 1, 4)
    assert (filled == 1).all()
    assert used == {threading.get_native_id()}


def test_no_rows():
    assert rows_and_threads(0, 1, 4)[0].size == 0


@pytest.mark.usefixtures("either_kind")
def test_an_error_in_a_thread_is_raised():
    def fill(part: slice) -> None:
        if part.stop == 10:
            raise ValueError("the last part")

    with pytest.raises(ValueError, match="the last part"):
        in_threads(fill, 10, LOTS, 2)


@pytest.mark.usefixtures("either_kind")
def test_several_threads_may_call():
    results: list[np.ndarray] = []

    def call() -> None:
        filled = np.zeros(1000, int)

        def fill(part: slice) -> None:
            filled[part] += 1

        for _ in range(20):
            in_threads(fill, 1000, LOTS, 2)
        results.append(filled)

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert [(filled == 20).all() for filled in results] == [True] * 3


FORKS = {
    "by hand": """
        child = os.fork()
        if child == 0:
            os._exit(work())
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    """,
    "by multiprocessing": """
        context = multiprocessing.get_context("fork")
        child = context.Process(target=lambda: os._exit(work()))
        child.start()
        child.join()
        code = child.exitcode
    """,
}


@pytest.mark.parametrize("fork", FORKS.values(), ids=FORKS.keys())
def test_kernels_that_a_forked_process_is_the_first_to_call_do_not_wait_for_ever(fork):
    script = """
import multiprocessing, os, torch, tablefree
torch.set_num_threads(2)
torch.rand(600, 600) @ torch.rand(600, 600)
(torch.rand(10**6) + 1).sum()  # torch has threads now, and no kernel has been called
def work():
    ids = tablefree.hash_strings([str(i) for i in range(200_000)])
    return 0 if ids[7] == tablefree.hash_strings(["7"])[0] else 1
""" + textwrap.dedent(fork)
    ran = subprocess.run(
        [sys.executable, "-c", script + "\nprint(code)"],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert ran.stdout.strip() == "0"


def test_a_forked_process_starts_threads_of_its_own():
    script = """
import os, numpy, torch
from tablefree.kernels import cpu
torch.rand(600, 600) @ torch.rand(600, 600)
def codes():
    out = numpy.empty((1000, 1024), numpy.float32)
    cpu.dense_hash(numpy.arange(1000), out, 3, "multiply_shift", 9, "uniform", 3)
    return out
before = codes()
child = os.fork()
if child == 0:
    os._exit(0 if numpy.array_equal(codes(), before) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.strip() == "0"
