"""Tuning and early stopping use the validation part, the reported figures the test part.

Guards against the choice of a model by what it is then reported with (Kaufman et al., "Leakage in
Data Mining: Formulation, Detection, and Avoidance", 2012).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tablefree.data import synthetic_interactions
from tablefree.experiments.compare import PairComparison
from tablefree.experiments.evaluation import evaluate
from tablefree.experiments.recipes import default_recipe
from tablefree.experiments.results import append_result, read_results
from tablefree.experiments.run import train
from tablefree.experiments.scheduler import Job
from tablefree.experiments.spec import Run
from tablefree.experiments.task import Task

OF_TEST = ("test", "test_ranking", "held_out", "held_out_few")
CHOICE = ("validation_auc", "validation_curve", "best_epoch", "pruned", "search_space")
RATES = ("learning_rate", "network_learning_rate", "weight_decay", "code_width")


@pytest.fixture(scope="module")
def task():
    data = synthetic_interactions(1_500, num_users=60, num_items=50)
    label = np.random.default_rng(0).integers(2, size=data.num_events).astype(np.float32)
    return Task.from_interactions(replace(data, label=label))


def with_other_labels(task, part):
    """The same task, the labels of a part turned round."""
    label = task.interactions.label.copy()
    label[getattr(task.split, part)] = 1 - label[getattr(task.split, part)]
    return Task(replace(task.interactions, label=label), task.how, task.split)


def cell(task, method="sketch", epochs=3):
    recipe = default_recipe(method, task.events_per_id, max_epochs=epochs, precision="float32")
    return Run(method, "gmf", 1.0 if method == "full_table" else 2.0, 0, 16, recipe)


def test_another_test_part_leaves_every_choice_of_the_tuning(task, tmp_path):
    tables = []
    for number, one in enumerate((task, with_other_labels(task, "test"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        for trial in range(6):  # beyond the random ones
            trials = read_results(folder).sort("trial").to_dicts() if trial else []
            job = Job(cell(one, epochs=2), trial)
            append_result(folder, PairComparison((job.cell,), 1, 6).carry_out(job, trials, one))
        tables.append(read_results(folder).sort("trial"))
    columns = ["trial", "selected", *CHOICE, *RATES]
    assert tables[0].select(columns).equals(tables[1].select(columns), null_equal=True)
    assert tables[0]["test_auc"].to_list() != tables[1]["test_auc"].to_list()


@pytest.mark.parametrize("method", ["full_table", "sketch"])
def test_another_test_part_leaves_every_weight(task, method):
    (one, fit), (other, again) = (
        train(cell(task, method), data) for data in (task, with_other_labels(task, "test"))
    )
    assert (fit.best_epoch, fit.validation_auc) == (again.best_epoch, again.validation_auc)
    for left, right in zip(one.parameters(), other.parameters(), strict=True):
        assert left.detach().numpy().tobytes() == right.detach().numpy().tobytes()


def test_training_asks_for_no_test_part_and_measuring_for_no_validation_part(task, monkeypatch):
    fresh = replace(task)
    with monkeypatch.context() as patch:
        for name in OF_TEST:
            patch.setattr(Task, name, property(lambda _: pytest.fail("of the test part")))
        model, _ = train(cell(fresh), fresh)
    monkeypatch.setattr(Task, "validation", property(lambda _: pytest.fail("of validation")))
    measures = evaluate(model, fresh, *keys(fresh, model))
    assert 0 < measures["test_auc"] < 1


def test_another_validation_part_leaves_what_the_test_part_measures(task):
    model = cell(task).build_model(task)
    other = with_other_labels(task, "validation")
    names = ("test_auc", "test_log_loss", "calibration_error")
    one, again = (evaluate(model, data, *keys(data, model)) for data in (task, other))
    assert [one[name] for name in names] == [again[name] for name in names]


@pytest.mark.parametrize("how", ["random", "leave-last-out", "time", "cold-items", "cold-users"])
def test_no_pair_is_in_two_parts(how):
    data = synthetic_interactions(1_500, num_users=60, num_items=50)
    events = np.random.default_rng(0).integers(data.num_events, size=3_000)  # some pairs repeat
    parts = (data.user[events], data.item[events], np.arange(len(events)))
    task = Task.from_interactions(
        replace(data, user=parts[0], item=parts[1], timestamp=parts[2]), how
    )
    pairs = task.interactions.user * data.num_items + task.interactions.item
    train, validation, test = (
        pairs[task.split.train],
        *(pairs[part] for part in (task.validation_events, task.test_events)),
    )
    assert not np.isin(validation, train).any()
    assert not np.isin(test, np.concatenate([train, pairs[task.split.validation]])).any()


def keys(task, model):
    return tuple(
        getattr(task, name).keys(getattr(model, name)).to(torch.int64)
        for name in ("users", "items")
    )
