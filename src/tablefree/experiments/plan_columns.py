"""What a comparison of plans knows of each column, beside its results.

`columns.parquet` has what is in the columns, and what they are worth to each model; `plans.parquet`
what each plan gives to each of their features.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from tablefree.errors import InputError
from tablefree.experiments.event_task import EventTask
from tablefree.experiments.parquet import FILE_NAME, read_table, write_table
from tablefree.experiments.plan_cells import Cell
from tablefree.fields.events import feature_names
from tablefree.fields.plan import Plan, plan
from tablefree.fields.profile import Profile

COLUMNS, PLANS = "columns.parquet", "plans.parquet"

_Kinds = dict[str, pl.DataType | type[pl.DataType]]
_OF_DATA: _Kinds = {
    "dataset": pl.String,
    "data_digest": pl.String,  # of the events and their split: equal digits, equal events
    "num_events": pl.List(
        pl.Int64
    ),  # of training, validation and test, and of the last with new values
    "max_epochs": pl.Int64,  # of each training
    "column": pl.String,
    "kind": pl.String,
    "reason": pl.String,  # why it is taken for that
    "num_nulls": pl.Int64,
    "num_values": pl.Int64,  # distinct ones, approximately
    "num_occurrences": pl.Int64,  # rows that have one, or values in bags
    "growth_rows": pl.List(pl.Int64),  # rows read
    "growth_values": pl.List(pl.Int64),  # distinct values until then
}
_OF_MODEL: _Kinds = {
    "model": pl.String,
    **_OF_DATA,
    "worth": pl.Float64,  # AUC that is lost without it; null until the tables are tested
}
COLUMN_SCHEMA = pl.Schema(_OF_MODEL)
PLAN_SCHEMA = pl.Schema(
    {
        "method": pl.String,  # of large columns
        "budget_bytes": pl.Int64,  # of all packed embeddings; null of float32 tables
        "column": pl.String,
        "feature": pl.String,  # the column, or a period of it
        "feature_method": pl.String,
        "num_rows": pl.Int64,
        "num_bytes": pl.Int64,  # about, when packed
        "table_bytes": pl.Int64,  # of a float32 table with its vocabulary
    }
)
OF_PLAN = ("method", "budget_bytes", "feature")


def write_columns(
    folder: Path, task: EventTask, models: Sequence[str], max_epochs: int, embedding_dim: int
) -> None:
    """Write what is in the columns of events, before anything is trained; known worths stay.

    Raises:
        InputError: the folder holds results of other events, trainings or widths.
    """
    new = _columns(task, max_epochs)
    known = read_columns(folder) if (folder / COLUMNS).exists() else None
    if known is None and (folder / FILE_NAME).exists():
        raise InputError(f"{folder} holds other results: choose another output folder")
    has_results = (folder / FILE_NAME).exists()
    if has_results and set(read_table(folder)["embedding_dim"]) - {embedding_dim}:
        raise InputError(
            f"{folder} holds results of another embedding dimension than {embedding_dim}: choose "
            "another output folder"
        )
    by_model = {} if known is None else known.partition_by("model", as_dict=True)
    for of_model in by_model.values():
        if not of_model.select(*_OF_DATA).equals(new):
            raise InputError(
                f"{folder} holds results of other events, columns, splits or epochs: choose "
                "another output folder"
            )
    for model in models:
        unknown = new.with_columns(model=pl.lit(model), worth=pl.lit(None, pl.Float64))
        by_model.setdefault((model,), unknown.select(COLUMN_SCHEMA.names()))
    write_table(folder, pl.concat(by_model.values()), COLUMNS)


def read_columns(folder: Path) -> pl.DataFrame:
    """The columns of a comparison, of `COLUMN_SCHEMA`.

    Raises:
        InputError: there are none, or their file is damaged.
    """
    return _checked(folder, COLUMNS, COLUMN_SCHEMA)


def write_worth(folder: Path, model: str, worth: Mapping[str, float]) -> None:
    """Write what each column is worth to a model."""
    of_column = pl.col("column").replace_strict(worth, default=None, return_dtype=pl.Float64)
    is_model = pl.col("model") == model
    columns = read_columns(folder)
    new = columns.with_columns(worth=pl.when(is_model).then(of_column).otherwise("worth"))
    write_table(folder, new, COLUMNS)


def write_plans(folder: Path, found: Profile, cells: Iterable[Cell]) -> None:
    """Write what plans give to each feature, beside those of the folder."""
    rows = []
    for cell in cells:
        width = cell.plan.embedding_dim
        if cell.method == "full_table":
            rows += _rows(found, cell.method, None, cell.plan)
        else:
            for budget in cell.budgets:
                of_budget = plan(found, num_bytes=budget, method=cell.method, embedding_dim=width)
                rows += _rows(found, cell.method, budget, of_budget)
    plans = pl.DataFrame(rows, schema=PLAN_SCHEMA)
    if (folder / PLANS).exists():
        plans = pl.concat([read_plans(folder), plans])
    # Models over one plan are cells of their own.
    write_table(folder, plans.unique(OF_PLAN, keep="last", maintain_order=True), PLANS)


def read_plans(folder: Path) -> pl.DataFrame:
    """The plans of a comparison, of `PLAN_SCHEMA`.

    Raises:
        InputError: there are none, or their file is damaged.
    """
    return _checked(folder, PLANS, PLAN_SCHEMA)


def _columns(task: EventTask, max_epochs: int) -> pl.DataFrame:
    rows = [
        {
            "dataset": task.name,
            "data_digest": task.digest,
            "num_events": [*task.num_events, int(task.new_values.sum())],
            "max_epochs": max_epochs,
            "column": name,
            "kind": one.column.kind,
            "reason": one.column.reason,
            "num_nulls": one.num_nulls,
            "num_values": one.num_values,
            "num_occurrences": one.num_occurrences,
            "growth_rows": [rows for rows, _ in one.growth],
            "growth_values": [values for _, values in one.growth],
        }
        for name, one in task.profile.columns.items()
    ]
    return pl.DataFrame(rows, schema=_OF_DATA)


def _rows(found: Profile, method: str, budget: int | None, plan: Plan) -> list[dict[str, object]]:
    column_of = {
        feature: name
        for name, one in found.columns.items()
        for feature in feature_names([one.column])
    }
    return [
        {
            "method": method,
            "budget_bytes": budget,
            "column": column_of[field.name],
            "feature": field.name,
            "feature_method": field.method,
            "num_rows": field.num_rows,
            "num_bytes": field.num_bytes,
            "table_bytes": field.table_bytes,
        }
        for field in plan.fields
    ]


def _checked(folder: Path, name: str, schema: pl.Schema) -> pl.DataFrame:
    table = read_table(folder, name)
    if table.schema != schema:
        raise InputError(
            f"{folder / name} is not of this version of tablefree: choose another output folder"
        )
    return table
