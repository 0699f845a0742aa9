"""The weights of a collection by the names of its features, whatever order they were saved in.

Modules of a list know their places alone. So the names go with the weights, and those of another
order are put in place before they are loaded.
"""

import json
from typing import Any, NamedTuple

from torch import Tensor

from tablefree.errors import CheckpointError


class CollectionState(NamedTuple):
    """What a collection is beside its weights.

    Attributes:
        groups: the features computed together, in the order of their weights.
        singles: the others, likewise.
        id_types: of features whose type of ids is known.
    """

    groups: list[list[str]]
    singles: list[str]
    id_types: dict[str, Any]

    def has_features_of(self, other: "CollectionState") -> bool:
        """Whether the features are the same, in any order, and computed with the same others."""
        groups, others = ({frozenset(names) for names in one.groups} for one in (self, other))
        return groups == others and set(self.singles) == set(other.singles)

    def __str__(self) -> str:
        together = [" with ".join(map(repr, group)) for group in self.groups]
        return ", ".join([*together, *map(repr, self.singles)])


def state_of(state: Tensor) -> CollectionState:
    """What an extra state says.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        told = json.loads(bytes(state.tolist()))
        groups = [list(map(str, group)) for group in told["groups"]]
        return CollectionState(groups, list(map(str, told["singles"])), dict(told["id_types"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointError(
            "the names of the collection's features in the checkpoint cannot be read: the file is "
            "damaged or was not written by tablefree"
        ) from None


def rearrange(
    state_dict: dict[str, Any], prefix: str, saved: CollectionState, wanted: CollectionState
) -> None:
    """Put the weights of a collection, in place, into another order of its features.

    Args:
        state_dict: has them under "groups.N" and "singles.N".
        prefix: of the collection's names in it.
        saved: the order that they are in.
        wanted: the order that they are to be in.

    Raises:
        CheckpointError: the features are others.
    """
    if not saved.has_features_of(wanted):
        raise CheckpointError(
            f"the checkpoint has the features {saved}, and the collection {wanted}: build it with "
            "the checkpoint's features and configurations"
        )
    groups, singles = wanted.groups, wanted.singles
    if (saved.groups, saved.singles) == (groups, singles):
        return
    moved: dict[str, Any] = {}
    lists = f"{prefix}groups.", f"{prefix}singles."
    for key in [key for key in state_dict if key.startswith(lists)]:
        kind, number, rest = key.removeprefix(prefix).split(".", 2)
        value = state_dict.pop(key)
        if kind == "singles":
            place = singles.index(saved.singles[int(number)])
        else:
            names = saved.groups[int(number)]
            place = next(i for i, group in enumerate(groups) if set(group) == set(names))
            order = [names.index(name) for name in groups[place]]
            if rest.startswith("encodings."):
                _, old, name = rest.split(".", 2)
                rest = f"encodings.{order.index(int(old))}.{name}"
            else:
                value = value[order]  # stacked, a feature a row
        moved[f"{prefix}{kind}.{place}.{rest}"] = value
    state_dict.update(moved)
