"""What a column is taken for, and why: given by the user, or found from all of its values."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from tablefree.data.numbers import LARGEST
from tablefree.fields.evidence import TYPES, Evidence

KINDS = ("categorical", "bag", "numeric", "date", "label", "time", "group")
KIND_OF_TYPE = {
    "integer": "categorical",  # or numeric, see `_of_integers`
    "boolean": "categorical",
    "string": "categorical",
    "float": "numeric",
    "date": "date",
}
PLURAL = {
    "integer": "integers",
    "boolean": "true or false",
    "string": "strings",
    "float": "floats",
    "date": "dates",
}
LABEL_NAMES = ("label", "click", "clicked", "target", "y")
LABELS = ({"0", "1"}, {"-1", "1"}, {"false", "true"})
TIME_NAMES = (
    *("timestamp", "time", "ts", "time_hour", "hour", "date", "datetime", "day"),
    *("event_time", "event_timestamp", "event_date", "click_time", "created_at"),
)
# By what the name of a type of Arrow's has.
REMEDIES = {
    "struct": "save their fields as columns of their own",
    "map": "save their entries as columns of their own",
    "list": "save them as lists of strings or integers",
    "binary": "save them as strings",
    "duration": "save them as numbers",
    "time": "save them as numbers",
}
MOST_CATEGORIES = 100  # integers with more values, and no name of an id, are numbers
ID_NAME = re.compile(
    r"(^|_)(ids?|no|nr|zip|key|sku|ip|isbn|asin|uuid)$|code$"
    r"|(user|item|movie|product|customer|session|device|visitor|ad|campaign|order|store|site|app)id$"
)
FEWEST_DATES = 10  # distinct numbers which are all dates, so that it is no chance
ROW_IDS, ROW_ID_SHARE = 1_000, 0.97  # rows, and values a row, from which a value names its row


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
        resolution: of dates and of the time: "day" where none has a time of the day, "moment" where
            all have one, a format of `digits.FORMATS` of dates as one number, "order" of numbers
            that only tell what comes first, "any" where it is not known or both are there.
    """

    name: str
    kind: str
    type: str
    reason: str = "given"
    resolution: str = "any"


def find_kind(evidence: Evidence, taken: Collection[str] = ()) -> Column:
    """What all values of a column that is not `useless` show it to be.

    Args:
        evidence: all of it.
        taken: kinds that other columns have, of which there is but one: label and time.
    """
    if "label" not in taken and _is_label(evidence):
        return Column(evidence.name, "label", type_for(evidence, "label"), "its name and values")
    if "time" not in taken and _is_time(evidence):
        return Column(evidence.name, "time", type_for(evidence, "time"), _of_time(evidence))
    kind = type_for(evidence)
    if evidence.is_list:
        return Column(evidence.name, "bag", kind, f"lists of {PLURAL[kind]}")
    written = evidence.written_as
    if kind in ("integer", "float") and written and evidence.num_values >= FEWEST_DATES:
        return Column(evidence.name, "date", "date", f"dates as {written}")
    if kind == "integer":
        return Column(evidence.name, *_of_integers(evidence))
    return Column(evidence.name, KIND_OF_TYPE[kind], kind, PLURAL[kind])


def type_for(evidence: Evidence, kind: str | None = None) -> str:
    """The type, of `TYPES`, as which values are to be read for a kind; by default for one found."""
    if kind in ("date", "time") and evidence.written_as:
        return "date"
    told = evidence.type(reads_text=kind in ("numeric", "date", "time", "label"))
    is_whole = evidence.range.is_whole
    if kind in ("categorical", "group"):
        of_text = {"float": "integer" if is_whole else "string", "date": "string"}
        return of_text.get(told, told)
    if kind == "numeric" and told != "integer":
        told = "float"  # as "+5", which no program writes of an integer
    # Integers of pandas are floats where some are missing, for NumPy has no other null.
    is_integer = is_whole and (evidence.num_nulls > 0 or kind == "label" or evidence.is_list)
    return "integer" if told == "float" and is_integer else told


def useless(evidence: Evidence) -> str | None:
    """Why no kind is found for a column; None where one is."""
    seen = evidence.seen.keys()
    if not seen:
        return "empty lists only" if evidence.is_list else "nulls only"
    if evidence.is_mixed:
        return f"values of several types: {' and '.join(seen)}"
    if not seen <= {*TYPES}:
        return f"values {of_no_use(evidence)}"
    if evidence.is_list:
        return None if are_bags(evidence) else f"lists of {PLURAL[evidence.type()]}"
    if evidence.type() == "float" and evidence.range.size > LARGEST:
        return "numbers that are infinite as float32"
    if evidence.num_values == 1 and not evidence.num_missing:
        return f"constant, always {evidence.examples[0]!r}"
    return "a value of its own for each row" if _names_rows(evidence) else None


def of_no_use(evidence: Evidence) -> str:
    """The type of values that no kind of column has, and what to do with them."""
    kind = next(iter(evidence.seen))
    remedy = next((todo for word, todo in REMEDIES.items() if word in kind), "convert them")
    return f"of type {kind[:50]}: {remedy}"


def are_bags(evidence: Evidence) -> bool:
    """Whether what is in lists is categories: neither dates nor floats that are no integers."""
    is_number = "float" in evidence.seen and not evidence.range.is_whole
    return not is_number and "date" not in evidence.seen


def _is_label(evidence: Evidence) -> bool:
    """Whether a column goes by the name of a label, and has the values of one."""
    return evidence.name.lower() in LABEL_NAMES and are_labels(evidence)


def are_labels(evidence: Evidence) -> bool:
    """Whether the values are those of a label, both of them."""
    return evidence.num_values == 2 and label_values(evidence) in LABELS


def label_values(evidence: Evidence) -> set[str]:
    """The first distinct values, each in one way to write it."""
    return {re.sub(r"\.0+$", "", one.lower().removeprefix("+")) for one in evidence.examples}


def _is_time(evidence: Evidence) -> bool:
    """Whether a column goes by the name of a time, and each row has a plausible one."""
    is_named = evidence.name.lower() in TIME_NAMES
    return (
        is_named and useless(evidence) is None and evidence.is_moment and not evidence.num_missing
    )


def _of_time(evidence: Evidence) -> str:
    if evidence.written_as:
        return f"dates as {evidence.written_as}, by its name"
    is_number = type_for(evidence, "time") in ("integer", "float")
    return f"{evidence.range.unit} since 1970, by its name" if is_number else "dates, by its name"


def _of_integers(evidence: Evidence) -> tuple[str, str, str]:
    """The kind of integers, their type, and why."""
    held = ", held as floats" if evidence.type() == "float" else ""
    if _is_id(evidence.name):
        return "categorical", "integer", f"an id or code by its name{held}"
    about = "" if evidence.is_exact else "about "
    kind = "categorical" if evidence.num_values <= MOST_CATEGORIES else "numeric"
    return kind, "integer", f"{about}{evidence.num_values:,} distinct integers{held}"


def _names_rows(evidence: Evidence) -> bool:
    """Whether almost each row has a value that no other has, and no amount either."""
    kind, rows = type_for(evidence), evidence.num_rows
    if rows <= ROW_IDS or evidence.num_values < ROW_ID_SHARE * rows:
        return False
    is_dense = evidence.range.largest - evidence.range.least < 2 * rows
    return kind == "string" or (kind == "integer" and (is_dense or _is_id(evidence.name)))


def _is_id(name: str) -> bool:
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[\s.-]+", "_", name)
    return ID_NAME.search(words.lower()) is not None
