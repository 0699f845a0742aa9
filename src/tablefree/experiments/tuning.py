"""The search for a method's best configuration: its space, and the next trial by Optuna.

All methods are tuned alike, by tree-structured Parzen estimators (Bergstra et al., 2011; Akiba et
al., "Optuna", 2019). There is no database: the study is rebuilt from the finished rows of a cell,
and the sampler seeded anew for each trial, so that a trial depends on nothing but its number and
the results before it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    distribution_to_json,
)
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from tablefree.embeddings import DecodedEmbedding, DeepHashEmbedding, Embedding, NarrowTable
from tablefree.embeddings.budget import NARROWEST_SKETCH
from tablefree.embeddings.history import HistoryUsers
from tablefree.encodings import Encoding
from tablefree.errors import InputError
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task
from tablefree.hashing import seed_from
from tablefree.models import Recommender
from tablefree.training.optimizers import rows_of

Space = dict[str, BaseDistribution]
Row = Mapping[str, Any]

PARAMETERS = (
    "learning_rate",
    "network_learning_rate",
    "weight_decay",
    "network_weight_decay",
    "code_width",
)
"""What may be searched; columns of the results."""

ROW_RATES, NETWORK_RATES = (0.003, 0.3), (0.001, 0.1)
ROW_DECAYS, NETWORK_DECAYS = (0.01, 3.0), (0.01, 1.0)
HASHED_PARTS = (1, 2, 4, 8)  # a decoded hash table: as wide as an embedding, half as wide, …
KEPT = 75.0  # per cent of the trials
STARTUP_TRIALS = 4  # the defaults and random ones; none of them is pruned


def search_space(cell: Run, task: Task) -> Space:
    """What is searched for a cell: only what matters to it and is not fixed.

    Rows have a rate and a decay. What else the recommender learns has a rate, if it is only the
    weights of its score, which decide how far embeddings must grow, and a decay where there are no
    rows. A code has a width, where a network decodes it and no design says it.
    """
    model = cell.outline(task)
    space: Space = {"network_learning_rate": FloatDistribution(*NETWORK_RATES, log=True)}
    if rows_of(model):
        space["learning_rate"] = FloatDistribution(*ROW_RATES, log=True)
        space["weight_decay"] = FloatDistribution(*ROW_DECAYS, log=True)
    else:
        space["network_weight_decay"] = FloatDistribution(*NETWORK_DECAYS, log=True)
    widths = _code_widths(cell, task, model) if cell.design is None else []
    if len(widths) > 1:
        space["code_width"] = CategoricalDistribution(widths)
    return {name: space[name] for name in space if name not in cell.fixed}


def space_to_json(space: Space) -> str:
    """The space as text: name → Optuna's JSON of its distribution."""
    return json.dumps(
        {name: json.loads(distribution_to_json(space[name])) for name in sorted(space)}
    )


def configured(cell: Run, parameters: Mapping[str, Any]) -> Run:
    """A cell with the searched parameters in place of its own."""
    recipe = {name: value for name, value in parameters.items() if name != "code_width"}
    return replace(
        cell,
        recipe=replace(cell.recipe, **recipe),
        code_width=parameters.get("code_width", cell.code_width),
    )


def next_trial(cell: Run, space: Space, finished: Sequence[Row]) -> Trial:
    """The next trial of a cell: its `params`, and whether it `should_prune`.

    The first is the cell as it is, with the defaults of the library. A trial is pruned when, in the
    last quarter of the epochs, it is in the worst quarter of those that ran to their end. Not
    before: the rates fall linearly to zero, and high ones catch up late (a sketch on Amazon Books
    at rate .1: AUC .81 after 11 epochs of 20, .85 after 15, .88 in the end).

    Args:
        cell: the method at a size, with the library's defaults.
        space: see `search_space`.
        finished: rows of the results of its trials 0, 1, …, in this order.
    """
    study = new_study(
        f"{cell.model} {cell.method} {cell.size!r} {len(finished)}",
        pruner=optuna.pruners.PercentilePruner(
            KEPT, n_startup_trials=STARTUP_TRIALS, n_warmup_steps=3 * cell.recipe.max_epochs // 4
        ),
    )
    for row in finished:
        study.add_trial(_as_trial(row, space))
    if not finished:
        study.enqueue_trial(default_parameters(cell, space))
    return study.ask(space)


def new_study(name: str, **options: Any) -> optuna.Study:
    """A study without trials, whose sampler depends on its name alone.

    Args:
        name: that no other study has.
        options: of Optuna's `create_study`.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(
        seed=seed_from(name) % 2**32, n_startup_trials=STARTUP_TRIALS, multivariate=True
    )
    return optuna.create_study(direction="maximize", sampler=sampler, **options)


def should_prune(cell: Run, trial: Trial, epoch: int, auc: float) -> bool:
    """Whether a trial is to end after an epoch with this validation AUC; never after the last."""
    trial.report(_score(auc), epoch)
    return epoch < cell.recipe.max_epochs and trial.should_prune()


def default_parameters(cell: Run, space: Space) -> dict[str, Any]:
    """The point of the space that the cell itself is, the defaults of the library."""
    return {
        name: distribution.choices[0]
        if isinstance(distribution, CategoricalDistribution)
        else getattr(cell.recipe, name)
        for name, distribution in space.items()
    }


def _as_trial(row: Row, space: Space) -> FrozenTrial:
    return create_trial(
        state=TrialState.PRUNED if row["pruned"] else TrialState.COMPLETE,
        value=None if row["pruned"] else _score(row["validation_auc"]),
        params={name: row[name] for name in space},
        distributions=dict(space),
        intermediate_values={
            epoch: _score(auc) for epoch, auc in enumerate(row["validation_curve"], 1)
        },
    )


def _score(auc: float) -> float:
    return 0.0 if isnan(auc) else auc  # a training that diverged


def _code_widths(cell: Run, task: Task, model: Recommender) -> list[int]:
    """The widths of a code to choose from, the default one first; none where there is no choice."""
    default = min((w for w in map(_code_width, (model.users, model.items)) if w), default=0)
    if not default or cell.method == "full_table":
        return []
    if cell.method in ("narrow_table", "sketch"):
        widths = [default, default // 2]
    else:
        widths = [default // part for part in HASHED_PARTS]
    narrowest = 1 if cell.method == "narrow_table" else NARROWEST_SKETCH
    allowed = [width for width in widths if narrowest <= width <= cell.embedding_dim]
    return [width for width in allowed if _fits(replace(cell, code_width=width), task)]


def _code_width(embedding: Embedding) -> int | None:
    """Learned numbers of the code of an id, where a network or a projection decodes it."""
    if isinstance(embedding, HistoryUsers):
        return None if embedding.own is None else _code_width(embedding.own)
    if isinstance(embedding, NarrowTable):
        return embedding.rows.embedding_dim
    if isinstance(embedding, DecodedEmbedding) and not isinstance(embedding, DeepHashEmbedding):
        code = embedding.encodings[0]
        if isinstance(code, DecodedEmbedding | NarrowTable):  # with features at the input
            return _code_width(code)
        return cast(Encoding, code).width
    return None


def _fits(run: Run, task: Task) -> bool:
    try:
        run.outline(task)
    except InputError:
        return False
    return True
