"""The table of packed forms, `forms.parquet`: a row for each run, form and budget of bytes.

What a run's model is when its rows are packed, for real: every row was measured on the packed
module, whose tensors have the bytes that are told.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from tablefree.errors import InputError
from tablefree.experiments.parquet import first_line, read_table, write_table

FILE_NAME = "forms.parquet"

SCHEMA = pl.Schema(
    {
        "dataset": pl.String,  # as in results.parquet, as all up to the trial
        "split": pl.String,
        "model": pl.String,
        "method": pl.String,
        "users": pl.String,
        "side_features": pl.String,
        "decoder": pl.String,
        "size": pl.Float64,
        "seed": pl.Int64,
        "trial": pl.Int64,
        "form": pl.String,  # float32, float16, int8, int4, levels-4, product-8x6, residual-4x8
        "budget_bytes": pl.Int64,  # for which the form was tried; null for float32
        "deployed_bytes": pl.Int64,  # of the packed embeddings and their vocabularies
        "training_bytes": pl.Int64,  # of the same in training: parameters, gradients' moments
        "validation_auc": pl.Float64,
        "test_auc": pl.Float64,
        "recall_20": pl.Float64,  # of chosen forms alone
        "chosen": pl.Boolean,  # the best in validation of those within the budget
    }
)
"""Columns of `forms.parquet`, in order."""

RUN = ("model", "method", "users", "side_features", "decoder", "size", "seed")
"""Columns that tell one run of a folder from another."""


def read_forms(folder: Path) -> pl.DataFrame:
    """The forms of the selected runs of a folder; none where there is no file.

    Raises:
        InputError: the file is damaged, or no table of forms.
    """
    if not (folder / FILE_NAME).exists():
        return pl.DataFrame(schema=SCHEMA)
    forms = read_table(folder, FILE_NAME)
    if forms.schema != SCHEMA:
        raise InputError(
            f"{folder / FILE_NAME} is no table of forms: move it away, and run `tablefree compare` "
            "with this output folder anew"
        )
    return forms


def append_forms(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Add the forms of a run; those of an earlier trial of the same run give way.

    Raises:
        InputError: a row that does not fit `SCHEMA`, or a folder that cannot be written to.
    """
    if not rows:
        return
    try:
        added = pl.DataFrame(rows, schema=SCHEMA)
    except (TypeError, pl.exceptions.PolarsError) as error:
        raise InputError(f"a row of forms does not fit SCHEMA: {first_line(error)}") from error
    kept = read_forms(folder).join(added.select(RUN).unique(), on=RUN, how="anti")
    write_table(folder, pl.concat([kept, added]), FILE_NAME)
