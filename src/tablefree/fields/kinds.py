"""What a column is taken for, and why: given by the user, or found from all of its values."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tablefree.data.numbers import LARGEST
from tablefree.fields import names
from tablefree.fields.evidence import EXACT, TYPES, Evidence

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
# The values of labels, in lower case; databases write t and f for true and false.
POSITIVE = ("1", "true", "t", "yes", "y")
LABELS = ({"0", "1"}, {"-1", "1"}, {"false", "true"}, {"f", "t"}, {"no", "yes"}, {"n", "y"})
# By what the name of a type of Arrow's has.
REMEDIES = {
    "struct": "save their fields as columns of their own",
    "map": "save their entries as columns of their own",
    "list": "save them as lists of strings or integers",
    "binary": "save them as strings",
    "duration": "save them as numbers",
    "time": "save them as numbers",
}
MOST_CATEGORIES = 100  # integers with more values, and nothing that says codes, are numbers
MOST_SECONDS = 2**63 // 10**9  # of which 64 bits hold the nanoseconds
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


def find_label(columns: Iterable[Evidence]) -> Evidence | None:
    """The label by its name and values; None where none is, or several are only what came of it."""
    found = [
        (rank, one)
        for one in columns
        if not one.is_list
        and are_labels(one.num_values, one.examples)
        and (rank := names.label_rank(one.name)) is not None
    ]
    first = min((rank for rank, _ in found), default=None)
    surest = [one for rank, one in found if rank == first]
    return None if first == names.OUTCOME and len(surest) > 1 else next(iter(surest), None)


def find_time(columns: Iterable[Evidence]) -> Evidence | None:
    """The time of the event by its name, where each row has a plausible one: the finest of several.

    Of numbers that are no dates one called a time stamp is, where nothing else is.
    """
    found = [
        one
        for one in columns
        if names.is_time(one.name) and not one.num_missing and _unusable(one) is None
    ]
    dates = [one for one in found if one.is_moment and not one.is_list]
    stamps = [one for one in found if names.is_stamp(one.name) and _are_in_order(one)]
    return max(dates or stamps, key=lambda one: one.num_values, default=None)


def find_kind(evidence: Evidence) -> Column:
    """What all values of a column that is not `useless` show it to be, if no label and no time."""
    kind = type_for(evidence)
    if evidence.is_list:
        return Column(evidence.name, "bag", kind, f"lists of {PLURAL[kind]}")
    written = evidence.written_as
    if kind in ("integer", "float") and written and evidence.num_values >= FEWEST_DATES:
        return Column(evidence.name, "date", "date", f"dates as {written}")
    if kind == "integer":
        return Column(evidence.name, *_of_integers(evidence))
    return Column(evidence.name, KIND_OF_TYPE[kind], kind, PLURAL[kind])


def as_label(evidence: Evidence) -> Column:
    """The column that `find_label` found."""
    return Column(evidence.name, "label", type_for(evidence, "label"), "its name and values")


def as_time(evidence: Evidence) -> Column:
    """The column that `find_time` found."""
    return Column(evidence.name, "time", type_for(evidence, "time"), _of_time(evidence))


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
    are_codes = names.is_id(evidence.name) or names.is_thing(evidence.name) or kind == "label"
    is_integer = is_whole and (evidence.num_nulls > 0 or are_codes or evidence.is_list)
    return "integer" if told == "float" and is_integer else told


def are_integers(evidence: Evidence) -> bool:
    """Whether the numbers are integers, also where they are held as floats."""
    return evidence.type() == "integer" or (evidence.type() == "float" and evidence.range.is_whole)


def useless(evidence: Evidence) -> str | None:
    """Why no kind is found for a column; None where one is."""
    reason = _unusable(evidence)
    return "a value of its own for each row" if not reason and _names_rows(evidence) else reason


def _unusable(evidence: Evidence) -> str | None:
    """Why values tell nothing, or cannot be used."""
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
    return None


def of_no_use(evidence: Evidence) -> str:
    """The type of values that no kind of column has, and what to do with them."""
    kind = next(iter(evidence.seen))
    remedy = next((todo for word, todo in REMEDIES.items() if word in kind), "convert them")
    return f"of type {kind[:50]}: {remedy}"


def are_bags(evidence: Evidence) -> bool:
    """Whether what is in lists is categories: neither dates nor floats that are no integers."""
    is_number = "float" in evidence.seen and not evidence.range.is_whole
    return not is_number and "date" not in evidence.seen


def are_labels(num_values: int, examples: Sequence[str]) -> bool:
    """Whether the distinct values are those of a label, both of them."""
    return num_values == 2 and label_values(examples) in LABELS


def label_values(examples: Sequence[str]) -> set[str]:
    """The first distinct values, each in one way to write it."""
    return {re.sub(r"\.0+$", "", one.lower().removeprefix("+")) for one in examples}


def _are_in_order(evidence: Evidence) -> bool:
    """Whether many numbers may say what comes first, counted from some start."""
    if type_for(evidence, "time") not in ("integer", "float") or evidence.is_list:
        return False
    is_count = evidence.range.least >= 0 and evidence.range.largest < MOST_SECONDS
    return is_count and evidence.num_values > MOST_CATEGORIES


def _of_time(evidence: Evidence) -> str:
    if evidence.written_as:
        return f"dates as {evidence.written_as}, by its name"
    if type_for(evidence, "time") not in ("integer", "float"):
        return "dates, by its name"
    unit = evidence.range.unit
    return f"{unit} since 1970, by its name" if unit else "numbers in order, by its name"


def _of_integers(evidence: Evidence) -> tuple[str, str, str]:
    """The kind of integers, their type, and why."""
    held = ", held as floats" if evidence.type() == "float" else ""
    if names.is_id(evidence.name):
        return "categorical", "integer", f"an id or code by its name{held}"
    if evidence.num_values > MOST_CATEGORIES and names.is_thing(evidence.name):
        return "categorical", "integer", f"a code by its name, of a thing{held}"
    if evidence.range.size >= EXACT and evidence.range.unit is None:
        return "categorical", "integer", "codes: larger than amounts are"
    about = "" if evidence.is_exact else "about "
    kind = "categorical" if evidence.num_values <= MOST_CATEGORIES else "numeric"
    return kind, "integer", f"{about}{evidence.num_values:,} distinct integers{held}"


def _names_rows(evidence: Evidence) -> bool:
    """Whether almost each row has a value that no other has, and no amount either."""
    kind, rows = type_for(evidence), evidence.num_rows
    if rows <= ROW_IDS or evidence.num_values < ROW_ID_SHARE * rows:
        return False
    is_dense = evidence.range.largest - evidence.range.least < 2 * rows
    return kind == "string" or (kind == "integer" and (is_dense or names.is_id(evidence.name)))
