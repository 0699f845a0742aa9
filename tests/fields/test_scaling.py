import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tablefree.fields.scaling import SPREAD, Scaling

NUMBERS = st.floats(-(2.0**127), 2.0**127, width=32)
FITTED = st.lists(NUMBERS | st.just(float("nan")) | st.integers(-3, 3), min_size=1, max_size=300)


@given(fitted=FITTED, asked=st.lists(NUMBERS, min_size=2, max_size=50))
@settings(max_examples=100, deadline=None)
def test_order_is_kept_within_bounds(fitted, asked):
    scaling = Scaling.fit(np.array(fitted, float))
    found = scaling(np.sort(np.array(asked)))[:, 0]
    assert (found.diff() >= 0).all()
    assert (found.abs() <= SPREAD + 1e-6).all()


@given(fitted=FITTED)
@settings(max_examples=50, deadline=None)
def test_a_missing_number_is_0_and_has_a_flag_if_training_had_one(fitted):
    fitted = np.array(fitted, float)
    scaling = Scaling.fit(fitted)
    found = scaling(np.array([np.nan, 1.0]))
    assert scaling.has_flag == np.isnan(fitted).any()
    assert found.shape == (2, scaling.width) == (2, 1 + scaling.has_flag)
    assert found.dtype == torch.float32
    assert found[0, 0] == 0
    if scaling.has_flag:
        assert found[:, 1].tolist() == [1, 0]


@given(fitted=FITTED, asked=st.lists(NUMBERS | st.just(float("nan")), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_it_comes_back_from_json(fitted, asked):
    scaling, asked = Scaling.fit(np.array(fitted, float)), np.array(asked)
    again = Scaling.from_config(json.loads(json.dumps(scaling.config())))
    assert again == scaling
    assert torch.equal(again(asked), scaling(asked))


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_units_and_zeros_do_not_matter(scale, shift, seed):
    numbers = np.random.default_rng(seed).normal(size=500)
    one, other = Scaling.fit(numbers), Scaling.fit(scale * numbers + shift)
    torch.testing.assert_close(one(numbers), other(scale * numbers + shift), atol=1e-4, rtol=0)


@pytest.mark.parametrize("skew", ["normal", "lognormal", "standard_cauchy"])
def test_what_it_was_fitted_on_has_mean_0_and_variance_1(skew):
    numbers = getattr(np.random.default_rng(0), skew)(size=20_000)
    found = Scaling.fit(numbers)(numbers)
    assert abs(float(found.mean())) < 0.03
    assert abs(float(found.std()) - 1) < 0.03


def test_ties_are_in_the_middle_of_their_ranks():
    numbers = np.array([0.0] * 900 + [*range(1, 101)])
    found = Scaling.fit(numbers)(np.array([0.0, 1.0, 50.0, 100.0]))[:, 0]
    assert abs(float(found[0]) - SPREAD * (0.9 - 1)) < 0.05
    assert found[1] > found[0]
    assert found[-1] == pytest.approx(SPREAD)
    flags = Scaling.fit(np.array([0.0] * 50 + [1.0] * 50))(np.array([0.0, 0.5, 1.0]))[:, 0]
    torch.testing.assert_close(flags, SPREAD * torch.tensor([-0.5, 0, 0.5]), atol=0.03, rtol=0)


@pytest.mark.parametrize("numbers", [[7.0], [7.0] * 100, [np.nan], [], [np.nan, 7.0]])
def test_one_value_or_none_tells_nothing(numbers):
    scaling = Scaling.fit(np.array(numbers))
    assert scaling(np.array([-1e30, 7.0, 1e30, np.nan]))[:, 0].tolist() == [0, 0, 0, 0]


def test_one_odd_number_does_not_move_the_others():
    numbers = np.random.default_rng(0).normal(size=1000)
    with_odd = Scaling.fit(np.append(numbers, 1e30))
    torch.testing.assert_close(with_odd(numbers), Scaling.fit(numbers)(numbers), atol=0.05, rtol=0)
