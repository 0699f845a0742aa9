"""How many distinct values a column will have when there are more rows.

Distinct values grow as a power of the rows (Heaps, "Information Retrieval", 1978); a column that
has shown all of its values grows no more.
"""

from collections.abc import Sequence
from math import log

POINTS = 4  # the last doublings of the rows, which tell most of what comes


def extrapolated(growth: Sequence[tuple[int, int]], rows: float) -> int:
    """Distinct values to expect in so many rows, at least those that there were.

    Args:
        growth: (rows read, distinct values until then), ascending, the last is all.
        rows: at least as many as were read.
    """
    last_rows, last = growth[-1]
    if rows <= last_rows:
        return last
    return max(last, int(last * (rows / last_rows) ** exponent(growth)))


def exponent(growth: Sequence[tuple[int, int]]) -> float:
    """Of the power by which distinct values grow of late, from 0 to 1; 0 where nothing tells.

    It is the slope of the logarithms between the first and the last of the last doublings.
    """
    points = [(one, values) for one, values in growth[-POINTS:] if values > 0]
    if not points or points[0][0] == points[-1][0]:
        return 0.0
    (first_rows, first), (last_rows, last) = points[0], points[-1]
    return min(1.0, max(0.0, log(last / first) / log(last_rows / first_rows)))
