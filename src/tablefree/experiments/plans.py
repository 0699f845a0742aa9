"""Plans against each other on the same events: each tuned alike, packed for real, and measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isnan
from pathlib import Path
from typing import Any

import polars as pl
import torch
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import create_trial
from torch import Tensor, nn

from tablefree.embeddings.feature_ids import flat_ids
from tablefree.encodings.sketch import SketchEncoding
from tablefree.experiments.event_task import EventTask
from tablefree.experiments.parquet import FILE_NAME, read_table, write_table
from tablefree.experiments.plan_cells import Cell
from tablefree.experiments.plan_columns import write_worth
from tablefree.experiments.scheduler import Comparison, Job, Row
from tablefree.experiments.tuning import ROW_DECAYS, ROW_RATES, new_study
from tablefree.experiments.worth import column_worth
from tablefree.fields.events import Events
from tablefree.fields.model import Predictor
from tablefree.models.field_model import FieldModel
from tablefree.packing import packed_bytes
from tablefree.packing.choice import SMALLEST
from tablefree.packing.packer import Packer, Trial
from tablefree.packing.tables import packed_size
from tablefree.training.event_measures import measures
from tablefree.training.events import encoded, train_events
from tablefree.training.fit import Fit, Recipe

MOST_EXAMPLES = 2**20  # that codebooks learn from
NETWORK_RATES = (0.0003, 0.03)  # of perceptrons, which are deeper than a score of pairs
RECIPE = Recipe(0.03, 0.003, weight_decay=0.1, max_epochs=6, patience=2)
SEARCHED: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(*ROW_RATES, log=True),
    "network_learning_rate": FloatDistribution(*NETWORK_RATES, log=True),
    "weight_decay": FloatDistribution(*ROW_DECAYS, log=True),
}
PARAMETERS = (*SEARCHED, "max_epochs")
"""What is searched for each plan; of the epochs, at most as many as are allowed."""

SCHEMA = pl.Schema(
    {
        "dataset": pl.String,
        "split": pl.String,
        "model": pl.String,
        "method": pl.String,  # of large columns
        "cell": pl.String,  # JSON of the collection: runs of one cell train the same
        "embedding_dim": pl.Int64,
        "seed": pl.Int64,
        "trial": pl.Int64,
        "learning_rate": pl.Float64,
        "network_learning_rate": pl.Float64,
        "weight_decay": pl.Float64,
        "max_epochs": pl.Int64,  # in which the rates fall to zero
        "epochs": pl.Int64,
        "best_epoch": pl.Int64,
        "train_seconds": pl.Float64,
        "training_bytes": pl.Int64,  # of all that learns, moments included
        "form": pl.String,  # of the packed rows; float32 as trained; none where none fits a budget
        "budget_bytes": pl.Int64,  # that it was packed into; null as trained
        "deployed_bytes": pl.Int64,  # of embeddings and vocabularies
        "validation_auc": pl.Float64,
        "test_auc": pl.Float64,  # as all that follow, null of trials that were not chosen
        "test_log_loss": pl.Float64,
        "normalized_entropy": pl.Float64,
        "calibration_error": pl.Float64,
        "test_auc_unseen": pl.Float64,  # of events with a value that training has not
        "test_log_loss_unseen": pl.Float64,
        "normalized_entropy_unseen": pl.Float64,
        "calibration_error_unseen": pl.Float64,
    }
)
"""Columns of the results: a row for each run and form; of a trial alone, its validation."""

OF_CELL = ("model", "cell")
RUN = (*OF_CELL, "seed", "trial")


@dataclass(frozen=True)
class PlanComparison(Comparison):
    """A comparison of plans on the same events, whose cells are `Cell`s.

    Attributes:
        recipe: from which their tuning starts.
    """

    cells: tuple[Cell, ...]
    recipe: Recipe

    def finished(self, task: EventTask, folder: Path) -> pl.DataFrame:  # noqa: ARG002
        """The runs and packed forms that the folder holds; `write_columns` told those of others.

        Raises:
            InputError: the file is damaged.
        """
        return self.read(folder)

    def read(self, folder: Path) -> pl.DataFrame:
        """The runs and packed forms of the folder."""
        return read_results(folder)

    def __len__(self) -> int:
        """Number of runs in all; of several trials the best is trained twice."""
        return super().__len__() + len(self.cells) * (self.trials > 1)

    def num_done(self, finished: pl.DataFrame) -> int:
        """How many of the runs are finished."""
        cells = [self.of_cell(finished, cell).filter("measured", seed=0) for cell in self.cells]
        again = sum(runs.height for runs in cells) if self.trials > 1 else 0
        return super().num_done(finished) + again

    def of_cell(self, finished: pl.DataFrame, cell: Cell) -> pl.DataFrame:
        """The runs of a cell; one is measured when it is tested and packed into each budget."""
        rows = finished.filter(model=cell.model, cell=cell.name)
        is_whole = pl.lit(True)
        for budget in cell.budgets:
            of_budget = rows.filter(budget_bytes=budget).select("seed", "trial")
            run = pl.struct("seed", "trial")
            is_whole &= run.is_in(of_budget.to_struct().implode())
        chosen = selected(rows)["trial"].first()
        return rows.filter(pl.col("budget_bytes").is_null()).with_columns(
            selected=pl.col("trial").eq_missing(pl.lit(chosen)),
            measured=pl.col("test_auc").is_not_null() & is_whole,
        )

    def carry_out(self, job: Job, trials: Sequence[Row], task: EventTask) -> Row:
        """Train one run; one that is known to be the best of all trials is measured too.

        Packing takes longer than training: so of several trials the best is trained once more.

        Returns:
            "rows" of `SCHEMA`, that of the run first; of measured tables of seed 0, "worth" of each
            column.
        """
        is_known = job.trial < len(trials)
        recipe = self._recipe(job.cell, trials[: job.trial + 1], is_known=is_known)
        predictor, fit = train_events(
            job.cell.plan,
            task.train,
            task.validation,
            recipe,
            model=job.cell.model,
            seed=job.seed,
            others=task.others,
        )
        run = _row_of(job, task, recipe, predictor, fit)
        if not is_known and self.trials > 1:
            return {"rows": [run]}
        rows = _measured_rows(run, job.cell.budgets, predictor, task)
        if job.cell.method != "full_table" or job.seed:
            return {"rows": rows}
        return {"rows": rows, "worth": column_worth(predictor, task.test)}

    def append(self, folder: Path, outcome: Row) -> Row:
        """Write the rows of a run in the place of earlier ones; the first."""
        rows = outcome["rows"]
        added = pl.DataFrame(rows, schema=SCHEMA)
        kept = read_results(folder).join(added.select(RUN).unique(), on=RUN, how="anti")
        if "worth" in outcome:
            write_worth(folder, rows[0]["model"], outcome["worth"])
        write_table(folder, pl.concat([kept, added]), FILE_NAME)
        return rows[0]  # type: ignore[no-any-return]

    def _recipe(self, cell: Cell, trials: Sequence[Row], *, is_known: bool) -> Recipe:
        """That of the last trial, or the next to try: the default one first, then Optuna's.

        The second ends its training where the first was best: the rates fall until then.
        """
        if is_known:
            return replace(self.recipe, **{name: trials[-1][name] for name in PARAMETERS})
        if not trials:
            return self.recipe
        epochs = IntDistribution(1, self.recipe.max_epochs, log=True)
        space: dict[str, BaseDistribution] = {**SEARCHED, "max_epochs": epochs}
        study = new_study(f"{cell.model} {cell.name} {len(trials)}")
        for row in trials:
            params = {name: row[name] for name in PARAMETERS}
            value = 0.0 if isnan(row["validation_auc"]) else row["validation_auc"]
            study.add_trial(create_trial(value=value, params=params, distributions=space))
        first = trials[0]
        if len(trials) == 1 and 0 < first["best_epoch"] < first["max_epochs"]:
            searched = {name: first[name] for name in SEARCHED}
            study.enqueue_trial(searched | {"max_epochs": first["best_epoch"]})
        return replace(self.recipe, **study.ask(space).params)


def _row_of(
    job: Job, task: EventTask, recipe: Recipe, predictor: Predictor, fit: Fit
) -> dict[str, Any]:
    """The row of a run that is trained, before any test."""
    return {
        "dataset": task.name,
        "split": task.split,
        "model": job.cell.model,
        "method": job.cell.method,
        "cell": job.cell.name,
        "embedding_dim": job.cell.plan.embedding_dim,
        "seed": job.seed,
        "trial": job.trial,
        **{name: getattr(recipe, name) for name in PARAMETERS},
        "epochs": fit.epochs,
        "best_epoch": fit.best_epoch,
        "train_seconds": fit.seconds,
        "training_bytes": fit.training_bytes,
        "form": "float32",
        "deployed_bytes": embedding_bytes(predictor),
        "validation_auc": fit.validation_auc,
    }


def _measured_rows(
    run: Mapping[str, Any], budgets: Sequence[int], predictor: Predictor, task: EventTask
) -> list[dict[str, Any]]:
    """The row of a run with its test, and one of each budget that it is packed into."""
    test, packer = task.test, packer_of(predictor, task)
    rows = [{**run, **tested(predictor, test, task.new_values)}]
    for budget in budgets:
        row = {**run, "form": "none", "deployed_bytes": None, "budget_bytes": budget}
        for best in packed_within(packer, predictor, budget):
            row |= {"form": str(best.form), "validation_auc": best.quality}
            row |= {"deployed_bytes": embedding_bytes(best.module)}
            row |= tested(best.module, test, task.new_values)
        rows.append(row)
    return rows


def read_results(folder: Path) -> pl.DataFrame:
    """The results of a folder; none where there is no file.

    Raises:
        InputError: it is damaged, or holds other results.
    """
    if not (folder / FILE_NAME).exists():
        return pl.DataFrame(schema=SCHEMA)
    return read_table(folder, FILE_NAME)


def selected(results: pl.DataFrame) -> pl.DataFrame:
    """The rows of each cell's trial that is the best in validation with seed 0.

    A training that diverged has no AUC and loses; of equals the first wins.
    """
    trials = results.filter(pl.col("budget_bytes").is_null(), seed=0)
    best = (
        trials.with_columns(pl.col("validation_auc").fill_nan(float("-inf")))
        .sort("validation_auc", "trial", descending=[True, False])
        .unique(OF_CELL, keep="first")
    )
    return results.join(best, on=[*OF_CELL, "trial"], how="semi", maintain_order="left")


def embedding_bytes(predictor: Predictor) -> int:
    """Bytes of the embeddings and vocabularies of a model, packed or not."""
    return packed_bytes(predictor.embeddings) + predictor.vocabulary_bytes


def packer_of(predictor: Predictor, task: EventTask) -> Packer[Predictor]:
    """What packs a trained model, and tells forms apart on the validation part."""
    examples, held_out = (
        _example(encoded(predictor, events))
        for events in (task.examples(MOST_EXAMPLES), task.validation)
    )
    assert isinstance(predictor.model, FieldModel)
    embeddings, met = predictor.model.embeddings, dict[nn.Module, Tensor]()
    for name, ids in task.train.features().items():
        for part in embeddings.embedding(name).modules():
            if isinstance(part, SketchEncoding):
                met[part] = flat_ids(ids)
    return Packer(predictor, examples, held_out, met)


def _example(part: Any) -> tuple[Any, ...]:
    return tuple(one for one in part if one is not None)


def packed_within(
    packer: Packer[Predictor], predictor: Predictor, budget: int
) -> list[Trial[Predictor]]:
    """The best form within a budget; none where none fits, as of a large vocabulary."""
    some = SMALLEST[0]
    network = packer.size(some) - packed_size(predictor.embeddings, some)
    most = budget - predictor.vocabulary_bytes + network
    return packer.within(most)[:1]


def tested(predictor: Predictor, test: Events, new_values: Tensor) -> dict[str, float | None]:
    """The measures of a model, of all events and of those with new values."""
    assert test.labels is not None
    logits, labels = predictor.logits(test), torch.from_numpy(test.labels)
    row = _measured(logits, labels, "")
    return row | _measured(logits[new_values], labels[new_values], "_unseen")


def _measured(logits: Tensor, labels: Tensor, of: str) -> dict[str, float | None]:
    if not len(labels):
        return {}
    found = measures(logits, labels)
    return {
        f"test_auc{of}": found.auc,
        f"test_log_loss{of}": found.log_loss,
        f"normalized_entropy{of}": found.normalized_entropy,
        f"calibration_error{of}": found.calibration_error,
    }
