"""What all models over many fields do."""

import json

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

import tablefree
from tablefree import (
    DCN,
    DLRM,
    CheckpointError,
    DeepFM,
    EmbeddingCollection,
    FullTable,
    HashingTrick,
    InputError,
    hash_strings,
)

MODELS = (DLRM, DeepFM, DCN)
FIELDS = ("user", "item", "city")
SHAPES = {
    "full_table": {"method": "full_table", "num_embeddings": 99, "embedding_dim": 8},
    "hashing_trick": {"method": "hashing_trick", "num_rows": 50, "embedding_dim": 8},
    "deep_hash": {"method": "deep_hash", "embedding_dim": 8, "num_hashes": 16, "hidden": [8]},
    "claimed_rows": {
        "method": "claimed_rows",
        "capacity": 128,
        "embedding_dim": 8,
        "num_rows": 64,
    },
}

each_model = pytest.mark.parametrize("kind", MODELS)
each_method = pytest.mark.parametrize("method", SHAPES)


def collection(method: str = "full_table") -> EmbeddingCollection:
    return EmbeddingCollection(dict.fromkeys(FIELDS, SHAPES[method]))


def batch(size: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randint(99, (size, 3)), torch.randn(size, 2)


def steps(model: nn.Module, *inputs, count: int = 3) -> list[float]:
    optimizer = tablefree.optimizers(model)
    losses = []
    for _ in range(count):
        optimizer.zero_grad()
        loss = (model(*inputs) - 1).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@each_model
def test_batches_of_any_shape(kind):
    model = kind(collection(), num_dense=2)
    ids, dense = torch.randint(99, (2, 5, 3)), torch.randn(2, 5, 2)
    scores = model(ids, dense)
    assert scores.shape == (2, 5)
    torch.testing.assert_close(scores[1, 3], model(ids[1, 3], dense[1, 3]))
    assert model(ids[:, :0], dense[:, :0]).shape == (2, 0)


@each_model
def test_a_table_of_raw_columns_and_bags(kind):
    shape = SHAPES["hashing_trick"]
    bags = {"shared_with": "item", "pooling": "mean"}
    model = kind(EmbeddingCollection({"user": shape, "item": shape, "history": bags}))
    rows = {"user": ["ann", "bo"], "item": [3, 4], "history": [[4, 5], []]}
    scores = model(pl.DataFrame(rows))
    assert scores.shape == (2,)
    by_name = {
        "user": hash_strings(["ann"]),
        "item": torch.tensor([3]),
        "history": torch.tensor([[4, 5]]),
    }
    torch.testing.assert_close(scores[:1], model(by_name))


@each_method
@each_model
def test_every_parameter_learns(kind, method):
    torch.manual_seed(0)
    model = kind(collection(method), num_dense=2)
    inputs = batch()
    model(*inputs).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())
    before = [parameter.clone() for parameter in model.parameters()]
    losses = steps(model, *inputs, count=10)
    assert losses[-1] < losses[0]
    assert not any(map(torch.equal, before, model.parameters()))


@each_model
def test_saved_and_loaded(kind, tmp_path):
    tables = {"user": FullTable(9, 4), "item": HashingTrick(50, 4, seed="item")}
    sizes = {name: 3 if name == "num_crosses" else np.array([5]) for name in kind.sizes}
    model = kind(EmbeddingCollection.from_embeddings(tables), 2, **sizes)
    model.save_pretrained(tmp_path)
    loaded = kind.from_pretrained(tmp_path)
    ids, dense = torch.tensor([[3, 1234], [9, 5]]), torch.randn(2, 2)
    assert torch.equal(loaded(ids, dense), model(ids, dense))
    assert loaded.saved_config() == model.saved_config()
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved.keys() >= {"features", "num_dense", *sizes}
    for other in {*MODELS} - {kind}:
        with pytest.raises(CheckpointError):
            other.from_pretrained(tmp_path)


@each_method
@each_model
def test_it_is_packed(kind, method, tmp_path):
    torch.manual_seed(0)
    model = kind(collection(method), num_dense=2)
    ids, dense = batch()
    steps(model, ids, dense)
    packed = tablefree.pack(model, form="int8")
    expected = model.eval()(ids, dense)
    torch.testing.assert_close(packed(ids, dense), expected, rtol=0, atol=0.05)
    if method != "deep_hash":  # which has no rows
        assert tablefree.packed_bytes(packed.embeddings) < tablefree.packed_bytes(model.embeddings)
    packed.save_pretrained(tmp_path)
    assert torch.equal(kind.from_pretrained(tmp_path)(ids, dense), packed(ids, dense))


@each_model
def test_rows_learn_in_few_bytes(kind):
    model = kind(collection("hashing_trick"), num_dense=2)
    tablefree.hold_rows(model)
    losses = steps(model, *batch(), count=10)
    assert losses[-1] < losses[0]


@each_model
def test_numbers_of_any_float(kind):
    model = kind(collection(), num_dense=2)
    ids, dense = batch()
    assert torch.equal(model(ids, dense.double()), model(ids, dense))
    half = model.to(torch.bfloat16)
    assert half(ids, dense).dtype == torch.bfloat16


@each_model
@pytest.mark.parametrize("wrong", [FullTable(9, 4), {"user": SHAPES["full_table"]}, None])
def test_what_is_no_collection_is_refused(kind, wrong):
    with pytest.raises(InputError, match=f"an EmbeddingCollection, got {type(wrong).__name__}"):
        kind(wrong)


@each_model
def test_sizes_that_are_none_are_refused(kind):
    for num_dense in (-1, 10**30, 2.0, None, "2"):
        with pytest.raises(InputError, match=f"num_dense must be .* got {num_dense!r}"):
            kind(collection(), num_dense)
    (name, *_) = [name for name in kind.sizes if name != "num_crosses"]
    for width in (0, -1, 2.0, None, "2"):
        with pytest.raises(
            InputError, match=f"width must be an integer of at least 1, got {width!r}"
        ):
            kind(collection(), 2, **{name: (4, width)})
    with pytest.raises(InputError, match="GiB, and this machine has"):
        kind(collection(), 2, **{name: (2**24, 2**24)})


@each_model
def test_dense_features_that_do_not_fit_are_refused(kind):
    model = kind(collection(), 2)
    ids, dense = batch(4)
    with pytest.raises(InputError, match="takes 2 dense features, got none"):
        model(ids)
    for wrong, shape in (
        (dense[:, :1], r"\(4, 1\)"),
        (dense.T, r"\(2, 4\)"),
        (dense[0, 0], r"\(\)"),
    ):
        with pytest.raises(InputError, match=f"takes 2 dense features, got shape {shape}"):
            model(ids, wrong)
    with pytest.raises(InputError, match=r"takes 0 dense features, got shape \(4, 2\)"):
        kind(collection())(ids, dense)
    for wrong in (dense.tolist(), dense.numpy()):
        with pytest.raises(InputError, match=f"are a tensor of floats, got {type(wrong).__name__}"):
            model(ids, wrong)
    for wrong in (dense.long(), dense > 0):
        with pytest.raises(InputError, match=r"are floats, got torch\.\w+: pass \.float"):
            model(ids, wrong)
    for wrong in (dense[:3], dense[:1], dense[None]):
        with pytest.raises(
            InputError, match=r"the same rows, got ids of shape \(4,\) and the dense"
        ):
            model(ids, wrong)


@each_model
def test_features_of_different_rows_are_refused(kind):
    model = kind(collection(), 2)
    ids, dense = batch(4)
    named = dict(zip(FIELDS, ids.unbind(1), strict=True))
    torch.testing.assert_close(model(named, dense), model(ids, dense))
    said = r"got feature 'user' of shape \(4,\) and feature 'city' of shape \(3,\)"
    with pytest.raises(InputError, match=said):
        model(named | {"city": ids[:3, 2]}, dense)
    with pytest.raises(InputError, match="and the dense features of shape"):
        model(named, dense[:3])
    with pytest.raises(InputError, match=r"missing feature\(s\) 'city'"):
        model({"user": ids[:, 0], "item": ids[:, 1]}, dense)
    bags = torch.nested.nested_tensor(list(ids[:, :2]), layout=torch.jagged)
    with pytest.raises(InputError, match=r"feature 'item' has bags of ids, .* give it a pooling"):
        model(named | {"item": bags}, dense)
