"""A learned code of bounded size: a narrow row of its own for each id, or several shared ones.

Ids that training meets claim rows of their own, as long as there are any (see `row_claims`). The
code of an id that came too late is a count sketch (Charikar, Chen and Farach-Colton, "Finding
Frequent Items in Data Streams", 2002), without signs, which made no difference: the sum of the rows
that several hashes pick, so that ids which share one row differ in the rest. There is no
vocabulary, and the number of rows does not grow with that of ids.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.encodings.row_claims import REFUSED, SLOTS, RowClaims
from tablefree.ids import tensor_ids
from tablefree.kernels import op
from tablefree.network import CODE_STD, check_positive
from tablefree.rows import Rows


class SketchEncoding(nn.Module):
    """The row that an id owns, or the sum of the rows that its hashes pick.

    With rows to own, an id that was never trained has the code zero, a neutral embedding, as long
    as it would find a free row: had it been trained, it would own one. Rows are claimed in training
    mode by whatever ids are encoded.

    Args:
        num_rows: rows of each of the `num_hashes` shared tables.
        width: numbers of a row, and of the code.
        num_hashes: shared rows an id has.
        own_rows: rows for one id each, a multiple of 16; 0 for a plain sketch.
        seed: an integer or a feature name; picks the hash functions.
        sparse: whether the gradient of the rows is sparse, for `RowAdam`, whose steps cost the rows
            touched.

    Raises:
        InputError: a size below 1, or `own_rows` that are no multiple of 16.

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
        own_rows: int = 0,
        seed: int | str,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_rows=num_rows, width=width, num_hashes=num_hashes)
        self.num_rows, self.width, self.std = num_rows, width, CODE_STD
        self.buckets = HashBuckets(num_hashes, num_rows, seed=seed)
        self.own_rows = own_rows
        self.claims = RowClaims(own_rows, seed=seed) if own_rows else None
        # The tables lie one under the other, the own rows below them.
        self.rows = Rows(num_hashes * num_rows + own_rows, width, sparse=sparse)
        nn.init.normal_(self.rows.weight, std=CODE_STD / num_hashes**0.5)
        nn.init.normal_(self.rows.weight[num_hashes * num_rows :], std=CODE_STD)

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Look up or add the rows of each id.

        Raises:
            InputError: ids that are no integers.
        """
        ids = tensor_ids(ids)
        flat, weight = ids.flatten(), self.rows.weight
        # What is exported in evaluation is for inference, and has no branch on values.
        has_gradient = torch.is_grad_enabled() and not torch.compiler.is_exporting()
        learns = self.training or (has_gradient and weight.requires_grad)
        if not learns and weight.device.type == "cpu" and weight.dtype == torch.float32:
            codes = self._inferred(flat)
        elif self.claims is None:
            codes = self.rows.sums(self.picks(flat))
        else:
            codes = self._own_or_shared(flat, self.claims)
        return codes.view(*ids.shape, self.width)

    def picks(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch num_hashes"]:
        """The rows, of all shared tables one under the other, that the hashes of each id pick."""
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
            "own_rows": self.own_rows,
            "seed": self.buckets.seed,
            "sparse": self.rows.sparse,
        }

    def _inferred(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """All at once, without a gradient."""
        if not torch.compiler.is_compiling():  # in evaluation there is nothing to put in
            self.rows.flush()
        claims = self.claims
        codes: Tensor = op.sketch_codes(
            ids,
            torch.empty(0, SLOTS, dtype=torch.int16) if claims is None else claims.slots,
            0 if claims is None else claims.hashes.signed_seed,
            self.buckets.signed_seed,
            self.buckets.num_hashes,
            self.num_rows,
            self.rows.weight,
        )
        return codes

    def _own_or_shared(self, ids: Int[Tensor, " n"], claims: RowClaims) -> Float[Tensor, "n width"]:
        rows = claims.claim(ids) if self.training else claims(ids)
        (owners,) = torch.nonzero(rows >= 0, as_tuple=True)
        codes: Tensor = self.rows(rows[owners] + self.num_rows * self.buckets.num_hashes)
        if not torch.compiler.is_compiling() and len(owners) == len(ids):
            return codes
        (refused,) = torch.nonzero(rows == REFUSED, as_tuple=True)
        neutral = codes.new_zeros(ids.shape[0], self.width)
        shared = self.rows.sums(self.picks(ids[refused]))
        return neutral.index_copy(0, owners, codes).index_copy(0, refused, shared)
