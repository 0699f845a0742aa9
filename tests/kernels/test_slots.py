import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.kernels import slots

EXTREMES = [0, 1, -1, 2**63 - 1, -(2**63)]
batches = st.lists(
    st.lists(st.sampled_from(EXTREMES) | st.integers(-50, 50), max_size=30, unique=True), max_size=8
)


def directory(num_sets: int, num_ways: int = 8) -> tuple[np.ndarray, np.ndarray]:
    shape = (num_sets, num_ways)
    return np.zeros(shape, np.int64), np.zeros(shape, np.uint8)


def array(*ids: int) -> np.ndarray:
    return np.array(ids, np.int64)


@settings(deadline=None, max_examples=50)
@given(batches, st.integers(1, 5))
def test_an_id_lies_in_one_slot_of_its_own(batches, num_sets):
    keys, counts = directory(num_sets)
    for batch in batches:
        ids = array(*batch)
        before = slots.find(ids, keys, counts)
        placed = slots.place(ids, keys, counts)
        found = slots.find(ids, keys, counts)
        assert np.array_equal(keys.ravel()[found[found >= 0]], ids[found >= 0])
        assert len(np.unique(found[found >= 0])) == (found >= 0).sum()
        assert np.array_equal(placed[placed >= 0], found[placed >= 0])
        # Who has no new slot had one, or lost it to another of the batch.
        assert ((placed >= 0) | (before >= 0) | (found < 0)).all()


def test_an_empty_slot_holds_no_id():
    assert slots.find(array(*EXTREMES), *directory(1)).tolist() == [-1] * len(EXTREMES)


def test_a_directory_fills_before_an_id_is_replaced():
    keys, counts = directory(1)
    for identifier in range(8):
        assert slots.place(array(identifier), keys, counts).item() >= 0
    assert sorted(keys.ravel()) == list(range(8))


def test_the_last_of_those_that_share_a_slot_has_it():
    keys, counts = directory(1, num_ways=1)
    assert slots.place(array(3, 4, 5), keys, counts).tolist() == [-1, -1, 0]
    assert slots.find(array(3, 4, 5), keys, counts).tolist() == [-1, -1, 0]


def test_a_hot_id_outlives_ids_that_come_once():
    keys, counts = directory(1)
    slots.place(array(7), keys, counts)
    for start in range(100, 2000, 10):
        assert slots.find(array(7), keys, counts).item() >= 0
        for identifier in range(start, start + 10):
            slots.place(array(identifier), keys, counts)


def test_an_id_that_was_hot_ages():
    keys, counts = directory(1)
    slots.place(array(7), keys, counts)
    slots.find(np.full(1000, 7), keys, counts)
    for identifier in range(100, 400):
        slots.place(array(identifier), keys, counts)
    assert slots.find(array(7), keys, counts).item() == -1
