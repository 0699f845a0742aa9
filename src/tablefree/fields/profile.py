"""What is in a table: kinds of its columns, their values, nulls and growth, in one pass.

Memory is bounded: a column keeps some thousand hashes, and a sample of the rows tells which columns
give the label away.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import pyarrow as pa

from tablefree.errors import InputError
from tablefree.fields import leaks
from tablefree.fields.codes import occur_as_codes
from tablefree.fields.evidence import Evidence
from tablefree.fields.given import check, given
from tablefree.fields.kinds import (
    Column,
    are_integers,
    are_labels,
    as_label,
    as_time,
    find_kind,
    find_label,
    find_time,
    useless,
)
from tablefree.fields.names import is_amount
from tablefree.fields.table import Table
from tablefree.fields.warnings import Findings, warnings

FIRST_GROWTH = 1_024  # rows
CODES = "codes: they tell the label (AUC {:.2f}) better than their sizes ({:.2f})"
SCATTERED = "codes: how often they occur follows no order"


@dataclass(frozen=True)
class ColumnProfile:
    """What is in a column.

    Attributes:
        column: what it is taken for.
        num_rows: of the table.
        num_nulls: rows without a value.
        num_values: distinct values, those of all bags in a column of bags: exact below 8,192,
            within about 1 % from there on.
        num_occurrences: values: rows that have one, or values in bags.
        occurrences: how often values occur, of a uniform sample of at most 8,192 of them, the most
            frequent first.
        examples: the first distinct values, at most three, as text.
        growth: (rows read, distinct values until then), rows doubling from 1,024; the last is all.
        auc: of the label from this column alone (see `leaks`); None without a label, for the label
            itself and where the sample is too small.
    """

    column: Column
    num_rows: int
    num_nulls: int
    num_values: int
    num_occurrences: int
    occurrences: tuple[int, ...]
    examples: tuple[str, ...]
    growth: tuple[tuple[int, int], ...]
    auc: float | None


@dataclass(frozen=True)
class Profile:
    """What is in a table.

    Attributes:
        name: of the table, for messages.
        num_rows: of it.
        columns: those that are used, in order.
        left_out: the other columns, and why.
        warnings: lines for the user.
        like_labels: columns that have the values of a label, and are none.
    """

    name: str
    num_rows: int
    columns: dict[str, ColumnProfile]
    left_out: dict[str, str]
    warnings: tuple[str, ...]
    like_labels: tuple[str, ...] = ()


def profile(
    data: Any,
    *,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    date: Sequence[str] = (),
    label: str | None = None,
    time: str | None = None,
    group: str | None = None,
    drop: Sequence[str] = (),
) -> Profile:
    """Read a table once, and find what is in its columns.

    Kinds that are not given are found from all values: booleans and strings are categorical, floats
    numeric, dates (text of ISO 8601 among them) dates, lists bags. Integers are categorical where
    the name is that of an id, a code or a thing, there are at most 100, how often they occur
    follows no order, or they tell the label clearly better than their sizes do; and numeric
    otherwise. Text of files without types is what all of it says. A label is found by its name and
    values, a time likewise. What cannot be used, or tells nothing, is left out, with the reason.

    Args:
        data: what `Table.of` takes.
        categorical: columns of categories, or of lists of them.
        numeric: columns of numbers.
        date: columns of dates, or of numbers that count time since 1970.
        label: the column of labels: 0 and 1, -1 and 1, or true and false.
        time: the column by which events are in order.
        group: the column by which events are kept together.
        drop: columns that are not looked at.

    Raises:
        InputError: a table that cannot be read or has no rows; a column that is not there, is given
            twice, or cannot be of the kind that is given, which is said at the first value that
            shows it.

    Example:
        >>> profile("events.parquet", categorical=["shop"], drop=["invoice"])  # doctest: +SKIP
    """
    table = Table.of(data)
    kinds = _given_kinds(
        table,
        {"categorical": categorical, "numeric": numeric, "date": date},
        {"label": label, "time": time, "group": group},
        drop,
    )
    left_out = _unread(table, kinds, drop)
    told = _told_kinds(table, kinds)
    names = [name for name in table.columns if name not in left_out]
    if not names:
        raise InputError(f"{table.name} has no column that is left: drop fewer")
    seen, sample = _read(table, names, {**kinds, **told})
    columns, useless = _decide(table, seen, kinds, told)
    are_open = {
        name
        for name, column in columns.items()
        if column.kind == "numeric" and name not in {*kinds, *told} and are_integers(seen[name])
    }
    columns, aucs, sure = _tried(sample, columns, are_open)
    like_labels = [
        name
        for name, column in columns.items()
        if column.kind == "categorical" and are_labels(seen[name].num_values, seen[name].examples)
    ]
    found = Findings(columns, seen, like_labels, aucs, sure)
    return Profile(
        table.name,
        next(iter(seen.values())).num_rows,
        {name: _profiled(column, seen[name], aucs.get(name)) for name, column in columns.items()},
        left_out | useless,
        tuple(warnings(table, found)),
        tuple(like_labels),
    )


def _given_kinds(
    table: Table,
    many: Mapping[str, Sequence[str]],
    single: Mapping[str, str | None],
    drop: Sequence[str],
) -> dict[str, str]:
    """The kinds that the user gave, by column; each there, and given once."""
    for option, names in (*many.items(), ("drop", drop)):
        if isinstance(names, str):
            raise InputError(f"{option} is a list of columns, got {names!r}: pass [{names!r}]")
    pairs = [(name, kind) for kind, names in many.items() for name in names]
    pairs += [(name, kind) for kind, name in single.items() if name is not None]
    kinds: dict[str, str] = {}
    for name, kind in [*pairs, *((name, "to be dropped") for name in drop)]:
        if name in kinds:
            raise InputError(
                f"the column {name!r} is given twice, as {kinds[name]} and {kind}: give it once"
            )
        if kind != "to be dropped" or name not in table.columns:
            table.check(name)
        kinds[name] = kind
    return dict(pairs)


def _unread(table: Table, kinds: Mapping[str, str], drop: Sequence[str]) -> dict[str, str]:
    """Columns that are not looked at, and why."""
    left_out = dict.fromkeys(drop, "dropped")
    owners = table.form.left_out if table.form else {}
    for name in table.columns:
        if name in kinds or name in left_out:
            continue
        if table.columns.count(name) > 1:
            left_out[name] = f"there {table.columns.count(name)} times: rename all but one"
        elif name in owners:
            left_out[name] = owners[name]
    return left_out


def _told_kinds(table: Table, kinds: Mapping[str, str]) -> dict[str, str]:
    """The kinds of which the form of the table tells, where the user gave none."""
    if table.form is None:
        return {}
    return {
        name: kind
        for name, (kind, _) in table.form.kinds.items()
        if name not in kinds and not (kind in ("label", "time") and kind in kinds.values())
    }


def _read(
    table: Table, names: Sequence[str], kinds: Mapping[str, str]
) -> tuple[dict[str, Evidence], leaks.Sample]:
    """All rows of some columns, once; and a sample of them."""
    seen = {name: Evidence(name, table.is_text(name)) for name in names}
    sample = leaks.Sample()
    for part, is_growth in _parts(table.batches(names)):
        for name, evidence in seen.items():
            evidence.add(part.column(name))
            if name in kinds:
                check(evidence, kinds[name], table.name)
            if is_growth:
                evidence.mark()
        sample.add(part)
    for evidence in seen.values():
        if not evidence.num_rows:
            raise InputError(f"{table.name} holds no rows: pass a table with at least one")
        if not evidence.growth or evidence.growth[-1][0] < evidence.num_rows:
            evidence.mark()
    return seen, sample


def _parts(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Batches, divided where the rows have doubled; and whether they have."""
    num_rows, goal = 0, FIRST_GROWTH
    for batch in batches:
        start = 0
        while start < len(batch):
            part = batch.slice(start, goal - num_rows)
            start += len(part)
            num_rows += len(part)
            yield part, num_rows == goal
            goal *= 1 + (num_rows == goal)


def _decide(
    table: Table,
    seen: Mapping[str, Evidence],
    kinds: Mapping[str, str],
    told: Mapping[str, str],
) -> tuple[dict[str, Column], dict[str, str]]:
    """What the columns are taken for, and why others are left out."""
    columns: dict[str, Column] = {}
    left_out: dict[str, str] = {}
    open_ = [evidence for name, evidence in seen.items() if name not in {**kinds, **told}]
    taken = {*kinds.values(), *told.values()}
    label = None if "label" in taken else find_label(open_)
    time = None if "time" in taken else find_time(open_)
    for name, evidence in seen.items():
        if evidence is label:
            columns[name] = as_label(evidence)
        elif evidence is time:
            columns[name] = as_time(evidence)
        elif name in kinds:
            columns[name] = given(evidence, kinds[name], table.name)
        elif (reason := useless(evidence)) is not None:
            left_out[name] = reason
        elif table.form is not None and name in told:
            kind, its_type = table.form.kinds[name]
            columns[name] = Column(name, kind, its_type, f"{table.form.name}'s")
        else:
            columns[name] = find_kind(evidence)
    for name, column in columns.items():
        if column.kind in ("date", "time"):
            columns[name] = replace(column, resolution=seen[name].resolution)
    return columns, left_out


def _tried(
    sample: leaks.Sample, columns: Mapping[str, Column], are_open: Collection[str]
) -> tuple[dict[str, Column], dict[str, float], set[str]]:
    """The columns, of which some are shown to be codes; and how well each tells the label.

    That is the AUC by column, and the columns of which some values tell it for sure.

    Args:
        sample: of the rows.
        columns: what they are taken for so far.
        are_open: those of integers of which nothing has said yet whether they are codes.
    """
    label = next((name for name, one in columns.items() if one.kind == "label"), None)
    labels = None if label is None else sample.column(label)
    trial = None if labels is None else leaks.Trial(labels)
    judged, aucs, sure = dict(columns), {}, set()
    for name, column in columns.items():
        if name == label or (values := sample.column(name)) is None:
            continue
        if name in are_open and (reason := _of_codes(name, values, trial)) is not None:
            judged[name] = replace(column, kind="categorical", type="integer", reason=reason)
        if trial is not None and (auc := trial.auc(judged[name], values)) is not None:
            aucs[name] = auc
            if trial.is_sure(judged[name], values):
                sure.add(name)
    return judged, aucs, sure


def _of_codes(name: str, values: pl.Series, trial: leaks.Trial | None) -> str | None:
    """Why integers of a sample are codes; None where nothing shows it."""
    if trial is not None and (found := trial.as_codes(values)) is not None:
        return CODES.format(*found)
    if is_amount(name) or not occur_as_codes(values):
        return None
    return None if trial is not None and trial.as_sizes(values) else SCATTERED


def _profiled(column: Column, evidence: Evidence, auc: float | None) -> ColumnProfile:
    is_number = column.type in ("integer", "float")
    num_nans = evidence.num_missing - evidence.num_nulls if is_number else 0
    return ColumnProfile(
        column,
        evidence.num_rows,
        evidence.num_nulls + num_nans,
        evidence.num_values - (num_nans > 0),
        evidence.num_occurrences - num_nans,
        tuple(evidence.occurrences.tolist()),
        tuple(evidence.examples),
        tuple(evidence.growth),
        auc,
    )
