"""The forms that rows can be packed in, and how many bytes each takes: closed forms."""

from dataclasses import dataclass
from math import prod
from typing import NamedTuple, Self

import torch

from tablefree.checks import check_choice, check_positive
from tablefree.errors import InputError
from tablefree.kernels.layout import CODES, HALF, LEVELS, SCALED, Layout

KINDS = ("float16", "int8", "int4", "levels", "product", "residual")
SCALE_BYTES = 2  # float16
FEWEST_BITS, MOST_BITS = 2, 8
MOST_CODES = 64
_INTEGER_BITS = {"int8": 8, "int4": 4}


class BookShape(NamedTuple):
    """A tensor that all rows of a table share: levels, codebooks or a basis, times their scales.

    Attributes:
        shape: of the numbers.
        scales: of the scales, in float32, which spread over the numbers.
        dtype: of the numbers, float16 or int8.
    """

    shape: tuple[int, ...]
    scales: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Of numbers and scales."""
        return prod(self.shape) * self.dtype.itemsize + 4 * prod(self.scales)


@dataclass(frozen=True)
class Form:
    """What the bytes of a row are.

    Attributes:
        kind: "float16"; "int8" or "int4" with a float16 scale for each row; "levels", for each
            number the choice of one of a table's levels; or codes, each of which picks a row of a
            codebook: "product", whose codes are each for some of the numbers, or "residual", whose
            codes add up to the row.
        bits: of a level or a code, 2 to 8; 0 for the others.
        num_codes: codes of a row; 0 for the others.

    Raises:
        InputError: an unknown kind, or bits or codes out of range.

    Example:
        >>> form = Form("residual", bits=8, num_codes=4)
        >>> str(form), form.row_bytes(32)
        ('residual-4x8', 4)
    """

    kind: str
    bits: int = 0
    num_codes: int = 0

    def __post_init__(self) -> None:
        check_choice("kind", self.kind, KINDS)
        if not all(isinstance(one, int) for one in (self.bits, self.num_codes)):
            raise InputError(f"bits and codes are integers, got {self!r}")
        has_bits, has_codes = self.kind in KINDS[3:], self.kind in KINDS[4:]
        if has_bits and not FEWEST_BITS <= self.bits <= MOST_BITS:
            raise InputError(f"{self.kind} have {FEWEST_BITS} to {MOST_BITS} bits, got {self.bits}")
        if has_codes and not 1 <= self.num_codes <= MOST_CODES:
            raise InputError(f"{self.kind} rows have 1 to {MOST_CODES} codes, got {self.num_codes}")
        if (self.bits and not has_bits) or (self.num_codes and not has_codes):
            raise InputError(f"{self.kind} has neither bits nor codes to choose, got {self!r}")

    def __str__(self) -> str:
        """The name in results and on the command line: "int8", "levels-4", "residual-4x8"."""
        if self.num_codes:
            return f"{self.kind}-{self.num_codes}x{self.bits}"
        return f"{self.kind}-{self.bits}" if self.bits else self.kind

    @classmethod
    def parse(cls, name: str) -> Self:
        """The form of a name.

        Raises:
            InputError: a name of none.
        """
        kind, _, sizes = name.partition("-")
        num_codes, _, bits = sizes.rpartition("x")
        refusal = (
            f"{name!r} is no form: use one such as int8, levels-4, product-8x6 or residual-4x8"
        )
        try:
            form = cls(kind, int(bits or 0), int(num_codes or 0))
        except ValueError as error:
            raise InputError(refusal) from error
        if str(form) != name:  # other spellings of the numbers
            raise InputError(refusal)
        return form

    @property
    def has_codes(self) -> bool:
        """Whether codebooks are learned from rows."""
        return self.num_codes > 0

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of `width` numbers.

        Raises:
            InputError: a width that is no integer of at least 1.
        """
        check_positive(width=width)
        match self.kind:
            case "float16":
                return 2 * width
            case "int8" | "int4":
                return -(-width * _INTEGER_BITS[self.kind] // 8) + SCALE_BYTES
            case "levels":
                return -(-width * self.bits // 8)
            case _:
                return -(-self.num_codes * self.bits // 8)

    def book_shapes(self, width: int) -> list[BookShape]:
        """What a table has besides its rows."""
        choices = 1 << self.bits
        match self.kind:
            case "levels":
                return [BookShape((1, choices, 1), (1, 1, 1), torch.float16)]
            case "product":
                return [
                    BookShape((choices, width), (1, width), torch.int8),
                    BookShape((width, width), (width, 1), torch.int8),
                ]
            case "residual":
                shape = (self.num_codes, choices, width)
                return [BookShape(shape, (self.num_codes, 1, 1), torch.int8)]
            case _:
                return []

    def layout(self, width: int, head: int = 0) -> Layout:
        """How kernels read rows of `width` numbers; `head` bytes are before those of a group."""
        kind = {"float16": HALF, "int8": SCALED, "int4": SCALED, "levels": LEVELS}
        bits = self.bits or _INTEGER_BITS.get(self.kind, 16)
        return Layout(kind.get(self.kind, CODES), bits, self.row_bytes(width), head)
