"""Rows that have an owner but have not learnt: their ids are as neutral as before.

A row starts at random, for learning wants that, and what is random must not be taken for knowledge.
It has learnt when a gradient has reached it and its numbers are no longer those of that moment.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

LookUp = Callable[[Tensor], Tensor]  # from rows to their numbers


class UnlearntRows:
    """Which of the rows that were given away lately have not learnt.

    A training writes, and other threads may read beside it: what they find belongs together.
    """

    def __init__(self) -> None:
        # Not on the meta device, on which a loader may build.
        none = torch.empty(0, dtype=torch.int64, device="cpu")
        self._state = _State(none, none.bool(), torch.empty(0, 0, device="cpu"))

    def __len__(self) -> int:
        return len(self._state.rows)

    def add(self, rows: Int[Tensor, " n"]) -> None:
        """Take in rows that were given away just now."""
        before = self._state.to(rows.device)
        rows, places = torch.unique(torch.cat([before.rows, rows]), return_inverse=True)
        known = places[: len(before.rows)]
        is_reached = torch.zeros_like(rows, dtype=torch.bool)
        is_reached[known] = before.is_reached
        numbers = before.numbers.new_zeros(len(rows), before.numbers.shape[1])
        numbers[known] = before.numbers
        self._state = _State(rows, is_reached, numbers)

    def reached(self, rows: Int[Tensor, " n"], look_up: LookUp) -> None:
        """Note that a gradient has reached some rows, these or others."""
        if not len(self):  # all have learnt since
            return
        state = self._state.to(rows.device)
        places = torch.searchsorted(state.rows, rows).clamp(max=len(state.rows) - 1)
        places = places[state.rows[places] == rows]
        now = look_up(state.rows[places])
        numbers = now.new_zeros(len(state.rows), now.shape[1])
        numbers[:, : state.numbers.shape[1]] = state.numbers
        is_reached = state.is_reached.clone()
        is_reached[places], numbers[places] = True, now
        self._state = _State(state.rows, is_reached, numbers)

    def still(self, look_up: LookUp) -> Int[Tensor, " n"]:
        """The rows that have not learnt."""
        state = self._state
        return state.rows[~_has_learnt(state, look_up)]

    def forget(self, look_up: LookUp) -> None:
        """Let go of those that have learnt."""
        state = self._state
        (kept,) = torch.nonzero(~_has_learnt(state, look_up), as_tuple=True)
        self._state = _State(state.rows[kept], state.is_reached[kept], state.numbers[kept])


class _State(NamedTuple):
    """Rows in order without repeats, which of them a gradient has reached, and what they were then.

    Before any gradient, numbers have no width.
    """

    rows: Int[Tensor, " n"]
    is_reached: Bool[Tensor, " n"]
    numbers: Float[Tensor, "n width"]

    def to(self, device: torch.device) -> "_State":
        return _State(*(one.to(device) for one in self))


def _has_learnt(state: _State, look_up: LookUp) -> Bool[Tensor, " n"]:
    if not state.numbers.shape[1]:
        return state.is_reached  # none is
    now = look_up(state.rows)
    return state.is_reached & (now != state.numbers.to(now)).any(1).to(state.rows.device)
