"""The fixed dense code of Deep Hash Embedding: k hashes of an id, each spread over [-1, 1].

Kang et al., *Learning to Embed Categorical Features without Embedding Tables for Recommendation*
(KDD 2021). Two ids share a code only if k hash functions agree at once, so codes are unique in
practice over all 64-bit ids, and no two ids are nearer than any others.
"""

from jaxtyping import Float, Int
from torch import Tensor

from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.hashing import check_codes
from tablefree.ids import tensor_ids
from tablefree.kernels import op


class DenseHashEncoding(HashBuckets):
    """Map each id to `num_hashes` real numbers that look random and never change.

    Args:
        num_hashes: number of hash functions k, the width of the code; even for `"gaussian"`.
        seed: an integer or a feature name; equal seeds give equal codes everywhere.
        family: `"multiply_shift"` or `"carter_wegman"`.
        num_buckets: number of levels m of each number, 2 to 2^24.
        transform: `"uniform"` on [-1, 1] or `"gaussian"`, N(0, 1).

    Raises:
        InputError: an argument is outside its range, or the ids are not integers.

    Example:
        >>> DenseHashEncoding(64, seed="item")(torch.tensor([3, 14])).shape
        torch.Size([2, 64])
    """

    def __init__(
        self,
        num_hashes: int = 1024,
        *,
        seed: int | str,
        family: str = "multiply_shift",
        num_buckets: int = 2**20,
        transform: str = "uniform",
    ) -> None:
        super().__init__(num_hashes, num_buckets, seed=seed, family=family)
        check_codes(num_hashes, num_buckets, transform)
        self.transform = transform

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch num_hashes"]:
        """The float32 code of each id."""
        codes: Tensor = op.dense_hash(
            tensor_ids(ids),
            self._signed_seed,
            self.family,
            self.num_hashes,
            self.num_buckets,
            self.transform,
        )
        return codes

    @property
    def width(self) -> int:
        """Numbers in a code."""
        return self.num_hashes

    @property
    def contract(self) -> dict[str, int | str]:
        """The contract of the hashes, and the transform."""
        return {**super().contract, "transform": self.transform}
