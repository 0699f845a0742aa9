"""The map from 64-bit ids to table rows that tables need and hashing methods do without.

A sorted array and a binary search: 8 bytes an id, the least that an exact map can hold.
"""

import numpy as np
import numpy.typing as npt

from tablefree.errors import InputError


class Vocabulary:
    """Positions 0..n-1 of the distinct ids seen in training; n for every other id.

    Args:
        ids: int64 `[n]`, distinct; position i belongs to the i-th smallest id.

    Raises:
        InputError: `ids` is not a one-dimensional int64 array or holds an id twice.

    Example:
        >>> import numpy as np
        >>> Vocabulary(np.array([30, 10, 20])).lookup(np.array([10, 30, 99]))
        array([0, 2, 3])
    """

    def __init__(self, ids: npt.NDArray[np.int64]):
        if ids.dtype != np.int64 or ids.ndim != 1:
            raise InputError(
                f"a vocabulary needs a one-dimensional int64 array, got {ids.dtype} of shape "
                f"{ids.shape}: convert the ids with tablefree.ids.to_ids"
            )
        self._sorted = np.sort(ids)
        repeated = np.flatnonzero(self._sorted[1:] == self._sorted[:-1])
        if len(repeated):
            raise InputError(
                f"a vocabulary needs distinct ids, got {self._sorted[repeated[0]]} twice: "
                "pass numpy.unique(ids)"
            )

    def lookup(self, ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the position of each id, `len(self)` for an unknown one; any shape."""
        if not len(self):
            return np.zeros(ids.shape, np.int64)
        position = np.searchsorted(self._sorted, ids)
        found = self._sorted[np.minimum(position, len(self) - 1)] == ids
        return np.where(found, position, len(self))

    @property
    def ids(self) -> npt.NDArray[np.int64]:
        """The ids, in the order of their positions."""
        return self._sorted

    @property
    def num_bytes(self) -> int:
        """Bytes held: 8 an id."""
        return self._sorted.nbytes

    def __len__(self) -> int:
        return len(self._sorted)
