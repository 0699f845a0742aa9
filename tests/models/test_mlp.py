import pytest
import torch
from torch import nn

from tablefree.embeddings import FullTable
from tablefree.errors import InputError
from tablefree.models import MLP


def test_the_tower_halves_its_width():
    model = MLP(FullTable(5, 12), FullTable(7, 12))
    linear = [layer for layer in model.tower if isinstance(layer, nn.Linear)]
    shapes = [(layer.in_features, layer.out_features) for layer in linear]
    assert shapes == [(24, 12), (12, 6), (6, 3), (3, 1)]


def test_score_is_the_towers_output():
    model = MLP(FullTable(5, 8), FullTable(7, 8))
    users, items = torch.randn(6, 8), torch.randn(6, 8)
    *hidden, last = [layer for layer in model.tower if isinstance(layer, nn.Linear)]
    value = torch.cat([users, items], dim=1)
    for layer in hidden:
        value = (value @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(
        model.score(users, items), (value @ last.weight.T + last.bias).squeeze(1)
    )


def test_embeddings_too_narrow_to_be_halved_twice_are_refused():
    with pytest.raises(InputError, match="embedding_dim of at least 4, got 3"):
        MLP(FullTable(5, 3), FullTable(7, 3))
    assert MLP(FullTable(5, 4), FullTable(7, 4))(torch.tensor(0), torch.tensor(0)).shape == ()
