"""A profile for people: a table of its columns, what was left out and why, then warnings."""

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from tablefree.console import printable
from tablefree.fields.distinct import SIZE
from tablefree.fields.profile import ColumnProfile, Profile

EXAMPLE = 20  # characters that are shown of one


def table_of(profile: Profile) -> Group:
    """What Rich prints of a profile; names and values are text, never markup or controls."""
    table = Table(title=_text(f"{profile.name}: {profile.num_rows:,} rows"), box=box.SIMPLE_HEAD)
    for header in ("Column", "Kind", "Why"):
        table.add_column(header)
    for header in ("Distinct", "Nulls"):
        table.add_column(header, justify="right")
    table.add_column("Examples")
    for one in profile.columns.values():
        table.add_row(*map(_text, _cells(one)))
    lines = [f"left out: {name}: {reason}" for name, reason in profile.left_out.items()]
    lines += [f"warning: {warning}" for warning in profile.warnings]
    return Group(table, *map(_text, lines))


def _cells(one: ColumnProfile) -> list[str]:
    about = "~" if one.num_values >= SIZE else ""
    share = f" ({one.num_nulls / one.num_rows:.1%})" if one.num_nulls else ""
    examples = (
        text if len(text) <= EXAMPLE else f"{text[: EXAMPLE - 1]}…" for text in one.examples
    )
    return [
        one.column.name,
        one.column.kind,
        one.column.reason,
        f"{about}{one.num_values:,}",
        f"{one.num_nulls:,}{share}",
        ", ".join(examples),
    ]


def _text(content: str) -> Text:
    return Text(printable(content.replace("\n", "\\n")))
