"""k universal hash functions of an id: the rows that hashed tables read.

Nothing is learned and nothing is kept but the configuration, which travels in the state dict: a
checkpoint made with other hash functions is refused, as its weights would mean nothing here.
"""

import json
import operator

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tablefree.errors import CheckpointError
from tablefree.hashing import CONTRACT_VERSION, check_hashes
from tablefree.ids import tensor_ids
from tablefree.kernels import op
from tablefree.secret import kept_seed, seed_value


class HashBuckets(nn.Module):
    """Map each id to `num_hashes` buckets.

    Args:
        num_hashes: number of hash functions k.
        num_buckets: size of each function's range m, 1 to 2^32.
        seed: an integer or a feature name; equal seeds give equal functions everywhere. Where
            strangers choose ids, `tablefree.Secret(key).seed(name)`: who knows the seed can make
            ids that share a bucket with any other.
        family: `"multiply_shift"` or `"carter_wegman"`.

    Raises:
        InputError: an argument is outside its range, or the ids are not integers.

    Example:
        >>> HashBuckets(2, 1000, seed="item")(torch.tensor([3, 14])).shape
        torch.Size([2, 2])
    """

    def __init__(
        self,
        num_hashes: int,
        num_buckets: int,
        *,
        seed: int | str,
        family: str = "multiply_shift",
    ) -> None:
        super().__init__()
        check_hashes(family, num_hashes, num_buckets)
        self.num_hashes = num_hashes
        self.num_buckets = num_buckets
        self.seed = kept_seed(seed)
        self.family = family

    def forward(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch num_hashes"]:
        """The int64 bucket, 0 to num_buckets - 1, of each id under each hash function."""
        buckets: Tensor = op.hash_buckets(
            tensor_ids(ids), self.signed_seed, self.family, self.num_hashes, self.num_buckets
        )
        return buckets

    @property
    def contract(self) -> dict[str, int | str]:
        """What fixes every bit of the output; written to and compared with checkpoints."""
        return {
            "contract_version": CONTRACT_VERSION,
            "family": self.family,
            "seed": self.seed,
            "num_hashes": self.num_hashes,
            "num_buckets": self.num_buckets,
        }

    def get_extra_state(self) -> Tensor:
        """The contract as canonical JSON in a uint8 tensor, which every checkpoint format holds."""
        text = json.dumps(
            self.contract, sort_keys=True, separators=(",", ":"), default=operator.index
        )
        return torch.tensor(list(text.encode()), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Compare a checkpoint's contract with the module's.

        Raises:
            CheckpointError: a field differs or the state cannot be read.
        """
        try:
            saved = dict(json.loads(bytes(state.tolist())))
        except (AttributeError, TypeError, ValueError):
            raise CheckpointError(
                f"the hash contract in the checkpoint of this {type(self).__name__} cannot be "
                "read: the file is damaged or was not written by tablefree"
            ) from None
        fields = sorted(saved.keys() | self.contract.keys())
        differences = [
            f"{field} is {saved.get(field)!r} in the checkpoint and "
            f"{self.contract.get(field)!r} in the module"
            for field in fields
            if saved.get(field) != self.contract.get(field)
        ]
        if differences:
            raise CheckpointError(
                f"the checkpoint was made with other hash functions: {'; '.join(differences)}: "
                f"build the {type(self).__name__} with the checkpoint's values"
            )

    def extra_repr(self) -> str:
        """The configuration, shown when the module is printed."""
        return ", ".join(
            f"{field}={value!r}"
            for field, value in self.contract.items()
            if field != "contract_version"
        )

    @property
    def signed_seed(self) -> int:
        """The seed as the two's complement of its 64 bits, as torch's operators take it."""
        seed = seed_value(self.seed)
        return seed - 2**64 if seed >= 2**63 else seed
