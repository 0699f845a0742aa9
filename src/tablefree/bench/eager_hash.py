"""The dense hash in plain torch: what one writes who has no kernel.

The same bits as every kernel (`docs/hash-contract.md`), in int64, whose products wrap as those of
64-bit words do and whose right shifts need a mask. Each step is a pass over memory.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tablefree.encodings import DenseHashEncoding
from tablefree.hashing import GOLDEN_GAMMA, coefficients


class EagerDenseHash:
    """The codes of an encoding: family multiply_shift, uniform transform.

    Example:
        >>> encoding = DenseHashEncoding(64, seed="item")
        >>> ids = torch.tensor([3, 14])
        >>> torch.equal(EagerDenseHash(encoding)(ids), encoding(ids))
        True
    """

    def __init__(self, encoding: DenseHashEncoding, device: torch.device | str = "cpu") -> None:
        rows = coefficients(encoding.seed, encoding.num_hashes, "multiply_shift").T
        self._a, self._b, self._c = torch.from_numpy(rows.view("int64").copy()).to(device)
        self._largest = encoding.num_buckets - 1
        self._scale = torch.tensor(1 / self._largest, dtype=torch.float32, device=device)

    def __call__(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n num_hashes"]:
        """The float32 code of each id."""
        words = _mix64(ids + _signed(GOLDEN_GAMMA))[:, None]
        low, high = words & 0xFFFFFFFF, _shift(words, 32)
        value = (self._a + low) * (self._b + high) + self._c
        buckets = (_shift(value, 32) * (self._largest + 1)) >> 32
        return (2 * buckets - self._largest).float() * self._scale


def _mix64(words: Tensor) -> Tensor:
    words = (words ^ _shift(words, 30)) * _signed(0xBF58476D1CE4E5B9)
    words = (words ^ _shift(words, 27)) * _signed(0x94D049BB133111EB)
    return torch.bitwise_xor(words, _shift(words, 31))


def _shift(words: Tensor, bits: int) -> Tensor:
    """A right shift that fills with zeros."""
    return torch.bitwise_and(words >> bits, 2 ** (64 - bits) - 1)


def _signed(word: int) -> int:
    return word - 2**64 if word >= 2**63 else word
