import pytest
import torch
from torch import nn

from tablefree import HashingTrick, InputError
from tablefree.conversion import (
    ConvertedEmbedding,
    ConvertedEmbeddingBag,
    MissingTableError,
    convert,
    materialize,
)
from tablefree.embeddings import build


def hashed():
    return HashingTrick(100, 4, seed="tag")


def sketch():
    return build("sketch", num_parameters=2000, num_embeddings=500, embedding_dim=4, seed="tag")


def test_it_has_the_attributes_and_the_call_of_a_table():
    embedding = ConvertedEmbedding(hashed(), 500, padding_idx=2)
    assert (embedding.num_embeddings, embedding.embedding_dim, embedding.padding_idx) == (500, 4, 2)
    assert repr(embedding).startswith("ConvertedEmbedding(\n  500, 4, padding_idx=2\n")
    assert "500, 4, mode='mean'" in repr(ConvertedEmbeddingBag(hashed(), 500, mode="mean"))
    for shape in ((), (0,), (2, 3)):
        ids = torch.zeros(shape, dtype=torch.int32)
        assert embedding(input=ids).shape == (*shape, 4)


def test_padding_is_zeros_and_has_no_gradient():
    embedding = ConvertedEmbedding(hashed(), 500, padding_idx=2)
    rows = embedding(torch.tensor([2, 3, 2]))
    assert not rows[[0, 2]].any()
    assert torch.equal(rows[1], embedding.embedding(torch.tensor(3)))
    rows.sum().backward()
    touched = embedding.embedding.rows.weight.grad.any(1).nonzero().flatten()
    assert touched.tolist() == embedding.embedding.buckets(torch.tensor([3]))[0].tolist()


@pytest.mark.parametrize("kind", [ConvertedEmbedding, ConvertedEmbeddingBag])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_rows_have_the_dtype_of_the_module(kind, dtype):
    module = kind(sketch(), 500).to(dtype)
    assert module(torch.tensor([[1, 2]])).dtype == dtype
    assert materialize(module).weight.dtype == dtype


@pytest.mark.parametrize("kind", [ConvertedEmbedding, ConvertedEmbeddingBag])
def test_autocast_leaves_the_dtype_as_it_does_a_lookup(kind):
    module = kind(sketch(), 500)
    with torch.autocast("cpu", torch.bfloat16):
        assert module(torch.tensor([[1, 2]])).dtype == torch.float32


@pytest.mark.parametrize("kind", [ConvertedEmbedding, ConvertedEmbeddingBag])
def test_there_is_no_weight(kind):
    module = kind(hashed(), 500)
    assert not hasattr(module, "weight")
    with pytest.raises(MissingTableError, match=r"tablefree\.materialize\(module\)\.weight"):
        module.weight  # noqa: B018
    with pytest.raises(InputError, match="call the module with ids"):
        module.weight  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'bias'"):
        module.bias  # noqa: B018


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("include_last_offset", [False, True])
def test_a_bag_pools_as_the_table_of_its_rows(mode, include_last_offset):
    options = {"mode": mode, "include_last_offset": include_last_offset, "padding_idx": 7}
    bag, _ = convert(nn.EmbeddingBag(1000, 8, **options), method="multi_hash")
    table = materialize(bag)
    assert isinstance(table, nn.EmbeddingBag)
    assert {name: getattr(table, name) for name in options} == options
    ids, offsets = torch.arange(11) % 9, torch.tensor([0, 3, 3, 9, 11])
    weights = torch.rand(11) if mode == "sum" else None
    torch.testing.assert_close(bag(ids, offsets, weights), table(ids, offsets, weights))
    torch.testing.assert_close(bag(input=ids[:9].view(3, 3)), table(input=ids[:9].view(3, 3)))
