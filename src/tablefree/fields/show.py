"""A profile for people: a table of its columns, then what was left out and why, and warnings."""

from rich import box
from rich.table import Table
from rich.text import Text

from tablefree.console import printable
from tablefree.fields.distinct import SIZE
from tablefree.fields.profile import ColumnProfile, Profile

EXAMPLE = 20  # characters that are shown of one


def table_of(profile: Profile) -> Table:
    """The columns, for Rich to print; names and values are text, never markup or controls."""
    table = Table(title=_text(f"{profile.name}: {profile.num_rows:,} rows"), box=box.SIMPLE_HEAD)
    for header in ("Column", "Kind", "Why"):
        table.add_column(header)
    for header in ("Distinct", "Nulls"):
        table.add_column(header, justify="right")
    table.add_column("Examples")
    for one in profile.columns.values():
        table.add_row(*map(_text, _cells(one)))
    return table


def lines_of(profile: Profile) -> list[str]:
    """What was left out, and warnings, a line each: options in them can be copied if unbroken."""
    lines = [f"left out: {name}: {reason}" for name, reason in profile.left_out.items()]
    lines += [f"warning: {warning}" for warning in profile.warnings]
    return [_one_line(line) for line in lines]


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
    return Text(_one_line(content))


def _one_line(content: str) -> str:
    return printable(content.replace("\n", "\\n"))
