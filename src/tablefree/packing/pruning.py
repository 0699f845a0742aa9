"""Rows of their own for fewer ids than had them in training: the others share one, their mean.

Whoever trains has room for a row of each id, and learns best with it; which rows are worth their
bytes shows afterwards.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.embeddings.budget import CLAIMED_ROOM
from tablefree.encodings.row_claims import FREE, SLOTS
from tablefree.encodings.sketch import SketchEncoding
from tablefree.packing.encoding import Statistics
from tablefree.packing.examples import Examples, squares

FEWEST = 64  # ids with rows, from which on some may be left out
STEPS = tuple(0.85**step for step in range(18))  # shares of the ids that may keep theirs
PARTS = 64  # in which ids come for rows, so that the first are served first


class Owners(NamedTuple):
    """The ids that own rows of a sketch, as far as examples have them.

    Attributes:
        ids: int64, distinct.
        rows: the numbers of each.
        counts: how often each is looked up.
    """

    ids: Int[Tensor, " n"]
    rows: Float[Tensor, "n width"]
    counts: Float[Tensor, " n"]

    def at(self, places: Tensor) -> "Owners":
        """Some of them, in this order."""
        return Owners(*(one[places] for one in self))


@torch.no_grad()
def owners_in(
    module: nn.Module, examples: Examples, met: Mapping[nn.Module, Tensor]
) -> dict[nn.Module, Owners]:
    """The owners in each sketch of a module that has such, and has not grown.

    Args:
        module: in evaluation mode.
        examples: what it is called with.
        met: of some of the sketches, int64 ids of all of training, of which examples are a part.
    """
    sketches = [
        one
        for one in module.modules()
        if isinstance(one, SketchEncoding) and one.claims is not None and one.claims.more is None
    ]
    found: dict[SketchEncoding, list[tuple[Tensor, Tensor]]] = {
        one: [torch.unique(met[one], return_counts=True)] if one in met else [] for one in sketches
    }

    def note(sketch: SketchEncoding, arguments: tuple[Any, ...], _: Tensor) -> None:
        found[sketch].append(torch.unique(arguments[0], return_counts=True))

    hooks = [one.register_forward_hook(note) for one in sketches if one not in met]
    try:
        for inputs, _ in examples.batches(torch.arange(len(examples))) if hooks else ():
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return {one: _owners(one, some) for one, some in found.items() if some}


def _owners(sketch: SketchEncoding, found: list[tuple[Tensor, Tensor]]) -> Owners:
    ids, places = torch.unique(torch.cat([some for some, _ in found]), return_inverse=True)
    counts = torch.zeros(len(ids)).index_add_(0, places, torch.cat([n for _, n in found]).float())
    assert sketch.claims is not None
    rows = sketch.claims(ids)
    unlearnt = sketch.claims.unlearnt.still(sketch._own).to(rows.device)
    is_owner = (rows >= 0) & ~torch.isin(rows, unlearnt)
    return Owners(ids[is_owner], sketch._own(rows[is_owner]).float(), counts[is_owner])


def by_worth(owners: Owners, metric: Float[Tensor, "width width"]) -> Owners:
    """The owners, first those whose rows the mean of all would stand for the worst."""
    mean = _mean(owners)
    errors = owners.rows - mean
    worth = owners.counts * squares(errors, metric)
    return owners.at(torch.argsort(-worth, stable=True))


def tail_costs(
    owners: Owners, metric: Float[Tensor, "width width"], kept: list[int]
) -> list[float]:
    """What it costs that all owners but the first so many have the mean of theirs."""
    weighted = owners.counts[:, None] * owners.rows
    squares = ((weighted @ metric) * owners.rows).sum(1).double()
    costs = []
    for first in kept:
        total = float(owners.counts[first:].sum())
        mean = weighted[first:].sum(0) / max(total, 1e-30)
        costs.append(max(float(squares[first:].sum()) - total * float(mean @ metric @ mean), 0.0))
    return costs


def capacity_for(num_ids: int) -> int:
    """Rows that so many ids need."""
    return max(SLOTS, -(-round(CLAIMED_ROOM * num_ids) // SLOTS) * SLOTS)


@torch.no_grad()
def pruned(
    sketch: SketchEncoding, owners: Owners, kept: int, metric: Tensor | None
) -> tuple[SketchEncoding, Statistics]:
    """A sketch in which the first owners have rows, and as many others as find one free.

    Args:
        sketch: trained.
        owners: of its rows, in order.
        kept: how many are to have rows.
        metric: of its rows.

    Returns:
        The sketch, with one shared row, the mean of the others'; and what is known of its rows.
    """
    small = SketchEncoding(
        1, sketch.width, num_hashes=1, capacity=capacity_for(kept), seed=sketch.buckets.seed
    )
    assert small.claims is not None
    for part in torch.split(owners.ids, max(1, -(-len(owners.ids) // PARTS))):
        small.claims.give(part[small.claims(part) == FREE])
    rows = small.claims(owners.ids)
    has_row, small.std, weight = rows >= 0, sketch.std, small.rows.weight
    own = rows[has_row] + small.first_own
    # Of ids that are taken for each other the first is the owner.
    places = torch.arange(len(rows))[has_row]
    first = torch.full((len(weight),), len(rows)).scatter_reduce_(0, own, places, "amin")
    (taken,) = torch.nonzero(first < len(rows), as_tuple=True)
    counts = torch.zeros(len(weight)).index_add_(0, own, owners.counts[has_row])
    weight.zero_()
    weight[taken] = owners.rows[first[taken]]
    others = owners.at(~has_row)
    weight[0], counts[0] = _mean(others), others.counts.sum()
    return small, Statistics(metric, counts)


def _mean(owners: Owners) -> Float[Tensor, " width"]:
    total = owners.counts.sum().clamp(min=1e-30)
    return (owners.counts[:, None] * owners.rows).sum(0) / total
