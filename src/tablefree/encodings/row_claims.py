"""A bounded map from ids to rows of their own: the first ids that ask get one.

Rows lie in buckets of 16. An id may own a row in either of two buckets, which hashes pick, and
takes one in the emptier (Azar et al., "Balanced Allocations", 1999), so that with 95 ids for 100
rows one id in a hundred finds none. A row knows its owner by a fingerprint of 16 bits (Fan et al.,
"Cuckoo Filter: Practically Better Than Bloom", 2014): no id is kept, no vocabulary is needed, and
an id that never asked is taken for an owner once in 2,000 times at most.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from tablefree.checks import check_memory, check_positive
from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.encodings.processes import data_parallel_group, of_all
from tablefree.encodings.sightings import Sightings
from tablefree.encodings.unlearnt import UnlearntRows
from tablefree.errors import CapacityWarning, InputError
from tablefree.kernels import HAVE_KERNELS, op
from tablefree.secret import next_seed

FREE, REFUSED = -1, -2  # instead of a row: one is free for the id, or none is
SLOTS = 16  # rows of a bucket
FINGERPRINT_BYTES = 2  # of a row's owner
FULL = 0.1  # of the ids of a batch without a row of their own, from where on that is said
_HASHES, _RANGE = 3, 2**32  # two buckets and a fingerprint, of 32 bits each
_FINGERPRINTS = 2**16 - 1  # zero says that a row is free


class RowClaims(nn.Module):
    """Which rows are taken, and by ids of which fingerprint.

    Args:
        capacity: rows to give away, a multiple of `SLOTS`; several, of a map that has grown.
        sightings: in how many batches, of late, an id must be before it gets a row.
        seed: an integer or a feature name; picks the hash functions. Who knows it finds ids with
            the row of any other in seconds, and some 32 that keep an id from ever getting one:
            where strangers choose ids, take a secret one (`tablefree.Secret`).

    Attributes:
        fingerprints: uint8 `[capacity / 16, 32]`, the two bytes of each row's fingerprint; bytes,
            for collectives between processes know no 16-bit integers.
        unlearnt: the rows that were given away and have not learnt yet.
        process_group: the processes that train one model together, whose ids all claim rows in each
            of them; by default those of the `DistributedDataParallel` that calls. Copies and
            pickles have none.

    Raises:
        InputError: a number of rows that is no positive multiple of `SLOTS`.

    Example:
        >>> claims = RowClaims(96, seed="item_id")
        >>> rows = claims.claim(torch.tensor([7, 8]))
        >>> bool((claims(torch.tensor([7, 8])) == rows).all()), claims(torch.tensor([9])).tolist()
        (True, [-1])
    """

    fingerprints: Tensor

    def __init__(
        self, capacity: int | Sequence[int], *, seed: int | str, sightings: int = 1
    ) -> None:
        super().__init__()
        capacity, *more = capacity if isinstance(capacity, Sequence) else [capacity]
        check_positive(capacity=capacity, sightings=sightings)
        check_memory(capacity)
        if capacity % SLOTS:
            raise InputError(
                f"rows of ids' own come in buckets of {SLOTS}, got a capacity of {capacity}: use "
                f"{capacity + SLOTS - capacity % SLOTS}"
            )
        self.num_rows = int(capacity)
        self._has_warned = False
        # Not the functions that the same seed gives to a sketch: ids that share a bucket would
        # share rows there too.
        self.seed = seed
        self.hashes = HashBuckets(_HASHES, _RANGE, seed=next_seed(seed))
        empty = torch.zeros(capacity // SLOTS, 2 * SLOTS, dtype=torch.uint8)
        self.register_buffer("fingerprints", empty)
        # Each map that was added has other hash functions, and the ids that the one before refuses.
        self.more = RowClaims(more, seed=next_seed(next_seed(seed))) if more else None
        self.sightings = Sightings(sightings, self.capacity, seed=seed) if sightings > 1 else None
        self.unlearnt = UnlearntRows()
        self.process_group: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "process_group": None}

    def forward(self, ids: Int[Tensor, " n"]) -> Int[Tensor, " n"]:
        """The row that each id owns; or `FREE`, where it would get one, or `REFUSED`."""
        rows: Tensor
        if ids.device.type in HAVE_KERNELS:
            rows = op.find_rows(ids, self.slots, self.hashes.signed_seed)
        else:
            rows = find_in(self.slots, self.hashes, ids)
        if self.more is None:
            return rows
        others = self.more(ids)
        missing = torch.where((rows == FREE) | (others == FREE), FREE, REFUSED)
        others = torch.where(others >= 0, others + self.num_rows, missing)
        return torch.where(rows >= 0, rows, others)

    @torch.no_grad()
    def claim(
        self, ids: Int[Tensor, " n"], on_new: Callable[[Tensor, Tensor], None] | None = None
    ) -> Int[Tensor, " n"]:
        """Give a row to each id that has none, as far as there are any, and look all up.

        The processes of a group must call it equally often: each gives rows to the ids of all, so
        that they stay the same.

        Args:
            ids: int64.
            on_new: called with the ids that get rows, of all processes, and these rows.

        Raises:
            InputError: another process has left, or they are within `join()`.
        """
        rows: Tensor = self(ids)
        is_new = rows == FREE
        group = self.process_group or data_parallel_group(self)
        asking = ids[is_new]
        new = torch.unique(asking)
        if self.sightings is not None:
            new = new[self.sightings(new)]
        new = new if group is None else torch.unique(of_all(new, group))
        if len(new):
            self.give(new)
            if on_new is not None:
                given = self(new)
                on_new(new[given >= 0], given[given >= 0])
            given = self(asking)  # the others keep what they have
            rows[is_new] = given
            self.unlearnt.add(given[given >= 0])
        if not self._has_warned:
            self._warn_if_full(rows)
        return rows

    @property
    def num_claimed(self) -> int:
        """Rows that have an owner; counts all."""
        others = 0 if self.more is None else self.more.num_claimed
        return int(torch.count_nonzero(self.slots)) + others

    def leave_out(self, rows: Int[Tensor, " n"], state: dict[str, Any], prefix: str) -> None:
        """Have some rows be free in the copy of the fingerprints that goes into a state."""
        slots = self.slots.clone()
        slots.view(-1)[rows[rows < self.num_rows]] = 0
        state[f"{prefix}fingerprints"] = slots.view(torch.uint8)
        if self.more is not None:
            others = rows[rows >= self.num_rows] - self.num_rows
            self.more.leave_out(others, state, f"{prefix}more.")

    def grow(self, num_rows: int) -> None:
        """Have more rows to give away, a multiple of `SLOTS`; owners keep theirs."""
        if self.more is not None:
            self.more.grow(num_rows)
        else:
            seed = next_seed(next_seed(self.seed))
            self.more = RowClaims(num_rows, seed=seed).to(self.fingerprints.device)
        self._has_warned = False

    @property
    def capacity(self) -> int:
        """Rows to give away, taken or not."""
        return sum(self.capacities)

    @property
    def capacities(self) -> list[int]:
        """The rows that there were at first, and that came with each growth."""
        return [self.num_rows, *([] if self.more is None else self.more.capacities)]

    def _warn_if_full(self, rows: Int[Tensor, " n"]) -> None:
        if (rows == REFUSED).sum() > FULL * len(rows):
            self._has_warned = True
            refused = int((rows == REFUSED).sum())
            warnings.warn(
                f"{refused} of {len(rows)} ids found none of the {self.capacity} rows free "
                f"({self.num_claimed} are taken): from now on new ids share rows, which tells them "
                "apart less well, and the others keep theirs. Call grow(capacity) on the sketch, "
                "or build it with a larger capacity",
                CapacityWarning,
                stacklevel=2,
            )

    def give(self, ids: Int[Tensor, " n"]) -> None:
        """Give a row to each of some distinct ids that have none, in order, while there are any."""
        if ids.device.type in HAVE_KERNELS:
            op.give_rows(ids, self.slots, self.hashes.signed_seed)
        else:
            self._give(ids)
        if self.more is not None:
            self.more.give(ids[self(ids) < 0])

    def _give(self, ids: Int[Tensor, " n"]) -> None:
        """What the kernel gives, by torch's operators."""
        slots = self.slots
        buckets, fingerprints = _places(ids, self.hashes, len(slots))
        while len(ids):
            num_free, emptier = (slots[buckets] == 0).sum(-1).max(1)
            bucket = buckets.gather(1, emptier[:, None]).squeeze(1)
            # One id a bucket and round: the first. The cost is that of the ids, not of all rows.
            order = torch.arange(len(ids), device=ids.device)
            asked, place = torch.unique(bucket, return_inverse=True)
            first = order.new_full((len(asked),), len(ids))
            first.scatter_reduce_(0, place, order, "amin")
            is_served = (first[place] == order) & (num_free > 0)
            served = bucket[is_served]
            slot = (slots[served] == 0).to(torch.uint8).argmax(1)
            slots[served, slot] = fingerprints[is_served]
            waits = ~is_served & (num_free > 0)
            ids, buckets, fingerprints = ids[waits], buckets[waits], fingerprints[waits]

    @property
    def slots(self) -> Int[Tensor, "num_buckets slots"]:
        """The fingerprint of each row's owner as one integer; 0 is a free row."""
        return self.fingerprints.view(torch.int16)


def find_in(
    slots: Int[Tensor, "num_buckets slots"], hashes: HashBuckets, ids: Int[Tensor, " n"]
) -> Int[Tensor, " n"]:
    """What the kernel finds, by torch's operators: the row of each id, `FREE` or `REFUSED`.

    Args:
        slots: the fingerprint of each row's owner; 0 is a free row.
        hashes: of the map.
        ids: int64.
    """
    buckets, fingerprints = _places(ids, hashes, len(slots))
    found = slots[buckets].flatten(1)
    matches = found == fingerprints[:, None]
    first = matches.to(torch.uint8).argmax(1, keepdim=True)
    own = buckets.gather(1, first // SLOTS) * SLOTS + first % SLOTS
    none = torch.where((found == 0).any(1), FREE, REFUSED)
    return torch.where(matches.any(1), own.squeeze(1), none)


def _places(
    ids: Int[Tensor, " n"], hashes: HashBuckets, num_buckets: int
) -> tuple[Int[Tensor, "n 2"], Int[Tensor, " n"]]:
    """The two buckets of each id and its fingerprint."""
    hashed: Tensor = hashes(ids)
    fingerprints = ((hashed[:, 2] * _FINGERPRINTS) >> 32) + 1
    return (hashed[:, :2] * num_buckets) >> 32, fingerprints.to(torch.int16)
