"""A sketch whose rows are packed bytes: fingerprint and row of an id lie in one bucket."""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from tablefree.encodings.row_claims import (
    FINGERPRINT_BYTES,
    REFUSED,
    SLOTS,
    RowClaims,
    find_in,
)
from tablefree.encodings.sketch import SketchEncoding, picks_of
from tablefree.errors import InputError
from tablefree.ids import tensor_ids
from tablefree.kernels import packed_op
from tablefree.kernels.layout import Layout
from tablefree.packing.books import Books
from tablefree.packing.encoding import Encoded
from tablefree.packing.forms import Form


class PackedMap(nn.Module):
    """The buckets of the ids that own rows: 16 fingerprints, and then the 16 rows.

    Args:
        claims: whose places the rows have.
        row_bytes: of a row.

    Attributes:
        buckets: int64 `[capacity / 16, 2 * (2 + row_bytes)]`, whose bytes they are: a file has the
            widest numbers first, so that they lie where a processor likes them.
    """

    buckets: Tensor

    def __init__(self, claims: RowClaims, row_bytes: int) -> None:
        super().__init__()
        self.hashes, self.num_rows = claims.hashes, claims.num_rows
        words = SLOTS * (FINGERPRINT_BYTES + row_bytes) // 8
        size = (claims.num_rows // SLOTS, words)
        empty = torch.zeros(size, dtype=torch.int64, device=claims.fingerprints.device)
        self.register_buffer("buckets", empty)

    @property
    def slots(self) -> Int[Tensor, "num_buckets slots"]:
        """The fingerprint of each row's owner as one integer; 0 is a free row."""
        return self.buckets.view(torch.int16)[:, :SLOTS]

    @property
    def rows(self) -> Tensor:
        """The bytes of all rows, `[capacity / 16, 16, row_bytes]`."""
        rows = self.data[:, FINGERPRINT_BYTES * SLOTS :]
        return rows.view(len(rows), SLOTS, rows.shape[1] // SLOTS)

    @property
    def data(self) -> UInt8[Tensor, "num_buckets group_bytes"]:
        """The bytes of the buckets."""
        return self.buckets.view(torch.uint8)


class PackedSketch(Books):
    """What takes the place of a trained `SketchEncoding`: the same call, for inference.

    An id that owns a row has it; one that came when all rows were taken has the sum of shared rows,
    which are packed in the same form; one that training never met is neutral.

    Args:
        encoding: that is packed; nothing is read but its sizes and hash functions.
        form: of the bytes.
        spans: see `Books`.

    Attributes:
        shared: uint8 `[num_hashes * num_rows, row_bytes]`, the shared rows.
    """

    shared: Tensor

    def __init__(self, encoding: SketchEncoding, form: Form, spans: Sequence[int] = ()) -> None:
        super().__init__(form, encoding.width, spans)
        self.buckets, self.std = encoding.buckets, encoding.std
        self.arguments = encoding.config()
        row_bytes = form.row_bytes(encoding.width)
        self.maps = nn.ModuleList(PackedMap(one, row_bytes) for one in parts_of(encoding.claims))
        size = (encoding.first_own, row_bytes)
        self.register_buffer("shared", torch.zeros(size, dtype=torch.uint8))

    def fill(self, encoded: Encoded, table: nn.Module) -> None:
        """Take the bytes and books of rows, shared ones first, and from the sketch who owns them.

        Ids whose rows have not learnt stay neutral.
        """
        self.set_books(encoded.books)
        state, name = table.state_dict(), "claims."
        first = len(self.shared)
        self.shared.copy_(encoded.data[:first])
        for one in self.parts():
            one.slots.copy_(state[f"{name}fingerprints"].view(torch.int16))
            last = first + one.num_rows
            one.rows.copy_(encoded.data[first:last].view(len(one.buckets), SLOTS, -1))
            first, name = last, f"{name}more."

    def all_rows(self) -> Float[Tensor, "n width"]:
        """All rows in float32, in the order of `SketchEncoding.rows`."""
        own = [one.rows.flatten(0, 1) for one in self.parts()]
        return self.decode(torch.cat([self.shared, *own]))

    def forward(self, ids: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Read or add the rows of each id.

        Raises:
            InputError: ids that are no integers.
        """
        ids = tensor_ids(ids)
        flat = ids.reshape(-1).contiguous()
        is_one_call = len(self.maps) == 1 and self._is_fast(flat)
        rows = self._codes(flat) if is_one_call else self._codes_in_steps(flat)
        return rows.view(*ids.shape, self.width)

    def _codes(self, flat: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        (only,) = self.parts()
        return packed_op.packed_codes(
            flat,
            only.data,
            self.tables(),
            only.hashes.signed_seed,
            self.shared.view(-1),
            self.buckets.signed_seed,
            self.buckets.num_hashes,
            self._own_layout,
            self.width,
        )

    def _codes_in_steps(self, flat: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        first, *others = self.parts() if self.maps else (None,)
        if first is None:
            state = flat.new_full(flat.shape, REFUSED)
            rows = torch.zeros(len(flat), self.width, device=flat.device)
        else:
            rows, state = self._own(flat, first)
        for one in others:
            found, places = self._own(flat, one)
            rows = torch.where((state >= 0)[:, None], rows, found)
            state = torch.maximum(state, places)
        (refused,) = torch.nonzero(state == REFUSED, as_tuple=True)
        if torch.compiler.is_compiling() or len(refused):
            rows.index_copy_(0, refused, self._shared(flat[refused]))
        return rows

    def _shared(self, ids: Int[Tensor, " n"]) -> Float[Tensor, "n width"]:
        """The sums of shared rows."""
        picked = picks_of(self.buckets, ids)
        flat = picked.flatten()
        if self._is_fast(flat):
            rows = packed_op.packed_rows(
                flat, self.shared.view(-1), self.tables(), self.layout, self.width
            )
        else:
            rows = self.decode(self.shared[flat])
        return rows.view(*picked.shape, self.width).sum(-2)

    def _own(
        self, ids: Int[Tensor, " n"], one: PackedMap
    ) -> tuple[Float[Tensor, "n width"], Int[Tensor, " n"]]:
        """The rows that ids own in a map, zeros where they own none, and their places."""
        if self._is_fast(ids):
            return packed_op.packed_own_rows(
                ids,
                one.data,
                self.tables(),
                one.hashes.signed_seed,
                self._own_layout,
                self.width,
            )
        places = find_in(one.slots, one.hashes, ids)
        is_owner = places >= 0
        row = places.clamp(min=0)
        found = self.decode(one.rows[row // SLOTS, row % SLOTS])
        return torch.where(is_owner[:, None], found, torch.zeros_like(found)), places

    @property
    def _own_layout(self) -> Layout:
        return self.form.layout(self.width, FINGERPRINT_BYTES * SLOTS)

    def config(self) -> dict[str, object]:
        """The kind of encoding that was packed, and its arguments."""
        return dict(self.arguments)

    @property
    def capacity(self) -> int:
        """Ids that can have a row of their own."""
        return sum(one.num_rows for one in self.parts())

    @property
    def num_claimed(self) -> int:
        """Ids that have one."""
        return sum(int(torch.count_nonzero(one.slots)) for one in self.parts())

    @property
    def load(self) -> float:
        """The share of the own rows that are taken, 0 to 1."""
        return self.num_claimed / self.capacity if self.capacity else 0.0

    @property
    def rows(self) -> Tensor:
        """There are none of float32.

        Raises:
            InputError: always.
        """
        raise InputError("packed rows do not learn: `tablefree.unpack` gives rows that do")

    def grow(self, capacity: int) -> None:  # noqa: ARG002
        """Not of packed rows.

        Raises:
            InputError: always.
        """
        raise InputError("packed rows do not grow: `tablefree.unpack`, grow, learn and pack again")

    def parts(self) -> Iterator[PackedMap]:
        """The maps, the first and those that the sketch has grown by."""
        for one in self.maps:
            assert isinstance(one, PackedMap)
            yield one


def parts_of(claims: RowClaims | None) -> Iterator[RowClaims]:
    """The maps of a sketch, the first and those that it has grown by."""
    while claims is not None:
        yield claims
        claims = claims.more
