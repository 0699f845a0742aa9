import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from tablefree.embeddings import (
    DeepHashEmbedding,
    EmbeddingCollection,
    FullTable,
    HashEmbedding,
    HashingTrick,
    HybridHash,
    MultiHash,
    NarrowTable,
    QuotientRemainder,
)
from tablefree.embeddings.quantize import BITS, LARGEST, deployed_bytes, quantize_rows
from tablefree.errors import InputError
from tablefree.models import GMF

DIM = 8
EVERY = {
    "full table": lambda: FullTable(100, DIM),
    "narrow table": lambda: NarrowTable(100, DIM, rank=3),
    "hashing trick": lambda: HashingTrick(50, DIM, seed=0),
    "multi-hash": lambda: MultiHash(50, DIM, seed=0),
    "hash embedding": lambda: HashEmbedding(50, DIM, num_importance_rows=200, seed=0),
    "quotient-remainder": lambda: QuotientRemainder(50, DIM, num_quotients=9, seed=0),
    "hybrid hash": lambda: HybridHash(50, DIM, frequent_ids=torch.arange(0, 100, 3), seed=0),
    "deep hash": lambda: DeepHashEmbedding(DIM, num_hashes=16, hidden=(16, 16), seed=0),
}
every = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
dtypes = pytest.mark.parametrize("dtype", BITS)
IDS = torch.arange(100)


def table_of(rows):
    table = FullTable(len(rows) - 1, rows.shape[1])
    with torch.no_grad():
        table.rows.weight.copy_(rows)
    return table


@every
@dtypes
def test_the_copy_is_near_and_the_embedding_is_left_alone(make, dtype):
    embedding = make()
    before = copy.deepcopy(embedding.state_dict())
    rounded = quantize_rows(embedding, dtype)
    assert type(rounded) is type(embedding)
    assert embedding.training
    assert not rounded.training
    assert not any(parameter.requires_grad for parameter in rounded.parameters())
    for name, value in embedding.state_dict().items():
        assert torch.equal(value, before[name])
    expected, got = embedding.eval()(IDS), rounded(IDS)
    error = (got - expected).norm() / expected.norm()
    assert (
        error
        <= {"float32": 0.0, "float16": 1e-3, "int8": 0.02, "int4": 0.3, "codebook": 0.3}[dtype]
    )
    assert got.dtype == torch.float32


@every
@dtypes
def test_rounding_twice_is_rounding_once(make, dtype):
    once = quantize_rows(make(), dtype)
    torch.testing.assert_close(quantize_rows(once, dtype)(IDS), once(IDS), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", LARGEST)
@settings(deadline=None)
@given(rows=arrays("float32", (4, 5), elements=st.floats(-1e4, 1e4, width=32)))
def test_rows_are_whole_multiples_of_their_scale(dtype, rows):
    rows = torch.from_numpy(rows)
    rounded = quantize_rows(table_of(rows), dtype).rows.weight
    scale = (rows.abs().amax(dim=1, keepdim=True) / LARGEST[dtype]).half().float()
    steps = torch.where(scale > 0, rounded / scale, 0.0)
    torch.testing.assert_close(steps, steps.round())
    assert (steps.abs() <= LARGEST[dtype] * 1.0001).all()
    # Half a step, and what rounding the scale moves the largest step; 2**-24 is float16's least.
    allowed = scale / 2 + rows.abs() * 2**-11 + LARGEST[dtype] * 2**-25
    assert ((rounded - rows).abs() <= allowed * 1.0001).all()


@pytest.mark.parametrize("dtype", LARGEST)
def test_rows_of_zeros_and_of_the_smallest_numbers(dtype):
    rows = torch.tensor([[0.0, 0.0], [1e-30, -1e-30], [1.0, -1.0]])
    rounded = quantize_rows(table_of(rows), dtype).rows.weight
    assert torch.equal(rounded[:2], torch.zeros(2, 2))
    torch.testing.assert_close(rounded[2], rows[2], rtol=1e-3, atol=0)


def codebook_error(rows):
    rounded = quantize_rows(table_of(rows), "codebook").rows.weight
    assert len(rounded.unique()) <= 16
    return (rounded - rows).square().mean().item()


def test_a_codebook_is_the_best_for_a_normal_distribution():
    """Max, "Quantizing for Minimum Distortion", 1960: 16 levels have an error of .009497."""
    rows = torch.randn(100_000, 2, generator=torch.Generator().manual_seed(0))
    assert codebook_error(rows) == pytest.approx(0.0095, rel=0.02)


def test_a_codebook_is_not_wasted_on_equal_values_or_on_one_that_is_large():
    rows = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    alone = codebook_error(rows)
    among_zeros = torch.cat([rows, torch.zeros(3000, 2)])
    assert codebook_error(among_zeros) < alone
    with_a_large_one = torch.cat([rows, torch.tensor([[1e4, 0.0]])])
    assert codebook_error(with_a_large_one) < 1.3 * alone


@settings(deadline=None)
@given(rows=arrays("float32", (4, 4), elements=st.floats(-1e4, 1e4, width=32)))
def test_sixteen_values_are_a_codebook_of_their_own(rows):
    rows = torch.from_numpy(rows).half().float()
    assert torch.equal(quantize_rows(table_of(rows), "codebook").rows.weight, rows)


def test_a_decoder_is_float16_and_rows_are_smaller():
    table = NarrowTable(100, DIM, rank=3)
    rounded = quantize_rows(table, "int4")
    assert torch.equal(rounded.projection.weight, table.projection.weight.half().float())
    assert all(len(row.unique()) <= 3 for row in rounded.rows.weight)


def test_without_rows_the_networks_matrices_are_smaller():
    embedding = DeepHashEmbedding(DIM, num_hashes=64, hidden=(32,), seed=0)
    with torch.no_grad():
        embedding.network.output.bias.uniform_()
    network = quantize_rows(embedding, "int4").network
    for layer in (network.hidden[0], network.output):
        assert all(len(row.unique()) <= 15 for row in layer.weight)
    bias = embedding.network.output.bias
    assert torch.equal(network.output.bias, bias.half().float())


def test_a_recommender_keeps_what_its_embeddings_share():
    table = FullTable(100, DIM)
    model = GMF(table, table)
    rounded = quantize_rows(model, "int4")
    assert rounded.users is rounded.items is not table
    assert all(len(row.unique()) <= 15 for row in rounded.items.rows.weight)
    weight_and_bias = 2 * (DIM + 1)
    assert deployed_bytes(model, "int4", 0) == deployed_bytes(table, "int4", 0) + weight_and_bias


@pytest.mark.parametrize("others", [{}, {"table": EVERY["narrow table"]}], ids=["", "table"])
@dtypes
def test_a_collection_is_rounded_as_its_embeddings(others, dtype):
    """Stacked or not; beside a table the matrices of networks are its decoders."""
    makes = {"one": EVERY["deep hash"], "two": EVERY["deep hash"]} | others
    embeddings = nn.ModuleDict({name: make() for name, make in makes.items()}).eval()
    collection = EmbeddingCollection.from_embeddings(dict(embeddings.items()))
    assert len(collection.groups) == 1
    rounded, expected = quantize_rows(collection, dtype), quantize_rows(embeddings, dtype)
    for name, rows in rounded(dict.fromkeys(makes, IDS)).items():
        torch.testing.assert_close(rows, expected[name](IDS), rtol=1e-5, atol=1e-5)
    assert deployed_bytes(collection, dtype, 0) == deployed_bytes(embeddings, dtype, 0)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float32", 101 * 3 * 4 + 24 * 4 + 800),
        ("float16", 101 * 3 * 2 + 24 * 2 + 800),
        ("int8", 101 * (3 + 2) + 24 * 2 + 800),
        ("int4", 101 * (2 + 2) + 24 * 2 + 800),
        ("codebook", 101 * 2 + 16 * 2 + 24 * 2 + 800),
    ],
)
def test_bytes_of_a_table_with_a_projection(dtype, expected):
    assert deployed_bytes(NarrowTable(100, DIM, rank=3), dtype, 800) == expected


def test_bytes_of_a_network():
    embedding = DeepHashEmbedding(DIM, num_hashes=16, hidden=(16,), norm="none", seed=0)
    assert deployed_bytes(embedding, "float32", 0) == embedding.describe().num_bytes
    rows = 16 * (16 // 2 + 2) + DIM * (16 // 2 + 2)
    assert deployed_bytes(embedding, "int4", 0) == rows + 2 * (16 + DIM)


def test_frequent_ids_and_statistics_count_and_data_does_not():
    hybrid = HybridHash(50, DIM, frequent_ids=torch.arange(10), seed=0)
    assert deployed_bytes(hybrid, "int8", 0) == 60 * (DIM + 2) + 8 * 10
    hybrid.register_buffer("histories", torch.zeros(1000), persistent=False)
    assert deployed_bytes(hybrid, "int8", 0) == 60 * (DIM + 2) + 8 * 10


@every
def test_float32_bytes_are_those_of_the_embedding(make):
    embedding = make()
    assert deployed_bytes(embedding, "float32", 0) == embedding.describe().num_bytes


def test_other_dtypes_and_frozen_networks_are_refused():
    embedding = DeepHashEmbedding(DIM, num_hashes=16, hidden=(16,), seed=0)
    shape = embedding.config()
    for refused in (quantize_rows, lambda module, dtype: deployed_bytes(module, dtype, 0)):
        with pytest.raises(InputError, match="float32, float16, int8, int4, codebook; got 'int2'"):
            refused(embedding, "int2")
        with pytest.raises(InputError, match="quantize the trained module"):
            refused(nn.Sequential(embedding.freeze()), "int8")
        with pytest.raises(InputError, match="quantize the trained module"):
            refused(EmbeddingCollection({"a": shape, "b": shape}).freeze(), "int8")
