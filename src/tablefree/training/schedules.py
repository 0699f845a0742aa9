"""Learning rates over a training: what they are multiplied with when a share of it is done.

The cosine is that of Loshchilov and Hutter, "SGDR", 2017; one cycle that of Smith and Topin,
"Super-Convergence", 2018, without its momentum.
"""

from collections.abc import Callable
from math import cos, pi

WARM_UP = 0.3  # of one cycle
LOWEST = 1 / 25  # where it starts


def _cosine(done: float) -> float:
    return (1 + cos(pi * done)) / 2


def _one_cycle(done: float) -> float:
    if done < WARM_UP:
        return 1 - (1 - LOWEST) * _cosine(done / WARM_UP)
    return _cosine((done - WARM_UP) / (1 - WARM_UP))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda _done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
}
"""Name → the factor, from 0 to 1, when a share of all steps, from 0 to 1, is done."""
