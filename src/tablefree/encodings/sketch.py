"""A learned code of bounded size: several hashes pick narrow rows, added.

A count sketch (Charikar, Chen and Farach-Colton, "Finding Frequent Items in Data Streams", 2002)
of codes, without signs, which made no difference. Each id touches a few rows of a few numbers, so
that an id moves few others, and ids that share one row differ in the rest. Rows are picked by
hashes: there is no vocabulary, and the number of rows does not grow with that of ids.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.network import INITIAL_STD, check_positive
from tablefree.rows import Rows


class SketchEncoding(nn.Module):
    """The sum of the rows that the hashes of an id pick, each from a table of its own.

    Args:
        num_rows: rows of each of the `num_hashes` tables.
        width: numbers of a row, and of the code.
        num_hashes: rows an id has.
        seed: an integer or a feature name; picks the hash functions.
        sparse: whether the gradient of the rows is sparse, for `RowAdam`, whose steps cost the rows
            touched.

    Raises:
        InputError: a size below 1.

    Example:
        >>> SketchEncoding(1000, 4, seed="item")(torch.tensor([3, 14])).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        num_rows: int,
        width: int,
        *,
        num_hashes: int = 4,
        seed: int | str,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_rows=num_rows, width=width, num_hashes=num_hashes)
        self.num_rows, self.width, self.std = num_rows, width, INITIAL_STD
        self.buckets = HashBuckets(num_hashes, num_rows, seed=seed)
        # The tables lie one under the other.
        self.rows = Rows(num_hashes * num_rows, width, sparse=sparse)
        nn.init.normal_(self.rows.weight, std=INITIAL_STD / num_hashes**0.5)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Add the rows of each id.

        Raises:
            InputError: ids that are no integers.
        """
        picks = self.picks(ids)
        codes = self.rows.sums(picks.view(-1, self.buckets.num_hashes))
        return codes.view(*picks.shape[:-1], self.width)

    def picks(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch num_hashes"]:
        """The rows, of all tables one under the other, that the hashes of each id pick."""
        buckets: Tensor = self.buckets(ids)
        return buckets + self.num_rows * torch.arange(
            self.buckets.num_hashes, device=buckets.device
        )

    def config(self) -> dict[str, object]:
        """The kind of encoding and its arguments."""
        return {
            "encoding": "sketch",
            "num_rows": self.num_rows,
            "width": self.width,
            "num_hashes": self.buckets.num_hashes,
            "seed": self.buckets.seed,
            "sparse": self.rows.sparse,
        }
