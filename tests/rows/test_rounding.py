import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tablefree.rows.rounding import generator, rounded

CPU = torch.device("cpu")
MANY = 20_000
# Of the range of bfloat16, whose numbers are float32's with 16 bits less.
numbers = st.floats(-(2.0**100), 2.0**100, width=32)


def neighbours(value):
    """The numbers of bfloat16 next to a float32, towards zero and away from it."""
    bits = torch.tensor(value).view(torch.int32)
    inner = bits & -(2**16)
    outer = torch.where(bits == inner, inner, inner + 2**16)
    return float(inner.view(torch.float32)), float(outer.view(torch.float32))


@given(numbers, st.integers(0, 2**32 - 1))
def test_the_expectation_is_the_value(value, seed):
    inner, outer = neighbours(value)
    found = rounded(torch.full((MANY,), value), generator(seed, CPU)).double()
    assert set(found.tolist()) <= {inner, outer}
    error = float(found.mean()) - float(torch.tensor(value))
    # Six standard deviations of a mean of as many draws.
    assert abs(error) <= 6 * abs(outer - inner) / 2 / math.sqrt(MANY)


@given(numbers)
def test_what_bfloat16_has_stays(value):
    exact = torch.full((100,), value).bfloat16()
    assert torch.equal(rounded(exact.float(), generator(0, CPU)), exact)


def test_what_is_not_finite_stays():
    odd = torch.tensor([math.inf, -math.inf, math.nan]).repeat(1000)
    found = rounded(odd, generator(0, CPU))
    torch.testing.assert_close(found.float(), odd, equal_nan=True)


@pytest.mark.parametrize("shape", [(), (0, 4), (3, 5)])
def test_a_seed_decides_and_nothing_else_is_drawn(shape):
    values, state = torch.full(shape, 0.3), torch.random.get_rng_state()
    first, second = (rounded(values, generator(7, CPU)) for _ in range(2))
    assert first.shape == shape
    assert torch.equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_other_seeds_round_otherwise():
    values = torch.full((100,), 0.3)
    assert not torch.equal(*(rounded(values, generator(seed, CPU)) for seed in (1, 2)))
