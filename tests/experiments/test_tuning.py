import json
import math
from dataclasses import replace

import pytest
from optuna.distributions import CategoricalDistribution, json_to_distribution

from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.spec import Run
from tablefree.experiments.tuning import (
    PARAMETERS,
    configured,
    default_parameters,
    next_trial,
    search_space,
    should_prune,
    space_to_json,
)


def cell(method, size=1.0, *, model="gmf", dim=16, **options):
    recipe = default_recipe(method, 10, max_epochs=6, precision="float32")
    return Run(method, model, size, 0, dim, recipe, **options)


ROWS = {"learning_rate", "weight_decay"}
NETWORK = {"network_learning_rate"}
WIDTH = {"code_width"}


@pytest.mark.parametrize(
    ("run", "searched"),
    [
        (cell("full_table"), ROWS | NETWORK),
        (cell("full_table", decoder=(8,)), ROWS | NETWORK),
        (cell("full_table", model="mlp"), ROWS | NETWORK),
        (cell("hashing_trick"), ROWS | NETWORK),
        (cell("hash_embedding"), ROWS | NETWORK),
        (cell("hashing_trick", decoder=(8,)), ROWS | NETWORK | WIDTH),
        (cell("narrow_table", 0.5), ROWS | NETWORK | WIDTH),
        (cell("narrow_table", 0.1), ROWS | NETWORK),
        (cell("sketch", 2.0), ROWS | NETWORK | WIDTH),
        (cell("sketch", 2.0, users="history"), ROWS | NETWORK | WIDTH),
        (cell("full_table", users="both"), ROWS | NETWORK),
        (cell("deep_hash"), NETWORK | {"network_weight_decay"}),
        (cell("deep_hash", decoder=(8,)), NETWORK | {"network_weight_decay"}),
    ],
)
def test_only_what_matters_is_searched(task, run, searched):
    space = search_space(run, task)
    assert set(space) == searched <= set(PARAMETERS)
    # The defaults are in the space.
    for name, value in default_parameters(run, space).items():
        assert space[name]._contains(space[name].to_internal_repr(value)), name


@pytest.mark.parametrize(
    ("run", "widths"),
    [
        (cell("narrow_table", 0.5), (6, 3)),
        (cell("narrow_table", 0.5, decoder=(8,)), (5, 2)),
        (cell("sketch", 1.0, dim=32, decoder=(8,)), (20, 10)),
        (cell("multi_hash", decoder=(8,)), (16, 8, 4, 2)),
    ],
)
def test_widths_to_choose_from(task, run, widths):
    distribution = search_space(run, task)["code_width"]
    assert isinstance(distribution, CategoricalDistribution)
    assert distribution.choices == widths
    for width in widths:
        size = replace(run, code_width=width).outline(task).items.num_parameters
        assert size <= 1.02 * run.size * task.items.num_embeddings * run.embedding_dim


def test_the_space_as_text_can_be_read_again(task):
    space = search_space(cell("narrow_table", 0.5), task)
    text = space_to_json(space)
    assert text == space_to_json(dict(reversed(space.items())))
    assert {name: json_to_distribution(json.dumps(d)) for name, d in json.loads(text).items()} == (
        space
    )


def test_a_configuration_replaces_what_was_searched():
    run = configured(cell("sketch"), {"learning_rate": 0.02, "code_width": 3})
    assert run.recipe == replace(cell("sketch").recipe, learning_rate=0.02)
    assert run.code_width == 3
    assert configured(run, {"weight_decay": 1.0}).code_width == 3


def tried(run, space, score, num_trials, earlier=()):
    """Rows of trials whose validation AUC rises to a score of their parameters."""
    rows = list(earlier)
    while len(rows) < num_trials:
        trial = next_trial(run, space, rows)
        final = score(trial.params)
        curve = []
        for epoch in range(1, run.recipe.max_epochs + 1):
            curve.append(final * epoch / run.recipe.max_epochs)
            pruned = should_prune(run, trial, epoch, curve[-1])
            if pruned:
                break
        row = {"pruned": pruned, "validation_auc": curve[-1], "validation_curve": curve}
        rows.append(trial.params | row)
    return rows


def favours(rate):
    return lambda params: 1 - abs(math.log(params["learning_rate"] / rate)) / 20


def test_the_defaults_are_tried_first(task):
    run = cell("narrow_table", 0.5)
    space = search_space(run, task)
    trial = next_trial(run, space, [])
    assert trial.params == {
        "learning_rate": 0.03, "weight_decay": 0.85, "network_learning_rate": 0.01, "code_width": 6,
    }  # fmt: skip


def test_a_trial_depends_on_its_cell_its_number_and_the_results_before_it(task):
    run = cell("hashing_trick")
    space = search_space(run, task)
    rows = tried(run, space, favours(0.02), 8)
    assert tried(run, space, favours(0.02), 8, rows[:5]) == rows
    other = replace(run, model="mlp")
    assert next_trial(other, space, rows).params != next_trial(run, space, rows).params
    better = [{**row, "validation_auc": 1 - row["validation_auc"]} for row in rows]
    assert next_trial(run, space, better).params != next_trial(run, space, rows).params


def test_later_trials_are_near_the_best(task):
    run = cell("hashing_trick")
    rows = tried(run, search_space(run, task), favours(0.02), 16)
    best = max(rows, key=lambda row: row["validation_auc"])
    assert 0.013 < best["learning_rate"] < 0.03


def test_a_trial_far_behind_is_pruned_late(task):
    run = cell("hashing_trick")
    space = search_space(run, task)
    rows = tried(run, space, favours(0.02), 4)
    assert not any(row["pruned"] for row in rows)
    *_, bad = tried(run, space, lambda _: 0.4, 5, rows)
    assert bad["pruned"]
    assert len(bad["validation_curve"]) == 4  # of 6
    *_, good = tried(run, space, lambda _: 1.1, 5, rows)
    assert not good["pruned"]


def test_a_trial_that_diverged_counts_as_the_worst(task):
    run = cell("hashing_trick")
    space = search_space(run, task)
    nan = float("nan")
    rows = tried(run, space, favours(0.02), 4)
    diverged = {**rows[0], "validation_auc": nan, "validation_curve": [0.6, nan]}
    assert next_trial(run, space, [*rows, diverged]).params.keys() == space.keys()
    trial = next_trial(run, space, rows)
    assert should_prune(run, trial, 5, nan)


def test_nothing_is_pruned_after_the_last_epoch(task):
    run = cell("hashing_trick")
    space = search_space(run, task)
    rows = tried(run, space, favours(0.02), 4)
    assert not should_prune(run, next_trial(run, space, rows), 6, 0.1)
