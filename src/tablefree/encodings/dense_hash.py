"""The fixed dense code of Deep Hash Embedding: k hashes of an id, each spread over [-1, 1].

Kang et al., *Learning to Embed Categorical Features without Embedding Tables for Recommendation*
(KDD 2021). Two ids share a code only if k hash functions agree at once, so codes are unique in
practice over all 64-bit ids, and no two ids are nearer than any others.
"""

import torch
from jaxtyping import Int, Num
from torch import Tensor

from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.errors import InputError
from tablefree.hashing import check_codes
from tablefree.ids import tensor_ids
from tablefree.kernels import op
from tablefree.registry import registered
from tablefree.scales import UNIFORM_STD


@registered(encoding="dense_hash")
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

    def forward(
        self,
        ids: Int[Tensor, "*batch"],
        *,
        dtype: torch.dtype = torch.float32,
        out: Tensor | None = None,
    ) -> Num[Tensor, "*batch num_hashes"]:
        """The code of each id.

        Args:
            ids: any 64-bit ids.
            dtype: of the codes: float32, or bfloat16, which is its rounding. Uniform codes can also
                be int8: 127 times the code, rounded.
            out: a contiguous tensor of the right shape to write into; its dtype counts.

        Raises:
            InputError: ids that are no integers, another dtype, an `out` of another shape or device
                or with gaps.
        """
        ids = tensor_ids(ids)
        shape = (*ids.shape, self.num_hashes)
        options = self.signed_seed, self.family, self.num_buckets, self.transform
        is_traced = torch.compiler.is_compiling() or bool(
            torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        )
        is_eager = type(ids) is Tensor and not is_traced
        if out is None:
            if not is_eager:
                seed, family, *others = options
                codes: Tensor = op.dense_hash(ids, seed, family, self.num_hashes, *others, dtype)
                return codes
            out = ids.new_empty(shape, dtype=dtype)
        if out.shape != shape or out.device != ids.device or not out.is_contiguous():
            gaps = "" if out.is_contiguous() else " with gaps"
            raise InputError(
                f"out must be contiguous, of shape {shape} on {ids.device}; got shape "
                f"{tuple(out.shape)} on {out.device}{gaps}"
            )
        (op.write_codes if is_eager else op.dense_hash_out)(ids, out, *options)
        return out

    @property
    def width(self) -> int:
        """Numbers in a code."""
        return self.num_hashes

    @property
    def std(self) -> float:
        """Standard deviation of a code's components."""
        return UNIFORM_STD if self.transform == "uniform" else 1.0

    def config(self) -> dict[str, object]:
        """The kind of encoding and its arguments."""
        return {
            "encoding": "dense_hash",
            "num_hashes": self.num_hashes,
            "seed": self.seed,
            "family": self.family,
            "num_buckets": self.num_buckets,
            "transform": self.transform,
        }

    @property
    def contract(self) -> dict[str, int | str]:
        """The contract of the hashes, and the transform."""
        return {**super().contract, "transform": self.transform}
