"""From what a user names to a table of events and what is in it, which is printed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tablefree.checks import check_choice
from tablefree.commands.options import ColumnOptions, DataOptions, given
from tablefree.commands.screen import console, say
from tablefree.errors import InputError

if TYPE_CHECKING:
    from tablefree.experiments.event_task import EventTask
    from tablefree.fields.plan import Plan
    from tablefree.fields.profile import Profile
    from tablefree.fields.table import Table

WIDTH = 16  # of embeddings
CLICKS = "synthetic-clicks"
_SAID_OF_SPLITS = {
    "time": "by time, the last events for the test",
    "group": "by group, each in one part",
    "random": "at random; by time where a column is one (--time NAME)",
}


def are_events(data: DataOptions, columns: ColumnOptions) -> bool:
    """Whether data are events of many columns: by the options, or by what is in the files."""
    if given(columns) or data.data == CLICKS:
        return True
    return not others_given(data) and _are_no_pairs(data.data)


def others_given(data: DataOptions) -> list[str]:
    """The options of data that events of many columns do not have."""
    return [name for name in given(data) if name not in ("data", "positive_rating")]


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
        data: what is read, and from which on ratings are the label 1.
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
    task = EventTask.of(name_of(data.data), table, show_profile(table, columns), split)
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
