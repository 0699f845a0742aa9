"""How often ids were met lately, in bytes of a fixed number: who came once may not come again.

A counting Bloom filter with conservative updates (Fan et al., "Summary Cache", 2000; Estan and
Varghese, "New Directions in Traffic Measurement and Accounting", 2002), emptied when it has met
as many ids as there are rows to give away.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from tablefree.checks import check_positive
from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.errors import InputError
from tablefree.secret import next_seed

_COUNTERS = 4  # for each row: one id in twenty then seems to have come once more than it did
_MOST = 255


class Sightings(nn.Module):
    """Counts the batches that ids are in.

    Args:
        wanted: in how many an id must be, 2 to 255, to be let in.
        capacity: rows to give away.
        seed: picks the hash functions.

    Raises:
        InputError: a number out of its range.
    """

    counts: Tensor
    num_met: Tensor

    def __init__(self, wanted: int, capacity: int, *, seed: int | str) -> None:
        super().__init__()
        check_positive(sightings=wanted, capacity=capacity)
        if wanted > _MOST:
            raise InputError(f"sightings must be at most {_MOST}, got {wanted}")
        self.wanted, self.capacity = int(wanted), int(capacity)
        self.hashes = HashBuckets(2, _COUNTERS * self.capacity, seed=next_seed(next_seed(seed)))
        empty = torch.zeros(_COUNTERS * self.capacity, dtype=torch.uint8)
        self.register_buffer("counts", empty)
        self.register_buffer("num_met", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, ids: Int[Tensor, " n"]) -> Bool[Tensor, " n"]:
        """Count the distinct ids of a batch; which of them may have a row."""
        self.num_met += len(ids)
        if int(self.num_met) > self.capacity:
            self.num_met.zero_()
            self.counts.zero_()
        places = self.hashes(ids)
        met = self.counts[places].amin(1).clamp(max=_MOST - 1) + 1
        self.counts.scatter_reduce_(0, places.flatten(), met.repeat_interleave(2), "amax")
        return met >= self.wanted
