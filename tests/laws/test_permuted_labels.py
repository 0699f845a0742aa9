"""Permuted labels score .5, however much structure users, items and times have.

Guards against labels that reach a model by another way than training: what is left when a label is
permuted is leakage (Kaufman et al., "Leakage in Data Mining: Formulation, Detection, and
Avoidance", 2012).
"""

from dataclasses import replace

import numpy as np
import pytest

from tablefree.data import synthetic_interactions
from tablefree.experiments.task import Task

pytestmark = pytest.mark.untraced


def labelled(seed, permuted):
    """Popular items, tastes, and labels that follow the popularity of the item, unless permuted."""
    rng = np.random.default_rng(seed)
    data = synthetic_interactions(1_500, num_users=70, num_items=60, seed=seed)
    popularity = np.bincount(data.item)[data.item]
    label = (popularity + rng.normal(0, popularity.std(), len(popularity))) > popularity.mean()
    order = rng.permutation(len(label)) if permuted else slice(None)
    return replace(data, label=label[order].astype(np.float32))


def deviation(lab, chance, case, permuted=True):
    task = Task.from_interactions(labelled(case.seed, permuted), case.how)
    measures, logits = lab.trained(case, task)
    return chance.by_permutations(measures["test_auc"], logits, task.test.labels)


@pytest.fixture(scope="module")
def results(lab, chance):
    return {case: deviation(lab, chance, case) for case in lab.design}


def test_permuted_labels_score_one_half(results, at_level, chance):
    assert abs(chance.standard_errors(at_level(results))) < chance.tolerance


@pytest.mark.parametrize("method", ["full_table", "sketch"])
def test_the_same_labels_score_more_where_they_are(lab, chance, method):
    cases = [lab.Case(method, "gmf", "id", "random", seed) for seed in range(2)]
    deviations = [deviation(lab, chance, case, permuted=False) for case in cases]
    assert chance.standard_errors(deviations) > chance.tolerance
