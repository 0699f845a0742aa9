"""The commands: parse, call, print. What goes wrong is an exception, which `cli` turns into a line.

What is slow to import is imported by the command that needs it: --help should be quick.
"""

from typing import Annotated, Any

import typer

from tablefree.commands.ablate import ablate
from tablefree.commands.bench import bench
from tablefree.commands.cold_start import cold_start
from tablefree.commands.compare import compare
from tablefree.commands.embed import embed
from tablefree.commands.evaluate import evaluate
from tablefree.commands.groups import spread
from tablefree.commands.plan import plan
from tablefree.commands.predict import predict
from tablefree.commands.report import report
from tablefree.commands.train import train
from tablefree.version import __version__

# The base of Typer's errors of usage has no public name: recent versions carry their own Click.
UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="tablefree",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
for command in (plan, compare, ablate, cold_start, train, evaluate, predict, embed, report, bench):
    app.command()(spread(command))


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tablefree {__version__}")
        raise typer.Exit


@app.callback()
def _commands(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Embeddings of categorical features without embedding tables."""
