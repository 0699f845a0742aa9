"""What the rows of a packed table have in common: levels, codebooks, a basis; how they are read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from operator import is_

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from tablefree.kernels import HAVE_KERNELS
from tablefree.kernels.layout import CODES, HALF, LEVELS, Layout
from tablefree.packing.bits import unpack_bits
from tablefree.packing.encoding import Encoded
from tablefree.packing.forms import Form


class Books(nn.Module, ABC):
    """Base of packed tables: the form of their rows, and the tensors that all rows share.

    Args:
        form: of the rows.
        width: numbers of a row.
        spans: where the directions of each product code begin, and the width at the end.

    Attributes:
        book_0, book_1: the tensors of the form, without their scales (see `BookShape`).
        scales_0, scales_1: the scales of each.
    """

    def __init__(self, form: Form, width: int, spans: Sequence[int] = ()) -> None:
        super().__init__()
        self.form, self.width, self.spans = form, width, list(spans)
        self.num_books = len(form.book_shapes(width))
        for number, book in enumerate(form.book_shapes(width)):
            self.register_buffer(f"scales_{number}", torch.ones(book.scales))
            self.register_buffer(f"book_{number}", torch.zeros(book.shape, dtype=book.dtype))
        self.trained: list[Tensor] | None = None  # in the place of the buffers, see `tune`
        self._cache: tuple[list[Tensor], list[int], Tensor] | None = None

    @torch.no_grad()
    def set_books(self, books: Sequence[Tensor]) -> None:
        """Round float32 books into the buffers."""
        for (book, scales), values in zip(self._buffers_of_books(), books, strict=True):
            spread = [dim for dim in range(values.dim()) if scales.shape[dim] == 1]
            largest = values.abs().amax(spread, keepdim=True).clamp(min=1e-30)
            if book.dtype == torch.int8:
                scales.copy_(largest / 127)
                book.copy_((values / scales).round())
            else:  # a power of two, by which nothing is rounded
                scales.copy_(2.0 ** largest.log2().floor())
                book.copy_(values / scales)

    def books(self) -> list[Tensor]:
        """The books in float32, as `set_books` takes them."""
        if self.trained is not None:
            return self.trained
        return [book.float() * scales for book, scales in self._buffers_of_books()]

    def _buffers_of_books(self) -> list[tuple[Tensor, Tensor]]:
        """Each book with its scales."""
        return [
            (getattr(self, f"book_{number}"), getattr(self, f"scales_{number}"))
            for number in range(self.num_books)
        ]

    def tables(self) -> Float[Tensor, "codes choices width"]:
        """What each choice of each code adds to a row; levels are `[1, choices, 1]`."""
        if self.num_books == 0:
            return torch.empty(0, 0, 0, device=next(self.buffers()).device)
        if self.trained is not None or torch.compiler.is_compiling():
            return tables_of(self.books(), self.spans)
        buffers = [buffer for both in self._buffers_of_books() for buffer in both]
        versions = [buffer._version for buffer in buffers]
        if self._cache is not None:
            known, of_known, tables = self._cache
            if all(map(is_, known, buffers)) and of_known == versions:
                return tables
        # The buffers are kept too: one that is gone could have its place in memory taken.
        self._cache = buffers, versions, tables_of(self.books(), self.spans)
        return self._cache[2]

    def decode(self, data: UInt8[Tensor, "n row_bytes"]) -> Float[Tensor, "n width"]:
        """Rows from their bytes, by torch's operators: what the kernels do, bit for bit."""
        kind, bits, row_bytes, _ = self.layout
        if kind == HALF:
            return data.contiguous().view(torch.float16).float()
        if kind == CODES:
            choices = unpack_bits(data, self.form.num_codes, bits)
            tables = self.tables()
            if self.learns:  # at once, in whatever order it adds
                first = torch.arange(len(tables), device=data.device) << bits
                return F.embedding_bag(choices + first, tables.flatten(0, 1), mode="sum")
            rows = torch.zeros((), device=data.device)
            for code in range(self.form.num_codes):
                rows = rows + F.embedding(choices[:, code], tables[code])
            return rows
        numbers = unpack_bits(data, self.width, bits)
        if kind == LEVELS:
            return self.tables()[0, :, 0][numbers]
        # A copy even of one row, or none, that could lie at an odd byte.
        scale = data[:, row_bytes - 2 :].clone(memory_format=torch.contiguous_format)
        scales = scale.view(torch.float16).float()
        return (numbers - (1 << (bits - 1))).float() * scales

    @property
    def layout(self) -> Layout:
        """How the kernels read a row."""
        return self.form.layout(self.width)

    @abstractmethod
    def fill(self, encoded: Encoded, table: nn.Module) -> None:
        """Take the bytes and books of the rows of a table, and what else it has."""

    @abstractmethod
    def all_rows(self) -> Float[Tensor, "n width"]:
        """All rows in float32."""

    @property
    def learns(self) -> bool:
        """Whether the books are being tuned."""
        return torch.is_grad_enabled() and self.trained is not None

    def _is_fast(self, data: Tensor) -> bool:
        compiles = torch.compiler.is_compiling()
        return not compiles and not self.learns and data.device.type in HAVE_KERNELS

    def extra_repr(self) -> str:
        """The form, shown when the module is printed."""
        return f"{self.form}, width={self.width}"


def tables_of(
    books: Sequence[Tensor], spans: Sequence[int]
) -> Float[Tensor, "codes choices width"]:
    """What each choice adds to a row, from the books of a form.

    Sums are in one order, so that all machines have the same bits.
    """
    if len(books) == 1:
        return books[0]
    choices, basis = books
    tables = []
    for first, last in pairwise(spans):
        table = choices[:, first, None] * basis[first]
        for direction in range(first + 1, last):
            table = table + choices[:, direction, None] * basis[direction]
        tables.append(table)
    return torch.stack(tables)
