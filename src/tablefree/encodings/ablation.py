"""Codes that the dense hash code is better than: each lacks something that it has.

The simpler encodings that Kang et al., "Learning to Embed Categorical Features without Embedding
Tables for Recommendation", 2021, argue against. They are here so that `tablefree ablate` can put
figures to the argument; nobody should want them otherwise.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.errors import InputError
from tablefree.ids import tensor_ids
from tablefree.registry import registered
from tablefree.scales import UNIFORM_STD


@registered(encoding="binary_digits")
class BinaryDigits(nn.Module):
    """The 64 binary digits of an id as -1 and 1, the lowest first.

    Unique, but ids that share many digits are near each other.

    Example:
        >>> BinaryDigits()(torch.tensor([5]))[0, :4].tolist()
        [1.0, -1.0, 1.0, -1.0]
    """

    width, std = 64, 1.0

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch 64"]:
        """The digits of each id."""
        ids = tensor_ids(ids)
        digits = ids[..., None] >> torch.arange(64, device=ids.device) & 1
        return 2 * digits.float() - 1

    def config(self) -> dict[str, object]:
        """The kind of encoding."""
        return {"encoding": "binary_digits"}


@registered(encoding="scaled_id")
class ScaledId(nn.Module):
    """One number: where an id lies between two others, from -1 to 1.

    Unique as far as float32 goes, but of one dimension, in which neighbours are near each other.

    Args:
        lowest: the id that is -1.
        highest: the id that is 1.

    Raises:
        InputError: no room between the two.

    Example:
        >>> ScaledId(0, 10)(torch.tensor([0, 5, 10])).flatten().tolist()
        [-1.0, 0.0, 1.0]
    """

    width, std = 1, UNIFORM_STD

    def __init__(self, lowest: int, highest: int) -> None:
        super().__init__()
        if lowest >= highest:
            raise InputError(f"lowest must be below highest, got {lowest} and {highest}")
        self.lowest, self.highest = lowest, highest

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch 1"]:
        """The place of each id."""
        # In float64, for a difference of int64 may not fit int64.
        above = tensor_ids(ids).double() - self.lowest
        return (2 * above / (self.highest - self.lowest) - 1).float()[..., None]

    def config(self) -> dict[str, object]:
        """The kind of encoding and its arguments."""
        return {"encoding": "scaled_id", "lowest": self.lowest, "highest": self.highest}


@registered(encoding="one_hot_hash")
class OneHotHash(nn.Module):
    """A one at the bucket of an id, and zeros elsewhere: the hashing trick, seen as a code.

    Ids that share a bucket are one for it.

    Args:
        num_buckets: the width of the code.
        seed: an integer or a feature name; picks the hash function.

    Raises:
        InputError: `num_buckets` out of its range.

    Example:
        >>> OneHotHash(8, seed="item")(torch.tensor([3, 14])).sum(dim=1).tolist()
        [1.0, 1.0]
    """

    def __init__(self, num_buckets: int, *, seed: int | str) -> None:
        super().__init__()
        self.buckets = HashBuckets(1, num_buckets, seed=seed)
        self.width, self.std = num_buckets, num_buckets**-0.5

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch num_buckets"]:
        """The one-hot code of each id."""
        buckets: Tensor = self.buckets(ids)
        return F.one_hot(buckets[..., 0], self.width).float()

    def config(self) -> dict[str, object]:
        """The kind of encoding and its arguments."""
        return {
            "encoding": "one_hot_hash",
            "num_buckets": self.width,
            "seed": self.buckets.seed,
        }
