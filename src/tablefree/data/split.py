"""Splits of the events into training, validation and test part.

Every split is a partition of all events, the same for the same data and seed on every machine.
What each guards against: docs/evaluation.md.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tablefree.data.interactions import Interactions
from tablefree.errors import InputError

TRAIN, VALIDATION, TEST = 0, 1, 2

Parts = npt.NDArray[np.int8]  # TRAIN, VALIDATION or TEST for each event


@dataclass(frozen=True)
class Split:
    """Positions of events (int64, ascending): disjoint, together all events."""

    train: npt.NDArray[np.int64]
    validation: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def split_interactions(
    interactions: Interactions,
    how: str = "random",
    *,
    seed: int,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.1,
) -> Split:
    """Split the events.

    Args:
        interactions: The events.
        how: One of
            `"random"`: each event alike, but that all events of one pair are where its first is:
            else a pair that occurs often is tested on what was learned by heart;
            `"leave-last-out"`: of each user with at least three events the last one is for test
            and the one before for validation (fractions and seed play no part; equal times keep
            the order of the file);
            `"time"`: the latest events are for test, those before for validation (events of the
            same moment stay together, so that fractions are approximate);
            `"cold-items"`, `"cold-users"`: all events of a random fraction of the items or users.
        seed: Seed of `numpy.random.default_rng`.
        validation_fraction: Part of the events (or items, or users) for validation.
        test_fraction: Part of the events (or items, or users) for test.

    Raises:
        InputError: Unknown `how`, impossible fractions, no timestamps where they are needed, an
            empty part, or explicit labels of one class only in a held-out part.

    Example:
        >>> split = split_interactions(synthetic_interactions(), "leave-last-out", seed=0)
    """
    if how not in _HOW:
        raise InputError(f"unknown split {how!r}: choose one of {', '.join(_HOW)}")
    if min(validation_fraction, test_fraction) <= 0 or validation_fraction + test_fraction >= 1:
        raise InputError(
            f"validation_fraction and test_fraction must be above 0 and sum to less than 1, got "
            f"{validation_fraction} and {test_fraction}"
        )
    parts = _HOW[how](interactions, np.random.default_rng(seed), validation_fraction, test_fraction)
    split = Split(*(np.flatnonzero(parts == part) for part in (TRAIN, VALIDATION, TEST)))
    for name, part in (
        ("training", split.train),
        ("validation", split.validation),
        ("test", split.test),
    ):
        _check_part(interactions, how, name, part)
    return split


def _check_part(
    interactions: Interactions, how: str, name: str, part: npt.NDArray[np.int64]
) -> None:
    if not len(part):
        raise InputError(
            f"the {name} part of the {how} split of {interactions.name} is empty "
            f"({interactions.num_events} events): use more data, other fractions or another split"
        )
    if interactions.label is None:
        return
    num_positives = int(interactions.label[part].sum())
    if num_positives in (0, len(part)):
        raise InputError(
            f"the {name} part of the {how} split of {interactions.name} has labels of one class "
            f"only ({num_positives} of {len(part)} are 1): use more data, larger fractions or "
            "another split"
        )


def _shuffled_parts(
    count: int, rng: np.random.Generator, validation_fraction: float, test_fraction: float
) -> Parts:
    num_validation, num_test = round(count * validation_fraction), round(count * test_fraction)
    parts = np.full(count, TRAIN, np.int8)
    order = rng.permutation(count)
    parts[order[:num_test]] = TEST
    parts[order[num_test : num_test + num_validation]] = VALIDATION
    return parts


def _random(
    interactions: Interactions, rng: np.random.Generator, validation: float, test: float
) -> Parts:
    parts = _shuffled_parts(interactions.num_events, rng, validation, test)
    pairs = interactions.user * interactions.num_items + interactions.item
    _, first, pair = np.unique(pairs, return_index=True, return_inverse=True)
    of_first: Parts = parts[first[pair]]
    return of_first


def _cold_items(
    interactions: Interactions, rng: np.random.Generator, validation: float, test: float
) -> Parts:
    return _shuffled_parts(interactions.num_items, rng, validation, test)[interactions.item]


def _cold_users(
    interactions: Interactions, rng: np.random.Generator, validation: float, test: float
) -> Parts:
    return _shuffled_parts(interactions.num_users, rng, validation, test)[interactions.user]


def _leave_last_out(
    interactions: Interactions, _rng: np.random.Generator, _validation: float, _test: float
) -> Parts:
    timestamp = _timestamps(interactions, "leave-last-out")
    order = np.lexsort((timestamp, interactions.user))
    num_events = np.bincount(interactions.user, minlength=interactions.num_users)
    last = np.cumsum(num_events)[num_events >= 3] - 1
    parts = np.full(interactions.num_events, TRAIN, np.int8)
    parts[order[last]] = TEST
    parts[order[last - 1]] = VALIDATION
    return parts


def _time(
    interactions: Interactions, _rng: np.random.Generator, validation: float, test: float
) -> Parts:
    timestamp = _timestamps(interactions, "time")
    return parts_by_time(timestamp, [1 - test - validation, 1 - test]).astype(np.int8)


def parts_by_time(
    timestamp: npt.NDArray[np.int64], fractions: Sequence[float] | npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """The part of each event, when time is cut after these fractions of the events.

    A boundary is a time, not a position: events of one moment are in one part.
    """
    # Quantiles of positions, not of times, which float64 does not hold.
    positions = np.quantile(np.arange(len(timestamp)), fractions, method="higher").astype(np.int64)
    return np.searchsorted(np.sort(timestamp)[positions], timestamp, side="right")


def _timestamps(interactions: Interactions, how: str) -> npt.NDArray[np.int64]:
    if interactions.timestamp is None:
        raise InputError(
            f"the {how} split needs timestamps and {interactions.name} has none: name the "
            "timestamp column, or use the random split"
        )
    return interactions.timestamp


_HOW: dict[str, Callable[[Interactions, np.random.Generator, float, float], Parts]] = {
    "random": _random,
    "leave-last-out": _leave_last_out,
    "time": _time,
    "cold-items": _cold_items,
    "cold-users": _cold_users,
}
