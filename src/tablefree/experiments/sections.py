"""The parts of a folder of results that can be compared: a data set, a split and a model each."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tablefree.experiments.forms import read_forms
from tablefree.experiments.frontier import Frontier, measure
from tablefree.experiments.results import read_results
from tablefree.experiments.summary import SECTION, advice, summarise
from tablefree.experiments.verdict import advice_in_bytes


@dataclass(frozen=True)
class Section:
    """Runs that can be compared.

    Attributes:
        rows: of `summarise`.
        runs: behind them.
        frontier: of their packed forms; None where there are none.
    """

    rows: pl.DataFrame
    runs: pl.DataFrame
    frontier: Frontier | None

    @property
    def title(self) -> str:
        """The names of the data set, the split and the model."""
        return ", ".join(self.rows.select(SECTION).row(0))

    @cached_property
    def advice(self) -> list[str]:
        """The verdict, then the sentences that support it."""
        return advice_in_bytes(self.frontier) if self.frontier else advice(self.rows)


def read_sections(folder: Path) -> list[Section]:
    """The sections of a folder.

    Args:
        folder: holds `results.parquet`, and `forms.parquet` where the runs were packed.

    Raises:
        InputError: one of the two cannot be read.
    """
    results, forms = read_results(folder), read_forms(folder)
    sections = []
    for _, rows in summarise(results).group_by(*SECTION, maintain_order=True):
        key = rows.select(SECTION).unique()
        runs = results.join(key, on=SECTION)
        frontier = measure(forms.join(key, on=SECTION), runs)
        sections.append(Section(rows, runs, frontier if frontier.chosen else None))
    return sections
