"""Which events are for training, validation and test: by time, by group or at random."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tablefree.checks import check_choice
from tablefree.data.split import parts_by_time
from tablefree.errors import InputError
from tablefree.fields.events import Events

SPLITS: Final = ("time", "group", "random")
VALIDATION, TEST = 0.1, 0.1  # shares of the events, or of the groups


class Parts(NamedTuple):
    """Rows of each part, ascending."""

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def default_split(events: Events) -> str:
    """By time where events have one, else by group where they have one, else at random."""
    if events.times is not None:
        return "time"
    return "random" if events.groups is None else "group"


def split_events(events: Events, how: str, *, seed: int = 0) -> Parts:
    """Split the events that have a label.

    By time, the latest tenth is for test, and the tenth before it for validation; events of one
    moment stay together. By group, all events of a tenth of the groups each. The same for the same
    data and seed on every machine.

    Raises:
        InputError: another split, or one by what the events do not have.
    """
    check_choice("split", how, SPLITS)
    assert events.labels is not None
    rows = np.flatnonzero(~np.isnan(events.labels))
    if not len(rows):
        raise InputError("no event has a label, and both labels are needed: use other data")
    if how == "time":
        if events.times is None:
            raise InputError(
                "a split by time needs a time: name its column (--time), or split at random"
            )
        part = parts_by_time(events.times[rows], [1 - VALIDATION - TEST, 1 - TEST])
    else:
        rng = np.random.default_rng(seed)
        if how == "group":
            if events.groups is None:
                raise InputError("a split by group needs a group: name its column (--group)")
            _, group = np.unique(events.groups[rows], return_inverse=True)
        else:
            group = np.arange(len(rows))
        num_groups = int(group.max()) + 1
        shares = rng.permutation(num_groups) / num_groups
        part = np.searchsorted([1 - VALIDATION - TEST, 1 - TEST], shares, side="right")[group]
    return Parts(*(rows[part == number] for number in range(3)))


def check_labels(events: Events, parts: Parts, how: str) -> None:
    """Refuse, before any training, parts that tell nothing.

    Raises:
        InputError: a part without events, or with labels of one class alone.
    """
    assert events.labels is not None
    for name, some in zip(Parts._fields, parts, strict=True):
        labels = events.labels[some]
        if len(np.unique(labels)) < 2:
            found = f", all with the label {labels[0]:g}" if len(some) else ""
            raise InputError(
                f"the {name} part of the split by {how} has {len(some)} events{found}, and both "
                "labels are needed: use more data, or another split"
            )
