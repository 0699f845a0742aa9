import numpy as np
import pytest
import torch

from tablefree.data import NegativeSampler
from tablefree.data.histories import Histories
from tablefree.training.batches import Negatives, TrainingBatches

NUM_USERS, NUM_ITEMS, NUM_EVENTS = 20, 50, 103
CANDIDATES = np.arange(5, 45)
USER_KEYS = torch.arange(NUM_USERS) * -(10**17)  # 64-bit ids, as hashing methods take them
ITEM_KEYS = torch.arange(NUM_ITEMS) * 10**17


@pytest.fixture
def events():
    rng = np.random.default_rng(0)
    return np.divmod(rng.permutation(NUM_USERS * NUM_ITEMS)[:NUM_EVENTS], NUM_ITEMS)


@pytest.fixture
def make(events):
    def batches(**changes):
        users, items = events
        sampler = NegativeSampler(users, items, NUM_USERS, NUM_ITEMS)
        options = {
            "labels": None,
            "user_keys": torch.arange(NUM_USERS),
            "item_keys": torch.arange(NUM_ITEMS),
            "negatives": Negatives(sampler, CANDIDATES, per_positive=3),
            "batch_size": 16,
            "seed": 0,
        }
        return TrainingBatches(users, items, **options | changes)

    return batches


def pairs(batches, label):
    """All pairs of one label in one epoch, batch after batch."""
    parts = [
        torch.stack([batch.users, batch.items], dim=1)[batch.labels == label] for batch in batches
    ]
    return torch.cat(parts).tolist()


def test_each_positive_occurs_once_an_epoch(make, events):
    batches = make()
    expected = sorted(map(list, zip(*(part.tolist() for part in events), strict=True)))
    first, second = pairs(batches, 1), pairs(batches, 1)
    assert sorted(first) == sorted(second) == expected
    assert first != second


def test_negatives_are_fresh_each_epoch_and_never_a_known_positive(make, events):
    batches = make()
    known = set(zip(*(part.tolist() for part in events), strict=True))
    first, second = pairs(batches, 0), pairs(batches, 0)
    assert sorted(first) != sorted(second)
    drawn = set(map(tuple, first + second))
    assert not drawn & known
    assert {item for _, item in drawn} == set(CANDIDATES.tolist())


def test_each_positive_comes_with_negatives_of_its_user(make):
    for batch in make():
        positives = batch.users[batch.labels == 1]
        assert torch.equal(batch.users[batch.labels == 0], positives.repeat_interleave(3))


def test_the_last_batch_holds_what_is_left(make):
    batches = make()
    sizes = [len(batch.labels) for batch in batches]
    assert sizes == [16 * 4] * 6 + [7 * 4]
    assert len(batches) == 7
    assert len(make(batch_size=NUM_EVENTS)) == len(list(make(batch_size=NUM_EVENTS))) == 1


def test_batches_are_a_function_of_seed_and_epoch(make):
    def two_epochs(seed):
        batches = make(seed=seed)
        return [part.tolist() for _ in range(2) for batch in batches for part in batch[:3]]

    assert two_epochs(3) == two_epochs(3)
    assert two_epochs(3) != two_epochs(4)


def test_keys_stand_for_positions(make):
    positions, keys = list(make()), list(make(user_keys=USER_KEYS, item_keys=ITEM_KEYS))
    for by_position, by_key in zip(positions, keys, strict=True):
        assert torch.equal(by_key.users, USER_KEYS[by_position.users])
        assert torch.equal(by_key.items, ITEM_KEYS[by_position.items])
        assert by_key.users.dtype == torch.int64
        assert by_key.labels.dtype == torch.float32


def test_explicit_labels_stay_with_their_events(make, events):
    labels = (np.arange(NUM_EVENTS) % 3 == 0).astype(np.float32)
    batches = make(labels=labels, negatives=None)
    found = [
        row for batch in batches for row in zip(*(part.tolist() for part in batch[:3]), strict=True)
    ]
    assert sorted(found) == sorted(zip(*(part.tolist() for part in (*events, labels)), strict=True))


@pytest.mark.parametrize("labels", [None, np.ones(NUM_EVENTS, np.float32)])
def test_labels_or_negatives_but_not_both(make, labels):
    changes = {"labels": labels} | ({"negatives": None} if labels is None else {})
    with pytest.raises(ValueError, match="either labels or a source of negatives"):
        make(**changes)


def test_without_histories_nothing_is_left_out(make):
    assert all(batch.left_out is None for batch in make())


def test_each_pair_leaves_out_one_item_of_its_user(make, events):
    histories = Histories(*events, NUM_USERS, NUM_ITEMS)
    alone = {user for user in range(NUM_USERS) if np.diff(histories.offsets)[user] == 1}
    seen_alone = set()
    for batch in make(histories=histories):
        starts, ends = (torch.from_numpy(histories.offsets)[batch.users + one] for one in (0, 1))
        # One item short, whatever the label: not even the size of a history tells it.
        assert ((batch.left_out >= starts) & (batch.left_out < ends)).all()
        left_out = torch.from_numpy(histories.items)[batch.left_out]
        is_positive = batch.labels == 1
        assert torch.equal(left_out[is_positive], batch.items[is_positive])
        assert (left_out != batch.items)[~is_positive].all()
        seen_alone |= alone & set(batch.users.tolist())
    assert seen_alone == alone


def test_histories_change_neither_the_order_nor_the_first_negatives(make, events):
    plain = next(iter(make()))
    batch = next(iter(make(histories=Histories(*events, NUM_USERS, NUM_ITEMS))))
    assert all(map(torch.equal, plain[:3], batch[:3]))


def test_what_is_left_out_is_a_function_of_the_seed(make, events):
    def left_out(seed):
        batches = make(seed=seed, histories=Histories(*events, NUM_USERS, NUM_ITEMS))
        return torch.cat([batch.left_out for batch in batches]).tolist()

    assert left_out(3) == left_out(3)
    assert left_out(3) != left_out(4)


def test_labelled_pairs_leave_out_what_they_ask_about_where_it_is_liked(make, events):
    users, items = events
    labels = (np.arange(NUM_EVENTS) % 3 == 0).astype(np.float32)
    liked = labels == 1
    histories = Histories(users[liked], items[liked], NUM_USERS, NUM_ITEMS)
    for batch in make(labels=labels, negatives=None, histories=histories):
        is_empty = torch.from_numpy(np.diff(histories.offsets) == 0)[batch.users]
        assert torch.equal(batch.left_out == -1, is_empty)
        is_positive = batch.labels == 1
        left_out = torch.from_numpy(histories.items)[batch.left_out[is_positive]]
        assert torch.equal(left_out, batch.items[is_positive])
