"""Rows shared out among threads: torch's own OpenMP threads, where it has them.

Torch's threads keep their cores busy for a while after each operation, waiting for the next one.
Threads of our own would have to share the cores with them, and encoding beside matrix products took
one and a half times as long. Numba's thread layers are no way round: they abort a process that
forks, as data loaders do, or calls them from two threads.
"""

import ctypes
import multiprocessing
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

# About 120 microseconds of hashing: less is not worth waking a thread for. Two threads share a
# thousand ids under 1,024 hashes, 2,600 lookups in a sketch, or more.
_WORK_PER_THREAD = 2**19
_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_MAPS = Path("/proc/self/maps")  # on Linux: what is loaded into this process


def in_threads(fill: Callable[[slice], None], size: int, work: int, num_threads: int) -> None:
    """Call `fill` on equal slices of `size` rows, each row as much work as `work` hashes.

    Args:
        fill: a kernel that releases the interpreter's lock.
        size: number of rows.
        work: of a row; little work in all is done by one thread.
        num_threads: as many as may run.
    """
    num_threads = max(1, min(num_threads, size, size * work // _WORK_PER_THREAD))
    if num_threads == 1:
        fill(slice(0, size))
        return
    edges = [size * part // num_threads for part in range(num_threads + 1)]
    parts = [slice(*pair) for pair in pairwise(edges)]
    openmp = _openmp(os.getpid())
    if openmp is None:
        list(_pool(os.getpid(), num_threads).map(fill, parts))
        return
    errors: list[BaseException] = []

    def run(_: object) -> None:
        try:
            # Fewer threads than asked for may come.
            for part in range(
                openmp.omp_get_thread_num(), num_threads, openmp.omp_get_num_threads()
            ):
                fill(parts[part])
        except BaseException as error:  # must not be lost in a thread that is not Python's
            errors.append(error)

    openmp.GOMP_parallel(_CALLBACK(run), None, num_threads, 0)
    if errors:
        raise errors[0]


@lru_cache(maxsize=8)
def _pool(process: int, num_threads: int) -> ThreadPoolExecutor:  # noqa: ARG001
    """Threads kept between calls; a forked process, whose threads are gone, starts its own."""
    return ThreadPoolExecutor(num_threads, thread_name_prefix="tablefree-kernel")


@lru_cache(maxsize=8)
def _openmp(process: int) -> ctypes.CDLL | None:
    """GNU OpenMP as torch has loaded it; None elsewhere and in forked processes, where it hangs."""
    if process != _FIRST_PROCESS or _was_forked() or not _MAPS.exists():
        return None
    loaded = sorted(set(re.findall(r"/.*/libgomp[^/\n]*", _MAPS.read_text())))
    of_torch = [path for path in loaded if "/torch" in path]
    return ctypes.CDLL((of_torch or loaded)[0]) if loaded else None


def _was_forked() -> bool:
    """Whether `multiprocessing` forked this process, before or after this module was imported."""
    has_parent = multiprocessing.parent_process() is not None
    return has_parent and multiprocessing.get_start_method(allow_none=True) in (None, "fork")


# `import tablefree` sets it: a process that forks later is told from those that it makes.
_FIRST_PROCESS = os.getpid()
