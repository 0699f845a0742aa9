from itertools import combinations

import polars as pl
import pytest
import torch
from torch import nn

from tablefree import DLRM, EmbeddingCollection, FullTable, HashingTrick, hash_strings
from tablefree.errors import InputError


def collection(num_fields: int = 3, dim: int = 4) -> EmbeddingCollection:
    tables = {f"field_{number}": FullTable(10, dim) for number in range(num_fields)}
    return EmbeddingCollection.from_embeddings(tables)


def linear_shapes(module: nn.Module) -> list[tuple[int, int]]:
    linear = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    return [(layer.in_features, layer.out_features) for layer in linear]


def test_layers():
    model = DLRM(collection(), num_dense=5, bottom=(7, 6), top=(9,))
    assert linear_shapes(model.bottom) == [(5, 7), (7, 6), (6, 4)]
    assert linear_shapes(model.top) == [(4 + 6, 9), (9, 1)]  # 4 vectors make 6 pairs
    assert linear_shapes(DLRM(collection(), top=()).top) == [(3, 1)]


@pytest.mark.parametrize("num_dense", [0, 2])
def test_the_score_is_of_all_dot_products(num_dense):
    model = DLRM(collection(), num_dense)
    ids = torch.randint(10, (6, 3))
    dense = torch.randn(6, num_dense) if num_dense else None
    vectors = list(model.embeddings(ids).unbind(1))
    inputs = []
    if dense is not None:
        vector = model.bottom(dense)
        assert (vector >= 0).all()  # the last layer, too, has a ReLU
        vectors.insert(0, vector)
        inputs = [vector]
    inputs += [(a * b).sum(1, keepdim=True) for a, b in combinations(vectors, 2)]
    expected = model.top(torch.cat(inputs, dim=1)).squeeze(1)
    torch.testing.assert_close(model(ids, dense), expected)


def test_batches_of_any_shape():
    model = DLRM(collection(), num_dense=2)
    ids, dense = torch.randint(10, (2, 5, 3)), torch.randn(2, 5, 2)
    scores = model(ids, dense)
    assert scores.shape == (2, 5)
    torch.testing.assert_close(scores[1, 3], model(ids[1, 3], dense[1, 3]))


def test_a_table_of_raw_columns_and_bags():
    shape = {"method": "hashing_trick", "num_rows": 50, "embedding_dim": 4}
    bags = {"shared_with": "item", "pooling": "mean"}
    model = DLRM(EmbeddingCollection({"user": shape, "item": shape, "history": bags}))
    batch = {"user": ["ann", "bo"], "item": [3, 4], "history": [[4, 5], []]}
    scores = model(pl.DataFrame(batch))
    assert scores.shape == (2,)
    by_name = {
        "user": hash_strings(["ann"]),
        "item": torch.tensor([3]),
        "history": torch.tensor([[4, 5]]),
    }
    torch.testing.assert_close(scores[:1], model(by_name))


def test_every_parameter_learns():
    torch.manual_seed(0)
    model = DLRM(collection(), num_dense=2)
    ids = torch.randint(10, (64, 3))
    model(ids, torch.randn(64, 2)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_saved_and_loaded(tmp_path):
    tables = {"user": FullTable(9, 4), "item": HashingTrick(50, 4, seed="item")}
    model = DLRM(EmbeddingCollection.from_embeddings(tables), 2, bottom=(), top=(5,))
    model.save_pretrained(tmp_path)
    loaded = DLRM.from_pretrained(tmp_path)
    ids, dense = torch.tensor([[3, 1234], [9, 5]]), torch.randn(2, 2)
    assert torch.equal(loaded(ids, dense), model(ids, dense))


def test_what_cannot_be_is_refused():
    wide = {"user": FullTable(9, 4), "item": FullTable(9, 6)}
    with pytest.raises(InputError, match="embeddings of one width, got 4, 6: choose"):
        DLRM(EmbeddingCollection.from_embeddings(wide))
    with pytest.raises(InputError, match="needs two vectors, got one feature"):
        DLRM(collection(1))
    ids = torch.zeros(2, 3, dtype=torch.long)
    with pytest.raises(InputError, match="takes 2 dense features, got none"):
        DLRM(collection(), 2)(ids)
    with pytest.raises(InputError, match=r"takes 2 dense features, got shape \(2, 3\)"):
        DLRM(collection(), 2)(ids, torch.randn(2, 3))
    with pytest.raises(InputError, match=r"takes 0 dense features, got shape \(2, 3\)"):
        DLRM(collection())(ids, torch.randn(2, 3))
    assert DLRM(collection(1), 2)(ids[:, :1], torch.randn(2, 2)).shape == (2,)
