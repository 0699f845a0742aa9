import itertools

import pytest
import torch

from tablefree.bench.timing import alternate

CPU = torch.device("cpu")


def calls(seconds):
    """Which call was made with which input, in order."""
    made = []
    times = alternate(
        lambda value: made.append(("ours", value)),
        lambda value: made.append(("against", value)),
        itertools.count(),
        seconds=seconds,
        device=CPU,
    )
    return made, times


def test_calls_go_by_turns_on_the_same_inputs():
    made, times = calls(0.0)
    assert made == [(who, value) for value in range(6) for who in ("ours", "against")]
    assert [len(taken) for taken in times] == [5, 5]  # all but the first of each


def test_it_goes_on_for_as_long_as_it_may():
    _, (ours, against) = calls(0.01)
    assert len(ours) == len(against) > 5
    assert min(ours + against) > 0


def test_an_error_of_a_call_is_raised():
    with pytest.raises(ZeroDivisionError):
        alternate(lambda _: 1 / 0, abs, itertools.repeat(1), seconds=0.0, device=CPU)
