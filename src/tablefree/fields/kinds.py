"""What a column is taken for, and why: given by the user, or found from all of its values."""

from dataclasses import dataclass

KINDS = ("categorical", "bag", "numeric", "date", "label", "time", "group")
TYPES = ("integer", "string", "boolean", "float", "date")


@dataclass(frozen=True)
class Column:
    """What a column is taken for.

    Attributes:
        name: as in the table.
        kind: of `KINDS`: a category; a bag, a list of categories; a number; a date, for its
            periods; the label, 0 or 1; the time, by which events are in order and, where it is a
            date, a date too; the group, by which events are kept together in a split.
        type: of `TYPES`, of its values; of a bag, of those in it.
        reason: why, for the user.
    """

    name: str
    kind: str
    type: str
    reason: str = "given"
