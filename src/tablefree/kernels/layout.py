"""Where packed rows lie, and what their bytes are: what packing and its kernels agree on."""

from typing import NamedTuple

HALF, SCALED, LEVELS, CODES = range(4)
"""What a row is: float16 numbers; integers and a float16 scale; levels; or codes that add up."""

GROUP = 16  # rows


class Layout(NamedTuple):
    """Rows lie in groups of 16: `head` bytes, and then the 16 rows.

    The head of a group is the fingerprints of the ids that own its rows, so that an id and its row
    are found in one or two cache lines; where ids are numbers of rows there is none.

    Attributes:
        kind: `HALF`, `SCALED`, `LEVELS` or `CODES`.
        bits: of a number or a code.
        row_bytes: of a row.
        head: bytes before the rows of a group.
    """

    kind: int
    bits: int
    row_bytes: int
    head: int = 0
