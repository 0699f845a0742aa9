"""From what a user names to a table of events and what is in it, which is printed."""

from typing import TYPE_CHECKING

from tablefree.commands.options import ColumnOptions, DataOptions, given
from tablefree.commands.screen import console
from tablefree.errors import InputError

if TYPE_CHECKING:
    from tablefree.fields.profile import Profile
    from tablefree.fields.table import Table

CLICKS = "synthetic-clicks"


def are_events(data: DataOptions, columns: ColumnOptions) -> bool:
    """Whether data are events of many columns: by the options, or by the form of the files."""
    if given(columns) or data.data == CLICKS:
        return True
    return given(data) in ([], ["data"]) and _has_form(data.data)


def open_table(data: str) -> "Table":
    """The table of a path, or the click log that is generated.

    Raises:
        InputError: neither, or what `Table.of` raises.
    """
    from tablefree.data.parts import exists
    from tablefree.data.synthetic import synthetic_clicks
    from tablefree.fields.table import Table

    if exists(data):
        return Table.of(data)
    if data != CLICKS:
        raise InputError(
            f"{data} does not exist: events of many columns are read from a file or a folder; or "
            f"pass {CLICKS} for generated ones"
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
    from tablefree.fields.show import table_of

    found = profile(table, **columns.kinds())
    console.print(table_of(found))
    return found


def _has_form(data: str) -> bool:
    """Whether the owner of such files says what their columns are, the label among them."""
    from tablefree.data.parts import exists
    from tablefree.fields.table import Table

    try:
        return exists(data) and Table.of(data).form is not None
    except InputError:  # which the readers of interactions will say in their own words
        return False
