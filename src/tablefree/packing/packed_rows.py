"""A table whose rows are packed bytes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from tablefree.errors import InputError
from tablefree.kernels import packed_op
from tablefree.packing.books import Books
from tablefree.packing.encoding import Encoded
from tablefree.packing.forms import Form


class PackedRows(Books):
    """What takes the place of an `nn.Embedding` of trained rows: the same call, for inference.

    Args:
        num_rows: number of rows.
        width: numbers of a row.
        form: of the bytes.
        spans: see `Books`.

    Attributes:
        data: uint8 `[num_rows, row_bytes]`.
    """

    data: Tensor
    sparse = False  # what asks a table of its gradient

    def __init__(self, num_rows: int, width: int, form: Form, spans: Sequence[int] = ()) -> None:
        super().__init__(form, width, spans)
        self.num_embeddings, self.embedding_dim = num_rows, width
        size = (num_rows, form.row_bytes(width))
        self.register_buffer("data", torch.zeros(size, dtype=torch.uint8))

    def fill(self, encoded: Encoded, table: nn.Module) -> None:  # noqa: ARG002
        """Take the bytes and books of rows."""
        self.data.copy_(encoded.data)
        self.set_books(encoded.books)

    def all_rows(self) -> Float[Tensor, "n width"]:
        """All rows in float32."""
        return self.decode(self.data)

    def forward(self, indices: Int[Tensor, "*batch"]) -> Float[Tensor, "*batch width"]:
        """Read the rows of each index.

        Raises:
            InputError: an index out of range.
        """
        flat = indices.reshape(-1)
        if self._is_fast(flat):
            _check_range(flat, self.num_embeddings)
            rows = packed_op.packed_rows(
                flat.long().contiguous(),
                self.data.view(-1),
                self.tables(),
                self.layout,
                self.width,
            )
        else:
            rows = self.decode(self.data[flat])
        return rows.view(*indices.shape, self.width)

    def sums(self, indices: Int[Tensor, "n bag"]) -> Float[Tensor, "n width"]:
        """The sum of the rows of each bag."""
        rows: Tensor = self(indices)
        return rows.sum(-2)

    @property
    def weight(self) -> Tensor:
        """There is none.

        Raises:
            InputError: always.
        """
        raise InputError(
            "packed rows have no weight to read or change: look rows up, or `tablefree.unpack`"
        )


def _check_range(indices: Tensor, num_rows: int) -> None:
    if indices.numel():
        low, high = (int(end) for end in torch.aminmax(indices))
        if low < 0 or high >= num_rows:
            raise InputError(
                f"rows are 0..{num_rows - 1}, got {low if low < 0 else high}: look up what the "
                "table has"
            )
