"""What a comparison of plans says: means over seeds, in a table and in a few plain sentences."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from tablefree.experiments.plans import selected
from tablefree.reports.summary import (
    Row,
    auc,
    fraction,
    megabytes,
    method_name,
    signed,
    spread,
)

HELD = 0.003  # in AUC: what a plan may lose to the tables
OF_FORM: Final = ("dataset", "split", "model", "method", "cell", "budget_bytes")
MEANS = (
    *("deployed_bytes", "training_bytes", "validation_auc", "test_auc", "test_log_loss"),
    *("normalized_entropy", "calibration_error", "test_auc_unseen", "test_log_loss_unseen"),
    "difference",
)
SPREADS = ("test_auc", "test_log_loss")


def summarise_plans(results: pl.DataFrame) -> pl.DataFrame:
    """Average what was tested over seeds.

    Args:
        results: of `plans.SCHEMA`, of one model.

    Returns:
        One row for each plan and budget, and for each plan as trained, whose budget is null:
        `form`, or those of the seeds; the means of the measures, and the standard deviations of
        some, as `…_sd`, null for one seed; `difference` in test AUC to the float32 tables of the
        same seeds; and `seeds`. Larger budgets and then better validation AUC first.
    """
    tested = selected(results).filter(pl.col("test_auc").is_not_null())
    of_tables = tested.filter(method="full_table", form="float32").select(
        "seed", pl.col("test_auc").alias("tables_auc")
    )
    measures = pl.col(*(name for name in MEANS)).cast(pl.Float64).fill_nan(None)
    return (
        tested.join(of_tables.unique("seed"), on="seed", how="left")
        .with_columns(difference=pl.col("test_auc") - pl.col("tables_auc"))
        .with_columns(measures)
        .group_by(OF_FORM, maintain_order=True)
        .agg(
            pl.col("form").unique(maintain_order=True).str.join(", "),
            pl.col(*MEANS).mean(),
            pl.col(*SPREADS).std().name.suffix("_sd"),
            pl.col("seed").n_unique().alias("seeds"),
        )
        .sort("budget_bytes", "validation_auc", descending=True, nulls_last=True)
    )


def tables_of(rows: Iterable[Row]) -> Row | None:
    """The tables in float32, once they are tested."""
    return next((row for row in rows if is_tables(row)), None)


def is_tables(row: Row) -> bool:
    """Whether a row is of the tables in float32."""
    return row["method"] == "full_table" and row["budget_bytes"] is None


def groups_of(rows: Sequence[Row], full_bytes: float | None) -> dict[str, list[Row]]:
    """The rows of each budget by its title; first the tables, last the others as trained.

    Args:
        rows: of `summarise_plans`.
        full_bytes: what budgets are a ratio to; None if that is unknown.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if is_tables(row):
            title = "Tables in float32"
        elif row["budget_bytes"] is None:
            title = "As trained, before packing"
        else:
            title = f"Within {budget(row['budget_bytes'], full_bytes)}"
        groups.setdefault(title, []).append(row)
    return {title: groups[title] for title in sorted(groups, key=lambda one: one[0] != "T")}


def budget(num_bytes: int, full_bytes: float | None) -> str:
    """A budget for people: 1/16 (40.4 KB); the bytes alone where no tables are known."""
    size = megabytes(num_bytes)
    return size if not full_bytes else f"{fraction(num_bytes / full_bytes)} ({size})"


TABLE: Mapping[str, Callable[[Row], str]] = {
    "Method": lambda row: method_name(row["method"]) + row["planned_for"],
    "Form": lambda row: str(row["form"]),
    "Deployed bytes": lambda row: megabytes(row["deployed_bytes"]),
    "Ratio": lambda row: _ratio(row),
    "Test AUC": lambda row: spread(row["test_auc"], row["test_auc_sd"]),
    "To tables": lambda row: signed(row["difference"]),
    "Log loss": lambda row: spread(row["test_log_loss"], row["test_log_loss_sd"]),
    "Normalised entropy": lambda row: auc(row["normalized_entropy"]),
    "Calibration error": lambda row: auc(row["calibration_error"]),
    "AUC, new values": lambda row: auc(row["test_auc_unseen"]),
    "Seeds": lambda row: str(row["seeds"]),
}
"""Heading → how the cell of a row reads."""

GLOSSARY = {
    "Plan": "which columns keep tables, which have rows that ids claim or share by a hash, and how "
    "many; small columns keep tables where the bytes reach. Tables: all columns do.",
    "Date, time": "columns whose hour and weekday are embedded, and whose bytes are of both.",
    "Occurrences": "rows that have a value; of lists, the values in them.",
    "Form": "how packed rows are coded; of the forms that fit a budget, validation chose. What "
    "fits in none is not listed.",
    "Deployed bytes": "of all packed embeddings, with the vocabularies that tables need to find "
    "their rows; the network over them is not counted, for it is the same in all.",
    "Ratio": "to the bytes of the tables in float32, as measured; budgets are ratios to what was "
    "planned for them.",
    "To tables": "the difference in test AUC to the tables in float32 of the same seeds.",
    "Normalised entropy": "the log loss as a share of that of the mean label: below 1 is better "
    "than knowing nothing of an event.",
    "Calibration error": "how far probabilities are from frequencies, in 15 bins.",
    "AUC, new values": "of the test events with a value that the training part has not.",
    "Worth": "the test AUC that the tables lose when the values of the column are shuffled in the "
    "test part.",
    "±": "one standard deviation over seeds.",
}


def plan_advice(rows: Sequence[Row], full_bytes: float | None) -> list[str]:
    """Say in how few bytes a plan holds the AUC of tables.

    Args:
        rows: of `summarise_plans`.
        full_bytes: see `groups_of`.

    Returns:
        The verdict, then the sentences that support it.
    """
    tables = tables_of(rows)
    plans = [row for row in rows if row["method"] != "full_table"]
    best = _best_by_budget(plans)
    too_large = [
        f"{method_name(row['method'])} of {megabytes(row['deployed_bytes'])} as trained fit their "
        "budget in no form."
        for row in plans
        if not any(one["cell"] == row["cell"] and one["budget_bytes"] for one in plans)
    ]
    if tables is not None and too_large and not best:
        return ["No plan fits its budget: allow more bytes, or drop columns.", *too_large]
    if tables is None or not best or any(row["difference"] is None for row in best):
        return ["The tables in float32, or the plans, are not measured yet."]
    held = next((row for row in best if row["difference"] >= -HELD), None)
    shown = held or max(best, key=lambda row: float(row["difference"]))
    within = budget(shown["budget_bytes"], full_bytes)
    if held:
        verdict = f"A plan within {within} holds the AUC of float32 tables, to {auc(HELD)}."
    else:
        verdict = f"No plan holds the AUC of float32 tables to {auc(HELD)}: the nearest, within "
        verdict += f"{within}, differs by {signed(shown['difference'])}."
    packed = _best_by_budget(row for row in rows if row["method"] == "full_table")
    sentences = [
        verdict,
        f"The tables in float32: {_told(tables)}.",
        *(
            f"Within {budget(row['budget_bytes'], full_bytes)}, the plan that is best in "
            f"validation: {_told(row)} ({signed(row['difference'])})."
            for row in reversed(best)
        ),
        *(
            f"Tables packed within {budget(row['budget_bytes'], full_bytes)}: {_told(row)} "
            f"({signed(row['difference'])})."
            for row in reversed(packed)
        ),
        *_unpacked(best, packed, full_bytes),
        *too_large,
    ]
    if min(row["seeds"] for row in (tables, *best)) < 2:
        sentences.append("With one seed, how large the noise is is unknown: pass --seeds 3.")
    return sentences


def _unpacked(
    best: Sequence[Row], packed: Sequence[Row], full_bytes: float | None
) -> Iterable[str]:
    """The budgets of plans into which no form of the tables fits."""
    fits = {row["budget_bytes"] for row in packed}
    small = [row["budget_bytes"] for row in reversed(best) if row["budget_bytes"] not in fits]
    if small:
        shown = ", ".join(budget(one, full_bytes) for one in small)
        yield f"Tables fit in no form within {shown}."


def _best_by_budget(rows: Iterable[Row]) -> list[Row]:
    """Of packed rows the best in validation for each budget, the smallest budget first."""
    best: dict[int, Row] = {}
    for row in rows:  # the best of a budget comes first
        if row["budget_bytes"] is not None and row["test_auc"] is not None:
            best.setdefault(row["budget_bytes"], row)
    return [best[size] for size in sorted(best)]


def _told(row: Row) -> str:
    name = "" if is_tables(row) else f"{method_name(row['method'])} as {row['form']}, "
    return (
        f"{name}test AUC {spread(row['test_auc'], row['test_auc_sd'])}, log loss "
        f"{auc(row['test_log_loss'])}, in {megabytes(row['deployed_bytes'])}"
    )


def _ratio(row: dict[str, Any]) -> str:
    share = row["ratio"]
    if share is None:
        return "-"
    return f"{share:.2g}" if share > 0.95 else f"1/{1 / share:.3g}"
