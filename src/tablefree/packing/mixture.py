"""A form for each table, and rows for some of its ids: bytes go where an error costs the most.

With one form for all, small tables, whose rows are looked up the most, get no more bits than the
largest, and what is left below the next form is left over.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, TypeVar

from tablefree.packing.forms import Form

Key = TypeVar("Key", bound=Hashable)

# From a byte a row to many, such as fill whole bytes. Product codes take long to find: they are
# tried for all tables alike.
LADDER = tuple(
    Form.parse(name)
    for name in (
        *("residual-2x4", "residual-4x4", "residual-6x4", "residual-8x4", "residual-10x4"),
        *("residual-12x4", "residual-16x4", "residual-1x8", "residual-2x8", "residual-4x8"),
        *("levels-2", "levels-3", "levels-4", "levels-5", "levels-6", "int4", "int8"),
    )
)


class Choice(NamedTuple):
    """What becomes of a table.

    Attributes:
        form: of its rows.
        kept: of a sketch, how many ids have rows of their own; None for as many as have them.
    """

    form: Form
    kept: int | None = None


@dataclass(frozen=True)
class Mixture:
    """What becomes of each of several tables, in their order."""

    choices: tuple[Choice, ...]

    def __str__(self) -> str:
        """The name in results."""
        return "mixed"


class Option(NamedTuple):
    """What can become of a table.

    Attributes:
        num_bytes: of the table then.
        cost: what its errors cost.
        choice: what becomes of it.
    """

    num_bytes: int
    cost: float
    choice: Choice


def best_within(options: Mapping[Key, Sequence[Option]], num_bytes: float) -> dict[Key, Choice]:
    """The options of least cost in all within so many bytes, nearly.

    Step by step the table takes its next form whose bytes spare the most (Shoham and Gersho,
    "Efficient Bit Allocation for an Arbitrary Set of Quantizers", 1988).

    Args:
        options: of each table, at least one.
        num_bytes: of all.

    Returns:
        The choice of each table; none where the smallest are too large.
    """
    ladders = {key: _hull(some) for key, some in options.items()}
    chosen = {key: ladder[0] for key, ladder in ladders.items()}
    left = num_bytes - sum(one.num_bytes for one in chosen.values())
    if left < 0:
        return {}
    steps = [(key, *step) for key, ladder in ladders.items() for step in pairwise(ladder)]
    for key, before, after in sorted(steps, key=lambda step: _spared(*step[1:]), reverse=True):
        more = after.num_bytes - before.num_bytes
        # A step that is too large ends its ladder: those that follow come after it.
        if chosen[key] == before and more <= left:
            left -= more
            chosen[key] = after
    return {key: one.choice for key, one in chosen.items()}


def _hull(options: Sequence[Option]) -> list[Option]:
    """The options from the smallest on of which each byte more spares less than those before."""
    hull: list[Option] = []
    for one in sorted(options, key=lambda one: (one.num_bytes, one.cost)):
        if hull and one.cost >= hull[-1].cost:
            continue
        while len(hull) > 1 and _spared(hull[-1], one) >= _spared(hull[-2], hull[-1]):
            hull.pop()
        if hull and hull[-1].num_bytes == one.num_bytes:
            hull.pop()
        hull.append(one)
    return hull


def _spared(before: Option, after: Option) -> float:
    """The cost that each byte more spares."""
    return (before.cost - after.cost) / max(after.num_bytes - before.num_bytes, 1)
