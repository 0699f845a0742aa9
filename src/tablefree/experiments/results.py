"""The table of finished runs, `results.parquet`: a public format, one row a run.

Every write replaces the whole file at once, so that a reader (or a run that was killed) sees the
table before or after a run, never half of it.
"""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tablefree.errors import InputError
from tablefree.experiments.parquet import FILE_NAME, first_line, read_table, write_table

_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    # What was run.
    "dataset": pl.String,  # name of the data set
    "data_digest": pl.String,  # of the data and its split: equal digits, equal data
    "notes": pl.String,  # what is to be known of the data, a line each
    "split": pl.String,  # how the events were split: random, leave-last-out, time, …
    "study": pl.String,  # of an ablation, the factor that it varies; empty in a comparison
    "variant": pl.String,  # likewise, the level of the factor
    "design": pl.String,  # likewise, JSON: the encoding and the network; empty: those of the method
    "method": pl.String,  # of the embeddings: full_table, deep_hash, …
    "model": pl.String,  # the recommender over the embeddings: gmf or mlp
    "size": pl.Float64,  # parameters wanted, as a ratio to the full table's: 0.25
    "seed": pl.Int64,  # of everything random in the run
    "trial": pl.Int64,  # of the tuning, from 0, the defaults; its configuration with any seed
    "selected": pl.Boolean,  # the trial with the best validation AUC of its cell
    "pruned": pl.Boolean,  # a trial that was ended early, and so not tested
    "users": pl.String,  # what a user is: id, history or both
    "side_features": pl.String,  # where features go: none, encoding or input
    "decoder": pl.String,  # hidden layers over the code, as 64-64; empty for the method's own
    # What it costs.
    "num_parameters": pl.Int64,  # of the user and the item embeddings together
    "num_bytes": pl.Int64,  # of the same: parameters and buffers
    "vocabulary_bytes": pl.Int64,  # of the map from ids to rows; 0 for a method without one
    "multiply_adds": pl.Int64,  # an id: mean of the user and the item embedding
    # How it was trained.
    "code_width": pl.Int64,  # learned numbers of a code, where that was searched
    "learning_rate": pl.Float64,  # of the rows that ids look up
    "network_learning_rate": pl.Float64,  # of everything else
    "weight_decay": pl.Float64,  # of the rows
    "network_weight_decay": pl.Float64,  # of the matrices of everything else
    "search_space": pl.String,  # JSON: parameter → what it was drawn from; of the others, fixed
    "optimizer": pl.String,
    "schedule": pl.String,  # of the learning rates: linear, constant, cosine, one_cycle
    "precision": pl.String,  # of the matrix products in training
    "batch_size": pl.Int64,  # events a step
    "max_epochs": pl.Int64,
    "patience": pl.Int64,  # epochs without a better validation AUC before stopping
    "embedding_dim": pl.Int64,
    "epochs": pl.Int64,  # run before stopping
    "best_epoch": pl.Int64,  # whose weights were kept, by validation AUC
    # How well it ranks.
    "validation_curve": pl.List(pl.Float64),  # the AUC after each epoch
    "validation_auc": pl.Float64,
    "test_auc": pl.Float64,
    "test_log_loss": pl.Float64,  # at the odds of the test part (as the calibration error)
    "calibration_error": pl.Float64,  # how far probabilities are from frequencies, 15 bins
    "test_auc_head": pl.Float64,  # items that hold the first third of the training events
    "test_auc_middle": pl.Float64,  # the next third
    "test_auc_tail": pl.Float64,  # the last third
    "test_auc_unseen": pl.Float64,  # items without a training event
    "hit_rate_10": pl.Float64,  # held-out item among the first 10 of it and 99 others
    "ndcg_10": pl.Float64,  # the same, discounted by rank
    "recall_20": pl.Float64,  # held-out items among the first 20 of all that the user has not seen
    "ndcg_20": pl.Float64,  # the same, discounted by rank
    # What it is with its rows in fewer bits; bytes of the whole model and its vocabularies.
    "validation_auc_float16": pl.Float64,  # by which one is chosen
    "validation_auc_int8": pl.Float64,
    "validation_auc_int4": pl.Float64,
    "validation_auc_codebook": pl.Float64,
    "test_auc_float16": pl.Float64,
    "test_auc_int8": pl.Float64,
    "test_auc_int4": pl.Float64,
    "test_auc_codebook": pl.Float64,
    "deployed_bytes_float32": pl.Int64,
    "deployed_bytes_float16": pl.Int64,
    "deployed_bytes_int8": pl.Int64,
    "deployed_bytes_int4": pl.Int64,
    "deployed_bytes_codebook": pl.Int64,
    # How fast it is.
    "milliseconds_per_id": pl.Float64,  # inference on a batch of distinct ids
    "train_seconds": pl.Float64,
    # What it was run on, and with.
    "num_users": pl.Int64,
    "num_items": pl.Int64,
    "num_train_events": pl.Int64,
    "configuration": pl.String,  # JSON: how the embeddings were built
    "versions": pl.String,  # JSON: package → version
    "machine": pl.String,  # processor, cores, memory
    "finished_at": pl.String,  # ISO 8601, UTC
}

SCHEMA = pl.Schema(_COLUMNS)
"""Columns of `results.parquet`, in order."""

BUCKET_AUCS = frozenset({"test_auc_head", "test_auc_middle", "test_auc_tail", "test_auc_unseen"})
"""Columns that are null where too few test events fall into the bucket."""

RANKINGS = frozenset({"recall_20", "ndcg_20"})
"""Columns that are null where no test positive is new to its user."""

ROUNDED = frozenset(
    name
    for name in _COLUMNS
    if name.startswith("deployed_bytes_")
    or name.endswith(("_float16", "_int8", "_int4", "_codebook"))
)

TESTED = (
    BUCKET_AUCS
    | RANKINGS
    | ROUNDED
    | {
        "test_auc",
        "test_log_loss",
        "calibration_error",
        "hit_rate_10",
        "ndcg_10",
        "milliseconds_per_id",
    }
)
"""Columns that are null in a run that was pruned."""

CELL = (
    *("dataset", "split", "study", "variant", "model", "method", "size"),
    *("users", "side_features", "decoder"),
)
"""What is tuned as one."""


def read_results(folder: Path) -> pl.DataFrame:
    """Read the finished runs of a folder.

    Args:
        folder: Holds `results.parquet`.

    Returns:
        One row a run, with the columns of `SCHEMA`.

    Raises:
        InputError: There is no such file, or it is not a whole table of results.

    Example:
        >>> read_results(Path("runs/ml-1m")).filter(pl.col("selected"))  # doctest: +SKIP
    """
    results = read_table(folder)
    for column, dtype in SCHEMA.items():
        found = results.schema.get(column)
        if found != dtype:
            raise InputError(
                f"{folder / FILE_NAME} is not a table of results of this version: column "
                f"{column!r} should be {dtype}, got {found or 'no such column'}; choose another "
                "output folder"
            )
    return results.select(SCHEMA.names())


def append_result(folder: Path, row: Mapping[str, object]) -> None:
    """Add one finished run to a folder's `results.parquet`, which is created if need be.

    Which trial is selected is decided anew. One process at a time may append to a folder.

    Args:
        folder: Holds `results.parquet`, or will.
        row: A value for each column of `SCHEMA` but `selected`; none for a code width that was not
            searched, for what the data has too few events for, and in a pruned run for what was not
            measured.

    Raises:
        InputError: The row does not fit the schema, the file that is there is no table of
            results, or it cannot be written (no permission, no space).

    Example:
        >>> append_result(Path("runs/ml-1m"), {"dataset": "ml-1m", …})  # doctest: +SKIP
    """
    given = set(SCHEMA) - {"selected"}
    nullable = {"code_width", *(TESTED if row.get("pruned") else BUCKET_AUCS | RANKINGS)}
    missing = sorted(name for name in given - nullable if row.get(name) is None)
    unknown = sorted(set(row) - given)
    if missing or unknown:
        raise InputError(
            f"a row of results must have the columns of SCHEMA: without a value {missing}, "
            f"unknown {unknown}"
        )
    try:
        results = pl.DataFrame([{**row, "selected": False}], schema=SCHEMA)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(
            f"a row of results does not fit SCHEMA: {first_line(error)}; correct the value's type"
        ) from error
    if (folder / FILE_NAME).exists():
        results = pl.concat([read_results(folder), results])
    write_table(folder, _select(results))


def _select(results: pl.DataFrame) -> pl.DataFrame:
    """Select, for each cell, the trial with the best validation AUC.

    The trials are the runs of the smallest seed that were not pruned. A run that diverged has no
    AUC and loses; of equals the first wins.
    """
    trials = results.filter(~pl.col("pruned"), pl.col("seed") == pl.col("seed").min().over(CELL))
    best = (
        trials.with_columns(pl.col("validation_auc").fill_nan(float("-inf")))
        .sort("validation_auc", "trial", descending=[True, False])
        .group_by(CELL, maintain_order=True)
        .agg(pl.col("trial").first().alias("best_trial"))
    )
    return (
        results.join(best, on=CELL, how="left", maintain_order="left")
        .with_columns(selected=pl.col("trial").eq_missing(pl.col("best_trial")))
        .select(SCHEMA.names())
    )
