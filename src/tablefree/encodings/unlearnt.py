"""Rows that have an owner but have not learnt: their ids are as neutral as before.

A row starts at random, for learning wants that, and what is random must not be taken for knowledge.
It has learnt when a gradient has reached it and its numbers are no longer those of that moment.
"""

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor

LookUp = Callable[[Tensor], Tensor]  # from rows to their numbers


class UnlearntRows:
    """Which of the rows that were given away lately have not learnt.

    Attributes:
        rows: int64 `[n]`, distinct.
    """

    def __init__(self) -> None:
        # Not on the meta device, on which a loader may build.
        self.rows = torch.empty(0, dtype=torch.int64, device="cpu")
        self._reached = self.rows
        self._before = torch.empty(
            0, 0, device="cpu"
        )  # the numbers of each of `_reached`, before any step

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, rows: Int[Tensor, " n"]) -> None:
        """Take in rows that were given away just now."""
        self.rows = torch.unique(torch.cat([self.rows.to(rows.device), rows]))

    def reached(self, rows: Int[Tensor, " n"], look_up: LookUp) -> None:
        """Note that a gradient has reached some rows, these or others."""
        rows = torch.unique(rows[torch.isin(rows, self.rows.to(rows.device))])
        earlier = ~torch.isin(self._reached.to(rows.device), rows)
        before = look_up(rows)
        if earlier.any():
            rows = torch.cat([self._reached.to(rows.device)[earlier], rows])
            before = torch.cat([self._before.to(before)[earlier], before])
        self._reached, self._before = rows, before

    def still(self, look_up: LookUp) -> Int[Tensor, " n"]:
        """The rows that have not learnt."""
        if not len(self._reached):
            return self.rows
        now = look_up(self._reached)
        has_learnt = (now != self._before.to(now)).any(1)
        return self.rows[~torch.isin(self.rows, self._reached[has_learnt])]

    def forget(self, look_up: LookUp) -> None:
        """Let go of those that have learnt."""
        self.rows = self.still(look_up)
        kept = torch.isin(self._reached, self.rows)
        self._reached, self._before = self._reached[kept], self._before[kept]
