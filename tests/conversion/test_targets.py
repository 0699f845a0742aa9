import pytest
import torch
from torch import nn

from tablefree import FullTable, HashingTrick, InputError, distill

TABLE = torch.randn(5, 4)
BAD = {
    "has no rows": (torch.zeros(0, 4), {}),
    "rows of 4 numbers, .* shape \\(5, 3\\)": (torch.zeros(5, 3), {}),
    "of floats": (torch.zeros(5, 4, dtype=torch.int64), {}),
    "the table must be finite": (torch.full((5, 4), float("nan")), {}),
    "must be a tensor or an nn.Embedding, got FullTable": (FullTable(5, 4), {}),
    "ids must have shape \\(5,\\), got \\(4,\\)": (TABLE, {"ids": torch.arange(4)}),
    "ids must be an integer tensor": (TABLE, {"ids": torch.rand(5)}),
    "distinct, got 1 different ones of 5": (TABLE, {"ids": torch.zeros(5, dtype=torch.int64)}),
    "weights must have shape": (TABLE, {"weights": torch.ones(5, 1)}),
    "weights must be finite": (TABLE, {"weights": torch.full((5,), float("inf"))}),
    "weights must be at least 0": (TABLE, {"weights": torch.tensor([1, 1, 1, 1, -1])}),
    "and some above 0": (TABLE, {"weights": torch.zeros(5)}),
}


@pytest.mark.parametrize("message", BAD)
def test_what_does_not_fit_is_refused(message):
    table, options = BAD[message]
    with pytest.raises(InputError, match=message):
        distill(table, FullTable(5, 4), steps=1, seed=0, **options)


def _trick():
    torch.manual_seed(0)
    return HashingTrick(3, 4, seed=0)


def test_an_embedding_counts_by_its_rows():
    table = nn.Embedding(5, 4)
    table.weight.requires_grad_(False)
    fits = [
        distill(one, _trick(), steps=3, seed=0).variance_kept
        for one in (table, table.weight, table.weight.double())
    ]
    assert fits == [fits[0]] * 3
