"""Columns as the user says that they are; what they cannot be is refused where a value shows it."""

from tablefree.data.numbers import LARGEST
from tablefree.data.parts import Rows
from tablefree.errors import InputError
from tablefree.fields.evidence import TYPES, Evidence
from tablefree.fields.kinds import (
    KIND_OF_TYPE,
    LABELS,
    PLURAL,
    Column,
    are_bags,
    are_labels,
    label_values,
    of_no_use,
    type_for,
)

CALLED = {
    "categorical": "categorical",
    "numeric": "numeric",
    "date": "a date",
    "time": "the time",
    "label": "the label",
    "group": "the group",
}
LABEL_REMEDY = (
    "a label is 0 or 1, -1 or 1, true or false, or yes or no; of ratings say from which on "
    "they are 1 (--positive-rating)"
)


def check(evidence: Evidence, kind: str, source: str) -> None:
    """Refuse a column that cannot be of a kind by the values that it has shown so far.

    Raises:
        InputError: the message names the column, a value, where text is wrong its row, and what
            to do.
    """
    if evidence.seen and (wrong := _wrong(evidence, kind, source)) is not None:
        raise _refusal(evidence, kind, source, wrong)


def given(evidence: Evidence, kind: str, source: str) -> Column:
    """A column as the kind that the user gave, from all of its values, which `check` has passed.

    Raises:
        InputError: it has no values; or, as the label, but one.
    """
    if not evidence.seen:
        remedy = "name another column" if kind in ("label", "time", "group") else "drop it"
        raise _refusal(evidence, kind, source, f"it has no values: {remedy}")
    if kind == "label" and not are_labels(evidence.num_values, evidence.examples):
        shown = ", ".join(evidence.examples)
        raise _refusal(evidence, kind, source, f"all are {shown}, and both are needed")
    kind = "bag" if evidence.is_list else kind
    return Column(evidence.name, kind, type_for(evidence, kind))


def _refusal(evidence: Evidence, kind: str, source: str, wrong: str) -> InputError:
    return InputError(f"the column {evidence.name!r} of {source} cannot be {CALLED[kind]}: {wrong}")


def _wrong(evidence: Evidence, kind: str, source: str) -> str | None:
    """Why a column cannot be of a kind."""
    seen = evidence.seen.keys()
    if evidence.is_mixed:
        return f"it has values of type {' and '.join(seen)}: convert or drop it"
    if not seen <= {*TYPES}:
        return f"it has values {of_no_use(evidence)}, or drop it"
    if evidence.is_list and (kind != "categorical" or not are_bags(evidence)):
        return f"it has lists of {PLURAL[evidence.type()]}: bags, of categories, are categorical"
    if kind == "label":
        is_label = any(label_values(evidence.examples) <= labels for labels in LABELS)
        return None if is_label else f"it has {', '.join(evidence.examples)}: {LABEL_REMEDY}"
    if kind == "numeric":
        return _no_number(evidence, source)
    return (
        _no_moment(evidence, kind, source) if kind in ("date", "time") else _no_category(evidence)
    )


def _no_category(evidence: Evidence) -> str | None:
    if "date" in evidence.seen:
        return "it has dates: give it as a date, or save it as strings"
    if "float" in evidence.seen and not evidence.range.is_whole:
        shown = ", ".join(evidence.examples)
        return f"it has floats, such as {shown}: give it as numeric, or save it as strings"
    return None


def _no_number(evidence: Evidence, source: str) -> str | None:
    if (odd := evidence.texts.odd.get("float")) is not None:
        return (
            f"{Rows(source).at(odd.row)} has {odd.value[:50]!r}, which is no number: correct it, "
            "leave it empty where it is missing, or give the column as categorical"
        )
    for kind in evidence.seen.keys() & {"boolean", "date"}:
        return f"it has {PLURAL[kind]}: give it as {CALLED[KIND_OF_TYPE[kind]]}"
    if evidence.range.size > LARGEST:
        return f"it has {evidence.range.size:g}, which is not finite as float32: correct it"
    return None


def _no_moment(evidence: Evidence, kind: str, source: str) -> str | None:
    if kind == "time" and evidence.first_null is not None:
        row = Rows(source).at(evidence.first_null)
        return f"{row} has none ({evidence.num_nulls} in all): remove such rows or fill them in"
    is_number = evidence.type(reads_text=True) in ("integer", "float")
    if evidence.is_moment or (kind == "time" and is_number):
        return None
    remedy = "a date is of ISO 8601, as 2026-01-31 12:00, or seconds since 1970, or a finer unit"
    if (odd := evidence.texts.odd.get("date")) is not None:
        return f"{Rows(source).at(odd.row)} has {odd.value[:50]!r}: {remedy}"
    return f"it has {', '.join(evidence.examples)}: {remedy}"
