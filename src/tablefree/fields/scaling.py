"""Numbers of any size and distribution as numbers of about one, and a flag for those missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

QUANTILES = 101
SPREAD = 3**0.5  # of a uniform distribution on [-SPREAD, SPREAD] the variance is 1


@dataclass(frozen=True)
class Scaling:
    """The quantiles of a column of numbers; a number becomes its rank among them.

    A rank knows neither unit nor outlier, and order is kept. Between quantiles it is linear;
    outside, the nearest end. A number that is missing becomes 0, the middle, and where the training
    part had such, a flag of 1 beside it.

    Attributes:
        quantiles: ascending, distinct.
        ranks: of the quantiles, from `-SPREAD` to `SPREAD`.
        has_flag: whether numbers were missing in training.
    """

    quantiles: tuple[float, ...]
    ranks: tuple[float, ...]
    has_flag: bool

    @classmethod
    def fit(cls, numbers: NDArray[np.floating]) -> Self:
        """The scaling of numbers [n], NaN where one is missing; of the training part alone."""
        known = numbers[~np.isnan(numbers)]
        has_flag = len(known) < len(numbers)
        if not len(known):
            return cls((0.0,), (0.0,), has_flag)
        shares = np.linspace(0, 1, QUANTILES)
        found = np.quantile(known, shares, method="inverted_cdf").astype(np.float64)
        quantiles, first = np.unique(found, return_index=True)
        last = np.append(first[1:], QUANTILES) - 1
        middle = (shares[first] + shares[last]) / 2  # of a value that many rows have
        ranks = SPREAD * (2 * middle - 1) if len(quantiles) > 1 else np.zeros(1)
        return cls(tuple(quantiles.tolist()), tuple(ranks.tolist()), has_flag)

    def __call__(self, numbers: NDArray[np.floating]) -> Float[Tensor, "n width"]:
        """Ranks of numbers [n], and their flags."""
        is_missing = np.isnan(numbers)
        ranks = np.interp(numbers, self.quantiles, self.ranks)
        scaled = np.where(is_missing, 0.0, ranks).astype(np.float32)
        columns = [scaled, is_missing.astype(np.float32)] if self.has_flag else [scaled]
        return torch.from_numpy(np.stack(columns, axis=1))

    @property
    def width(self) -> int:
        """Numbers that a number becomes."""
        return 1 + self.has_flag

    def config(self) -> dict[str, object]:
        """What `from_config` makes it of again."""
        return {
            "quantiles": list(self.quantiles),
            "ranks": list(self.ranks),
            "has_flag": self.has_flag,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The scaling that `config` tells."""
        return cls(tuple(config["quantiles"]), tuple(config["ranks"]), config["has_flag"])
