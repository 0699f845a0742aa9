import copy

import pytest
import torch
from torch import nn

from tablefree.rows import SMALLEST_SCALE, Rows


def decayed(*factors, **options):
    """Rows, and what a pass over all of them for each factor would have made of them."""
    rows = Rows(7, 3, **options)
    expected = rows.weight.detach().clone()
    for factor in factors:
        rows.decay(factor)
        expected *= factor
    return rows, expected


def test_rows_without_decay_are_an_embedding():
    torch.manual_seed(0)
    rows = Rows(7, 3)
    torch.manual_seed(0)
    plain = nn.Embedding(7, 3)
    indices = torch.tensor([[1, 6], [0, 1]])
    assert torch.equal(rows(indices), plain(indices))
    assert rows.state_dict().keys() == plain.state_dict().keys()


def test_decay_touches_no_row_and_every_lookup_sees_it():
    rows, expected = decayed(0.5, 0.3)
    before = rows.weight.detach().clone()
    indices = torch.tensor([[1, 6], [0, 1], [2, 2]])
    torch.testing.assert_close(rows(indices), expected[indices])
    torch.testing.assert_close(rows.sums(indices), expected[indices].sum(1))
    assert torch.equal(rows.weight, before)


def test_lookups_take_any_shape():
    rows, _ = decayed(0.5)
    assert rows(torch.tensor(3)).shape == (3,)
    assert rows(torch.empty(2, 0, dtype=torch.int64)).shape == (2, 0, 3)
    assert rows.sums(torch.empty(0, 4, dtype=torch.int64)).shape == (0, 3)


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("call", ["forward", "sums"])
def test_the_gradient_is_that_of_the_rows(call, sparse):
    rows, expected = decayed(0.25, sparse=sparse)
    expected.requires_grad_()
    indices = torch.tensor([[1, 6], [0, 1]])
    bags = expected[indices]
    (bags if call == "forward" else bags.sum(1)).pow(3).sum().backward()
    getattr(rows, call)(indices).pow(3).sum().backward()
    assert rows.weight.grad.is_sparse == sparse
    torch.testing.assert_close(rows.weight.grad.to_dense(), expected.grad)


def test_addition_is_to_the_decayed_rows():
    rows, expected = decayed(0.5)
    rows.add(torch.tensor([5, 2]), torch.ones(2, 3))
    expected[[2, 5]] += 1
    torch.testing.assert_close(rows(torch.arange(7)), expected)


@pytest.mark.parametrize("factor", [0.5, 0.0, -0.5])
def test_scales_stay_in_range(factor):
    rows, expected = decayed(*[factor] * 90)
    assert SMALLEST_SCALE <= rows.scale <= 1
    assert rows.weight.isfinite().all()
    torch.testing.assert_close(rows(torch.arange(7)), expected, atol=0, rtol=1e-6)


@pytest.mark.parametrize(
    "use",
    [
        lambda rows: rows.flush(),
        lambda rows: rows.eval(),
        lambda rows: nn.Sequential(rows).eval(),
        lambda rows: rows.state_dict(),
        lambda rows: nn.Sequential(rows).state_dict(),
        lambda rows: rows.to(torch.float32),
    ],
)
def test_the_weight_is_the_rows_after(use):
    rows, expected = decayed(0.3)
    use(rows)
    assert rows.scale == 1
    torch.testing.assert_close(rows.weight.detach(), expected)


def test_a_move_to_half_precision_does_not_overflow():
    rows, expected = decayed(*[0.5] * 40)
    torch.testing.assert_close(rows.half().weight.detach(), expected.half())


def test_training_mode_keeps_the_scale():
    rows, _ = decayed(0.3)
    assert rows.train().scale == 0.3


def test_loaded_weights_are_rows():
    rows, _ = decayed(0.3)
    plain = nn.Embedding(7, 3)
    rows.load_state_dict(plain.state_dict())
    assert torch.equal(rows(torch.arange(7)), plain.weight)


def test_a_checkpoint_without_the_rows_leaves_them():
    rows, expected = decayed(0.3)
    rows.load_state_dict({}, strict=False)
    torch.testing.assert_close(rows(torch.arange(7)), expected)


def test_copies_decay_apart():
    rows, expected = decayed(0.3)
    copied = copy.deepcopy(rows)
    rows.decay(0.5)
    torch.testing.assert_close(copied(torch.arange(7)), expected)
