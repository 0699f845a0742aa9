"""Negative samples for implicit feedback: items that a user is not known to like.

Uniform by rejection: draw for all rows at once, draw again where a known positive was hit, and
list what is left for the few users to whom nearly everything is known. Membership is a binary
search within the user's own sorted items, compiled by Numba.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import numpy.typing as npt

from tablefree.errors import InputError

Ints = npt.NDArray[np.int64]

MAX_REJECTION_ROUNDS = 16


class NegativeSampler:
    """Draws items uniformly among those that are not known positives of the user.

    Args:
        user: int64 `[n]`, users of the known positives, in 0..num_users-1.
        item: int64 `[n]`, their items, in 0..num_items-1; repeated pairs are fine.
        num_users: Number of users.
        num_items: Number of items.

    Raises:
        InputError: A user or an item out of range, or arrays of different lengths.

    Example:
        >>> sampler = NegativeSampler(data.user, data.item, data.num_users, data.num_items)
        >>> negatives = sampler.sample(data.user, np.random.default_rng(0))
    """

    def __init__(self, user: Ints, item: Ints, num_users: int, num_items: int):
        if len(user) != len(item):
            raise InputError(
                f"known positives need as many users as items, got {len(user)} and {len(item)}"
            )
        _check_range("user", user, num_users)
        _check_range("item", item, num_items)
        self.num_users, self.num_items = num_users, num_items
        self._items = np.sort(user * num_items + item) % max(num_items, 1)
        self._starts = np.concatenate([[0], np.cumsum(np.bincount(user, minlength=num_users))])

    def sample(self, user: Ints, rng: np.random.Generator, candidates: Ints | None = None) -> Ints:
        """Draw one negative item for each entry of `user`, with replacement between entries.

        Args:
            user: int64 `[n]`, in 0..num_users-1.
            rng: Source of randomness; the result is a function of its state.
            candidates: int64 `[m]`, the items to draw from; all items by default.

        Returns:
            int64 `[n]`, never a known positive of the same row's user.

        Raises:
            InputError: A user or candidate out of range, no candidates, or a user to whom every
                candidate is a known positive.
        """
        _check_range("user", user, self.num_users)
        if candidates is None:
            candidates = np.arange(self.num_items)
        _check_range("candidate", candidates, self.num_items)
        if not len(candidates):
            raise InputError("there are no candidates to draw negatives from: pass at least one")
        is_known = _is_known_kernel()
        negatives = np.empty(len(user), np.int64)
        pending = np.arange(len(user))
        for _ in range(MAX_REJECTION_ROUNDS):
            drawn = candidates[rng.integers(len(candidates), size=len(pending))]
            negatives[pending] = drawn
            pending = pending[is_known(user[pending], drawn, self._starts, self._items)]
            if not len(pending):
                return negatives
        for one in np.unique(user[pending]):
            rows = pending[user[pending] == one]
            negatives[rows] = rng.choice(self._unknown(one, candidates), size=len(rows))
        return negatives

    def has_negative(self, candidates: Ints) -> npt.NDArray[np.bool_]:
        """Whether a user has a negative among the candidates: bool `[num_users]`.

        Args:
            candidates: int64 `[m]`, distinct, the items to draw from.
        """
        users = np.repeat(np.arange(self.num_users), np.diff(self._starts))
        inside = np.isin(self._items, candidates)
        known = np.unique(users[inside] * self.num_items + self._items[inside])
        counts = np.bincount(known // max(self.num_items, 1), minlength=self.num_users)
        has_negative: npt.NDArray[np.bool_] = counts < len(candidates)
        return has_negative

    def _unknown(self, user: int, candidates: Ints) -> Ints:
        known = self._items[self._starts[user] : self._starts[user + 1]]
        unknown = candidates[~np.isin(candidates, known)]
        if not len(unknown):
            raise InputError(
                f"every one of the {len(candidates)} candidates is a known positive of the user "
                f"at position {user}: leave this user out or pass more candidates"
            )
        return unknown


def _check_range(what: str, values: Ints, count: int) -> None:
    if len(values) and (values.min() < 0 or values.max() >= count):
        raise InputError(
            f"each {what} must be in 0..{count - 1}, got {values.min()}..{values.max()}"
        )


@cache
def _is_known_kernel() -> Callable[[Ints, Ints, Ints, Ints], npt.NDArray[np.bool_]]:
    """Compile the membership test on first use: importing Numba costs time."""
    import numba

    @numba.njit(cache=True, nogil=True)
    def is_known(
        user: Ints, item: Ints, starts: Ints, items: Ints
    ) -> npt.NDArray[np.bool_]:  # pragma: no cover  (compiled)
        known = np.empty(len(user), np.bool_)
        for row in range(len(user)):
            low, end = starts[user[row]], starts[user[row] + 1]
            high = end
            while low < high:
                middle = (low + high) >> 1
                if items[middle] < item[row]:
                    low = middle + 1
                else:
                    high = middle
            known[row] = low < end and items[low] == item[row]
        return known

    return is_known
