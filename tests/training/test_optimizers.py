import copy
import pickle

import lightning
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.optim import AdamW, Muon
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import DataLoader

import tablefree
from tablefree.embeddings import (
    DeepHashEmbedding,
    EmbeddingCollection,
    FullTable,
    SketchEmbedding,
)
from tablefree.encodings import SketchEncoding
from tablefree.errors import InputError
from tablefree.models import GMF, MLP
from tablefree.training.optimizers import (
    OPTIMIZERS,
    build_optimizers,
    optimizers,
    parameter_groups,
    training_bytes,
)

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


def sparse_model():
    torch.manual_seed(0)
    kinds = {"num_rows": 9, "code_width": 3, "capacity": 160}
    return GMF(
        SketchEmbedding(8, seed="user", sparse=True, **kinds),
        SketchEmbedding(8, seed="item", sparse=False, **kinds),
    )


def batches(number=12):
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(60, (2, 16), generator=generator) for _ in range(number)]


def loss_of(model, batch):
    labels = (batch.sum(0) % 2).float()
    return nn.functional.binary_cross_entropy_with_logits(model(*batch), labels)


def train(model, optimizer, some, schedule=None):
    for batch in some:
        optimizer.zero_grad()
        loss = loss_of(model, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
        if schedule is not None:
            schedule.step()
    return loss.item()


def equal(one, other):
    return all(map(torch.equal, one.state_dict().values(), other.state_dict().values()))


def close(one, other):
    """Lightning adds up the norms of gradients in another order."""
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[name], rtol=1e-3, atol=1e-4)


def make(model, name="adamw"):
    return tablefree.optimizers(model, learning_rate=0.1, weight_decay=1.0, optimizer=name)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_optimizers_are_one_and_each_of_them(name):
    one, other = sparse_model(), sparse_model()
    together, apart = make(one, name), make(other, name)
    assert len(apart) == len(list(apart)) == (2 if name == "adamw" else 3)
    found = [id(p) for group in together.param_groups for p in group["params"]]
    assert sorted(found) == sorted(map(id, one.parameters()))
    for batch in batches():
        together.zero_grad()
        for part in apart:
            part.zero_grad()
        together.step(lambda: loss_of(one, batch).backward())  # noqa: B023
        loss_of(other, batch).backward()
        for part in apart:
            part.step()
    assert equal(one, other)
    assert set(together.state) == set(one.parameters())


def resumed_from_states(model, optimizer, schedule, folder):
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    torch.save({name: part.state_dict() for name, part in parts.items()}, folder / "saved")
    model, saved = sparse_model(), torch.load(folder / "saved")
    optimizer = make(model)
    schedule = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for name, part in {"model": model, "optimizer": optimizer, "schedule": schedule}.items():
        part.load_state_dict(saved[name])
    return model, optimizer, schedule


COPIES = {
    "states": resumed_from_states,
    "deepcopy": lambda *parts: copy.deepcopy(parts[:3]),
    "pickle": lambda *parts: (*pickle.loads(pickle.dumps(parts[:2])), None),
}


@pytest.mark.parametrize("copied", COPIES)
def test_a_training_resumes_to_the_bit(copied, tmp_path):
    model = sparse_model()
    optimizer = make(model)
    schedule = None
    if copied != "pickle":  # a schedule of a lambda cannot be
        schedule = LambdaLR(optimizer, lambda step: 1 / (1 + step))
    train(model, optimizer, batches()[:6], schedule)
    parts = COPIES[copied](model, optimizer, schedule, tmp_path)
    train(model, optimizer, batches()[6:], schedule)
    train(parts[0], parts[1], batches()[6:], parts[2])
    assert equal(model, parts[0])


def test_the_average_of_a_training_is_as_good_as_the_training():
    model = sparse_model()
    optimizer, averaged = make(model), AveragedModel(model)
    for epoch in range(30):
        loss = train(model, optimizer, batches())
        if epoch >= 20:
            averaged.update_parameters(model)
    assert model.users.encoding.rows.scale == 1  # who averages the weight has put it in
    losses = [loss_of(averaged.eval(), batch).item() for batch in batches()]
    assert max(losses) < 2 * loss + 0.5


def test_a_functional_call_computes_what_the_model_does():
    model = sparse_model()
    train(model, make(model), batches())
    assert model.users.encoding.rows.scale < 1
    (batch,) = batches(1)
    for detach in (True, False):
        parameters = {k: v.detach() if detach else v for k, v in model.named_parameters()}
        scores = functional_call(model, parameters, tuple(batch))
        torch.testing.assert_close(scores, model(*batch))


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.model = sparse_model()

    def configure_optimizers(self):
        return make(self.model)

    def training_step(self, batch):
        return loss_of(self.model, batch)


@pytest.mark.filterwarnings("ignore:.*(many workers|treespec|logging interval|isinstance)")
def test_lightning_trains_as_a_loop_does(tmp_path):
    module = Module()
    options = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_model_summary": False}
    options |= {"enable_progress_bar": False, "gradient_clip_val": 0.1, "max_epochs": 1}
    trainer = lightning.Trainer(**options, enable_checkpointing=False)
    trainer.fit(module, DataLoader(batches(), batch_size=None))
    model = sparse_model()
    train(model, make(model), batches())
    close(module.model, model)
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    other = Module()
    other.model.load_state_dict(module.model.state_dict())
    options["max_epochs"] = 2
    trainer = lightning.Trainer(**options, enable_checkpointing=False)
    trainer.fit(other, DataLoader(batches(), batch_size=None), ckpt_path=tmp_path / "saved.ckpt")
    optimizer = make(model)
    optimizer.load_state_dict(module.optimizers().state_dict())
    train(model, optimizer, batches())
    close(other.model, model)


def test_groups_go_by_role_and_not_by_shape():
    shape = {"method": "deep_hash", "embedding_dim": 4, "num_hashes": 8, "hidden": [6]}
    collection = EmbeddingCollection({"a": shape, "b": shape})
    model = nn.ModuleList(
        [collection, nn.LSTM(3, 3), nn.MultiheadAttention(4, 2), nn.LayerNorm((2, 3))]
    )
    groups = {group["name"]: group for group in parameter_groups(model, network_weight_decay=0.1)}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    decays = {
        names[id(p)]: group["weight_decay"] for group in groups.values() for p in group["params"]
    }
    for name, decay in decays.items():
        is_gain = "hidden.1" in name or name.startswith("3.")
        assert (decay == 0) == ("bias" in name or is_gain), name
    assert 0.1 in decays.values()


def test_groups_of_sparse_rows_are_refused_at_once():
    with pytest.raises(InputError, match=r"use tablefree.optimizers\(model\)"):
        parameter_groups(sparse_model())


def test_nothing_to_train_and_wrong_states_are_refused():
    with pytest.raises(InputError, match="no parameters"):
        tablefree.optimizers(nn.ReLU())
    optimizer = make(sparse_model())
    with pytest.raises(InputError, match="of 0 optimizers, and these are 2"):
        optimizer.load_state_dict({})
    with pytest.raises(InputError, match="which of the 2 optimizers"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
@pytest.mark.parametrize("make", [optimizers, parameter_groups])
def test_rates_that_are_negative_or_not_finite_are_refused(make, value):
    for name in ("learning_rate", "network_learning_rate", "weight_decay", "network_weight_decay"):
        with pytest.raises(InputError, match="must be at least 0 and finite"):
            make(tablefree.HashingTrick(4, 2, seed=0), **{name: value})


def test_bytes_of_a_training_are_those_of_its_tensors():
    model = tablefree.ClaimedRows(160, 32, num_rows=5, seed=0)
    num_rows, buffers = 160 + 4 * 5, sum(buffer.nbytes for buffer in model.buffers())
    assert training_bytes(model) == num_rows * 128 + buffers
    tablefree.hold_rows(model)
    optimizer = tablefree.optimizers(model, row_moments="row")
    model(torch.arange(100)).sum().backward()
    optimizer.step()
    scale = model.rows.scale
    assert training_bytes(model, optimizer) == num_rows * (64 + 4) + buffers
    assert model.rows.scale == scale < 1  # who asks costs no pass over the rows


def test_what_is_shared_counts_once():
    table = nn.Linear(3, 3, bias=False)
    assert training_bytes(nn.ModuleList([table, table])) == 36


def test_a_moment_for_each_row_needs_sparse_gradients():
    model = GMF(FullTable(9, 8), FullTable(9, 8))
    with pytest.raises(InputError, match=r"2 of the weights .* call tablefree.hold_rows\(model\)"):
        tablefree.optimizers(model, row_moments="row")
    with pytest.raises(InputError, match="row_moments must be one of number, row; got 'column'"):
        tablefree.optimizers(model, row_moments="column")
