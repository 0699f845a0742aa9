"""`torch.nn.EmbeddingBag` over the materialised table is the law."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tablefree.embeddings import DeepHashEmbedding, FullTable, HashingTrick, MultiHash
from tablefree.embeddings.bag import EmbeddingBag
from tablefree.embeddings.jagged import Bags
from tablefree.errors import InputError

NUM_IDS = 6
WIDTH = 4
MODES = ("sum", "mean", "max")


class Counted(HashingTrick):
    """Remembers what it was called with."""

    def forward(self, ids):
        self.last = ids
        return super().forward(ids)


def embedding_of(name, dtype=torch.float32):
    torch.manual_seed(0)
    embedding = {
        "full_table": lambda: FullTable(NUM_IDS - 1, WIDTH),
        "multi_hash": lambda: MultiHash(5, WIDTH, seed=0),
        "deep_hash": lambda: DeepHashEmbedding(WIDTH, num_hashes=8, hidden=(6,), seed=0),
    }[name]()
    return embedding.to(dtype).eval()


def jagged(values, sizes):
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    return torch.nested.nested_tensor_from_jagged(values, offsets)


@st.composite
def inputs(draw):
    """Ids, offsets and weights of bags of 0 to 4 ids, or of a bag a row."""
    mode = draw(st.sampled_from(MODES))
    integer = draw(st.sampled_from((torch.int32, torch.int64)))
    dtype = draw(st.sampled_from((torch.float32, torch.float64)))
    includes_last = draw(st.booleans())
    sizes = draw(st.lists(st.integers(0, 4), max_size=5))
    is_flat = draw(st.booleans())
    if not is_flat:
        sizes = [draw(st.integers(1, 4))] * len(sizes)
    count = sum(sizes)
    id_list = draw(st.lists(st.integers(0, NUM_IDS - 1), min_size=count, max_size=count))
    ids = torch.tensor(id_list, dtype=integer)
    offsets, shape = None, (len(sizes), -1) if sizes else (0, 3)
    if is_flat:
        bounds = torch.tensor([0, *sizes], dtype=integer).cumsum(0, dtype=integer)
        offsets, shape = bounds if includes_last else bounds[:-1], (-1,)
    weights = None
    if mode == "sum" and draw(st.booleans()):
        weight_list = draw(st.lists(st.floats(-2, 2), min_size=count, max_size=count))
        weights = torch.tensor(weight_list, dtype=dtype).reshape(shape)
    padding_idx = draw(st.none() | st.integers(0, NUM_IDS - 1))
    options = {"mode": mode, "padding_idx": padding_idx, "include_last_offset": includes_last}
    return ids.reshape(shape), offsets, weights, dtype, options


@pytest.mark.parametrize("name", ["full_table", "multi_hash", "deep_hash"])
@given(drawn=inputs())
@settings(max_examples=40, deadline=None)
def test_it_is_torchs_bag_over_the_materialised_table(name, drawn):
    ids, offsets, weights, dtype, options = drawn
    embedding = embedding_of(name, dtype)
    table = embedding(torch.arange(NUM_IDS))
    law = nn.EmbeddingBag.from_pretrained(table.detach().clone(), freeze=False, **options)
    both = [None if weights is None else weights.clone().requires_grad_() for _ in range(2)]

    bag = EmbeddingBag(embedding, **options)
    pooled, expected = bag(ids, offsets, both[0]), law(ids, offsets, both[1])
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, expected, rtol=0, atol=1e-6)

    grad = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    pooled.backward(grad)
    gradients = [parameter.grad for parameter in embedding.parameters()]
    embedding.zero_grad()
    expected.backward(grad)
    table.backward(law.weight.grad)
    for one, parameter in zip(gradients, embedding.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-5, atol=1e-6)
    if weights is not None:
        torch.testing.assert_close(both[0].grad, both[1].grad, rtol=0, atol=1e-6)


@given(sizes=st.lists(st.integers(0, 3), min_size=1, max_size=5), mode=st.sampled_from(MODES))
@settings(max_examples=30, deadline=None)
def test_nested_tensors_are_bags_with_offsets(sizes, mode):
    ids = torch.arange(sum(sizes)) % 4 - 2
    bag = EmbeddingBag(MultiHash(5, WIDTH, seed=0), mode=mode, include_last_offset=True)
    offsets = torch.tensor([0, *sizes]).cumsum(0)
    assert torch.equal(bag(jagged(ids, sizes)), bag(ids, offsets))
    if mode == "sum":
        flat = torch.linspace(-1, 1, len(ids)).requires_grad_()
        weights = flat.detach().clone().requires_grad_()
        pooled = bag(jagged(ids, sizes), per_sample_weights=jagged(weights, sizes))
        expected = bag(ids, offsets, flat)
        assert torch.equal(pooled, expected)
        for one in (pooled, expected):
            one.square().sum().backward()
        assert torch.equal(weights.grad, flat.grad)


def test_holes_of_a_nested_tensor_are_no_ids():
    starts, lengths = torch.tensor([0, 1, 0]), torch.tensor([2, 0, 1])
    ids = torch.nested.narrow(
        torch.arange(12).reshape(3, 4), 1, starts, lengths, layout=torch.jagged
    )
    bag = EmbeddingBag(MultiHash(5, WIDTH, seed=0))
    assert torch.equal(bag(ids), bag(torch.tensor([0, 1, 8]), torch.tensor([0, 2, 2])))


@pytest.mark.parametrize("padding", [-1, 2**63 + 7, "<pad>"])
def test_padding_is_any_id_and_each_other_id_is_embedded_once(padding):
    embedding = Counted(50, WIDTH, seed=0)
    bag = EmbeddingBag(embedding, mode="mean", padding_idx=padding)
    pad = bag.padding_idx
    ids = torch.tensor([[5, pad, 5, 9], [pad, pad, pad, pad], [-(2**63), 9, pad, pad]])
    pooled = bag(ids)
    assert embedding.last.tolist() == [-(2**63), 5, 9]
    assert not pooled[1].any()
    torch.testing.assert_close(pooled[0], embedding(torch.tensor([5, 5, 9])).mean(0))


def test_empty_rows_are_empty_bags():
    bag = EmbeddingBag(FullTable(5, WIDTH))
    assert torch.equal(bag(torch.empty(3, 0, dtype=torch.int64)), torch.zeros(3, WIDTH))
    none = torch.empty(0, dtype=torch.int32)
    assert bag(none, none).shape == (0, WIDTH)


def test_weights_are_cast_to_the_dtype_of_the_embeddings():
    bag = EmbeddingBag(MultiHash(5, WIDTH, seed=0))
    weights = torch.tensor([[0.1, 0.2]], dtype=torch.float64, requires_grad=True)
    pooled = bag(torch.tensor([[3, 4]]), per_sample_weights=weights)
    assert pooled.dtype == torch.float32
    pooled.sum().backward()
    assert weights.grad.dtype == torch.float64


@pytest.mark.parametrize("mode", MODES)
def test_bfloat16(mode):
    bag = EmbeddingBag(embedding_of("deep_hash"), mode=mode)
    ids, offsets = torch.arange(40) % 6, torch.tensor([0, 3, 30])
    half = copy.deepcopy(bag).bfloat16()(ids, offsets)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), bag(ids, offsets), rtol=0.05, atol=0.02)


def test_it_compiles():
    bag = EmbeddingBag(embedding_of("deep_hash"), mode="mean", padding_idx=2)
    ids, offsets = torch.tensor([3, 1, 2, 3]), torch.tensor([0, 1, 1])
    compiled = torch.compile(bag, backend="aot_eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(ids, offsets), bag(ids, offsets))


def test_the_weights_are_those_of_the_embedding():
    bag = EmbeddingBag(FullTable(5, WIDTH), mode="max", padding_idx=0)
    assert list(bag.state_dict()) == ["embedding.rows.weight"]
    assert "mode='max', padding_idx=0, include_last_offset=False" in repr(bag)


IDS = torch.tensor([1, 2, 3, 4])


def offsets_of(*offsets):
    return torch.tensor(offsets, dtype=torch.int64)


@pytest.mark.parametrize(
    ("ids", "offsets", "named"),
    [
        (IDS, None, r"ids without offsets must have a bag a row.*got shape \(4,\)"),
        (IDS, offsets_of(1, 2), "begin with 0, .*; got 1"),
        (IDS, offsets_of(), "begin with 0, .*; got none"),
        (IDS, offsets_of(0, 3, 2), "not decrease; got 2 after 3 at position 2"),
        (IDS, offsets_of(0, 5), "not exceed the number of ids, 4; got 5 at position 1"),
        (IDS, offsets_of(0, 2)[:, None], r"one dimension.*got shape \(2, 1\)"),
        (IDS, offsets_of(0, 2).float(), "int32 or int64.*float32"),
        (IDS, [0, 2], "offsets must be a tensor.*got list"),
        (IDS.float(), offsets_of(0, 2), "ids must be an integer tensor, got torch.float32"),
        (IDS.bool(), offsets_of(0, 2), "got torch.bool"),
        (IDS.view(2, 2).double(), None, "got torch.float64"),
        (
            IDS.view(2, 2),
            offsets_of(0, 2),
            "ids of 2 dimensions .*take no offsets.*pass no offsets",
        ),
        (jagged(IDS, [1, 3]), offsets_of(0, 2), "take no offsets"),
        (jagged(IDS.float(), [1, 3]), None, "got torch.float32"),
        (jagged(IDS.view(4, 1), [1, 3]), None, "nested tensor .*got shape"),
        (IDS.view(1, 2, 2), None, r"\[bags, size\].*got shape \(1, 2, 2\)"),
        (IDS[0], None, r"\[bags, size\].*got shape \(\)"),
        ([[1, 2]], None, "got list: convert them with to_ids"),
    ],
)
def test_ids_and_offsets_that_are_no_bags_are_refused(ids, offsets, named):
    with pytest.raises(InputError, match=named):
        EmbeddingBag(FullTable(5, WIDTH))(ids, offsets)


@pytest.mark.parametrize("last", [3, 5])
def test_a_last_offset_is_the_number_of_ids(last):
    bag = EmbeddingBag(FullTable(5, WIDTH), include_last_offset=True)
    with pytest.raises(InputError, match=f"the number of ids, 4; got {last}"):
        bag(IDS, offsets_of(0, last))


@pytest.mark.parametrize(
    ("ids", "weights", "named"),
    [
        (IDS, torch.ones(3), r"shape of ids, \(4,\); got shape \(3,\)"),
        (IDS, torch.ones(2, 2), r"got shape \(2, 2\)"),
        (IDS, IDS, "floats.*int64"),
        (IDS, [1.0], "floats.*got list"),
        (IDS.view(2, 2), torch.ones(4), r"shape of ids, \(2, 2\)"),
        (jagged(IDS, [1, 3]), torch.ones(4), "weights must be a nested tensor"),
        (jagged(IDS, [1, 3]), jagged(torch.ones(4), [2, 2]), r"sizes of ids, \[1, 3\]; got \[2, 2"),
    ],
)
def test_weights_of_another_shape_are_refused(ids, weights, named):
    offsets = offsets_of(0, 2) if ids.ndim == 1 else None
    with pytest.raises(InputError, match=named):
        EmbeddingBag(FullTable(5, WIDTH))(ids, offsets, weights)


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_weights_are_for_sums(mode):
    with pytest.raises(InputError, match=f"mode 'sum', this is '{mode}'"):
        EmbeddingBag(FullTable(5, WIDTH), mode=mode)(IDS, offsets_of(0), torch.ones(4))


def test_a_nested_tensor_that_is_not_jagged_is_refused():
    with pytest.warns(UserWarning, match="prototype"):
        ids = torch.nested.nested_tensor([IDS])
    with pytest.raises(InputError, match=r"layout=torch\.jagged"):
        EmbeddingBag(FullTable(5, WIDTH))(ids)


@pytest.mark.parametrize(
    ("embedding", "options", "named"),
    [
        (nn.Embedding(5, 4), {}, "got Embedding"),
        (FullTable(5, 4), {"mode": "median"}, "sum, mean, max, got 'median'"),
        (FullTable(5, 4), {"padding_idx": 2**64}, "64 bits"),
        (FullTable(5, 4), {"padding_idx": 0.0}, "float 0.0"),
    ],
)
def test_options_that_cannot_be_used_are_refused(embedding, options, named):
    with pytest.raises(InputError, match=named):
        EmbeddingBag(embedding, **options)


def test_bags_know_their_number():
    bags = Bags(IDS.int(), torch.tensor([0, 0, 4]))
    assert len(bags) == 2
    assert bags.ids.dtype == torch.int64
    assert F.embedding(bags.without(3).ids, torch.eye(5)).shape == (3, 5)


def test_ids_of_bags_have_one_dimension():
    for ids in (torch.tensor(1), torch.zeros(2, 2, dtype=torch.int64)):
        for make in (Bags, Bags.from_starts):
            with pytest.raises(InputError, match="ids of bags must be of one dimension"):
                make(ids, torch.tensor([0, 1]))
