"""Amazon ratings without a header (McAuley et al.): the CSV files of 2014 and of 2018.

2014 has user, item, rating, timestamp; 2018 has item, user, rating, timestamp. The files do not
say which they are, but an item's ASIN always has ten characters and a reviewer's id has more.
The JSON lines of 2014 and 2018 and the CSV of 2023 name their columns: see `read`.
"""

import re
from collections.abc import Sequence

from tablefree.errors import InputError

RATING_LINE = re.compile(r"^([\w#-]+),([\w#-]+),\d(\.\d)?,\d{8,10}$")
ASIN_LENGTH = 10


def headerless_columns(path: str, first_lines: Sequence[str]) -> list[str] | None:
    """Return the names of the columns of a ratings-only file, None when it is not one."""
    matches = [RATING_LINE.match(line) for line in first_lines]
    fields = [(match[1], match[2]) for match in matches if match]
    if not fields or len(fields) < len(first_lines):
        return None
    first_is_item, second_is_item = (
        all(len(row[place]) == ASIN_LENGTH for row in fields) for place in (0, 1)
    )
    if first_is_item == second_is_item:
        raise InputError(
            f"{path} looks like Amazon ratings without a header, but it cannot be told which of "
            "the first two columns is the item: add a header line such as "
            "user_id,item_id,rating,timestamp"
        )
    pair = ["item_id", "user_id"] if first_is_item else ["user_id", "item_id"]
    return [*pair, "rating", "timestamp"]
