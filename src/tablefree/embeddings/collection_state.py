"""The weights of a collection by the names of its features, whatever order they were saved in.

Modules of a list know their places alone. So the names go with the weights, and those of another
order are put in place before they are loaded.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from tablefree.errors import CheckpointError


class Names(NamedTuple):
    """Which features there are, in the order of their weights.

    Attributes:
        groups: those computed together.
        singles: those computed alone.
    """

    groups: list[list[str]]
    singles: list[str]

    def are_those_of(self, other: "Names") -> bool:
        """Whether the features are the same, in any order, and computed with the same others."""
        groups, others = ({frozenset(names) for names in one.groups} for one in (self, other))
        return groups == others and set(self.singles) == set(other.singles)


def names_of(state: Tensor) -> Names:
    """The names in an extra state.

    Raises:
        CheckpointError: it has none.
    """
    try:
        names = json.loads(bytes(state.tolist()))
        return Names([list(map(str, group)) for group in names["groups"]], list(names["singles"]))
    except (AttributeError, KeyError, TypeError, ValueError):
        raise CheckpointError(
            "the names of the collection's features in the checkpoint cannot be read: the file is "
            "damaged or was not written by tablefree"
        ) from None


def rearrange(
    state_dict: dict[str, Any],
    prefix: str,
    saved: Names,
    groups: Sequence[Sequence[str]],
    singles: Sequence[str],
) -> None:
    """Put the weights of a collection, in place, into another order of its features.

    Args:
        state_dict: has them under "groups.N" and "singles.N".
        prefix: of the collection's names in it.
        saved: the order that they are in.
        groups: the order wanted; those that have a place in each group.
        singles: likewise, of the others.

    Raises:
        CheckpointError: the features are others.
    """
    wanted = Names([list(names) for names in groups], list(singles))
    if saved == wanted:
        return
    if not saved.are_those_of(wanted):
        raise CheckpointError(
            f"the checkpoint has the features {_text(saved)}, and the collection {_text(wanted)}: "
            "build it with the checkpoint's features and configurations"
        )
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


def _text(names: Names) -> str:
    together = [" with ".join(map(repr, group)) for group in names.groups]
    return ", ".join([*together, *map(repr, names.singles)])
