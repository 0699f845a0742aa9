import pytest
import torch
from torch import nn

import tablefree
from tablefree import HashingTrick, InputError, convert, materialize
from tablefree.conversion.to_embeddings import CONVERSION_METHODS
from tablefree.embeddings import build


def test_a_model_becomes_one_with_tables_that_computes_the_same(ranker, batch):
    tables = {name: str(module) for name, module in ranker.named_modules()}
    model, report = convert(ranker, method="quotient_remainder")
    assert len(report.replaced) == 4
    scores = model(*batch)
    assert materialize(model) is model
    assert {name: str(module) for name, module in model.named_modules()} == tables
    torch.testing.assert_close(model(*batch), scores)
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("method", CONVERSION_METHODS)
def test_tiles_make_the_rows_of_evaluation(method, monkeypatch):
    monkeypatch.setitem(materialize.__globals__, "_TILE", 37)
    converted, _ = convert(nn.Embedding(1000, 8, padding_idx=999), method=method, size=1)
    converted.train()
    table = materialize(converted)
    assert table.training
    assert converted.training
    assert converted.embedding.training
    expected = converted.eval()(torch.arange(1000))
    torch.testing.assert_close(table.weight, expected, rtol=1e-5, atol=1e-6)
    assert not table.weight[999].any()
    assert table.padding_idx == 999


def test_frozen_stays_frozen():
    converted, _ = convert(nn.Embedding(1000, 8))
    table = materialize(converted.requires_grad_(False).eval())
    assert not table.weight.requires_grad
    assert not table.training


def test_an_embedding_alone_gives_the_rows_of_ids():
    embedding = HashingTrick(100, 8, seed="tag")
    ids = torch.tensor([7, -7, 2**60])
    table = materialize(embedding, ids)
    assert torch.equal(table(torch.arange(3)), embedding(ids))


def test_a_model_without_converted_tables_stays():
    model = nn.Sequential(nn.Embedding(5, 2))
    assert materialize(model)[0] is model[0]


def test_ids_are_for_an_embedding_alone():
    narrow = build("narrow_table", num_parameters=100, num_embeddings=20, embedding_dim=4, seed=0)
    with pytest.raises(InputError, match="say of which to make a table"):
        materialize(narrow)
    with pytest.raises(InputError, match="ids are for one tablefree Embedding"):
        materialize(nn.Sequential(narrow), torch.arange(3))
    with pytest.raises(InputError, match=r"of one dimension, a row each; got \(1, 2\)"):
        materialize(narrow, torch.tensor([[3, 4]]))
    frozen = tablefree.DeepHashEmbedding(4, num_hashes=8, hidden=(4,), seed=0).freeze()
    with pytest.raises(InputError, match="without weights of its own, as a frozen one"):
        materialize(frozen, torch.arange(3))
