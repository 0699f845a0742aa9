import pytest
import torch
from torch import nn
from torch.optim import AdamW, Muon

import tablefree
from tablefree.embeddings import DeepHashEmbedding, FullTable, SketchEmbedding
from tablefree.encodings import SketchEncoding
from tablefree.errors import InputError
from tablefree.models import GMF, MLP
from tablefree.training.optimizers import OPTIMIZERS, build_optimizers, parameter_groups

RATES = {
    "learning_rate": 0.1,
    "weight_decay": 0.2,
    "network_learning_rate": 0.01,
    "network_weight_decay": 0.02,
}


def mixed(kind):
    return kind(FullTable(9, 8), DeepHashEmbedding(8, num_hashes=16, hidden=(16, 12), seed=0))


def parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("kind", [GMF, MLP])
def test_every_parameter_is_in_one_optimizer_once(kind, name):
    model = mixed(kind)
    optimizers = build_optimizers(model, name, **RATES)
    found = [id(parameter) for one in optimizers for parameter in parameters(one)]
    assert sorted(found) == sorted(map(id, model.parameters()))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rows_and_networks_have_rates_of_their_own(name):
    model = mixed(MLP)
    rates = {
        id(parameter): (group["lr"], group["weight_decay"])
        for one in build_optimizers(model, name, **RATES)
        for group in one.param_groups
        for parameter in group["params"]
    }
    assert rates[id(model.users.rows.weight)] == (0.1, 0.2)
    for parameter in (*model.items.parameters(), *model.tower.parameters()):
        assert rates[id(parameter)] == (0.01, 0.02 if parameter.ndim > 1 else 0.0)


def test_the_groups_train_a_model_in_any_loop():
    torch.manual_seed(0)
    model = mixed(MLP)
    optimizer = torch.optim.AdamW(tablefree.parameter_groups(model))
    users, items = torch.arange(9), torch.arange(9) * 7
    losses = []
    for _ in range(60):
        loss = nn.functional.softplus(-model(users, items)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_groups_name_the_rows_of_every_method():
    for rows in (nn.Embedding(5, 2), nn.EmbeddingBag(5, 2), SketchEncoding(5, 2, seed=0)):
        (group,) = parameter_groups(nn.ModuleList([rows, rows]))
        assert group["name"] == "rows"
        assert [tuple(p.shape) for p in group["params"]] == [tuple(next(rows.parameters()).shape)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_changes_every_parameter(name):
    model = mixed(MLP)
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    optimizers = build_optimizers(model, name, **RATES)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    for one in optimizers:
        one.step()
    assert all(not torch.equal(value, before[key]) for key, value in model.named_parameters())


def test_muon_takes_the_hidden_matrices_of_embedding_networks_only():
    model = mixed(MLP)  # whose tower has matrices too
    adamw, muon = build_optimizers(model, "muon", **RATES)
    assert isinstance(adamw, AdamW)
    assert isinstance(muon, Muon)
    hidden = [layer.weight for layer in model.items.network.hidden if isinstance(layer, nn.Linear)]
    assert [id(one) for one in parameters(muon)] == [id(one) for one in hidden]


def test_muon_without_hidden_matrices_is_adamw_alone():
    model = MLP(FullTable(9, 8), FullTable(9, 8))
    (only,) = build_optimizers(model, "muon", **RATES)
    assert isinstance(only, AdamW)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="optimizer must be one of adamw, muon; got 'sgd'"):
        build_optimizers(mixed(GMF), "sgd", **RATES)


def test_sparse_rows_are_trained_as_dense_ones_are():
    weights = []
    for sparse in (False, True):
        torch.manual_seed(0)
        embedding = SketchEmbedding(8, num_rows=20, code_width=3, seed=0, sparse=sparse)
        optimizers = build_optimizers(embedding, "adamw", **RATES)
        for step in range(20):
            for one in optimizers:
                one.zero_grad()
            embedding(torch.arange(step, step + 5)).square().sum().backward()
            for one in optimizers:
                one.step()
        weights.append(embedding.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-3, atol=1e-4)
