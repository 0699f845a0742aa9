import copy
import json
from itertools import pairwise

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from tablefree.embeddings import (
    DeepHashEmbedding,
    FullTable,
    HashingTrick,
    SketchEmbedding,
    from_config,
)
from tablefree.embeddings.collection import EmbeddingCollection
from tablefree.embeddings.stacked import FrozenStack, StackedDeepHash, batch_norm
from tablefree.errors import CheckpointError, InputError
from tablefree.kernels import many_op

SHAPE = {"method": "deep_hash", "embedding_dim": 6, "num_hashes": 16, "hidden": [12, 8]}
NAMES = ("user_id", "item.id", "tags")
OPTIONS = [
    {},
    {"norm": "none", "activation": "gelu", "skip": True},
    {"hidden": [], "transform": "gaussian"},
    {"hidden": [12], "skip": True, "num_buckets": 2**8},
]


def draw(shape, high=30, seed=0):
    return torch.randint(-high, high, shape, generator=torch.Generator().manual_seed(seed))


def all_ids():
    """A feature of many ids, one of a single id and a scalar's shape, one of many repetitions."""
    return {"user_id": draw((4, 25)), "item.id": torch.tensor(7), "tags": draw((60,), 3)}


def trained(**options):
    """Embeddings of one shape with weights, and running statistics, of their own."""
    torch.manual_seed(0)
    embeddings = {
        name: DeepHashEmbedding(
            **{key: value for key, value in (SHAPE | options).items() if key != "method"}, seed=name
        )
        for name in NAMES
    }
    for name, embedding in embeddings.items():
        for _ in range(3):
            embedding(draw((40,), seed=len(name)))
        with torch.no_grad():
            for parameter in embedding.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
    return embeddings


def assert_close(one, other):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
def test_in_evaluation_it_is_the_single_embeddings(options):
    embeddings = trained(**options)
    collection = EmbeddingCollection.from_embeddings(embeddings).eval()
    assert [type(group) for group in collection.groups] == [StackedDeepHash]
    ids = all_ids()
    with torch.no_grad():
        for name, rows in collection(ids).items():
            assert rows.shape == (*ids[name].shape, 6)
            assert (rows - embeddings[name].eval()(ids[name])).abs().max() < 1e-6


@pytest.mark.parametrize("options", OPTIONS)
def test_training_is_that_of_the_single_embeddings(options):
    embeddings = trained(**options)
    collection = EmbeddingCollection.from_embeddings(embeddings)
    assert collection.training
    ids = all_ids()
    weights = torch.randn(6, generator=torch.Generator().manual_seed(0))
    for _ in range(2):
        rows = collection(ids)
        for name in NAMES:
            assert_close(rows[name], embeddings[name](ids[name]))
    sum((one @ weights).sum() for one in rows.values()).backward()
    sum((embeddings[name](ids[name]) @ weights).sum() for name in NAMES).backward()
    network = collection.groups[0].network
    expected = [embeddings[name].network for name in NAMES]
    for key, parameter in network.named_parameters():
        gradients = [dict(one.named_parameters())[key].grad for one in expected]
        torch.testing.assert_close(parameter.grad, torch.stack(gradients), rtol=1e-4, atol=1e-5)
    collection(ids)  # the third batch moves the running statistics, as theirs has done
    for key, buffer in network.named_buffers():
        assert_close(buffer, torch.stack([dict(one.named_buffers())[key] for one in expected]))


def test_a_tensor_has_a_feature_a_column():
    collection = EmbeddingCollection.from_embeddings(trained()).eval()
    ids = draw((5, 2, 3))
    rows = collection(ids)
    assert rows.shape == (5, 2, 3, 6)
    assert rows.is_contiguous()
    by_name = collection(dict(zip(NAMES, ids.unbind(-1), strict=True)))
    assert_close(rows, torch.stack([by_name[name] for name in NAMES], dim=-2))


@pytest.mark.parametrize("training", [True, False])
def test_no_ids(training):
    collection = EmbeddingCollection.from_embeddings(trained()).train(training)
    assert collection(torch.empty(0, 3, dtype=torch.int64)).shape == (0, 3, 6)
    rows = collection(all_ids() | {"tags": torch.empty(2, 0, dtype=torch.int32)})
    assert rows["tags"].shape == (2, 0, 6)
    sum(one.sum() for one in rows.values()).backward()


def test_equal_ids_of_different_features_differ():
    collection = EmbeddingCollection(dict.fromkeys(("a", "b"), SHAPE))
    first, second = (code(torch.tensor(7)) for code in collection.groups[0].encodings)
    assert (first != second).any()
    seeds = [config["seed"] for config in collection.config().values()]
    assert seeds == [from_config(SHAPE | {"seed": name}).encoding.seed for name in ("a", "b")]


def mixed():
    return EmbeddingCollection(
        {
            "one": SHAPE,
            "table": {"method": "full_table", "num_embeddings": 40, "embedding_dim": 6},
            "two": SHAPE | {"seed": 5},
            "wide": SHAPE | {"num_hashes": 32},
            "trick": {"method": "hashing_trick", "num_rows": 50, "embedding_dim": 6},
            "layer": SHAPE | {"norm": "layer"},
            "three": SHAPE | {"num_hashes": 32},
        }
    )


def test_features_of_one_shape_form_a_group_and_others_are_single():
    collection = mixed()
    assert [group.embedding_dim for group in collection.groups] == [6, 6]
    assert [type(one) for one in collection.singles] == [
        FullTable,
        HashingTrick,
        DeepHashEmbedding,
    ]
    ids = draw((9, 7), 20).abs()
    rows = collection.eval()(ids)
    assert rows.shape == (9, 7, 6)
    by_name = collection(dict(zip(collection.names, ids.unbind(-1), strict=True)))
    assert list(by_name) == list(collection.names)
    for position, name in enumerate(collection.names):
        assert_close(rows[:, position], by_name[name])


def test_configuration_and_weights_come_back():
    collection = mixed().eval()
    other = EmbeddingCollection(json.loads(json.dumps(collection.config()))).eval()
    other.load_state_dict(collection.state_dict())
    assert other.config() == collection.config()
    ids = draw((9, 7), 20).abs()
    assert torch.equal(other(ids), collection(ids))
    assert torch.equal(copy.deepcopy(collection)(ids), collection(ids))


def test_weights_for_other_hash_functions_are_refused():
    collection = EmbeddingCollection(dict.fromkeys(("a", "b"), SHAPE))
    with pytest.raises(CheckpointError, match="seed"):
        EmbeddingCollection(dict.fromkeys(("a", "c"), SHAPE)).load_state_dict(
            collection.state_dict()
        )


def test_its_cost_is_that_of_all_features():
    embeddings = trained(skip=True)
    embeddings["table"] = FullTable(9, 6)
    collection = EmbeddingCollection.from_embeddings(embeddings)
    singles = [embedding.describe() for embedding in embeddings.values()]
    for field in ("num_parameters", "num_bytes", "multiply_adds"):
        total = sum(getattr(one, field) for one in singles)
        assert getattr(collection.describe(), field) == total
    assert collection.freeze().describe().multiply_adds == collection.describe().multiply_adds


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frozen(dtype, options):
    collection = EmbeddingCollection.from_embeddings(
        trained(**options) | {"sketch": SketchEmbedding(6, num_rows=9, code_width=3, seed=0)}
    )
    frozen = collection.freeze(dtype)
    assert collection.training
    assert not frozen.training
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert isinstance(frozen.groups[0].network, FrozenStack)
    expected = collection.eval()(draw((300, 4), 2**60))
    rows = frozen(draw((300, 4), 2**60))
    assert rows.dtype == torch.float32
    tolerance = 1e-6 if dtype == torch.float32 else 0.03
    assert (rows - expected).abs().max() < tolerance


def test_tiles_change_nothing(monkeypatch):
    collection = EmbeddingCollection.from_embeddings(trained()).eval()
    with torch.no_grad():
        expected = collection(all_ids())
        monkeypatch.setattr("tablefree.embeddings.stacked._TILE_BYTES", 28)
        for name, rows in collection(all_ids()).items():
            assert_close(rows, expected[name])


@pytest.mark.parametrize("training", [True, False])
def test_bfloat16_and_autocast(training):
    collection = EmbeddingCollection.from_embeddings(trained()).train(training)
    ids = draw((200, 3), 2**60)
    expected = collection(ids)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = collection(ids)
    for rows in (under_autocast, copy.deepcopy(collection).bfloat16()(ids)):
        assert rows.dtype == torch.bfloat16
        assert (rows.float() - expected).abs().max() < 0.05


def test_dropout_drops_in_training_only():
    collection = EmbeddingCollection.from_embeddings(trained(dropout=0.5))
    ids = draw((50, 3))
    assert not torch.equal(collection(ids), collection(ids))
    collection.eval()
    assert torch.equal(collection(ids), collection(ids))


def test_batch_norm_in_operators_of_torch_is_that_of_the_kernel():
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([7, 1, 0, 4])
    results = []
    rows, weight, bias, mean = (
        torch.randn(shape, generator=generator) for shape in ((4, 7, 5), (4, 5), (4, 5), (4, 5))
    )
    grad = torch.randn(4, 7, 5, generator=generator)
    for norm in (many_op.batch_norm_many, batch_norm):
        leaves = [tensor.clone().requires_grad_() for tensor in (rows, weight, bias)]
        out = norm(leaves[0], counts, mean, mean.exp(), leaves[1], leaves[2], 1e-5)
        out[0].backward(grad)
        results.append([*(one.detach() for one in out), *(leaf.grad for leaf in leaves)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_it_compiles():
    collection = EmbeddingCollection.from_embeddings(trained()).eval()
    ids = draw((9, 3))
    compiled = torch.compile(collection, backend="aot_eager")
    with torch.no_grad():  # else torch warns, where it breaks the graph
        assert_close(compiled(ids), collection(ids))


def count_operators(num_features, training):
    collection = EmbeddingCollection({f"f{i}": SHAPE for i in range(num_features)})
    collection.train(training)
    ids = draw((20, num_features))
    collection(ids)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        collection(ids).sum().backward()
    return sum(1 for event in profiler.events() if "::" in event.name)


@pytest.mark.parametrize("training", [True, False])
def test_the_number_of_operators_does_not_grow_with_the_features(training):
    counts = [count_operators(num_features, training) for num_features in (2, 5, 26)]
    assert all(one == other for one, other in pairwise(counts))


@pytest.mark.parametrize(
    ("features", "named"),
    [
        ({}, "at least one feature"),
        ({"a": SHAPE | {"hidden": [0]}}, "feature 'a': hidden"),
        ({"a": SHAPE | {"method": "magic"}}, "feature 'a': .*magic"),
        ({"a": SHAPE | {"colour": "red"}}, "feature 'a': .*colour"),
        ({"a": SHAPE | {"side_features": 2}}, "feature 'a' has side features"),
    ],
)
def test_features_that_cannot_be_used_are_refused(features, named):
    with pytest.raises(InputError, match=named):
        EmbeddingCollection(features)


def test_ids_that_cannot_be_used_are_refused():
    collection = EmbeddingCollection(dict.fromkeys(("a", "b"), SHAPE))
    ids = torch.tensor([1])
    for wrong, named in (
        ({"a": ids}, "ids are missing feature.*'b'"),
        ({"a": ids, "b": ids, "c": ids}, "unknown feature.*'c'"),
        ({"a": ids, "b": ids.float()}, "feature 'b': ids must be an integer"),
        (torch.zeros(3, 3).long(), "over the 2 features"),
        (torch.tensor(1), "over the 2 features"),
        ([1, 2], "integer tensor"),
    ):
        with pytest.raises(InputError, match=named):
            collection(wrong)
    with pytest.raises(InputError, match="6, 8 wide"):
        EmbeddingCollection({"a": SHAPE, "b": SHAPE | {"embedding_dim": 8}})(
            torch.zeros(1, 2).int()
        )


def test_freezing_that_cannot_be_done_is_refused():
    collection = EmbeddingCollection(dict.fromkeys(("a", "b"), SHAPE))
    with pytest.raises(InputError, match="no batched product of int8"):
        collection.freeze(torch.int8)
    with pytest.raises(InputError, match="frozen already"):
        collection.freeze().freeze()
