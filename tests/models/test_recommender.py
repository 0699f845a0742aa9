import pytest
import torch

from tablefree.embeddings import DeepHashEmbedding, FullTable, HashingTrick
from tablefree.errors import InputError
from tablefree.models import GMF, MLP


def embeddings(users_dim=8, items_dim=8):
    """A table of 5 users beside hashed items: two methods in one model."""
    users = FullTable(5, users_dim)
    return users, DeepHashEmbedding(items_dim, num_hashes=16, hidden=(16,), seed="item_id")


@pytest.mark.parametrize("kind", [GMF, MLP])
def test_widths_that_differ_are_refused(kind):
    with pytest.raises(InputError, match="one width, got 8 and 4: choose one embedding_dim"):
        kind(*embeddings(8, 4))


@pytest.mark.parametrize("kind", [GMF, MLP])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
def test_a_score_for_each_pair_of_any_two_methods(kind, shape):
    model = kind(*embeddings()).eval()
    users = torch.randint(5, shape)
    items = torch.randint(-(2**63), 2**63 - 1, shape)
    scores = model(users, items)
    assert scores.shape == shape
    torch.testing.assert_close(scores, model.score(model.users(users), model.items(items)))


@pytest.mark.parametrize("kind", [GMF, MLP])
def test_gradients_reach_every_parameter_of_both_embeddings(kind):
    torch.manual_seed(0)
    model = kind(*embeddings())
    model(torch.arange(5), torch.arange(5)).square().sum().backward()
    for name, parameter in model.named_parameters():
        # A bias before batch norm cancels out: its gradient is zero but for rounding.
        if name != "items.network.hidden.0.bias":
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", [GMF, MLP])
def test_one_embedding_may_serve_both_sides(kind):
    both = HashingTrick(20, 8, seed=0)
    assert len(list(kind(both, both).users.parameters())) == 1
