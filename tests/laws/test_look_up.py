"""Who knows nothing but the pairs of before scores .5 on the rest, exactly.

Guards against credit for memory: held-out pairs that repeat known ones, and negatives that known
pairs tell apart. In rankings the known pairs are no candidates, so that all that are left tie
(Krichene and Rendle, "On Sampled Metrics for Item Recommendation", 2020, rank what a user has not
had). Splits differ in what they repeat (Meng et al., "Exploring Data Splitting Strategies for the
Evaluation of Recommendation Models", 2020).
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tablefree.data import synthetic_interactions
from tablefree.embeddings import FullTable
from tablefree.experiments.evaluation import evaluate
from tablefree.experiments.task import Task
from tablefree.models import GMF

pytestmark = pytest.mark.untraced
SPLITS = ("random", "leave-last-out", "time", "cold-items", "cold-users")


def repeated(times, labelled):
    """Pairs of which every other has several events, at other times and with other labels."""
    data = synthetic_interactions(1_500, num_users=70, num_items=80)
    rng = np.random.default_rng(times)
    more = np.tile(np.arange(0, data.num_events, 2), times - 1)
    events = rng.permutation(np.concatenate([np.arange(data.num_events), more]))
    return replace(
        data,
        user=data.user[events],
        item=data.item[events],
        label=rng.integers(2, size=len(events)).astype(np.float32) if labelled else None,
        timestamp=rng.permutation(len(events)),
    )


def look_up(task, events):
    """A recommender that answers 1 for the pairs of some events, or their label; 0 for others."""
    data = task.interactions
    known = torch.zeros(data.num_users, data.num_items)
    labels = 1.0 if data.label is None else torch.from_numpy(2 * data.label[events] - 1)
    known[data.user[events], data.item[events]] = labels
    users, items = (FullTable(n, data.num_items) for n in (data.num_users, data.num_items))
    with torch.no_grad():
        users.rows.weight[:-1], items.rows.weight[:-1] = known, torch.eye(data.num_items)
    return GMF(users, items)


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("labelled", [False, True], ids=["implicit", "labelled"])
@pytest.mark.parametrize("knows_validation", [False, True], ids=["training", "validation-too"])
def test_a_look_up_of_known_pairs_scores_one_half(how, times, labelled, knows_validation, chance):
    task = Task.from_interactions(repeated(times, labelled), how)
    data, split = task.interactions, task.split
    events = np.concatenate([split.train, split.validation]) if knows_validation else split.train
    keys = (torch.arange(data.num_users), torch.arange(data.num_items))
    measures = evaluate(look_up(task, events), task, *keys)
    aucs = {
        name: value for name, value in measures.items() if name.startswith("test_auc") and value
    }
    assert set(aucs.values()) == {0.5}
    assert measures["recall_20"] == pytest.approx(chance.expected_recall(task, "gmf"))


@pytest.mark.parametrize("how", SPLITS)
@pytest.mark.parametrize("times", [1, 3])
def test_a_look_up_of_training_pairs_chooses_no_epoch(how, times):
    task = Task.from_interactions(repeated(times, labelled=False), how)
    model = look_up(task, task.split.train)
    users, items, _ = task.validation
    with torch.no_grad():
        assert not model(torch.from_numpy(users), torch.from_numpy(items)).any()
