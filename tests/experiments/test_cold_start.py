import numpy as np
import pytest

from tablefree.data import synthetic_interactions
from tablefree.errors import InputError
from tablefree.experiments.cold_start import EVENTS, FEWEST_EVENTS, ColdStart
from tablefree.experiments.learner import CONTENDERS, Learner


@pytest.fixture(scope="module", params=["item", "user"])
def cold(request):
    return ColdStart(synthetic_interactions(3_000, num_users=120, num_items=100), request.param)


def new_ids(cold, values):
    return (values.item if cold.hold_out == "item" else values.user)[cold.revealed]


def test_held_out_ids_have_no_event_before_they_are_revealed(cold):
    data = cold.task.interactions
    held_out = new_ids(cold, data)
    assert (held_out == held_out[:, :1]).all()
    counts = np.bincount(data.item if cold.hold_out == "item" else data.user)
    assert (counts[held_out] >= FEWEST_EVENTS).all()
    side = cold.task.items if cold.hold_out == "item" else cold.task.users
    assert (side.train_counts[held_out] == 0).all()
    parts = np.concatenate(
        [cold.task.split.train, cold.task.split.validation, cold.task.split.test]
    )
    assert len(np.unique(parts)) == len(parts)
    assert not np.isin(
        np.unique(held_out), (data.item, data.user)[cold.hold_out == "user"][parts]
    ).any()


def test_test_pairs_are_of_new_ids_and_never_revealed(cold):
    data = cold.task.interactions
    held_out = np.unique(new_ids(cold, data))
    revealed = data.user[cold.revealed] * data.num_items + data.item[cold.revealed]
    users, items, labels = cold.among_new
    assert not np.isin(users * data.num_items + items, revealed).any()
    new, partners = (items, users) if cold.hold_out == "item" else (users, items)
    assert np.isin(new, held_out).all()
    half = len(labels) // 2
    assert (partners[:half] == partners[half:]).all()
    # Of partners of all new ids only the comparison's pairs tell.
    pairs = users * data.num_items + items
    compared = cold.among_all.users * data.num_items + cold.among_all.items
    assert np.isin(pairs[:half], compared[cold.among_all.labels > 0]).all()


def test_old_pairs_hold_no_new_id(cold):
    data = cold.task.interactions
    held_out = np.unique(new_ids(cold, data))
    assert not np.isin((cold.kept.items, cold.kept.users)[cold.hold_out == "user"], held_out).any()


def test_histories_do_not_go_on_learning_and_forget_nothing(cold):
    contender = next(c for c in CONTENDERS if c.history == cold.hold_out)
    run = contender.run(10, size=2, seed=0, embedding_dim=16, max_epochs=1)
    learner = Learner(contender, run, cold.task)
    learner.learn()
    steps = list(cold.steps(learner))
    assert [step["step"] for step in steps] == list(EVENTS)
    assert len({step["auc_kept"] for step in steps}) == 1
    assert len({step["auc_new"] for step in steps}) > len(EVENTS) / 2  # some may coincide
    # Equal scores, but for the rounding of products in batches of other sizes.
    assert steps[0]["auc_new"] == pytest.approx(0.5, abs=1e-3)


def test_a_table_knows_nothing_of_ids_without_events():
    cold = ColdStart(synthetic_interactions(3_000, num_users=120, num_items=100), "item")
    contender = CONTENDERS[0]
    run = contender.run(10, size=1, seed=0, embedding_dim=8, max_epochs=1)
    learner = Learner(contender, run, cold.task)
    learner.learn()
    aucs = [step["auc_new"] for step in cold.steps(learner)]
    assert aucs[0] == 0.5
    assert 0.5 not in aucs[1:]


def test_too_few_frequent_ids_are_refused():
    data = synthetic_interactions(1_000, num_users=200, num_items=100)
    with pytest.raises(InputError, match="users with at least 20"):
        ColdStart(data, "user")
