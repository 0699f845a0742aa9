"""Noise scores .5: on data without structure AUC is .5 and Recall@20 is what chance gives.

Guards against anything by which held-out pairs can be told from others without a user's taste. It
is a detection of leakage in the sense of Kaufman et al., "Leakage in Data Mining: Formulation,
Detection, and Avoidance", 2012: a result too good to be true. Recall is of full rankings (Krichene
and Rendle, "On Sampled Metrics for Item Recommendation", 2020).
"""

import pytest

from tablefree.experiments.task import Task

pytestmark = pytest.mark.untraced


@pytest.fixture(scope="module")
def results(lab, chance):
    """For each case of the design AUC and recall, less what chance gives."""
    aucs, recalls = {}, {}
    for case in lab.design:
        task = Task.from_interactions(lab.noise(case.seed, case.how), case.how)
        measures, logits = lab.trained(case, task)
        aucs[case] = chance.by_swaps(measures["test_auc"], logits)
        recalls[case] = chance.by_draws(measures["recall_20"], task, case.model)
    return aucs, recalls


@pytest.fixture
def leak(monkeypatch):
    """Negatives of training that avoid what the test part holds, as they did once."""
    monkeypatch.setattr(Task, "train_sampler", property(lambda task: task._test_sampler))


def test_noise_scores_one_half(results, at_level, chance):
    aucs, _ = results
    assert abs(chance.standard_errors(at_level(aucs))) < chance.tolerance


def test_noise_is_recalled_by_chance(results, at_level, chance):
    _, recalls = results
    assert abs(chance.standard_errors(at_level(recalls))) < chance.tolerance


@pytest.mark.usefixtures("leak")
@pytest.mark.parametrize("method", ["full_table", "sketch"])
def test_the_law_finds_negatives_that_know_the_test_part(lab, chance, method):
    aucs, recalls = [], []
    for seed in range(5):
        task = Task.from_interactions(lab.noise(seed))
        case = lab.Case(method, "gmf", "id", "random", seed)
        measures, logits = lab.trained(case, task, max_epochs=12)
        aucs.append(chance.by_swaps(measures["test_auc"], logits))
        recalls.append(chance.by_draws(measures["recall_20"], task, "gmf"))
    assert chance.standard_errors(aucs) > chance.tolerance
    assert chance.standard_errors(recalls) > chance.tolerance
