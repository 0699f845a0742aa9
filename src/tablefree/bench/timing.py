"""Two calls timed by turns, so that whatever the machine does meanwhile happens to both."""

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

Value = TypeVar("Value")

FEWEST_REPETITIONS = 5


def alternate(
    ours: Callable[[Value], object],
    against: Callable[[Value], object],
    inputs: Iterator[Value],
    *,
    seconds: float,
    device: torch.device,
) -> tuple[list[float], list[float]]:
    """Time two calls on the same inputs, A B A B ..., after one call of each to warm up.

    Args:
        ours: takes an input; so does `against`.
        against: what `ours` is compared with.
        inputs: one for each pair of calls; making them is not timed.
        seconds: how long to go on, all included; at least five pairs are timed.
        device: where the calls run.

    Returns:
        The milliseconds of each call of `ours`, and of `against`.

    Example:
        >>> cpu = torch.device("cpu")
        >>> pairs = alternate(abs, float, itertools.repeat(-1), seconds=0.1, device=cpu)
    """
    milliseconds = _milliseconds_on_cuda if device.type == "cuda" else _milliseconds
    value = next(inputs)
    ours(value)
    against(value)
    times: tuple[list[float], list[float]] = [], []
    start = time.perf_counter()
    while len(times[0]) < FEWEST_REPETITIONS or time.perf_counter() - start < seconds:
        value = next(inputs)
        times[0].append(milliseconds(ours, value))
        times[1].append(milliseconds(against, value))
    return times


def _milliseconds(call: Callable[[Value], object], value: Value) -> float:
    start = time.perf_counter()
    result = call(value)
    stop = time.perf_counter()
    del result  # to free its memory is not timed
    return (stop - start) * 1e3


def _milliseconds_on_cuda(
    call: Callable[[Value], object], value: Value
) -> float:  # pragma: no cover - needs a GPU
    torch.cuda.synchronize()
    start, stop = (torch.Event("cuda", enable_timing=True) for _ in range(2))
    start.record()
    result = call(value)
    stop.record()
    stop.synchronize()
    del result
    return float(start.elapsed_time(stop))
