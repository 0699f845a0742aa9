import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.data import NegativeSampler
from tablefree.errors import InputError


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_negative_is_never_a_known_positive(data):
    num_users, num_items = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 12))
    pair = st.tuples(st.integers(0, num_users - 1), st.integers(0, num_items - 2))
    pairs = data.draw(st.lists(pair))
    user, item = np.array(pairs, np.int64).reshape(-1, 2).T
    sampler = NegativeSampler(user, item, num_users, num_items)
    asked = np.repeat(np.arange(num_users), 50)
    candidates = data.draw(
        st.none()
        | st.lists(st.integers(0, num_items - 1), unique=True).map(
            lambda some: np.array([*dict.fromkeys([*some, num_items - 1])])
        )
    )
    drawn = sampler.sample(asked, np.random.default_rng(0), candidates)
    assert not set(zip(asked.tolist(), drawn.tolist(), strict=True)) & set(pairs)
    assert np.isin(drawn, np.arange(num_items) if candidates is None else candidates).all()


def test_draws_are_uniform_over_what_is_unknown_and_follow_the_generator():
    known = np.array([0, 1, 2, 3])
    sampler = NegativeSampler(np.zeros(4, np.int64), known, 1, 10)
    asked = np.zeros(60_000, np.int64)
    drawn = sampler.sample(asked, np.random.default_rng(5))
    share = np.bincount(drawn, minlength=10) / len(drawn)
    assert not share[:4].any()
    assert share[4:] == pytest.approx(1 / 6, abs=0.01)
    assert np.array_equal(drawn, sampler.sample(asked, np.random.default_rng(5)))
    assert not np.array_equal(drawn, sampler.sample(asked, np.random.default_rng(6)))


def test_a_user_to_whom_nearly_everything_is_known():
    num_items = 100_000
    free = np.array([7, 70_000])
    known = np.setdiff1d(np.arange(num_items), free)
    sampler = NegativeSampler(np.zeros(len(known), np.int64), known, 2, num_items)
    drawn = sampler.sample(np.array([0, 1] * 500), np.random.default_rng(0))
    assert set(drawn[::2].tolist()) == set(free.tolist())


def test_a_user_to_whom_everything_is_known():
    sampler = NegativeSampler(np.array([1, 1]), np.array([0, 1]), 2, 3)
    assert set(sampler.sample(np.array([1] * 20), np.random.default_rng(0))) == {2}
    with pytest.raises(InputError, match=r"every one of the 2 candidates .* at position 1"):
        sampler.sample(np.array([0, 1]), np.random.default_rng(0), np.array([0, 1]))


def test_nothing_asked_nothing_drawn():
    sampler = NegativeSampler(np.array([0]), np.array([0]), 1, 2)
    assert sampler.sample(np.array([], np.int64), np.random.default_rng(0)).shape == (0,)


def test_bad_input():
    one = np.array([0])
    with pytest.raises(InputError, match="as many users as items, got 1 and 2"):
        NegativeSampler(one, np.array([0, 1]), 1, 2)
    with pytest.raises(InputError, match=r"each item must be in 0\.\.1, got 2\.\.2"):
        NegativeSampler(one, np.array([2]), 1, 2)
    sampler = NegativeSampler(one, one, 1, 2)
    with pytest.raises(InputError, match=r"each user must be in 0\.\.0, got -1\.\.-1"):
        sampler.sample(np.array([-1]), np.random.default_rng(0))
    with pytest.raises(InputError, match=r"each candidate must be"):
        sampler.sample(one, np.random.default_rng(0), np.array([5]))
    with pytest.raises(InputError, match="no candidates"):
        sampler.sample(one, np.random.default_rng(0), np.array([], np.int64))
