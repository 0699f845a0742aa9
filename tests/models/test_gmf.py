import pytest
import torch

from tablefree.embeddings import FullTable
from tablefree.models import GMF


def test_starts_as_plain_matrix_factorisation():
    model = GMF(FullTable(5, 8), FullTable(7, 8))
    users, items = torch.tensor([0, 4]), torch.tensor([6, 2])
    torch.testing.assert_close(
        model(users, items), (model.users(users) * model.items(items)).sum(-1)
    )


def test_score_is_the_weighted_inner_product():
    model = GMF(FullTable(5, 3), FullTable(7, 3))
    with torch.no_grad():
        model.weight.copy_(torch.tensor([2.0, -1.0, 0.5]))
        model.bias.fill_(0.25)
    user, item = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([4.0, 5.0, 6.0])
    assert model.score(user, item).item() == pytest.approx(2 * 4 - 2 * 5 + 0.5 * 18 + 0.25)
