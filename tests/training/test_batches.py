import numpy as np
import pytest
import torch

from tablefree.data import NegativeSampler
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
        return [part.tolist() for _ in range(2) for batch in batches for part in batch]

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
        row for batch in batches for row in zip(*(part.tolist() for part in batch), strict=True)
    ]
    assert sorted(found) == sorted(zip(*(part.tolist() for part in (*events, labels)), strict=True))


@pytest.mark.parametrize("labels", [None, np.ones(NUM_EVENTS, np.float32)])
def test_labels_or_negatives_but_not_both(make, labels):
    changes = {"labels": labels} | ({"negatives": None} if labels is None else {})
    with pytest.raises(ValueError, match="either labels or a source of negatives"):
        make(**changes)
