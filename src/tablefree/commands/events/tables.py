"""From what a user names to a table of events and what is in it, which is printed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tablefree.checks import check_choice
from tablefree.commands.options import ColumnOptions, DataOptions, given, names
from tablefree.commands.screen import console, say, say_notes
from tablefree.errors import InputError

if TYPE_CHECKING:
    from tablefree.experiments.event_task import EventTask
    from tablefree.experiments.positives import Pair
    from tablefree.fields.plan import Plan
    from tablefree.fields.profile import Profile
    from tablefree.fields.table import Table

WIDTH = 16  # of embeddings
PAIR = ("user_column", "item_column")  # options of events without a label, as of pairs
CLICKS = "synthetic-clicks"
_SAID_OF_SPLITS = {
    "time": "by time, the last events for the test",
    "group": "by group, each in one part",
    "random": "at random; by time where a column is one (--time NAME)",
}


def are_events(data: DataOptions, columns: ColumnOptions, model: str | None = None) -> bool:
    """Whether data are events of many columns: by the options, or by what is in the files.

    Args:
        data: what is read.
        columns: what they are taken for.
        model: its name, or several; None for the default.
    """
    if given(columns) or data.data == CLICKS or _has_model_of_events(model):
        return True
    return not others_given(data) and _are_no_pairs(data.data)


def others_given(data: DataOptions, *allowed: str) -> list[str]:
    """The options of data that events of many columns do not have, but for some."""
    return [name for name in given(data) if name not in ("data", "positive_rating", *allowed)]


def open_table(
    data: str, label: str | None = None, positive_rating: float | None = None
) -> "Table":
    """The table of a path, or the click log that is generated.

    Args:
        data: what is read.
        label: the column of labels, or of ratings.
        positive_rating: from which on a rating is the label 1; None of labels.

    Raises:
        InputError: neither, ratings without the name of their column, or what `Table.of` raises.
    """
    from tablefree.data.parts import exists
    from tablefree.data.synthetic import synthetic_clicks
    from tablefree.fields.table import Table

    if exists(data):
        table = Table.of(data)
        if positive_rating is None:
            return table
        if label is None:
            raise InputError("a positive rating is of a column of ratings: name it (--label)")
        return table.at_least(label, positive_rating)
    if data != CLICKS:
        raise InputError(
            f"{data} does not exist: pass a file, a folder or an address; or {CLICKS} for "
            "generated events"
        )
    table = Table.of(synthetic_clicks())
    table.name = CLICKS
    return table


def show_profile(table: "Table", columns: ColumnOptions) -> "Profile":
    """What is in a table: its columns, what was left out and warnings are printed.

    Raises:
        InputError: what `profile` raises.
    """
    from tablefree.fields.profile import profile
    from tablefree.fields.show import lines_of, table_of

    found = profile(table, **columns.kinds())
    console.print(table_of(found))
    for line in lines_of(found):
        say(line)
    return found


def plan_tables(found: "Profile", width: int, growth: float = 1) -> "Plan":
    """The plan of tables in float32, of which sizes are shares.

    Raises:
        InputError: no column is embedded.
    """
    from tablefree.fields.plan import plan

    tables = plan(found, method="full_table", embedding_dim=width, growth=growth)
    if not tables.fields:
        raise InputError(
            f"{found.name} has no column of categories or of dates, so that there is nothing to "
            "embed: say which columns of numbers are codes (--categorical NAME)"
        )
    return tables


def read_task(data: DataOptions, columns: ColumnOptions, split: str | None) -> "EventTask":
    """The events, split; what is in them is printed.

    Args:
        data: what is read, and from which on ratings are the label 1; of events without a label the
            columns of users and items.
        columns: what they are taken for.
        split: of the events; None for the default.

    Raises:
        InputError: what `open_table`, `profile` and `EventTask.of` raise.
    """
    from tablefree.data.parts import name_of
    from tablefree.experiments.event_task import EventTask
    from tablefree.fields.split import SPLITS

    if split is not None:
        check_choice("split", split, SPLITS)
    table = open_table(data.data, columns.label, data.positive_rating)
    found = show_profile(table, _with_pair(columns, data))
    pair = None
    if any(one.column.kind == "label" for one in found.columns.values()):
        refuse([name for name in given(data) if name in PAIR])
    else:
        pair = _pair_of(data, found)
        found = _without_ratings(found)
    task = EventTask.of(name_of(data.data), table, found, split, pair)
    say_notes(task.notes)
    say(f"split: {_SAID_OF_SPLITS[task.split]}")
    return task


def refuse(options: Sequence[str]) -> None:
    """Refuse options that do not apply to events of many columns.

    Raises:
        InputError: there is one.
    """
    if options:
        shown = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise InputError(
            f"{shown} is of users and items, and does not apply to events of many columns: leave "
            "it out"
        )


def _has_model_of_events(model: str | None) -> bool:
    from tablefree.fields.model import MODELS

    return any(one in MODELS for one in names(model or ""))


def _with_pair(columns: ColumnOptions, data: DataOptions) -> ColumnOptions:
    """The columns' options, by which those of users and items are categorical.

    Raises:
        InputError: both are one column.
    """
    told = {name for option in vars(columns).values() for name in names(option or "")}
    named = [getattr(data, name) for name in PAIR]
    if named[0] is not None and named[0] == named[1]:
        raise InputError(
            f"{named[0]!r} is named as the column of users and of items: name two columns"
        )
    new = [name.replace(",", r"\,") for name in named if name is not None and name not in told]
    several = ",".join(filter(None, [columns.categorical, *new]))
    return replace(columns, categorical=several or None)


def _pair_of(data: DataOptions, found: "Profile") -> "Pair | None":
    """The columns of users and items: those that are named, or go by a known name.

    Raises:
        InputError: one that is named, and was left out.
    """
    from tablefree.data.read import KNOWN_NAMES
    from tablefree.experiments.positives import Pair
    from tablefree.fields.given import CALLED

    chosen: list[str] = []
    for side, option in zip(("user", "item"), PAIR, strict=True):
        named = getattr(data, option)
        usual = next((name for name in KNOWN_NAMES[side] if name in found.columns), None)
        name = usual if named is None else named
        if name is None:
            return None
        if name not in found.columns:
            raise InputError(f"the column {name!r} of {side}s is of no use: {found.left_out[name]}")
        if (kind := found.columns[name].column.kind) not in ("categorical", "group"):
            raise InputError(
                f"the column {name!r} of {side}s is taken for {CALLED[kind]}, and ids are "
                f"categorical: say so (--categorical {name}), or name another (--{side}-column)"
            )
        chosen.append(name)
    user, item = chosen
    return Pair(user, item)


def _without_ratings(found: "Profile") -> "Profile":
    """What is in a table, but for what users say after the event."""
    from tablefree.data.read import KNOWN_NAMES

    ratings = [name for name in KNOWN_NAMES["rating"] if name in found.columns]
    for name in ratings:
        say(
            f"note: {name!r} is left out, as it is known after the event: with --label {name} "
            "--positive-rating R it is the label"
        )
    kept = {name: one for name, one in found.columns.items() if name not in ratings}
    return replace(found, columns=kept)


def _are_no_pairs(data: str) -> bool:
    """Whether files have a label that pairs have not, or many columns are no users, or no items."""
    from tablefree.data.movielens import is_movielens
    from tablefree.data.parts import exists, local_path
    from tablefree.data.read import KNOWN_NAMES
    from tablefree.fields.names import label_rank
    from tablefree.fields.table import Table

    local = local_path(data)
    if not exists(data) or (local is not None and is_movielens(local)):
        return False
    try:
        table = Table.of(data)
    except InputError:  # which the readers of interactions will say in their own words
        return False
    of_pairs = [{*KNOWN_NAMES[side]} & {*table.columns} for side in ("user", "item")]
    others = {*table.columns} - {*KNOWN_NAMES["label"]}
    has_label = any(label_rank(name) is not None and len(name) > 1 for name in others)
    are_many = len(table.columns) > len(KNOWN_NAMES)  # the columns that pairs may have
    return table.form is not None or has_label or (are_many and not all(of_pairs))
