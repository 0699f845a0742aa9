"""Synthetic implicit feedback with structure that a recommender can learn, and a click log.

Users and items are Zipf-distributed; each item belongs to a cluster and each user prefers a few
clusters (the taste matrix, users by clusters, has low rank); side features follow the clusters
with some noise; users and items arrive over time. Every draw is one of integers by integer
weights, so that no rounding decides an event: the same seed gives the same data on every machine
with the same NumPy stream (PCG64).
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from tablefree.data.interactions import Features, Interactions
from tablefree.errors import InputError

if TYPE_CHECKING:
    import polars as pl

Ints = npt.NDArray[np.int64]

NUM_CLUSTERS = 16
NUM_GROUPS = 8  # of users: people of one group like similar clusters
GROUP_WEIGHTS = (12, 6, 3)  # of a group's first, second and third cluster
OWN_WEIGHTS = (40, 20, 10)  # of a user's own favourites
NOISE_PERIOD = 5  # one side feature in so many is drawn at random
WEIGHT_SCALE = 2**40
START, DURATION = 1_600_000_000, 2 * 365 * 86_400  # seconds
CLICKERS = (6_000, 3_000)  # devices and ads of a click log
CLICK_DURATION = 10 * 86_400  # seconds
SCORE_SCALE = 6  # of what makes a click likely: the odds of so many points are e to 1


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


def synthetic_clicks(num_events: int = 60_000, seed: int = 0) -> "pl.DataFrame":
    """Generate a click log in order of time: identifiers, small columns, numbers, and a label.

    Devices and ads are strings by Zipf's law. What is clicked depends on the device, the ad, how
    well their kinds go together, the site, the hour and the price.

    Args:
        num_events: number of rows, at least 1.
        seed: of `numpy.random.default_rng`.

    Returns:
        The columns `device_id`, `ad_id`, `site`, `category` and `browser`, strings; `price`, a
        float, and `visits`, an integer, of which some are missing; `time`, a datetime; and
        `click`, 0 or 1.

    Raises:
        InputError: fewer events.

    Example:
        >>> synthetic_clicks(3).columns[-2:]
        ['time', 'click']
    """
    import polars as pl

    if num_events < 1:
        raise InputError(f"num_events must be at least 1, got {num_events}")
    rng = np.random.default_rng(seed)
    device, ad = (_drawn(_zipf_weights(count, rng), num_events, rng) for count in CLICKERS)
    group = rng.integers(NUM_GROUPS, size=CLICKERS[0])[device]
    category = rng.integers(NUM_CLUSTERS, size=CLICKERS[1])[ad]
    site, browser = (rng.integers(count, size=num_events) for count in (40, 5))
    price, visits = rng.integers(100, 10_000, num_events), rng.integers(300, size=num_events)
    time = np.sort(START + rng.integers(CLICK_DURATION, size=num_events))
    score = (
        rng.integers(-8, 9, CLICKERS[0])[device]
        + rng.integers(-12, 13, CLICKERS[1])[ad]
        + rng.integers(-12, 13, (NUM_GROUPS, NUM_CLUSTERS))[group, category]
        + rng.integers(-4, 5, 40)[site]
        + rng.integers(-2, 3, 24)[time // 3_600 % 24]
        - price // 1_000
    )
    odds = np.rint(WEIGHT_SCALE / (1 + np.exp(-np.arange(-100, 101) / SCORE_SCALE))).astype(int)
    click = rng.integers(WEIGHT_SCALE, size=num_events) < odds[score + 100]
    names = [rng.integers(2**63, size=count, dtype=np.int64) for count in CLICKERS]
    is_known = rng.integers(NOISE_PERIOD, size=(2, num_events)) > 0
    return pl.DataFrame(
        {
            "device_id": [f"{name:016x}" for name in names[0][device]],
            "ad_id": [f"ad-{name:016x}" for name in names[1][ad]],
            "site": [f"site-{name}" for name in site],
            "category": [f"category-{name}" for name in category],
            "browser": [f"browser-{name}" for name in browser],
            "price": pl.Series(price / 100).set(pl.Series(~is_known[0]), None),
            "visits": pl.Series(visits).set(pl.Series(~is_known[1]), None),
            "time": pl.Series(time * 10**6).cast(pl.Datetime("us")),
            "click": click.astype(np.int64),
        }
    )


def _drawn(weights: Ints, count: int, rng: np.random.Generator) -> Ints:
    """Draw so many numbers below that of the weights, each by its own."""
    ends = np.cumsum(weights)
    return np.searchsorted(ends, rng.integers(ends[-1], size=count), side="right")


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
    activity = _zipf_weights(num_users, rng)
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
        return _drawn(activity, count, rng)

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
