"""The table of packed forms, `forms.parquet`: a row for each run, form and budget of bytes.

What a run's model is when its rows are packed, for real: every row was measured on the packed
module, whose tensors have the bytes that are told.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl
import torch
from jaxtyping import Int
from torch import Tensor

from tablefree.embeddings.history import HistoryUsers
from tablefree.errors import InputError
from tablefree.experiments.evaluation import batch_of, rank_all, vocabulary_bytes
from tablefree.experiments.pairs import training_pairs
from tablefree.experiments.parquet import first_line, read_table, write_table
from tablefree.experiments.spec import Run, identity
from tablefree.experiments.task import Task
from tablefree.models import Recommender
from tablefree.packing import packed_bytes
from tablefree.packing.packer import Packer, Trial
from tablefree.training.metrics import auc, score_pairs

FILE_NAME = "forms.parquet"
MOST_EXAMPLES = 2**21
MOST_ROUNDS = 7  # over the positives, after the first
OTHER_SEED = 2**32

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


def measured_forms(
    run: Run,
    model: Recommender,
    task: Task,
    user_keys: Int[Tensor, " n"],
    item_keys: Int[Tensor, " m"],
    training_bytes: int,
) -> list[dict[str, object]]:
    """Pack a trained model into each of the run's budgets, and measure what it is then.

    Args:
        run: with budgets, of bytes of the embeddings and their vocabularies.
        model: trained.
        task: the data.
        user_keys: what the model's user embedding takes for each position (see `Side.keys`).
        item_keys: likewise for items.
        training_bytes: that its training took.

    Returns:
        Rows of `SCHEMA` without `trial`; of a budget that no form fits, none.
    """
    model.eval()
    validation, test = (batch_of(one, user_keys, item_keys) for one in (task.validation, task.test))
    vocabularies = vocabulary_bytes(model, task)
    of_score = _score_bytes(model)

    def row(form: str, module: Recommender, validation_auc: float) -> dict[str, object]:
        return {
            **{name: value for name, value in identity(run, task).items() if name in SCHEMA},
            "form": form,
            "deployed_bytes": packed_bytes(module) - of_score + vocabularies,
            "training_bytes": training_bytes,
            "validation_auc": validation_auc,
            "test_auc": auc(score_pairs(module, test.users, test.items), test.labels),
            "chosen": False,
        }

    before = auc(score_pairs(model, validation.users, validation.items), validation.labels)
    rows = [row("float32", model, before)]
    packer = _packer(run, model, task, user_keys, item_keys)
    for budget in run.budgets:
        for trial in packer.within(budget - vocabularies + of_score):
            found = row(str(trial.form), trial.module, trial.quality) | {"budget_bytes": budget}
            if rows[-1].get("budget_bytes") != budget:  # the first is the best
                recall, _ = rank_all(trial.module, task, user_keys, item_keys)
                found |= {"chosen": True, "recall_20": recall}
            rows.append(found)
    return rows


def packed_into(run: Run, model: Recommender, task: Task) -> Trial[Recommender]:
    """The best form of a trained model in the run's largest budget.

    Raises:
        InputError: all are larger.
    """
    keys = task.users.keys(model.users), task.items.keys(model.items)
    packer = _packer(run, model.eval(), task, *keys)
    budget = max(run.budgets)
    found = packer.within(budget - vocabulary_bytes(model, task) + _score_bytes(model))
    if not found:
        raise InputError(
            f"{run.method} cannot be packed into {budget} bytes here: allow more, or use "
            "claimed_rows or a smaller --embedding-dim"
        )
    return found[0]


def _packer(
    run: Run, model: Recommender, task: Task, user_keys: Tensor, item_keys: Tensor
) -> Packer[Recommender]:
    validation = batch_of(task.validation, user_keys, item_keys)
    examples = _examples(run, model, task, user_keys, item_keys)
    return Packer(model, examples, validation[:3])


def _score_bytes(model: Recommender) -> int:
    """Bytes of what a model has besides its embeddings."""
    return sum(one.nbytes for one in model.parameters(recurse=False))


def _examples(
    run: Run, model: Recommender, task: Task, user_keys: Tensor, item_keys: Tensor
) -> tuple[Tensor, ...] | None:
    """Pairs to tune codebooks by, negatives and all; of users as histories, who need more, none."""
    if isinstance(model.users, HistoryUsers):
        return None
    # Other negatives than the rows have learned from.
    seed = run.seed + OTHER_SEED
    pairs = training_pairs(run, task, user_keys, item_keys, seed=seed)
    batches = list(pairs)
    if task.interactions.label is None:  # each time round has other negatives
        rounds = MOST_EXAMPLES // sum(len(batch.labels) for batch in batches)
        batches += [batch for _ in range(min(rounds, MOST_ROUNDS)) for batch in pairs]
    generator = torch.Generator().manual_seed(seed)
    users = torch.cat([batch.users for batch in batches])
    items = torch.cat([batch.items for batch in batches])
    labels = torch.cat([batch.labels for batch in batches])
    some = torch.randperm(len(labels), generator=generator)[:MOST_EXAMPLES]
    return users[some], items[some], labels[some]


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
