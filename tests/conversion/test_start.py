import warnings

import pytest
import torch
from torch import nn

from tablefree import convert
from tablefree.conversion.start import looks_trained

INITIALS = [
    nn.init.normal_,
    nn.init.uniform_,  # from 0 to 1: not around 0
    nn.init.xavier_uniform_,
    nn.init.kaiming_normal_,
    nn.init.trunc_normal_,
    nn.init.zeros_,
    lambda weight: nn.init.normal_(weight, std=1e-4),
]


def trained(rows=1000, width=16):
    """A table after steps towards what a model of matrices would want of it."""
    table, goal = nn.Embedding(rows, width), torch.randn(rows, 3) @ torch.randn(3, width)
    optimizer = torch.optim.Adam(table.parameters(), lr=0.1)
    for _ in range(20):
        optimizer.zero_grad()
        (table.weight - goal).square().mean().backward()
        optimizer.step()
    return table


@pytest.mark.parametrize("initial", INITIALS)
@pytest.mark.parametrize(("rows", "width"), [(1000, 1), (1000, 64), (5000, 8)])
def test_what_is_only_initialised_does_not_look_trained(initial, rows, width):
    table = nn.Embedding(rows, width, padding_idx=0)
    initial(table.weight.data)
    assert not looks_trained(table)
    assert not looks_trained(table.to(torch.bfloat16))


def test_what_learnt_looks_trained():
    assert looks_trained(trained())


def test_discarding_what_was_learnt_is_said():
    with pytest.warns(UserWarning, match=r"rows of 0 look trained and are discarded: pass distill"):
        convert(nn.Sequential(trained()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        convert(nn.Sequential(trained()), distill=False)
        convert(nn.Sequential(trained()), distill={"steps": 2})
        convert(nn.Sequential(nn.Embedding(1000, 16)))
