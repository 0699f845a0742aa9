"""Interactions of users with items: the one form that every reader produces.

Users and items are positions 0..n-1; the 64-bit id behind each position is kept beside it, so
that methods with a table use the position and methods without one use the id.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tablefree.ids import IdType


@dataclass(frozen=True)
class Features:
    """Side features of the users or of the items, one row each.

    Attributes:
        names: One name a column, such as `"genre=Comedy"` or `"price"`.
        values: float `[n, len(names)]`: 0/1 for categories; numbers as they are, NaN where there is
            none.
        are_numbers: of each column, whether it holds numbers; none by default.
    """

    names: tuple[str, ...]
    values: npt.NDArray[np.floating]
    are_numbers: tuple[bool, ...] = ()

    def scaled(self, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
        """The features as a model takes them, by what is known of some of the rows alone.

        Numbers have mean 0 and standard deviation 1 over the known rows, and a missing one is 0.
        A category that no known row has is left out, as is a number that all of them share.

        Args:
            known: bool `[n]`, the rows that the scales come from.

        Returns:
            float32 `[n, m]`, m at most `len(names)`.
        """
        values = self.values.astype(np.float64)
        for column in np.flatnonzero(self.are_numbers):
            numbers = values[known, column]
            numbers = numbers[~np.isnan(numbers)]
            # Of equal numbers the deviation is a rounding error, and not always 0.
            differ = len(np.unique(numbers)) > 1
            mean, deviation = (numbers.mean(), numbers.std()) if differ else (0.0, 0.0)
            scaled = (values[:, column] - mean) / (deviation or np.inf)
            values[:, column] = np.nan_to_num(scaled)
        return values[:, values[known].any(axis=0)].astype(np.float32)


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
        timestamp: int64 `[num_events]`, nanoseconds since 1970, or None.
        user_features: One row for each of `user_ids`, or None.
        item_features: One row for each of `item_ids`, or None.
        user_id_type: Whether `user_ids` were integers or strings (or bytes) in the file.
        item_id_type: Likewise for `item_ids`.
        user_column: Name of the column of users, where the data has names of its own.
        item_column: Likewise, of items.
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
    user_column: str = "user_id"
    item_column: str = "item_id"

    def ordered_by(self, stage: npt.NDArray[np.integer]) -> "Interactions":
        """The same events, positions numbered by the first stage that an id occurs in, then by id.

        What is drawn by position in an early stage is then a function of that stage alone,
        whatever the later ones hold.

        Args:
            stage: integer `[num_events]`, such as 0 for an event of the training part.
        """
        user, user_order = _ordered(self.user, self.user_ids, stage)
        item, item_order = _ordered(self.item, self.item_ids, stage)
        return replace(
            self,
            user=user,
            item=item,
            user_ids=self.user_ids[user_order],
            item_ids=self.item_ids[item_order],
            user_features=_rows(self.user_features, user_order),
            item_features=_rows(self.item_features, item_order),
        )

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


def _ordered(
    positions: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
    stage: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The new positions, and the old position behind each new one."""
    first = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first, positions, stage)
    order = np.lexsort((ids, first))
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return place[positions], order


def _rows(features: Features | None, order: npt.NDArray[np.int64]) -> Features | None:
    return None if features is None else replace(features, values=features.values[order])
