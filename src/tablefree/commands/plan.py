"""`tablefree plan`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from tablefree.commands.events.tables import WIDTH, open_table, plan_tables, show_profile
from tablefree.commands.options import ByteSize, ColumnOptions, Data, PositiveRating
from tablefree.commands.screen import console, say

if TYPE_CHECKING:
    from tablefree.fields.plan import Plan
    from tablefree.fields.profile import Profile


def plan(
    data: Data,
    columns: ColumnOptions,
    positive_rating: PositiveRating = None,
    budget: Annotated[
        str,
        typer.Option(
            help="Bytes of all packed embeddings with their vocabularies: such as 20MB, or 1/16 of "
            "those of float32 tables."
        ),
    ] = "1/16",
    embedding_dim: Annotated[int, typer.Option(min=1)] = WIDTH,
    growth: Annotated[
        float,
        typer.Option(min=1, help="How many times as many rows are expected as are in the data."),
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder for plan.json, the configuration, and growth.svg, a picture."),
    ] = None,
) -> None:
    """See what is in a table of events, and what each column should get within so many bytes.

    Small columns keep tables; in large ones each id claims a row, which is packed.

    Example: tablefree plan --data events.parquet --budget 20MB --label clicked
    """
    from tablefree.fields.plan import plan as planned

    size = ByteSize.of(budget)
    found = show_profile(open_table(data, columns.label, positive_rating), columns)
    tables = plan_tables(found, embedding_dim, growth)
    num_bytes = round(size.ratio(tables.table_bytes) * tables.table_bytes)
    chosen = planned(found, num_bytes=num_bytes, embedding_dim=embedding_dim, growth=growth)
    _show(chosen)
    if output is not None:
        _write(output, found, chosen, growth)


def _show(plan: "Plan") -> None:
    """Print a plan, a feature a line, with what all come to, and why."""
    from tablefree.reports.summary import fraction, megabytes

    numbers = ("Values", "Rows", "A row", "Bytes", "A table")
    table = Table(box=box.SIMPLE_HEAD, show_footer=True, collapse_padding=True, pad_edge=False)
    for heading in ("Feature", "Method"):
        table.add_column(heading, no_wrap=True)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    for one in plan.fields:
        counts = (one.num_ids, one.num_rows, round(one.row_bytes))
        sizes = (one.num_bytes, one.table_bytes)
        cells = [*(f"{count:,}" for count in counts), *map(megabytes, sizes)]
        table.add_row(one.name, one.method, *cells)
    total = sum(one.num_bytes for one in plan.fields)
    table.columns[0].footer = "In all"
    table.columns[5].footer = megabytes(total)
    table.columns[6].footer = megabytes(plan.table_bytes)
    console.print(table)
    for why in dict.fromkeys(one.why for one in plan.fields):
        say(f"{', '.join(one.name for one in plan.fields if one.why == why)}: {why}")
    say(
        f"{megabytes(total)} in all, packed, against {megabytes(plan.table_bytes)} of tables in "
        f"float32 with their vocabularies: {fraction(total / plan.table_bytes)} of the bytes"
    )


def _write(folder: Path, found: "Profile", plan: "Plan", growth: float) -> None:
    from tablefree.files import replace_file
    from tablefree.reports.value_growth import growth_figure

    replace_file(folder / "plan.json", (json.dumps(plan.config(), indent=2) + "\n").encode())
    say(f"Configuration: {folder / 'plan.json'}")
    figure = growth_figure(found, growth)
    if figure is not None:
        replace_file(folder / "growth.svg", figure.encode())
        say(f"Picture: {folder / 'growth.svg'}")
