"""Interactions of users with items: the one form that every reader produces.

Users and items are positions 0..n-1; the 64-bit id behind each position is kept beside it, so
that methods with a table use the position and methods without one use the id.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

# Strings and bytes are hashed to 64-bit ids, integers are ids as they are: "12" and 12 differ.
IdType = Literal["integer", "string"]


@dataclass(frozen=True)
class Features:
    """Side features of the users or of the items, one row each.

    Attributes:
        names: One name a column, such as `"genre=Comedy"` or `"price"`.
        values: float32 `[n, len(names)]`: 0/1 for categories, standardised for numbers.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.float32]


@dataclass(frozen=True)
class Interactions:
    """Events, each of one user with one item. The same pair may occur several times.

    Attributes:
        name: Name of the data set, for reports.
        user: int64 `[num_events]`, positions in `user_ids`.
        item: int64 `[num_events]`, positions in `item_ids`.
        user_ids: int64 `[num_users]`, the distinct 64-bit ids (see `tablefree.ids.to_ids`).
        item_ids: int64 `[num_items]`, likewise.
        label: float32 0/1 `[num_events]`, or None when every event is a positive.
        rating: float32 `[num_events]`, or None.
        timestamp: int64 seconds `[num_events]`, or None.
        user_features: One row for each of `user_ids`, or None.
        item_features: One row for each of `item_ids`, or None.
        user_id_type: Whether `user_ids` were integers or strings (or bytes) in the file.
        item_id_type: Likewise for `item_ids`.
    """

    name: str
    user: npt.NDArray[np.int64]
    item: npt.NDArray[np.int64]
    user_ids: npt.NDArray[np.int64]
    item_ids: npt.NDArray[np.int64]
    label: npt.NDArray[np.float32] | None = None
    rating: npt.NDArray[np.float32] | None = None
    timestamp: npt.NDArray[np.int64] | None = None
    user_features: Features | None = None
    item_features: Features | None = None
    user_id_type: IdType = "integer"
    item_id_type: IdType = "integer"

    @property
    def num_events(self) -> int:
        """Number of events."""
        return len(self.user)

    @property
    def num_users(self) -> int:
        """Number of distinct users."""
        return len(self.user_ids)

    @property
    def num_items(self) -> int:
        """Number of distinct items."""
        return len(self.item_ids)
