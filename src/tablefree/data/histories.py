"""What each user did: the items of its training events, from which a user can be described.

The item that a training pair asks about must not be among them, for it would give the answer away.
"""

import numpy as np
import numpy.typing as npt

from tablefree.errors import InputError

Ints = npt.NDArray[np.int64]


class Histories:
    """The distinct items of each user, user after user.

    An item is in a history once, so that one place is all there is to leave out.

    Args:
        user: int64 `[n]`, users of the training positives, in 0..num_users-1.
        item: int64 `[n]`, their items, in 0..num_items-1; repeated pairs count once.
        num_users: number of users.
        num_items: number of items.

    Attributes:
        items: int64 `[m]`, the item at each place.
        offsets: int64 `[num_users + 1]`, where the history of each user starts; the last is m.

    Raises:
        InputError: a user or an item out of range.

    Example:
        >>> histories = Histories(np.array([2, 0, 2]), np.array([5, 1, 3]), 3, 6)
        >>> histories.items, histories.offsets
        (array([1, 3, 5]), array([0, 1, 1, 3]))
    """

    def __init__(self, user: Ints, item: Ints, num_users: int, num_items: int) -> None:
        for what, values, count in (("user", user, num_users), ("item", item, num_items)):
            if len(values) and not 0 <= values.min() <= values.max() < count:
                raise InputError(
                    f"each {what} of a history must be in 0..{count - 1}, got "
                    f"{values.min()}..{values.max()}"
                )
        self._pairs = np.unique(user * num_items + item)
        self._num_items = num_items
        users, self.items = np.divmod(self._pairs, max(num_items, 1))
        self.offsets: Ints = np.zeros(num_users + 1, np.int64)
        np.cumsum(np.bincount(users, minlength=num_users), out=self.offsets[1:])

    def left_out(self, user: Ints, item: Ints, rng: np.random.Generator) -> Ints:
        """The place in `items` that each training pair must do without; -1 in an empty history.

        It is the pair's own item where that is in the history. Elsewhere, as in negatives, it is
        any item of the history: so histories are one item short for every pair of a user, and
        their size does not tell the label.

        Args:
            user: int64 `[n]`, users of the pairs.
            item: int64 `[n]`, their items.
            rng: source of randomness; the result is a function of its state.
        """
        pairs = user * self._num_items + item
        places: Ints = np.searchsorted(self._pairs, pairs)
        starts, sizes = self.offsets[user], self.offsets[user + 1] - self.offsets[user]
        drawn = np.where(sizes > 0, starts + rng.integers(np.maximum(sizes, 1)), -1)
        is_known = places < len(self._pairs)
        is_known[is_known] = self._pairs[places[is_known]] == pairs[is_known]
        return np.where(is_known, places, drawn)
