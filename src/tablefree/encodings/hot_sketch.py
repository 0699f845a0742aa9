"""Which ids matter most, in a bounded number of counters; those that do are given rows.

HotSketch of Zhang et al., "CAFE", 2024: a hash picks the bucket of an id, slots of an id and a
score each. In the paper a newcomer to a full bucket inherits the smallest score, so that an id that
came once may look hot. Here it wears the scores down, and has the slot when nothing is left of one
(Misra and Gries, "Finding Repeated Elements", 1982): docs/lab-notes.md has what that is worth.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.checks import check_memory, check_positive
from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.secret import next_seed

SLOTS = 8  # of a bucket, and there are as many buckets as rows; four, the paper's, find fewer
NONE = -1  # instead of a row
HALF_LIFE = 4096  # noted ids a row, in which scores halve
ID_BYTES = 8  # of an owner's id


class HotSketch(nn.Module):
    """A map from the ids of the highest scores to rows.

    The paper's threshold, a number to be found for each data set, is here the score of the last id
    for which there is a row; and scores decay by what was noted, so that nothing depends on the
    size of a batch.

    Args:
        num_rows: rows to give away.
        seed: an integer or a feature name; picks the hash function.

    Raises:
        InputError: no row.

    Example:
        >>> sketch = HotSketch(2, seed="item_id")
        >>> sketch.note(torch.tensor([7, 8, 7]), torch.ones(3))
        >>> rows, ids = sketch.settle()
        >>> ids.tolist(), sketch(torch.tensor([9])).tolist()
        ([7, 8], [-1])
    """

    ids: Tensor
    scores: Tensor
    rows: Tensor
    num_noted: Tensor

    def __init__(self, num_rows: int, *, seed: int | str) -> None:
        super().__init__()
        check_positive(num_rows=num_rows)
        check_memory(num_rows, SLOTS)
        self.num_rows = int(num_rows)
        # Not the function that the same seed gives to shared rows.
        self.hashes = HashBuckets(1, self.num_rows, seed=next_seed(seed))
        shape = self.num_rows, SLOTS
        self.register_buffer("ids", torch.zeros(shape, dtype=torch.int64))
        self.register_buffer("scores", torch.zeros(shape))  # 0 is an empty slot
        self.register_buffer("rows", torch.full(shape, NONE, dtype=torch.int32))
        self.register_buffer("num_noted", torch.zeros((), dtype=torch.int64))

    def forward(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        """The row of each id, or `NONE`."""
        bucket = self._buckets(ids)
        is_own = self.ids[bucket] == ids.unsqueeze(-1)
        return torch.where(is_own, self.rows[bucket].long(), NONE).amax(-1)

    @torch.no_grad()
    def note(self, ids: Int[Tensor, " n"], importances: Float[Tensor, " n"]) -> None:
        """Add to the scores of the ids of a batch.

        Args:
            ids: any ids, repeated or not.
            importances: of each occurrence, 0 or more, in any unit: they are taken as multiples of
                their mean. Without a mean above 0 and finite nothing is noted.
        """
        importances = importances.float()
        mean = importances.mean()
        if not 0 < mean < float("inf"):
            return
        distinct, inverse = torch.unique(ids, return_inverse=True)
        noted = mean.new_zeros(len(distinct)).index_add(0, inverse, importances / mean)
        bucket = self._buckets(distinct)
        is_own = (self.ids[bucket] == distinct[:, None]) & (self.scores[bucket] > 0)
        known = is_own.any(1)
        slot = is_own.to(torch.uint8).argmax(1)
        self.scores[bucket[known], slot[known]] += noted[known].to(self.scores.dtype)
        self._admit(distinct[~known], bucket[~known], noted[~known])
        self.num_noted += len(ids)

    @property
    def is_due(self) -> bool:
        """Whether enough was noted since the last time for rows to change hands."""
        return int(self.num_noted) >= self.ids.numel()

    @torch.no_grad()
    def settle(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """Take rows from ids that have cooled, give them to those that became hot, age all scores.

        Returns:
            The rows that have new owners, and these.
        """
        scores, owned = self.scores.view(-1), self.rows.view(-1)
        ranked = torch.argsort(scores, descending=True, stable=True)
        is_hot = torch.zeros_like(scores, dtype=torch.bool).index_fill(
            0, ranked[: self.num_rows], True
        )
        is_hot &= scores > 0
        owned[~is_hot] = NONE
        (entering,) = torch.nonzero(is_hot & (owned == NONE), as_tuple=True)
        is_free = torch.ones(self.num_rows, dtype=torch.bool, device=owned.device)
        is_free[owned[owned != NONE].long()] = False
        rows = torch.nonzero(is_free).squeeze(1)[: len(entering)]
        owned[entering] = rows.to(owned.dtype)
        self.scores *= 0.5 ** (int(self.num_noted) / (HALF_LIFE * self.num_rows))
        self.num_noted.zero_()
        return rows, self.ids.view(-1)[entering]

    @property
    def owners(self) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
        """The ids that have a row, and their rows."""
        is_owner = self.rows != NONE
        return self.ids[is_owner], self.rows[is_owner].long()

    def _admit(
        self, ids: Int[Tensor, " n"], bucket: Int[Tensor, " n"], noted: Float[Tensor, " n"]
    ) -> None:
        """Have the most important newcomer to a bucket wear its scores down.

        Where nothing is left of one, the newcomer has the slot, and what is over of its own score.
        Slots that have a row are left alone.
        """
        order = torch.argsort(noted, descending=True, stable=True)
        order = order[torch.argsort(bucket[order], stable=True)]
        asked, counts = torch.unique_consecutive(bucket[order], return_counts=True)
        first = order[counts.cumsum(0) - counts]
        is_open = self.rows[asked] == NONE
        least, slot = self.scores[asked].masked_fill(~is_open, torch.inf).min(1)
        own = noted[first].to(self.scores.dtype)
        worn = torch.minimum(own, least)
        self.scores[asked] -= torch.where(is_open, worn[:, None], 0)
        is_won = own >= least
        self.ids[asked[is_won], slot[is_won]] = ids[first[is_won]]
        self.scores[asked[is_won], slot[is_won]] = (own - least)[is_won]

    def _buckets(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch"]:
        buckets: Tensor = self.hashes(ids).squeeze(-1)
        return buckets
