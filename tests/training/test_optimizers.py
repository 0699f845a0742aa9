import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

from tablefree.embeddings import DeepHashEmbedding, FullTable
from tablefree.errors import InputError
from tablefree.models import GMF, MLP
from tablefree.training.optimizers import OPTIMIZERS, build_optimizers


def mixed(kind):
    return kind(FullTable(9, 8), DeepHashEmbedding(8, num_hashes=16, hidden=(16, 12), seed=0))


def parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("kind", [GMF, MLP])
def test_every_parameter_is_in_one_optimizer_once(kind, name):
    model = mixed(kind)
    optimizers = build_optimizers(model, name, learning_rate=0.1, weight_decay=0.2)
    found = [id(parameter) for one in optimizers for parameter in parameters(one)]
    assert sorted(found) == sorted(map(id, model.parameters()))
    for one in optimizers:
        assert one.defaults["lr"] == 0.1
        assert one.defaults["weight_decay"] == 0.2


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_changes_every_parameter(name):
    model = mixed(MLP)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    optimizers = build_optimizers(model, name, learning_rate=0.1, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    for one in optimizers:
        one.step()
    assert all(not torch.equal(value, before[key]) for key, value in model.named_parameters())


def test_muon_takes_the_hidden_matrices_of_embedding_networks_only():
    model = mixed(MLP)  # whose tower has matrices too
    adamw, muon = build_optimizers(model, "muon", learning_rate=0.1, weight_decay=0.0)
    assert isinstance(adamw, AdamW)
    assert isinstance(muon, Muon)
    hidden = [layer.weight for layer in model.items.network.hidden if isinstance(layer, nn.Linear)]
    assert [id(one) for one in parameters(muon)] == [id(one) for one in hidden]


def test_muon_without_hidden_matrices_is_adamw_alone():
    model = MLP(FullTable(9, 8), FullTable(9, 8))
    (only,) = build_optimizers(model, "muon", learning_rate=0.1, weight_decay=0.0)
    assert isinstance(only, AdamW)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="optimizer must be one of adamw, muon; got 'sgd'"):
        build_optimizers(mixed(GMF), "sgd", learning_rate=0.1, weight_decay=0.0)
