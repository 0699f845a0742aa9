"""Synthetic implicit feedback with structure that a recommender can learn.

Users and items are Zipf-distributed; each item belongs to a cluster and each user prefers a few
clusters (the taste matrix, users by clusters, has low rank); side features follow the clusters
with some noise; users and items arrive over time. Every draw is one of integers by integer
weights, so that no rounding decides an event: the same seed gives the same data on every machine
with the same NumPy stream (PCG64).
"""

import numpy as np
import numpy.typing as npt

from tablefree.data.interactions import Features, Interactions
from tablefree.errors import InputError

Ints = npt.NDArray[np.int64]

NUM_CLUSTERS = 16
NUM_GROUPS = 8  # of users: people of one group like similar clusters
GROUP_WEIGHTS = (12, 6, 3)  # of a group's first, second and third cluster
OWN_WEIGHTS = (40, 20, 10)  # of a user's own favourites
NOISE_PERIOD = 5  # one side feature in so many is drawn at random
WEIGHT_SCALE = 2**40
START, DURATION = 1_600_000_000, 2 * 365 * 86_400  # seconds


def synthetic_interactions(
    num_events: int = 200_000, num_users: int = 5_000, num_items: int = 3_000, seed: int = 0
) -> Interactions:
    """Generate events in order of time; each pair of user and item occurs once.

    Ids are random 64-bit integers. Users have the side features `group` and `active_hours`, items
    `genre` and `price`.

    Args:
        num_events: Number of events, at least `num_users + num_items` and at most half of all
            pairs.
        num_users: Number of users; each has at least one event.
        num_items: Number of items; each has at least one event.
        seed: Seed of `numpy.random.default_rng`.

    Raises:
        InputError: The sizes do not go together.

    Example:
        >>> data = synthetic_interactions(num_events=2_000, num_users=100, num_items=80)
        >>> data.num_events, data.num_users, data.num_items
        (2000, 100, 80)
    """
    if num_users < 1 or num_items < 1:
        raise InputError(f"num_users and num_items must be positive: {num_users}, {num_items}")
    if not num_users + num_items <= num_events <= num_users * num_items // 2:
        raise InputError(
            f"num_events must be between num_users + num_items ({num_users + num_items}) and half "
            f"of all pairs ({num_users * num_items // 2}), got {num_events}"
        )
    rng = np.random.default_rng(seed)
    group = rng.integers(NUM_GROUPS, size=num_users)
    cluster = rng.integers(NUM_CLUSTERS, size=num_items)
    user, item = _pairs(num_events, _taste(group, rng), cluster, rng)
    timestamp = _arrival_times(user, item, num_users, num_items, rng)
    order = np.argsort(timestamp, kind="stable")
    return Interactions(
        name="synthetic",
        user=user[order],
        item=item[order],
        user_ids=_random_ids(num_users, rng),
        item_ids=_random_ids(num_items, rng),
        timestamp=timestamp[order] * 10**9,
        user_features=_features("group", group, NUM_GROUPS, "active_hours", rng),
        item_features=_features("genre", cluster, NUM_CLUSTERS, "price", rng),
    )


def _taste(group: Ints, rng: np.random.Generator) -> Ints:
    """Return the integer weight of each cluster for each user, `[num_users, NUM_CLUSTERS]`."""
    of_group = np.ones((NUM_GROUPS, NUM_CLUSTERS), np.int64)
    for row in of_group:
        row[rng.permutation(NUM_CLUSTERS)[: len(GROUP_WEIGHTS)]] += GROUP_WEIGHTS
    taste = of_group[group]
    for weight in OWN_WEIGHTS:
        taste[np.arange(len(group)), rng.integers(NUM_CLUSTERS, size=len(group))] += weight
    return taste


def _pairs(
    num_events: int, taste: Ints, cluster: Ints, rng: np.random.Generator
) -> tuple[Ints, Ints]:
    """Draw distinct pairs: a user by activity, a cluster by its taste, an item by popularity."""
    num_users, num_items = len(taste), len(cluster)
    activity = np.cumsum(_zipf_weights(num_users, rng))
    popularity = _zipf_weights(num_items, rng)
    by_cluster = np.argsort(cluster, kind="stable")
    cumulative_popularity = np.concatenate([[0], np.cumsum(popularity[by_cluster])])
    cluster_starts = np.searchsorted(cluster[by_cluster], np.arange(NUM_CLUSTERS + 1))
    boundaries = cumulative_popularity[cluster_starts]
    starts, ends = boundaries[:-1], boundaries[1:]
    # A cluster weighs what its items weigh, so that popularity stays Zipf over all items.
    cumulative_taste = np.cumsum(taste * ((ends - starts) >> 16), axis=1)

    def draw_items(user: Ints) -> Ints:
        choice = rng.integers(cumulative_taste[user, -1])
        chosen = (cumulative_taste[user] <= choice[:, None]).sum(axis=1)
        place = rng.integers(starts[chosen], ends[chosen])
        drawn: Ints = by_cluster[np.searchsorted(cumulative_popularity, place, "right") - 1]
        return drawn

    def draw_users(count: int) -> Ints:
        return np.searchsorted(activity, rng.integers(activity[-1], size=count), side="right")

    # Everyone and everything occurs once, whatever its weight; then events by weight.
    everyone = np.arange(num_users)
    keys = np.concatenate(
        [
            draw_users(num_items) * num_items + np.arange(num_items),
            everyone * num_items + draw_items(everyone),
        ]
    )
    while True:
        keys = keys[np.sort(np.unique(keys, return_index=True)[1])][:num_events]
        if len(keys) == num_events:
            return keys // num_items, keys % num_items
        user = draw_users(num_events)
        keys = np.concatenate([keys, user * num_items + draw_items(user)])


def _zipf_weights(count: int, rng: np.random.Generator) -> Ints:
    """Return integer weights proportional to 1 / (rank + count / 50), in random order."""
    return (WEIGHT_SCALE // (1 + count // 50 + np.arange(count)))[rng.permutation(count)]


def _arrival_times(
    user: Ints, item: Ints, num_users: int, num_items: int, rng: np.random.Generator
) -> Ints:
    """Return seconds: no event before its user and its item arrive; a third are there at first."""
    user_arrival = np.maximum(rng.integers(-DURATION // 2, DURATION, size=num_users), 0)
    item_arrival = np.maximum(rng.integers(-DURATION // 2, DURATION, size=num_items), 0)
    return START + rng.integers(np.maximum(user_arrival[user], item_arrival[item]), DURATION)


def _random_ids(count: int, rng: np.random.Generator) -> Ints:
    return rng.integers(-(2**63), 2**63 - 1, size=count, dtype=np.int64, endpoint=True)


def _features(
    category: str, value: Ints, count: int, number: str, rng: np.random.Generator
) -> Features:
    """Return a noisy one-hot of the value and a number that rises with it."""
    is_noise = rng.integers(NOISE_PERIOD, size=len(value)) == 0
    shown = np.where(is_noise, rng.integers(count, size=len(value)), value)
    amount = value + rng.integers(count, size=len(value))
    values = np.column_stack([np.eye(count)[shown], amount]).astype(np.float32)
    names = (*(f"{category}={index}" for index in range(count)), number)
    return Features(names, values, (*[False] * count, True))
