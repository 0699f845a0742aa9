import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablefree.data import Vocabulary
from tablefree.errors import InputError

int64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(int64, unique=True), st.lists(int64))
def test_positions_are_a_bijection_and_the_rest_is_unknown(ids, others):
    vocabulary = Vocabulary(np.array(ids, np.int64))
    positions = vocabulary.lookup(np.array(ids, np.int64))
    assert sorted(positions.tolist()) == list(range(len(ids)))
    unknown = np.array([i for i in others if i not in set(ids)], np.int64)
    assert (vocabulary.lookup(unknown) == len(ids)).all()
    assert len(vocabulary) == len(ids)
    assert vocabulary.num_bytes == 8 * len(ids)


def test_the_order_of_the_ids_plays_no_part_and_shapes_are_kept():
    ids = np.array([[30, 10], [20, 99]])
    for order in ([10, 20, 30], [30, 10, 20]):
        assert Vocabulary(np.array(order)).lookup(ids).tolist() == [[2, 0], [1, 3]]


def test_bad_input():
    with pytest.raises(InputError, match=r"distinct ids, got 5 twice: pass numpy.unique"):
        Vocabulary(np.array([5, 1, 5]))
    with pytest.raises(InputError, match="one-dimensional int64 array, got float64 of shape"):
        Vocabulary(np.array([5.0]))
