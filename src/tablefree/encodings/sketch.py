"""A learned code of bounded size: a narrow row of its own for each id, or several shared ones.

Ids that training meets claim rows of their own, as long as there are any (see `row_claims`). The
code of an id that came too late is a count sketch (Charikar, Chen and Farach-Colton, "Finding
Frequent Items in Data Streams", 2002), without signs, which made no difference: the sum of the rows
that several hashes pick, so that ids which share one row differ in the rest. There is no
vocabulary, and the number of rows does not grow with that of ids.
"""

from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tablefree.checks import check_positive
from tablefree.encodings.hash_buckets import HashBuckets
from tablefree.encodings.row_claims import FREE, REFUSED, SLOTS, RowClaims
from tablefree.errors import InputError
from tablefree.ids import tensor_ids
from tablefree.kernels import op
from tablefree.registry import registered
from tablefree.rows import Rows
from tablefree.scales import CODE_STD

# From here on a dense gradient and the moments of AdamW cost more memory than many a machine has
# left (a gigabyte at ten million rows of seven numbers), and its step ten times the time of
# `RowAdam`'s, which is that of the rows in a batch.
MANY_ROWS = 2**20


@registered(encoding="sketch")
class SketchEncoding(nn.Module):
    """The row that an id owns, or the sum of the rows that its hashes pick.

    With rows to own, an id that was never trained has the code zero, a neutral embedding, as long
    as it would find a free row: had it been trained, it would own one. A row is claimed when an id
    is about to learn: in training mode, with gradients enabled, and rows that require them. Until
    a step has changed its row, an id is neutral wherever nothing learns.

    Args:
        num_rows: rows of each of the `num_hashes` shared tables.
        width: numbers of a row, and of the code.
        num_hashes: shared rows an id has.
        capacity: rows for one id each, a multiple of 16; 0 for a plain sketch. Several numbers are
            those of a sketch that has grown.
        seed: an integer or a feature name; picks the hash functions. Where strangers choose ids,
            `tablefree.Secret(key).seed(name)`: who knows the seed can take an id's row, or keep it
            from getting one. No seed keeps a stranger from filling all rows by as many new ids
            that training meets; `sightings` makes that expensive.
        sparse: whether the gradient of the rows is sparse, for `RowAdam`, whose steps cost the rows
            touched; by default from `MANY_ROWS` rows on. See `tablefree.optimizers`.
        sightings: in how many batches of the last `capacity` new ids an id must have been before it
            gets a row; until then it is neutral. More than 1 makes it expensive to fill the rows
            with ids made up for that.
        own_rows: the former name of `capacity`.

    Attributes:
        first_rows: says what rows of new owners begin with, `[n, width]` of ids `[n]`; None for
            what is there.

    Raises:
        InputError: a size below 1, or a capacity that is no multiple of 16.

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
        capacity: int | Sequence[int] = 0,
        seed: int | str,
        sparse: bool | None = None,
        sightings: int = 1,
        own_rows: int = 0,
    ) -> None:
        super().__init__()
        check_positive(num_rows=num_rows, width=width, num_hashes=num_hashes)
        capacity = capacity or own_rows
        self.num_rows, self.width, self.std = int(num_rows), int(width), CODE_STD
        self.buckets = HashBuckets(int(num_hashes), self.num_rows, seed=seed)
        self.claims: RowClaims | None = None
        if capacity:
            self.claims = RowClaims(capacity, seed=seed, sightings=sightings)
        self.sightings = int(sightings)
        self.first_rows: Callable[[Tensor], Tensor] | None = None
        # The tables lie one under the other, the own rows below them.
        total = self.first_own + self.capacity
        self.rows = Rows(total, width, sparse=total >= MANY_ROWS if sparse is None else sparse)
        nn.init.normal_(self.rows.weight, std=CODE_STD / num_hashes**0.5)
        nn.init.normal_(self.rows.weight[self.first_own :], std=CODE_STD)
        self.register_state_dict_post_hook(_leave_unlearnt_out)  # type: ignore[no-untyped-call]

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Look up or add the rows of each id.

        Raises:
            InputError: ids that are no integers.
        """
        ids = tensor_ids(ids)
        flat, weight = ids.flatten(), self.rows.weight
        has_gradient = torch.is_grad_enabled() and weight.requires_grad
        # An export is for inference, and without a branch on values. `torch.compiler.is_exporting`
        # is true of `torch.compile` too before torch 2.13.
        if torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling():
            has_gradient = False
        is_plain = self.claims is None or self.claims.more is None
        is_fast = is_plain and weight.device.type == "cpu" and weight.dtype == torch.float32
        if is_fast and not has_gradient:
            codes = self._inferred(flat)
        elif self.claims is None:
            codes = self.rows.sums(self.picks(flat))
        else:
            codes = self._own_or_shared(flat, self.claims, learns=has_gradient and self.training)
        return codes.view(*ids.shape, self.width)

    def picks(self, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch num_hashes"]:
        """The rows, of all shared tables one under the other, that the hashes of each id pick."""
        return picks_of(self.buckets, ids)

    def train(self, mode: bool = True) -> Self:
        """As every module's; in evaluation it is settled which rows have learnt."""
        if not mode and self.claims is not None and len(self.claims.unlearnt):
            self.claims.unlearnt.forget(self._own)
        return super().train(mode)

    def config(self) -> dict[str, object]:
        """The kind of encoding and its arguments."""
        return {
            "encoding": "sketch",
            "num_rows": self.num_rows,
            "width": self.width,
            "num_hashes": self.buckets.num_hashes,
            "capacity": self.saved_capacity,
            "sightings": self.sightings,
            "seed": self.buckets.seed,
            "sparse": self.rows.sparse,
        }

    def _inferred(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """All at once, without a gradient."""
        claims = self.claims

        def codes_of(weight: Tensor) -> Tensor:
            codes: Tensor = op.sketch_codes(
                ids,
                torch.empty(0, SLOTS, dtype=torch.int16) if claims is None else claims.slots,
                0 if claims is None else claims.hashes.signed_seed,
                self.buckets.signed_seed,
                self.buckets.num_hashes,
                self.num_rows,
                weight,
            )
            return codes

        codes = self.rows.read(codes_of)
        if claims is not None and len(claims.unlearnt):
            codes[self._is_unlearnt(claims(ids), claims)] = 0
        return codes

    def _own_or_shared(
        self, ids: Int[Tensor, " n"], claims: RowClaims, *, learns: bool
    ) -> Float[Tensor, "n width"]:
        if learns:
            if len(claims.unlearnt):
                claims.unlearnt.forget(self._own)
            rows = claims.claim(ids, None if self.first_rows is None else self._start)
        else:
            rows = claims(ids)
            rows = torch.where(self._is_unlearnt(rows, claims), FREE, rows)
        (owners,) = torch.nonzero(rows >= 0, as_tuple=True)
        own = rows[owners]
        (refused,) = torch.nonzero(rows == REFUSED, as_tuple=True)
        picks = self.picks(ids[refused])
        # One look-up of all rows, for each has a gradient as large as all of them.
        found: Tensor = self.rows(torch.cat([own + self.first_own, picks.flatten()]))
        codes, shared = torch.split(found, [own.shape[0], picks.numel()])
        if learns and len(claims.unlearnt):
            codes.register_hook(  # type: ignore[no-untyped-call]
                lambda _: claims.unlearnt.reached(own, self._own)
            )
        if not torch.compiler.is_compiling() and len(owners) == len(ids):
            return codes
        neutral = codes.new_zeros(ids.shape[0], self.width)
        shared = shared.view(*picks.shape, self.width).sum(1)
        return neutral.index_copy(0, owners, codes).index_copy(0, refused, shared)

    def _is_unlearnt(self, rows: Int[Tensor, " n"], claims: RowClaims) -> Bool[Tensor, " n"]:
        return torch.isin(rows, claims.unlearnt.still(self._own).to(rows.device))

    @torch.no_grad()
    def _start(self, ids: Int[Tensor, " n"], rows: Int[Tensor, " n"]) -> None:
        """Have rows that were given to ids begin as these do."""
        assert self.first_rows is not None
        first = self.first_rows(ids).to(rows.device) - self._own(rows)
        self.rows.add(rows + self.first_own, first)

    @torch.no_grad()
    def _own(self, rows: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """The numbers of rows that are given away."""
        numbers: Tensor = self.rows(rows.to(self.rows.weight.device) + self.first_own)
        return numbers

    @torch.no_grad()
    def grow(self, capacity: int) -> None:
        """Have more rows for ids of their own; all rows stay what and whose they are.

        Ids that came too late, and shared rows, are neutral until they learn again. The weight is
        another parameter afterwards: make the optimizers anew.

        Args:
            capacity: ids that can have a row then; rounded up to a multiple of 16.

        Raises:
            InputError: not more than there are, or a sketch that began without.
        """
        if self.claims is None or capacity <= self.capacity:
            raise InputError(
                f"a sketch grows from its capacity, {self.capacity}, to a larger one, got "
                f"{capacity}" + ("" if self.claims else ": build it with a capacity")
            )
        num_new = -(-(capacity - self.capacity) // SLOTS) * SLOTS
        self.claims.grow(num_new)
        weight = self.rows.weight.detach()
        new = torch.empty_like(weight[:1].expand(num_new, -1)).normal_(std=self.std)
        self.rows.weight = nn.Parameter(torch.cat([weight, new]), self.rows.weight.requires_grad)
        self.rows.num_embeddings = len(self.rows.weight)

    @property
    def saved_capacity(self) -> int | list[int]:
        """The capacity; of a sketch that has grown, its parts."""
        parts = [] if self.claims is None else self.claims.capacities
        return parts if len(parts) > 1 else self.capacity

    @property
    def capacity(self) -> int:
        """Ids that can have a row of their own."""
        return 0 if self.claims is None else self.claims.capacity

    @property
    def num_claimed(self) -> int:
        """Ids that have one."""
        return 0 if self.claims is None else self.claims.num_claimed

    @property
    def load(self) -> float:
        """The share of the own rows that are taken, 0 to 1; few above .95 can still be had."""
        return self.num_claimed / self.capacity if self.capacity else 0.0

    @property
    def first_own(self) -> int:
        """Where among all rows those that ids own begin."""
        return self.num_rows * self.buckets.num_hashes


def picks_of(buckets: HashBuckets, ids: Int[Tensor, "*batch"]) -> Int[Tensor, "*batch num_hashes"]:
    """What hashes pick, one in each table, where the tables lie one under the other."""
    picked: Tensor = buckets(ids)
    return picked + buckets.num_buckets * torch.arange(buckets.num_hashes, device=picked.device)


def _leave_unlearnt_out(
    encoding: SketchEncoding, state: dict[str, Any], prefix: str, _metadata: object
) -> None:
    """Whoever loads a state cannot tell which rows have learnt: owners of the others have none."""
    claims = encoding.claims
    if claims is not None and len(claims.unlearnt):
        rows = claims.unlearnt.still(encoding._own)
        claims.leave_out(rows, state, f"{prefix}claims.")
