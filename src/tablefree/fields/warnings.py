"""What a user should know of a table before a model is made of it, a line each."""

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tablefree.data.parts import Rows
from tablefree.fields import leaks
from tablefree.fields.evidence import Evidence
from tablefree.fields.kinds import PLURAL, Column
from tablefree.fields.names import is_time, label_rank, words
from tablefree.fields.table import Table
from tablefree.fields.texts import NUMBER

LISTED = 10  # columns that a line names
ISO = "ISO 8601, as 2026-01-31 12:00"


@dataclass(frozen=True)
class Findings:
    """What was found of the columns of a table.

    Attributes:
        columns: what those that are used are taken for.
        seen: all of the columns that were read.
        like_labels: columns that have the values of a label, and are none.
        aucs: of the label from each column alone.
        sure: columns of which some values come with one label alone.
    """

    columns: Mapping[str, Column]
    seen: Mapping[str, Evidence]
    like_labels: Sequence[str]
    aucs: Mapping[str, float]
    sure: Collection[str]

    def of_kind(self, kind: str) -> str | None:
        """The column of a kind of which there is but one."""
        return next((name for name, one in self.columns.items() if one.kind == kind), None)


def warnings(table: Table, found: Findings) -> Iterator[str]:
    """What is to be known of a table, and of what was found in it."""
    yield from _of_names(table)
    yield from _of_label(found)
    yield from _of_time(table, found)
    for name, column in found.columns.items():
        odd = found.seen[name].odd_number
        if column.reason == PLURAL["string"] and odd is not None:
            yield (
                f"{name!r} is text of numbers for the most part, but {Rows(table.name).at(odd.row)}"
                f" has {odd.value[:50]!r}, so that it is categorical: correct such values, or leave"
                f" it out ({_dropping(name)})"
            )
    yield from _of_leaks(found)


def _of_names(table: Table) -> Iterator[str]:
    numbers = [name for name in table.columns if re.match(NUMBER, name)]
    are_places = numbers == [str(at) for at in range(len(numbers))]  # as pandas names columns
    if 2 * len(numbers) > len(table.columns) and not are_places:
        shown = ", ".join(map(repr, numbers[:3]))
        yield (
            f"most names of columns are numbers, such as {shown}: where they are the first row of "
            "the data, put a line of names before it"
        )


def _of_label(found: Findings) -> Iterator[str]:
    label = found.of_kind("label")
    if label is None:
        if found.like_labels:
            yield (
                "no column goes by the name of a label: where events have one, name it (--label); "
                f"the values of one are in {shown_names(found.like_labels)}"
            )
        return
    evidence = found.seen[label]
    if evidence.num_missing:
        yield (
            f"the label {label!r} is missing in {evidence.num_missing:,} of "
            f"{evidence.num_rows:,} rows, which are left out"
        )


def _of_time(table: Table, found: Findings) -> Iterator[str]:
    time = found.of_kind("time")
    if time is not None:
        if found.columns[time].resolution == "order":
            yield (
                f"the time {time!r} is numbers that are no dates: events are in its order, and no "
                "hours and weekdays are embedded"
            )
        return
    for name, evidence in found.seen.items():
        is_given = name in found.columns and found.columns[name].reason == "given"
        if is_given or not is_time(name):
            continue
        odd = evidence.texts.odd.get("date")
        if evidence.is_moment and evidence.num_missing:
            row = Rows(table.name).at(evidence.first_null)
            yield (
                f"{name!r} would be the time, but {row} has none ({evidence.num_missing:,} in "
                "all): remove such rows, and events are in its order"
            )
        elif odd and evidence.type(reads_text=True) == "string" and re.search(r"\d", odd.value):
            yield (
                f"{name!r} would be the time, but {Rows(table.name).at(odd.row)} has "
                f"{odd.value[:50]!r}: write dates as {ISO}, and events are in its order"
            )


def _of_leaks(found: Findings) -> Iterator[str]:
    """Columns that are hardly known before the event, and how to leave out all of them."""
    label = found.of_kind("label")
    told: dict[str, str] = {}
    for name in found.columns if label is not None else ():
        auc = found.aucs.get(name, 0)
        if auc > leaks.SUSPICIOUS:
            told[name] = f"{name!r} alone tells the label, with an AUC of {auc:.4f}"
        elif name in found.sure:
            told[name] = f"some values of {name!r} come with one label alone"
        elif name in found.like_labels and label_rank(name) is not None:
            told[name] = f"{name!r} goes by the name of a label too, of which {label!r} is taken"
    outcomes = [name for name in told if label_rank(name) is not None]
    for name in [name for name in found.columns if name not in told]:
        of = next((one for one in outcomes if words(name).startswith(f"{words(one)}_")), None)
        if of is not None:
            told[name] = f"{name!r} is of {of!r}, by its name"
    for name, what in told.items():
        yield f"{what}: unless it is known before the event, leave it out ({_dropping(name)})"
    if len(told) > 1:
        yield f"these {len(told)} columns are left out by {_dropping(*told)}"


def shown_names(names: Sequence[str]) -> str:
    """Some names for a line."""
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(map(repr, names[:LISTED])) + more


def _dropping(*names: str) -> str:
    """The option that leaves columns out, as a shell takes it."""
    return "--drop " + shlex.quote(",".join(name.replace(",", r"\,") for name in names))
