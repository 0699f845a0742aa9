"""Plans against each other on the same events: each tuned alike, packed for real, and measured."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from jaxtyping import Bool
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.trial import create_trial
from torch import Tensor

from tablefree.experiments.parquet import read_table, write_table
from tablefree.experiments.tuning import ROW_DECAYS, ROW_RATES, new_study
from tablefree.fields.events import Events
from tablefree.fields.kinds import Column
from tablefree.fields.model import Predictor
from tablefree.fields.plan import Plan, plan
from tablefree.fields.profile import Profile
from tablefree.fields.split import Parts
from tablefree.packing import Form, packed_bytes
from tablefree.packing.packer import Packer, Trial
from tablefree.packing.tables import packed_size
from tablefree.training.event_measures import measures
from tablefree.training.events import encoded, train_events
from tablefree.training.fit import Recipe

FILE_NAME = "results.parquet"
MOST_EXAMPLES = 2**20  # that codebooks learn from
NETWORK_RATES = (0.0003, 0.03)  # of perceptrons, which are deeper than a score of pairs
RECIPE = Recipe(0.03, 0.003, weight_decay=0.1, max_epochs=10, patience=2)
SPACE: dict[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(*ROW_RATES, log=True),
    "network_learning_rate": FloatDistribution(*NETWORK_RATES, log=True),
    "weight_decay": FloatDistribution(*ROW_DECAYS, log=True),
}
"""What is searched for each plan."""

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
        "epochs": pl.Int64,
        "best_epoch": pl.Int64,
        "train_seconds": pl.Float64,
        "training_bytes": pl.Int64,  # of all that learns, moments included
        "form": pl.String,  # of the packed rows; float32 as trained
        "budget_bytes": pl.Int64,  # that it was packed into; null as trained
        "deployed_bytes": pl.Int64,  # of embeddings and vocabularies
        "validation_auc": pl.Float64,
        "test_auc": pl.Float64,  # as all that follow, null of trials that were not chosen
        "test_log_loss": pl.Float64,
        "normalized_entropy": pl.Float64,
        "calibration_error": pl.Float64,
        "test_auc_unseen": pl.Float64,  # of events with a value that training has not
        "test_log_loss_unseen": pl.Float64,
    }
)
"""Columns of the results: a row for each run and form; of a trial alone, its validation."""

RUN = ("model", "cell", "seed", "trial")


@dataclass(frozen=True)
class Cell:
    """What is trained once: a plan, and the budgets that it is packed into.

    Attributes:
        method: of large columns.
        plan: of the collection.
        budgets: bytes of packed embeddings and vocabularies.
    """

    method: str
    plan: Plan
    budgets: tuple[int, ...]

    @property
    def name(self) -> str:
        """What tells it from others in the results."""
        return json.dumps(self.plan.config(), sort_keys=True)


@dataclass(frozen=True)
class Comparison:
    """What is compared.

    Attributes:
        dataset: its name.
        columns: of the events.
        events: of all parts.
        split: the name of the split.
        parts: rows of each part.
        new_values: which events of the test part have a value that the training part has not.
        model: of `fields.model.MODELS`.
        cells: what is trained.
        seeds: runs of each cell.
        trials: recipes that each cell is tried with, on seed 0; 1 is the default.
        recipe: the default one, as `RECIPE`.
    """

    dataset: str
    columns: Sequence[Column]
    events: Events
    split: str
    parts: Parts
    new_values: Bool[Tensor, " n"]
    model: str
    cells: Sequence[Cell]
    seeds: int
    trials: int
    recipe: Recipe


def cells(
    found: Profile, ratios: Sequence[float], methods: Sequence[str], embedding_dim: int
) -> list[Cell]:
    """Tables, and for each method plans at each ratio; those that train the same are one.

    Raises:
        InputError: a ratio that is too small.
    """
    tables = plan(found, method="full_table", embedding_dim=embedding_dim)
    budgets = tuple(int(tables.table_bytes * ratio) for ratio in ratios)
    by_name: dict[str, Cell] = {}
    for method in dict.fromkeys(["full_table", *methods]):
        for budget in budgets:
            one = (
                tables
                if method == "full_table"
                else plan(found, num_bytes=budget, method=method, embedding_dim=embedding_dim)
            )
            cell = Cell(method, one, (budget,))
            known = by_name.get(cell.name)
            by_name[cell.name] = (
                cell if known is None else replace(known, budgets=(*known.budgets, budget))
            )
    return list(by_name.values())


def compare(comparison: Comparison, folder: Path) -> Iterator[Mapping[str, Any]]:
    """Train and measure what a folder of results does not hold yet; give each new row.

    Raises:
        InputError: the folder cannot be written to, or holds other results.
    """
    # One trial is the run itself; of several, the best is trained again to be measured.
    is_only = comparison.trials == 1
    for cell in comparison.cells:
        for trial in range(comparison.trials):
            done = _runs(folder, comparison, cell, 0)
            if trial not in done["trial"]:
                recipe = _recipe(comparison, done)
                yield from _added(folder, _trained(comparison, cell, 0, trial, recipe, is_only))
        done = _runs(folder, comparison, cell, 0)
        best = done.sort("validation_auc", descending=True, nulls_last=True).row(0, named=True)
        recipe = replace(comparison.recipe, **{name: best[name] for name in SPACE})
        for seed in range(comparison.seeds):
            known = _runs(folder, comparison, cell, seed).filter(pl.col("test_auc").is_not_null())
            if known.height == 0:
                trial = best["trial"] if seed == 0 else 0
                rows = _trained(comparison, cell, seed, trial, recipe, is_measured=True)
                yield from _added(folder, rows)


def read_results(folder: Path) -> pl.DataFrame:
    """The results of a folder; none where there is no file.

    Raises:
        InputError: it is damaged, or holds other results.
    """
    if not (folder / FILE_NAME).exists():
        return pl.DataFrame(schema=SCHEMA)
    return read_table(folder, FILE_NAME)


def _runs(folder: Path, comparison: Comparison, cell: Cell, seed: int) -> pl.DataFrame:
    return read_results(folder).filter(
        (pl.col("model") == comparison.model)
        & (pl.col("cell") == cell.name)
        & (pl.col("seed") == seed)
        & pl.col("budget_bytes").is_null()
    )


def _recipe(comparison: Comparison, finished: pl.DataFrame) -> Recipe:
    """The next recipe to try: the default one first, then what Optuna proposes."""
    if not finished.height:
        return comparison.recipe
    study = new_study(f"{comparison.model} {finished['cell'][0]} {finished.height}")
    for row in finished.sort("trial").to_dicts():
        study.add_trial(
            create_trial(
                value=row["validation_auc"] or 0.0,
                params={name: row[name] for name in SPACE},
                distributions=SPACE,
            )
        )
    return replace(comparison.recipe, **study.ask(SPACE).params)


def _trained(
    comparison: Comparison,
    cell: Cell,
    seed: int,
    trial: int,
    recipe: Recipe,
    is_measured: bool,
) -> list[dict[str, Any]]:
    """The rows of a run: as validation had it alone, or tested and packed."""
    predictor, fit = train_events(
        cell.plan,
        comparison.columns,
        comparison.events,
        comparison.parts,
        recipe,
        model=comparison.model,
        seed=seed,
    )
    run = {
        "dataset": comparison.dataset,
        "split": comparison.split,
        "model": comparison.model,
        "method": cell.method,
        "cell": cell.name,
        "embedding_dim": cell.plan.embedding_dim,
        "seed": seed,
        "trial": trial,
        **{name: getattr(recipe, name) for name in SPACE},
        "epochs": fit.epochs,
        "best_epoch": fit.best_epoch,
        "train_seconds": fit.seconds,
        "training_bytes": fit.training_bytes,
        "form": "float32",
        "deployed_bytes": embedding_bytes(predictor),
        "validation_auc": fit.validation_auc,
    }
    if not is_measured:
        return [run]
    test, new_values = comparison.events.at(comparison.parts.test), comparison.new_values
    rows = [run | tested(predictor, test, new_values)]
    packer = packer_of(predictor, comparison.events, comparison.parts)
    for budget in cell.budgets:
        for best in packed_within(packer, predictor, budget):
            of_form = {"form": str(best.form), "budget_bytes": budget}
            size = {"deployed_bytes": embedding_bytes(best.module), "validation_auc": best.quality}
            rows.append(run | of_form | size | tested(best.module, test, new_values))
    return rows


def embedding_bytes(predictor: Predictor) -> int:
    """Bytes of the embeddings and vocabularies of a model, packed or not."""
    return packed_bytes(predictor.model.embeddings) + predictor.vocabulary_bytes


def packer_of(predictor: Predictor, events: Events, parts: Parts) -> Packer[Predictor]:
    """What packs a trained model, and tells forms apart on the validation part."""
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(len(parts.train), generator=generator)[:MOST_EXAMPLES].sort().values
    examples, held_out = (
        encoded(predictor, events.at(part))
        for part in (parts.train[some.numpy()], parts.validation)
    )
    return Packer(predictor, _example(examples), _example(held_out))


def _example(part: Any) -> tuple[Any, ...]:
    return tuple(one for one in part if one is not None)


def packed_within(
    packer: Packer[Predictor], predictor: Predictor, budget: int
) -> list[Trial[Predictor]]:
    """The best form within a budget; none where none fits, as of a large vocabulary."""
    vocabularies = predictor.vocabulary_bytes

    def fits(form: Form) -> bool:
        return packed_size(predictor.model.embeddings, form) + vocabularies <= budget

    return packer.ranked(fits, "budget")[:1] if packer.forms(fits) else []


def tested(predictor: Predictor, test: Events, new_values: Tensor) -> dict[str, float | None]:
    """The measures of a model, of all events and of those with new values."""
    assert test.labels is not None
    logits, labels = predictor.logits(test), torch.from_numpy(test.labels)
    found = measures(logits, labels)
    row: dict[str, float | None] = {
        "test_auc": found.auc,
        "test_log_loss": found.log_loss,
        "normalized_entropy": found.normalized_entropy,
        "calibration_error": found.calibration_error,
    }
    if new_values.any():
        of_new = measures(logits[new_values], labels[new_values])
        row |= {"test_auc_unseen": of_new.auc, "test_log_loss_unseen": of_new.log_loss}
    return row


def _added(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Rows, once they are in the file, in the place of those of the same run."""
    added = pl.DataFrame(rows, schema=SCHEMA)
    kept = read_results(folder).join(added.select(RUN).unique(), on=RUN, how="anti")
    write_table(folder, pl.concat([kept, added]), FILE_NAME)
    return rows
