"""The table of the README: test AUC of each method on each data set, from `docs/results`.

A test holds the README to it.

Run: python benchmarks/readme_table.py
"""

from pathlib import Path

import polars as pl

from tablefree.experiments.results import read_results
from tablefree.reports.summary import spread, summarise

RESULTS = Path(__file__).parents[1] / "docs" / "results"
DATA = {
    "ml-100k": "ML-100K",
    "ml-1m": "ML-1M",
    "steam-200k": "steam-200k",
    "movietweetings-100k": "MovieTweetings",
    "amazon-books": "Amazon Books",
}
# What it is called, whether it needs a vocabulary → its cell of the comparison.
ROWS = {
    ("full table (size 1)", "yes"): {"method": "full_table"},
    ("narrow table and decoder", "yes"): {"method": "narrow_table", "decoder": "64"},
    ("**sketch**", "no"): {"method": "sketch", "users": "id"},
    ("**sketch, users as the items of their history**", "no"): {
        "method": "sketch",
        "users": "history",
    },
    ("deep hash", "no"): {"method": "deep_hash"},
    ("hashing trick", "no"): {"method": "hashing_trick"},
}


def table() -> str:
    """Markdown: means and standard deviations over seeds."""
    summaries = {name: summarise(read_results(RESULTS / name)) for name in DATA}
    events = [_events_per_id(RESULTS / name) for name in DATA]
    lines = [
        f"| test AUC, size 1/4 | vocabulary | {' | '.join(DATA.values())} |",
        f"|---|---|{'---|' * len(DATA)}",
        f"| *events an id* | | {' | '.join(events)} |",
    ]
    for (name, vocabulary), cell in ROWS.items():
        values = " | ".join(_cell(summary.filter(**cell)) for summary in summaries.values())
        lines.append(f"| {name} | {vocabulary} | {values} |")
    return "\n".join(lines)


def _cell(rows: pl.DataFrame) -> str:
    if not rows.height:
        return ""
    row = rows.row(0, named=True)
    return spread(row["test_auc"], row["test_auc_sd"])


def _events_per_id(folder: Path) -> str:
    run = read_results(folder).row(0, named=True)
    return f"{2 * run['num_train_events'] / (run['num_users'] + run['num_items']):.0f}"


if __name__ == "__main__":
    print(table())
