"""`tablefree bench`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tablefree.commands.screen import console, say


def bench(
    batch: Annotated[
        int | None, typer.Option(min=1, help="Ids a batch; by default 4096, or 65536 on a GPU.")
    ] = None,
    num_hashes: Annotated[
        int | None, typer.Option(min=1, help="Width of a code; by default 1024.")
    ] = None,
    hidden: Annotated[
        str, typer.Option(help="Hidden layers of each network, as 512-512,1800-1800.")
    ] = "512-512,1800-1800-1800-1800-1800",
    seconds: Annotated[
        float, typer.Option(min=0, max=3600, help="For each case; five repetitions at least.")
    ] = 4.0,
    sweep: Annotated[
        bool,
        typer.Option(
            "--sweep", help="Networks only, by batch and width of the code: about half an hour."
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results/bench"),
) -> None:
    """Measure tablefree on this machine, against the floor of its arithmetic.

    Both sides of a ratio are timed by turns and their medians compared: about five minutes on two
    cores. Writes bench.parquet and bench.svg.

    Example: tablefree bench --output results/bench
    """
    from tablefree.bench.case import LeftOutError, measure, parse_hidden
    from tablefree.bench.cases import choose_device, default_cases, swept_cases
    from tablefree.bench.ceilings import measure_ceilings
    from tablefree.bench.chart import write_chart
    from tablefree.bench.results import result_row, write_results
    from tablefree.files import check_writable

    chosen = choose_device(device)
    plan = swept_cases if sweep else default_cases
    cases = plan(chosen, parse_hidden(hidden), batch=batch, num_hashes=num_hashes)
    check_writable(output)
    ceilings = measure_ceilings(chosen, seconds / 2)
    rows: list[Mapping[str, Any]] = []
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        for case in progress.track(cases, description="Measuring"):
            try:
                rows.append(result_row(case, measure(case, seconds), ceilings))
            except LeftOutError as reason:
                say(f"left out: {case.name}: {reason}")
    results = write_results(output, rows)
    _show(rows)
    say(f"\nPicture: {write_chart(output, results)}")


def _show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print the ratios, then how near the networks come to the ceilings of the machine."""
    from tablefree.bench.results import heading

    for line in heading(rows[0]):
        say(line)
    console.print(_ratios(rows))
    for note in dict.fromkeys(row["note"] for row in rows if row["note"]):
        say(note)
    in_roofline = [row for row in rows if row["gflops"] is not None]
    if in_roofline:
        console.print()
        console.print(_roofline(in_roofline))


def _ratios(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Numerator / denominator", "Ours, ms", "Against", "Ratio")
    for row in rows:
        ratio = "none" if row["ratio"] is None else f"{row['ratio']:.3f}"
        table.add_row(row["name"], _median(row, "ours"), _median(row, "against"), ratio)
    return table


def _roofline(rows: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("Roofline of inference", "GFLOP", "MB", "GFLOP/s", "Ceiling", "Reached")
    for row in rows:
        table.add_row(
            row["name"].partition(", ")[2],
            f"{row['operations'] / 1e9:.3g}",
            f"{row['code_and_weight_bytes'] / 1e6:.3g}",
            f"{row['gflops']:.0f}",
            f"{row['ceiling_gflops']:.0f}",
            f"{row['ceiling_share']:.0%}",
        )
    return table


def _table(name: str, *columns: str) -> Table:
    table = Table(name, box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _median(row: Mapping[str, Any], side: str) -> str:
    milliseconds = row[f"{side}_ms"]
    if milliseconds is None:
        return f"{row[f'{side}_mb']:.1f} MB"
    return f"{milliseconds:.3f}" if milliseconds < 100 else f"{milliseconds:.1f}"
