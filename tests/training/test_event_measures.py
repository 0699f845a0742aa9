import math
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from tablefree.embeddings.jagged import Bags
from tablefree.fields.events import Events
from tablefree.training.event_measures import has_new_value, measures


def scored(seed, size, scale=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, size).astype(np.float32)
    labels[:2] = 0, 1
    logits = rng.normal(size=size, scale=scale).round(1) + labels  # with ties
    return torch.tensor(logits, dtype=torch.float32), torch.from_numpy(labels)


@given(seed=st.integers(0, 2**32), size=st.integers(2, 300))
@settings(max_examples=30, deadline=None)
def test_they_are_those_of_scikit_learn(seed, size):
    logits, labels = scored(seed, size)
    found, probabilities = measures(logits, labels), logits.double().sigmoid()
    loss = metrics.log_loss(labels, probabilities)
    base = metrics.log_loss(labels, torch.full_like(probabilities, float(labels.mean())))
    assert found.auc == pytest.approx(metrics.roc_auc_score(labels, logits), abs=1e-6)
    assert found.log_loss == pytest.approx(loss, rel=1e-5)
    assert found.normalized_entropy == pytest.approx(loss / base, rel=1e-5)


@given(positives=st.integers(1, 99))
@settings(max_examples=20, deadline=None)
def test_the_base_rate_for_all_has_normalized_entropy_1(positives):
    labels = torch.cat([torch.ones(positives), torch.zeros(100 - positives)])
    logit = math.log(positives / (100 - positives))
    found = measures(torch.full((100,), logit), labels)
    assert found.normalized_entropy == pytest.approx(1, abs=1e-5)
    assert found.auc == pytest.approx(0.5)
    assert found.calibration_error == pytest.approx(0, abs=1e-5)


def test_labels_of_one_class():
    found = measures(torch.zeros(3), torch.ones(3))
    assert math.isnan(found.auc)
    assert math.isnan(found.normalized_entropy)
    assert found.log_loss == pytest.approx(math.log(2))


def test_scores_of_a_model_that_diverged():
    found = measures(torch.tensor([float("nan"), 0.0]), torch.tensor([0.0, 1.0]))
    assert all(map(math.isnan, found))


def events(ids, bags):
    sizes = torch.tensor([0, *map(len, bags)]).cumsum(0)
    found = Bags(torch.tensor([*chain(*bags)], dtype=torch.int64), sizes)
    ids = torch.tensor(ids)
    return Events(("a", "b"), ids, {"bag": found}, np.zeros((len(ids), 0)), None, None, None)


def test_values_that_training_has_not():
    train = events([[1, 7], [2, 8]], [[5, 6], []])
    asked = events(
        [[1, 8], [3, 7], [1, 1], [2, 7], [2, 7], [2, 7], [1, 7]],
        [[6, 5], [], [], [], [5, 9], [9], [6]],
    )
    assert has_new_value(asked, train).tolist() == [False, True, True, False, True, True, False]
    assert not has_new_value(train, train).any()


def test_no_events_have_no_new_value():
    train = events([[1, 7]], [[5]])
    nothing = train.at(np.zeros(0, np.int64))
    assert has_new_value(nothing, train).tolist() == []
    assert has_new_value(train, nothing).all()
