"""A bounded map from ids to rows of their own: the first ids that ask get one.

Rows lie in buckets of 16. An id may own a row in either of two buckets, which hashes pick, and
takes one in the emptier (Azar et al., "Balanced Allocations", 1999), so that with 95 ids for 100
rows one id in a hundred finds none. A row knows its owner by a fingerprint of 16 bits (Fan et al.,
"Cuckoo Filter: Practically Better Than Bloom", 2014): no id is kept, no vocabulary is needed, and
an id that never asked is taken for an owner once in 2,000 times at most.
"""

import torch
from jaxtyping import Int
from torch import Tensor, distributed, nn

from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.errors import InputError
from tablefree.hashing import seed_from
from tablefree.kernels import op
from tablefree.network import check_positive

FREE, REFUSED = -1, -2  # instead of a row: one is free for the id, or none is
SLOTS = 16  # rows of a bucket
_HASHES, _RANGE = 3, 2**32  # two buckets and a fingerprint, of 32 bits each
_FINGERPRINTS = 2**16 - 1  # zero says that a row is free


class RowClaims(nn.Module):
    """Which rows are taken, and by ids of which fingerprint.

    Args:
        num_rows: rows to give away, a multiple of `SLOTS`.
        seed: an integer or a feature name; picks the hash functions.

    Attributes:
        fingerprints: uint8 `[num_rows / 16, 32]`, the two bytes of each row's fingerprint; bytes,
            for collectives between processes know no 16-bit integers.

    Raises:
        InputError: a number of rows that is no positive multiple of `SLOTS`.

    Example:
        >>> claims = RowClaims(96, seed="item_id")
        >>> rows = claims.claim(torch.tensor([7, 8]))
        >>> bool((claims(torch.tensor([7, 8])) == rows).all()), claims(torch.tensor([9])).tolist()
        (True, [-1])
    """

    fingerprints: Tensor

    def __init__(self, num_rows: int, *, seed: int | str) -> None:
        super().__init__()
        check_positive(num_rows=num_rows)
        if num_rows % SLOTS:
            raise InputError(
                f"rows of ids' own come in buckets of {SLOTS}, got {num_rows}: use "
                f"{num_rows + SLOTS - num_rows % SLOTS}"
            )
        self.num_rows = num_rows
        # Not the functions that the same seed gives to a sketch: ids that share a bucket would
        # share rows there too.
        self.hashes = HashBuckets(_HASHES, _RANGE, seed=(seed_from(seed) + 1) % 2**64)
        empty = torch.zeros(num_rows // SLOTS, 2 * SLOTS, dtype=torch.uint8)
        self.register_buffer("fingerprints", empty)

    def forward(self, ids: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The row that each id owns; or `FREE`, where it would get one, or `REFUSED`."""
        if ids.device.type != "cpu":
            return self._find(ids)
        rows: Tensor = op.find_rows(ids, self.slots, self.hashes.signed_seed)
        return rows

    @torch.no_grad()
    def claim(self, ids: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """Give a row to each id that has none, as far as there are any, and look all up.

        In a distributed training all processes must call it, for each claims the ids of all: their
        rows stay the same.
        """
        rows: Tensor = self(ids)
        new = _of_all_processes(ids[rows == FREE])
        if len(new):
            self._give_rows(torch.unique(new))
            rows = self(ids)
        return rows

    def _find(self, ids: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """What the kernel finds, by torch's operators."""
        buckets, fingerprints = self._places(ids)
        slots = self.slots[buckets].flatten(1)
        matches = slots == fingerprints[:, None]
        first = matches.to(torch.uint8).argmax(1, keepdim=True)
        own = buckets.gather(1, first // SLOTS) * SLOTS + first % SLOTS
        none = torch.where((slots == 0).any(1), FREE, REFUSED)
        return torch.where(matches.any(1), own.squeeze(1), none)

    def _give_rows(self, ids: Int[Tensor, " n"]) -> None:
        """Give each id a row, as far as there are any."""
        buckets, fingerprints = self._places(ids)
        slots = self.slots
        while len(ids):
            num_free, emptier = (slots[buckets] == 0).sum(-1).max(1)
            bucket = buckets.gather(1, emptier[:, None]).squeeze(1)
            # One id a bucket and round: the first.
            order = torch.arange(len(ids), device=ids.device)
            first = order.new_full((len(slots),), len(ids))
            first.scatter_reduce_(0, bucket, order, "amin")
            is_served = (first[bucket] == order) & (num_free > 0)
            served = bucket[is_served]
            slot = (slots[served] == 0).to(torch.uint8).argmax(1)
            slots[served, slot] = fingerprints[is_served]
            waits = ~is_served & (num_free > 0)
            ids, buckets, fingerprints = ids[waits], buckets[waits], fingerprints[waits]

    @property
    def slots(self) -> Int[Tensor, "num_buckets slots"]:
        """The fingerprint of each row's owner as one integer; 0 is a free row."""
        return self.fingerprints.view(torch.int16)

    def _places(self, ids: Int[Tensor, " n"]) -> tuple[Int[Tensor, "n 2"], Int[Tensor, " n"]]:
        """The two buckets of each id and its fingerprint."""
        hashes: Tensor = self.hashes(ids)
        buckets = (hashes[:, :2] * len(self.fingerprints)) >> 32
        fingerprints = ((hashes[:, 2] * _FINGERPRINTS) >> 32) + 1
        return buckets, fingerprints.to(torch.int16)


def _of_all_processes(ids: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """The ids of all processes of a distributed training."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return ids
    gathered: list[Tensor] = [ids] * distributed.get_world_size()
    distributed.all_gather_object(gathered, ids)
    return torch.cat([part.to(ids.device) for part in gathered])
