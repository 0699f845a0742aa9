import pytest
import torch

from tablefree.bench.case import Case, Measurement, Shape, dtype_text, measure, parse_hidden
from tablefree.errors import InputError


def shape(hidden=(4,), batch=3):
    return Shape(batch, 8, hidden, torch.device("cpu"))


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("512-512", [(512, 512)]),
        ("8", [(8,)]),
        ("512-512, 1800-1800-1800", [(512, 512), (1800, 1800, 1800)]),
    ],
)
def test_networks_are_read(text, networks):
    assert parse_hidden(text) == networks


@pytest.mark.parametrize("text", ["512-x", "", "8,", "8--8", "0", "8-0", "-8", "1.5", "²"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(InputError, match=r"such as 512-512, got '"):
        parse_hidden(text)


@pytest.mark.parametrize(
    ("hidden", "name"),
    [((512, 512), "512-512"), ((1800,) * 5, "5x1800"), ((8, 4, 8), "8-4-8"), ((), "")],
)
def test_a_network_has_a_short_name(hidden, name):
    assert shape(hidden).network == name


def test_a_shape_makes_what_it_says():
    assert shape((6, 5)).widths == (8, 6, 5, 32)
    ids = shape(batch=100).distinct_ids()
    assert ids.dtype == torch.int64
    assert len(ids.unique()) == 100
    assert shape().embedding()(ids).shape == (100, 32)


def test_sizes_below_one_are_refused():
    with pytest.raises(InputError, match="batch must be an integer of at least 1, got 0"):
        shape(batch=0)


def test_dtypes_have_their_names():
    assert dtype_text(torch.bfloat16) == "bfloat16"


def test_measuring_draws_the_same_and_leaves_the_random_state():
    before = torch.random.get_rng_state()
    drawn = []

    def measured(seconds):
        drawn.append(torch.rand(()).item())
        return Measurement([seconds], [1.0])

    case = Case("a / b", "group", shape(), torch.float32, measured)
    assert measure(case, 2.0).ours == [2.0]
    measure(case, 2.0)
    assert drawn[0] == drawn[1]
    assert torch.equal(torch.random.get_rng_state(), before)
