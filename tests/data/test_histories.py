import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.data.histories import Histories
from tablefree.errors import InputError

NUM_USERS, NUM_ITEMS = 6, 9
pairs = st.lists(st.tuples(st.integers(0, NUM_USERS - 1), st.integers(0, NUM_ITEMS - 1)))


def histories_of(events):
    user, item = np.array(events, np.int64).reshape(-1, 2).T
    return Histories(user, item, NUM_USERS, NUM_ITEMS)


def history(histories, user):
    return histories.items[histories.offsets[user] : histories.offsets[user + 1]].tolist()


@given(events=pairs)
def test_each_user_has_its_distinct_items(events):
    histories = histories_of(events)
    for user in range(NUM_USERS):
        assert history(histories, user) == sorted({item for one, item in events if one == user})


@settings(deadline=None)
@given(events=pairs, asked=pairs, seed=st.integers(0, 99))
def test_what_is_left_out(events, asked, seed):
    histories = histories_of(events)
    user, item = np.array(asked, np.int64).reshape(-1, 2).T
    places = histories.left_out(user, item, np.random.default_rng(seed))
    again = histories.left_out(user, item, np.random.default_rng(seed))
    assert places.tolist() == again.tolist()
    for (one, target), place in zip(asked, places.tolist(), strict=True):
        if not history(histories, one):
            assert place == -1
        else:  # every pair, positive or not, is one item short
            assert histories.offsets[one] <= place < histories.offsets[one + 1]
            if target in history(histories, one):
                assert histories.items[place] == target


def test_pairs_that_are_not_in_the_history_leave_out_any_item_of_it():
    histories = histories_of([(0, 5), (1, 1), (1, 3), (1, 8), (2, 0)])
    user, item = np.full(3000, 1), np.full(3000, 4)
    places = histories.left_out(user, item, np.random.default_rng(0))
    counts = np.bincount(histories.items[places], minlength=NUM_ITEMS)
    assert np.flatnonzero(counts).tolist() == [1, 3, 8]
    assert counts[[1, 3, 8]] == pytest.approx(1000, abs=100)


def test_there_may_be_no_events():
    histories = histories_of([])
    assert histories.offsets.tolist() == [0] * (NUM_USERS + 1)
    places = histories.left_out(np.array([2]), np.array([3]), np.random.default_rng(0))
    assert places.tolist() == [-1]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ((NUM_USERS, 0), "each user of a history must be in 0..5, got 6..6"),
        ((0, -1), "each item of a history must be in 0..8, got -1..-1"),
    ],
)
def test_events_out_of_range_are_refused(event, message):
    with pytest.raises(InputError, match=message):
        histories_of([event])
