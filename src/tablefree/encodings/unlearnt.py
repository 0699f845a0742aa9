"""Rows that have an owner but have not learnt: their ids are as neutral as before.

A row starts at random, for learning wants that, and what is random must not be taken for knowledge.
It has learnt when a gradient has reached it and its numbers are no longer those of that moment.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

LookUp = Callable[[Tensor], Tensor]  # from rows to their numbers


class UnlearntRows:
    """Which of the rows that were given away lately have not learnt.

    A training writes, and other threads may read beside it: what they find belongs together.
    """

    def __init__(self) -> None:
        # Not on the meta device, on which a loader may build.
        none = torch.empty(0, dtype=torch.int64, device="cpu")
        self._state = _State(none, none, torch.empty(0, 0, device="cpu"))

    def __len__(self) -> int:
        return len(self._state.rows)

    def add(self, rows: Int[Tensor, " n"]) -> None:
        """Take in rows that were given away just now."""
        before = self._state
        rows = torch.unique(torch.cat([before.rows.to(rows.device), rows]))
        self._state = before._replace(rows=rows)

    def reached(self, rows: Int[Tensor, " n"], look_up: LookUp) -> None:
        """Note that a gradient has reached some rows, these or others."""
        state = self._state
        rows = torch.unique(rows[torch.isin(rows, state.rows.to(rows.device))])
        numbers = look_up(rows)
        earlier = ~torch.isin(state.reached.to(rows.device), rows)
        if earlier.any():
            rows = torch.cat([state.reached.to(rows.device)[earlier], rows])
            numbers = torch.cat([state.numbers.to(numbers)[earlier], numbers])
        self._state = state._replace(reached=rows, numbers=numbers)

    def still(self, look_up: LookUp) -> Int[Tensor, " n"]:
        """The rows that have not learnt."""
        state = self._state
        if not len(state.reached):
            return state.rows
        now = look_up(state.reached)
        has_learnt = (now != state.numbers.to(now)).any(1)
        return state.rows[~torch.isin(state.rows, state.reached[has_learnt])]

    def forget(self, look_up: LookUp) -> None:
        """Let go of those that have learnt."""
        state, rows = self._state, self.still(look_up)
        kept = torch.isin(state.reached, rows)
        self._state = _State(rows, state.reached[kept], state.numbers[kept])


class _State(NamedTuple):
    """Rows without repeats, those that a gradient has reached, and their numbers at that time."""

    rows: Int[Tensor, " n"]
    reached: Int[Tensor, " m"]
    numbers: Float[Tensor, "m width"]
