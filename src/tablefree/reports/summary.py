"""What the runs say: their mean and spread over seeds, in a table and in a few plain sentences.

A section is what can be compared: the runs of one data set, one split and one model. Two methods
differ only beyond the noise of their seeds (Welch 1947: a t-test with unequal variances).
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from tablefree.embeddings.quantize import BITS
from tablefree.experiments.results import CELL
from tablefree.experiments.task import BUCKETS

Row = dict[str, Any]
"""A method at a size: a row of `summarise`."""

METHOD_NAMES = {
    "full_table": "Full table",
    "narrow_table": "Narrow table",
    "hashing_trick": "Hashing trick",
    "multi_hash": "Multi-hash",
    "hash_embedding": "Hash embedding",
    "quotient_remainder": "Quotient-remainder",
    "hybrid_hash": "Hybrid hash",
    "cafe": "CAFE",
    "deep_hash": "Deep hash",
    "sketch": "Sketch",
    "claimed_rows": "Claimed rows",
}
SECTION = ("dataset", "split", "model")
DTYPES = tuple(BITS)
PARTS = ("validation", "test")
ROUNDING_LOSS = 0.001
"""In AUC: what rows in fewer bits may lose."""
PRACTICAL_DIFFERENCE = 0.002
"""In AUC: the noise assumed of a single seed, and the largest loss still called none."""

_MEANS = (
    "network_learning_rate",
    "num_parameters",
    "num_bytes",
    "vocabulary_bytes",
    "multiply_adds",
    "milliseconds_per_id",
    "validation_auc",
    "test_log_loss",
    "calibration_error",
    "hit_rate_10",
    "ndcg_10",
    "recall_20",
    "ndcg_20",
    *(f"deployed_bytes_{dtype}" for dtype in DTYPES),
    *(f"{part}_auc_{dtype}" for part in PARTS for dtype in DTYPES if dtype != "float32"),
    "best_epoch",
    "train_seconds",
)
_SPREADS = ("test_auc", *(f"test_auc_{bucket}" for bucket in BUCKETS))
# Student's t for 95 %, two-sided, by degrees of freedom; 2.1 beyond.
_STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def summarise(results: pl.DataFrame) -> pl.DataFrame:
    """Average the selected runs over seeds.

    Args:
        results: Rows of `tablefree.experiments.results.SCHEMA`.

    Returns:
        One row for each data set, split, model, method and size, or variant of a study, largest
        size and best test AUC first: `seeds` (how many), the mean of each measure under its own
        name, the standard deviation of each test AUC as `…_sd` (null for one seed), and the range
        of the learning rate as `learning_rate_low`, `learning_rate_high`.
    """
    measures = pl.col(*_MEANS, *_SPREADS).cast(pl.Float64).fill_nan(None)
    return (
        results.filter(pl.col("selected"))
        .with_columns(measures)
        .group_by(CELL)
        .agg(
            pl.col("seed").n_unique().alias("seeds"),
            pl.col(*_MEANS, *_SPREADS).mean(),
            pl.col(*_SPREADS).std().name.suffix("_sd"),
            pl.col("learning_rate").min().alias("learning_rate_low"),
            pl.col("learning_rate").max().alias("learning_rate_high"),
        )
        .sort(
            *SECTION,
            "size",
            "test_auc",
            "method",
            descending=[False, False, False, True, True, False],
            nulls_last=True,
        )
    )


def method_name(method: str) -> str:
    """The name of a method for people: `deep_hash` is Deep hash."""
    return METHOD_NAMES.get(method, method.replace("_", " ").capitalize())


def cell_name(row: Row) -> str:
    """The name of a method with what differs from its usual, or of a variant of a study."""
    if row["study"]:
        return f"{row['study']}, {row['variant']}"
    name = method_name(row["method"])
    if row["decoder"]:
        name += f", decoder {row['decoder']}"
    if row["users"] != "id":
        name += {"history": ", users as histories", "both": ", users also as histories"}[
            row["users"]
        ]
    if row["side_features"] != "none":
        name += f", features at the {row['side_features']}"
    return name


def auc_by_dtype(row: Row, part: str = "test") -> dict[str, float]:
    """Mean AUC of a part with the rows in each dtype, most bits first."""
    return {
        dtype: row[f"{part}_auc" if dtype == "float32" else f"{part}_auc_{dtype}"]
        for dtype in DTYPES
    }


def smallest_dtype(row: Row) -> str:
    """The dtype of fewest bytes that loses at most `ROUNDING_LOSS` on the validation part."""
    # None where the training diverged.
    aucs = {dtype: auc or 0.0 for dtype, auc in auc_by_dtype(row, "validation").items()}
    good = [dtype for dtype in DTYPES if aucs[dtype] >= aucs["float32"] - ROUNDING_LOSS]
    return min(good, key=lambda dtype: float(row[f"deployed_bytes_{dtype}"]))


def noise(one: Row, other: Row) -> float:
    """The difference in test AUC of two rows that chance explains in 95 of 100 cases."""
    # Without a deviation: one seed, or only one that has not diverged.
    if one["test_auc_sd"] is None or other["test_auc_sd"] is None:
        return PRACTICAL_DIFFERENCE
    variances = [row["test_auc_sd"] ** 2 / row["seeds"] for row in (one, other)]
    total = sum(variances)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(
        variance**2 / (row["seeds"] - 1)
        for variance, row in zip(variances, (one, other), strict=True)
    )
    return _STUDENT.get(max(1, int(freedom)), 2.1) * math.sqrt(total)


def advice(section: pl.DataFrame) -> list[str]:
    """Say in plain words whether the embedding tables can go, what that costs and saves.

    Args:
        section: Rows of `summarise` for one data set, split and model.

    Returns:
        The verdict, then the sentences that support it.
    """
    rows = [row for row in section.to_dicts() if row["test_auc"] is not None]
    full = next((row for row in rows if row["method"] == "full_table"), None)
    best_free = _best_by_size(row for row in rows if row["vocabulary_bytes"] == 0)
    if full is None or not best_free:
        return _first_results(full, best_free)
    equal = [row for row in best_free if not _is_worse(row, full)]
    top = max(best_free, key=lambda row: float(row["test_auc"]))
    chosen = (equal or [row for row in best_free if not _is_worse(row, top)])[-1]
    tables = [
        row
        for row in rows
        if row["vocabulary_bytes"] > 0 and row is not full and not _is_worse(row, full)
    ]
    sentences = [
        _verdict(chosen, full, smallest_table=tables[-1] if tables else None),
        f"At {fraction(chosen['size'])} of the full table's size {_best(chosen)} against "
        f"{_auc(full)} ({_compared(chosen, full)}).",
        f"It takes {_cost(chosen)}; the full table {_cost(full)}.",
        *_rivals(chosen, rows),
        *_other_sizes(best_free, chosen),
    ]
    if min(row["seeds"] for row in rows) < 2:
        sentences.append(
            "Where a method has one seed only, differences of up to "
            f"{auc(PRACTICAL_DIFFERENCE)} count as noise."
        )
    return sentences


def _best_by_size(rows: Iterable[Row]) -> list[Row]:
    best: dict[float, Row] = {}
    for row in rows:
        if row["size"] not in best or row["test_auc"] > best[row["size"]]["test_auc"]:
            best[row["size"]] = row
    return [best[size] for size in sorted(best, reverse=True)]


def _first_results(full: Row | None, best_free: Sequence[Row]) -> list[str]:
    if best_free:
        return [
            "The full table is not measured yet: what leaving it costs is unknown.",
            *(f"At {fraction(row['size'])} of its size {_best(row)}." for row in best_free),
        ]
    if full:
        return [
            "No method without a vocabulary is measured yet.",
            f"The full table reaches {_auc(full)} and takes {_cost(full)}.",
        ]
    return ["Neither the full table nor a method without a vocabulary is measured yet."]


def _is_worse(row: Row, other: Row) -> bool:
    loss: float = other["test_auc"] - row["test_auc"]
    return loss > min(noise(row, other), PRACTICAL_DIFFERENCE)


def _verdict(row: Row, full: Row, smallest_table: Row | None) -> str:
    gain = row["test_auc"] - full["test_auc"]
    if gain > noise(row, full):
        return "Drop the table: a method without a vocabulary ranks better."
    if not _is_worse(row, full):
        return "The table can go: a method without a vocabulary ranks as well, within the noise."
    if -gain > noise(row, full) and smallest_table is not None:
        name, size = cell_name(smallest_table), fraction(smallest_table["size"])
        return (
            f"Keep the vocabulary but not the full table: {name} at {size} of its size ranks at "
            f"least as well, {_auc(smallest_table)} ({_compared(smallest_table, full)}), and no "
            "method without a vocabulary does."
        )
    if -gain > noise(row, full):
        return "Keep the full table where it fits: no method without a vocabulary ranks as well."
    return "Undecided: run more seeds, the noise is as large as the difference."


def _best(row: Row) -> str:
    name = cell_name(row)
    return f"the best method without a vocabulary is {name}: test AUC {_auc(row)}"


def _rivals(chosen: Row, rows: Sequence[Row]) -> Iterable[str]:
    peers = [row for row in rows if row["size"] == chosen["size"]]
    free = [row for row in peers if row["vocabulary_bytes"] == 0]
    ties = [
        cell_name(row)
        for row in free
        if row is not chosen and chosen["test_auc"] - row["test_auc"] <= noise(chosen, row)
    ]
    if ties:
        yield f"Within the noise of it: {', '.join(ties)}."
    tables = [row for row in peers if row["vocabulary_bytes"] > 0 and row["method"] != "full_table"]
    for table in _best_by_size(tables):
        yield (
            f"The best that needs the vocabulary there is {cell_name(table)}: "
            f"{_auc(table)} ({_compared(table, chosen)}); it takes {_cost(table)}."
        )


def _other_sizes(best_free: Sequence[Row], chosen: Row) -> Iterable[str]:
    others = [
        f"{cell_name(row)} {_auc(row)} at {fraction(row['size'])}"
        for row in best_free
        if row is not chosen
    ]
    if others:
        yield f"Best without a vocabulary at the other sizes: {', '.join(others)}."


def _auc(row: Row) -> str:
    return spread(row["test_auc"], row["test_auc_sd"])


def _compared(row: Row, other: Row) -> str:
    return compared(row["test_auc"] - other["test_auc"], noise(row, other))


def compared(difference: float, chance: float) -> str:
    """A difference in AUC beside what chance explains: -.0142, beyond the noise."""
    return f"{signed(difference)}, {'within' if abs(difference) <= chance else 'beyond'} the noise"


def signed(difference: float | None) -> str:
    """A difference in AUC to four places: -.0142; - for None."""
    if difference is None:
        return "-"
    return f"{'-' if difference < 0 else '+'}{auc(abs(difference))}"


def _cost(row: Row) -> str:
    vocabulary = " with its vocabulary" if row["vocabulary_bytes"] > 0 else ""
    return (
        f"{megabytes(row['num_bytes'] + row['vocabulary_bytes'])}{vocabulary}, "
        f"{row['multiply_adds']:,.0f} multiply-adds and "
        f"{decimal(row['milliseconds_per_id'])} ms an id"
    )


def decimal(value: float) -> str:
    """Three significant digits, never an exponent: 0.000123, 4.57, 1,230."""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{round(value, 2 - math.floor(math.log10(abs(value)))):,.{digits}f}"


def auc(value: float | None) -> str:
    """A ratio to four places, without a zero before the point: .9070; - for None."""
    return "-" if value is None else f"{value:.4f}".removeprefix("0")


def spread(mean: float | None, deviation: float | None) -> str:
    """Mean and standard deviation over seeds; the mean alone for one seed."""
    return auc(mean) if deviation is None else f"{auc(mean)} ± {auc(deviation)}"


def megabytes(value: float) -> str:
    """Bytes for people, in powers of 1000: 980 B, 12.3 KB, 1.25 MB."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if value >= factor:
            return f"{decimal(value / factor)} {unit}"
    return f"{value:.0f} B"


def fraction(size: float) -> str:
    """A size as people say it: 1/16, or 0.3 where it is no simple fraction."""
    if size > 0 and abs(1 / size - round(1 / size)) < 0.01:
        return "1" if round(1 / size) == 1 else f"1/{round(1 / size)}"
    return f"{size:.3g}"


def _deployed(row: Row) -> str:
    dtype = smallest_dtype(row)
    return f"{megabytes(row[f'deployed_bytes_{dtype}'])} ({dtype})"


def _learning_rate(row: Row) -> str:
    low, high = (f"{row[f'learning_rate_{end}']:.3g}" for end in ("low", "high"))
    return low if low == high else f"{low} to {high}"


TABLE: Mapping[str, Callable[[Row], str]] = {
    "Size": lambda row: fraction(row["size"]),
    "Method": cell_name,
    "Test AUC": _auc,
    "Validation AUC": lambda row: auc(row["validation_auc"]),
    "HR@10": lambda row: auc(row["hit_rate_10"]),
    "NDCG@10": lambda row: auc(row["ndcg_10"]),
    "Recall@20": lambda row: auc(row["recall_20"]),
    "NDCG@20": lambda row: auc(row["ndcg_20"]),
    "Log loss": lambda row: auc(row["test_log_loss"]),
    "Calibration error": lambda row: auc(row["calibration_error"]),
    "Parameters": lambda row: f"{row['num_parameters']:,.0f}",
    "Embeddings": lambda row: megabytes(row["num_bytes"]),
    "Vocabulary": lambda row: (
        megabytes(row["vocabulary_bytes"]) if row["vocabulary_bytes"] else "none"
    ),
    "Bytes in all": lambda row: megabytes(row["num_bytes"] + row["vocabulary_bytes"]),
    "Deployed bytes": _deployed,
    "Multiply-adds an id": lambda row: f"{row['multiply_adds']:,.0f}",
    "ms an id": lambda row: decimal(row["milliseconds_per_id"]),
    "Learning rate": _learning_rate,
    "Best epoch": lambda row: f"{row['best_epoch']:.3g}",
    "Training (s)": lambda row: f"{row['train_seconds']:,.0f}",
    "Seeds": lambda row: f"{row['seeds']}",
}
"""Heading → how the cell of a row of `summarise` reads."""

GLOSSARY = {
    "±": "one standard deviation over seeds; a difference is beyond the noise when Welch's t-test "
    f"at 95 % says so, or, with one seed, when it is above {PRACTICAL_DIFFERENCE:.3f}.",
    "Size": "parameters of the user and item embeddings, as a ratio to the full table's.",
    "Vocabulary": "the map from ids to rows that tables need; methods without one hash the id.",
    "Milliseconds an id": "time to embed a batch of distinct ids at inference, divided by their "
    "number.",
    "Head, middle, tail, unseen": "the most popular items that hold a third of the training "
    "events; those of the next third; of the last third; items with no training event. "
    "AUC is within the bucket; none where too few test events fall into it.",
    "HR@10, NDCG@10": "a held-out item ranked among 99 sampled negatives.",
    "Recall@20, NDCG@20": "all items that a user has not seen are ranked, and the first 20 count; "
    "means over up to 2,000 users.",
    "Log loss, calibration error": "of probabilities, at the odds of the test part; calibration "
    "error is how far they are from frequencies, over 15 bins.",
    "Deployed bytes": "of the whole model with its vocabularies, rows in float32, float16, int8 or "
    "int4, or as 4-bit numbers of a codebook, rounded after training: the fewest that lose at most "
    f"{ROUNDING_LOSS:.3f} AUC on the validation part.",
}


def how_measured(runs: pl.DataFrame) -> dict[str, str]:
    """Describe how the runs of one section were made.

    Args:
        runs: Rows of `tablefree.experiments.results.SCHEMA`, losing trials included.

    Returns:
        Term → description, for people.
    """
    lost = runs.filter(~pl.col("selected")).height
    notes = [line for text in runs["notes"].unique() for line in text.splitlines()]
    pruned = int(runs["pruned"].sum())
    versions = {
        f"{package} {version}"
        for text in runs["versions"].unique()
        for package, version in json.loads(text).items()
    }
    first = runs.row(0, named=True)
    return {
        "Data set": first["dataset"],
        "Split": first["split"],
        **({"To be known of the data": "; ".join(notes)} if notes else {}),
        "Negatives": "of training: no positive of the user in the training part; of validation "
        "and test: of none up to that part (docs/evaluation.md)",
        "Model": first["model"].upper(),
        "Training events": f"{first['num_train_events']:,} of {first['num_users']:,} users "
        f"and {first['num_items']:,} items",
        **_tuning(runs),
        "Runs": f"{runs.height} ({lost} of them trials that lost on validation, {pruned} of those "
        "ended early)",
        "Seeds": _listed(str(seed) for seed in runs["seed"].unique().sort()),
        "Embedding dimension": _distinct(runs, "embedding_dim"),
        "Optimizer": f"{_by_method(runs, 'optimizer')}; batch {_distinct(runs, 'batch_size')}",
        "Training": f"at most {_distinct(runs, 'max_epochs')} epochs, stopped after "
        f"{_distinct(runs, 'patience')} without a better validation AUC",
        "Precision": _distinct(runs, "precision"),
        "Machine": _distinct(runs, "machine"),
        "Versions": _listed(sorted(versions)),
        "Last run finished": str(runs["finished_at"].max()),
    }


def _tuning(runs: pl.DataFrame) -> dict[str, str]:
    """How many trials there were, and what they were drawn from."""
    spaces = {
        tuple(cell): json.loads(text)
        for *cell, text in runs.select(*CELL, "search_space").iter_rows()
    }
    trials = runs.filter(pl.col("seed") == pl.col("seed").min())
    if trials["trial"].max() == 0:
        return {"Tuning": "none: all with the defaults of their method"}
    numbers = trials.group_by(CELL).len()["len"].unique().sort()
    ranges: dict[str, list[str]] = {}
    for space in spaces.values():
        for name, distribution in space.items():
            text = _range(distribution["attributes"])
            ranges.setdefault(_words(name), [])
            if text not in ranges[_words(name)]:
                ranges[_words(name)].append(text)
    return {
        "Tuning": f"{_listed(map(str, numbers))} trials of each method at each size, the first "
        "with the defaults, the next by Optuna's tree-structured Parzen estimator",
        "Searched, where it matters to the method": "; ".join(
            f"{name} {' or '.join(texts)}" for name, texts in ranges.items()
        ),
        **_at_the_end(runs, spaces),
    }


def _range(attributes: Mapping[str, Any]) -> str:
    if "choices" in attributes:
        return f"among {_listed(map(str, attributes['choices']))}"
    return f"{attributes['low']:g} to {attributes['high']:g}"


def _at_the_end(
    runs: pl.DataFrame, spaces: Mapping[tuple[Any, ...], Mapping[str, Any]]
) -> dict[str, str]:
    """What was selected within a tenth of an end of its range, where several trials were made."""
    found = {}
    for row in runs.filter(pl.col("selected") & (pl.col("trial").max() > 0)).iter_rows(named=True):
        for name, distribution in spaces[tuple(row[name] for name in CELL)].items():
            low, high = (distribution["attributes"].get(end) for end in ("low", "high"))
            if low and not 1.1 * low < row[name] < high / 1.1:
                found[f"{cell_name(row)} {_words(name)} {row[name]:.2g}"] = True
    if not found:
        return {}
    return {"At the end of its range (better may lie beyond)": _listed(sorted(found))}


def _words(name: str) -> str:
    return name.replace("_", " ")


def _by_method(runs: pl.DataFrame, column: str) -> str:
    """One value, or each method's."""
    values = runs.select("method", column).unique().sort("method")
    if values[column].n_unique() == 1:
        return str(values[column][0])
    return _listed(f"{value} ({method_name(method)})" for method, value in values.iter_rows())


def _distinct(runs: pl.DataFrame, column: str) -> str:
    return _listed(
        f"{value:g}" if isinstance(value, float) else str(value)
        for value in runs[column].unique().sort()
    )


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)
