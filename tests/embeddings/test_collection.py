import copy
import json
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.profiler import ProfilerActivity, profile

from tablefree.embeddings import (
    Bags,
    DeepHashEmbedding,
    EmbeddingBag,
    FullTable,
    HashingTrick,
    SketchEmbedding,
    from_config,
)
from tablefree.embeddings.collection import EmbeddingCollection
from tablefree.embeddings.stacked import FrozenStack, StackedDeepHash, batch_norm
from tablefree.errors import CheckpointError, InputError
from tablefree.ids import hash_strings
from tablefree.kernels import many_op

SHAPE = {"method": "deep_hash", "embedding_dim": 6, "num_hashes": 16, "hidden": [12, 8]}
TABLE = {"method": "full_table", "num_embeddings": 40, "embedding_dim": 5}
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
    with pytest.raises(CheckpointError, match="features 'a' with 'b', and the collection"):
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


POOLED = {
    "item": SHAPE,
    "sum": SHAPE | {"pooling": "sum"},
    "mean": SHAPE | {"pooling": "mean"},
    "max": SHAPE | {"pooling": "max"},
    "history": {"shared_with": "item", "pooling": "mean"},
    "tags": {"method": "hashing_trick", "num_rows": 50, "embedding_dim": 6, "pooling": "sum"},
    "tag": {"shared_with": "tags"},
    "shelf": {"shared_with": "shelves"},
    "shelves": TABLE,
}


def single(collection, name):
    """The embedding of a feature, by itself and with its weights."""
    config = collection.config()[name]
    for option in ("pooling", "padding_idx"):
        config.pop(option, None)
    embedding = from_config(config)
    for names, group in zip(collection._group_names, collection.groups, strict=True):
        if name in names:
            stacked = group.network.state_dict()
            position = names.index(name)
            embedding.network.load_state_dict({key: w[position] for key, w in stacked.items()})
            return embedding
    position = collection._single_names.index(name)
    embedding.load_state_dict(collection.singles[position].state_dict())
    return embedding


def jagged(ids, *offsets):
    return torch.nested.nested_tensor_from_jagged(ids, torch.tensor(offsets))


def pooled_ids():
    return {
        "item": draw((2, 3)),
        "sum": Bags(draw((4,)), torch.tensor([0, 0, 4]), torch.tensor([0.5, -1.0, 2.0, 0.0])),
        "mean": jagged(draw((5,), seed=1), 0, 3, 3, 5),
        "max": draw((2, 4), seed=2).int(),
        "history": jagged(draw((6,), seed=3), 0, 4, 6),
        "tags": Bags(draw((7,), seed=4), torch.tensor([0, 7], dtype=torch.int32)),
        "tag": jagged(draw((7,), seed=4), 0, 2, 2, 7),
        "shelf": torch.tensor([3, 4]),
        "shelves": torch.tensor(3),
    }


def test_features_are_pooled_and_share_embeddings():
    collection = EmbeddingCollection(POOLED)
    assert [len(names) for names in collection._group_names] == [4]
    collection.eval()
    ids = pooled_ids()
    embeddings = collection(ids)
    assert list(embeddings) == list(POOLED)
    for name, config in POOLED.items():
        embedding = single(collection, config.get("shared_with", name)).eval()
        one, got = ids[name], embeddings[name]
        if name in ("item", "shelf", "shelves"):
            expected = embedding(one)
        elif name == "tag":
            assert got.is_nested
            assert torch.equal(got.offsets(), one.offsets())
            got, expected = got.values(), embedding(one.values())
        else:
            bag = EmbeddingBag(embedding, mode=config["pooling"], include_last_offset=True)
            is_bags = isinstance(one, Bags)
            expected = bag(one.ids, one.offsets, one.weights) if is_bags else bag(one)
        assert_close(got, expected)


def test_pooled_features_train():
    """Gradients are those of `EmbeddingBag`, and batch norm is over all ids of an embedding."""
    collection = EmbeddingCollection(POOLED)
    ids = pooled_ids()
    embedding = single(collection, "item")
    weights = ids["sum"].weights.requires_grad_()
    got = collection(ids)
    history, items = ids["history"], ids["item"].reshape(-1)
    rows = embedding(torch.cat([items, history.values()]))
    assert_close(got["item"].reshape(-1, 6), rows[: len(items)])
    assert_close(got["history"][1], rows[-2:].mean(0))
    sum(got[name].sum() for name in ("item", "history", "sum")).backward()
    (rows[: len(items)].sum() + rows[6:10].mean(0).sum() + rows[10:].mean(0).sum()).backward()
    gradient = collection.groups[0].network.output.weight.grad[0]
    assert_close(gradient, embedding.network.output.weight.grad)
    assert_close(weights.grad, single(collection, "sum")(ids["sum"].ids).sum(1))


def test_configurations_of_pooled_and_shared_features_come_back():
    collection = EmbeddingCollection(POOLED).eval()
    config = json.loads(json.dumps(collection.config()))
    assert list(config) == list(POOLED)
    assert config["history"] == POOLED["history"]
    assert config["sum"]["pooling"] == "sum"
    other = EmbeddingCollection(config).eval()
    other.load_state_dict(collection.state_dict())
    for frozen in (other, collection.freeze()):
        embeddings = frozen(pooled_ids())
        for name, expected in collection(pooled_ids()).items():
            got = embeddings[name]
            assert_close(*(one.values() if one.is_nested else one for one in (got, expected)))


def test_a_column_of_a_shared_feature():
    collection = EmbeddingCollection({"a": SHAPE, "b": {"shared_with": "a"}, "c": SHAPE}).eval()
    rows = collection(torch.tensor([[7, 7, 7], [8, 9, 7]]))
    assert torch.equal(rows[0, 0], rows[0, 1])
    assert not torch.equal(rows[0, 0], rows[0, 2])


def test_a_shared_network_with_a_seed_tells_equal_ids_apart():
    shared = {"shared_with": "a", "seed": "b"}
    collection = EmbeddingCollection({"b": shared, "a": SHAPE}).eval()
    assert collection.config()["b"] == shared
    assert not collection.groups
    ids = draw((9,))
    embeddings = collection({"a": ids, "b": ids})
    assert (embeddings["a"] != embeddings["b"]).any(1).all()
    assert_close(embeddings["b"], single(collection, "a").eval()(ids ^ hash_strings("b")))
    columns = collection(torch.stack([ids, ids], dim=1))
    assert_close(columns, torch.stack([embeddings["b"], embeddings["a"]], dim=1))


def test_a_seed_of_a_shared_feature_is_part_of_the_hash_contract():
    """As docs/hash-contract.md has it: the id of a feature, and what is embedded in its place."""
    collection = EmbeddingCollection({"a": SHAPE, "b": {"shared_with": "a", "seed": "item"}}).eval()
    ids = torch.tensor([1, -1])
    embedded = torch.tensor([0x5FE193BB4B6B9CD1, -6908965735996562641])
    rows = collection({"a": embedded, "b": ids})
    assert torch.equal(rows["b"], rows["a"])


PADDING = 3
PADDED = {"padding_idx": PADDING}


@pytest.mark.parametrize("pooling", ["sum", "mean", "max"])
def test_padding_is_in_no_bag(pooling):
    """As `nn.EmbeddingBag` with the same table has it."""
    table = torch.nn.EmbeddingBag(41, 5, mode=pooling, padding_idx=PADDING)
    feature = TABLE | PADDED | {"pooling": pooling}
    collection = EmbeddingCollection({"a": feature, "b": {"shared_with": "a"} | PADDED})
    collection.singles[0].load_state_dict({"rows.weight": table.weight.detach()})
    ids = torch.tensor([[3, 5, 3, 5], [3, 3, 3, 3], [1, 2, 3, 4]])
    expected, got = table(ids), collection({"a": ids, "b": ids})["a"]
    torch.testing.assert_close(got, expected)
    assert (got[1] == 0).all()
    for rows in (got, expected):
        (rows.square().sum() + rows.sum()).backward()
    torch.testing.assert_close(collection.singles[0].rows.weight.grad, table.weight.grad)


def test_padding_of_a_weighted_sum():
    collection = EmbeddingCollection({"a": SHAPE | PADDED | {"pooling": "sum"}}).eval()
    weights = torch.tensor([2.0, 5.0, 7.0])
    bags = Bags(torch.tensor([1, 3, 4]), torch.tensor([0, 2, 3]), weights)
    one, other = single(collection, "a").eval()(torch.tensor([1, 4]))
    assert_close(collection({"a": bags})["a"], torch.stack([2 * one, 7 * other]))


def test_padding_embeds_to_zeros_that_nothing_trains():
    """As `nn.Embedding` with the same table has it."""
    table = torch.nn.Embedding(41, 5, padding_idx=PADDING)
    collection = EmbeddingCollection({"a": TABLE | PADDED, "b": TABLE})
    collection.singles[0].load_state_dict({"rows.weight": table.weight.detach()})
    ids = torch.tensor([[3, 5], [1, 3]])
    expected = table(ids)
    rows = collection({"a": ids, "b": ids})
    assert torch.equal(rows["a"], expected)
    assert (rows["b"] != 0).all()
    (rows["a"] + 1).square().sum().backward()
    (expected + 1).square().sum().backward()
    torch.testing.assert_close(collection.singles[0].rows.weight.grad, table.weight.grad)


@pytest.mark.parametrize("training", [True, False])
def test_padding_in_every_form_of_ids(training):
    """A group trains, and counts for batch norm, as if the padding were not there."""
    names = ("a", "b")
    collection = EmbeddingCollection(dict.fromkeys(names, SHAPE | PADDED)).train(training)
    law = EmbeddingCollection(dict.fromkeys(names, SHAPE)).train(training)
    law.load_state_dict(collection.state_dict())
    flat = torch.tensor([3, 8, 3, 9, 7, 8])
    expected = law(dict.fromkeys(names, flat[flat != 3]))["a"]
    padded = torch.zeros(6, 6)
    padded[flat != 3] = expected.detach()
    rows = collection({"a": flat.view(2, 3), "b": jagged(flat, 0, 1, 6)})
    assert_close(rows["a"], padded.view(2, 3, 6))
    assert rows["b"].offsets().tolist() == [0, 1, 6]
    assert ((rows["b"].values() == 0).all(1) == (flat == 3)).all()
    columns = collection(torch.stack([flat, flat], dim=1))
    assert columns.shape == (6, 2, 6)
    assert ((columns == 0).all(-1) == (flat == 3)[:, None]).all()
    assert (collection({"a": torch.tensor(3), "b": torch.tensor([3, 3])})["a"] == 0).all()


def test_padding_of_a_feature_claims_no_row():
    sketch = {"method": "sketch", "embedding_dim": 6, "num_rows": 9, "code_width": 3}
    features = {"a": sketch | {"own_rows": 16} | PADDED, "b": {"shared_with": "a", "seed": "b"}}
    collection = EmbeddingCollection(features)
    claims = collection.singles[0].encoding.claims
    before = copy.deepcopy(claims.state_dict())
    collection({"a": torch.full((4,), 3), "b": torch.empty(0, dtype=torch.int64)})
    assert all(map(torch.equal, claims.state_dict().values(), before.values()))


def test_a_padding_is_a_string_or_an_id_of_its_own_feature():
    """Not of the embedding that a seed turns it into."""
    shared = {"shared_with": "a", "seed": "b", "padding_idx": "none"}
    collection = EmbeddingCollection({"a": SHAPE, "b": shared}).eval()
    (padding,) = hash_strings(["none"]).tolist()
    config = json.loads(json.dumps(collection.config()))
    assert config["b"] == shared | {"padding_idx": padding}
    assert "padding_idx" not in config["a"]
    for one in (collection, EmbeddingCollection(config), collection.freeze()):
        rows = one({"a": torch.tensor([padding]), "b": torch.tensor([padding, 3])})
        assert (rows["a"] != 0).any()
        assert (rows["b"] == 0).all(1).tolist() == [True, False]


def test_jagged_ids_without_a_pooling_have_jagged_embeddings():
    collection = EmbeddingCollection(dict.fromkeys(("a", "b"), SHAPE)).eval()
    ids, offsets = draw((5,)), torch.tensor([0, 3, 3, 5])
    embeddings = collection({"a": jagged(ids, 0, 3, 3, 5), "b": Bags(ids, offsets)})
    flat = collection({"a": ids, "b": ids})
    for name, rows in embeddings.items():
        assert rows.offsets().tolist() == offsets.tolist()
        assert_close(rows.values(), flat[name])


@pytest.mark.parametrize("library", ["polars", "pandas", "pyarrow"])
def test_a_table_has_a_feature_a_column(library):
    pytest.importorskip(library)
    columns = {
        "user": [-1, 5, 7],
        "words": [["b", "a"], [], ["a"]],
        "label": [0.1, 0.2, 0.3],
        "word": ["a", "b", "c"],
    }
    collection = EmbeddingCollection(
        {
            "word": SHAPE,
            "words": {"shared_with": "word", "pooling": "sum"},
            "user": SHAPE,
        }
    ).eval()
    embeddings = collection(as_table(library, columns))
    assert list(embeddings) == ["word", "words", "user"]
    a, b = embeddings["word"][0], embeddings["word"][1]
    assert_close(embeddings["words"], torch.stack([a + b, torch.zeros(6), a]))
    assert_close(embeddings["user"], single(collection, "user").eval()(torch.tensor([-1, 5, 7])))


def as_table(library, columns):
    if library == "pyarrow":
        import pyarrow

        return pyarrow.table(columns)
    if library == "polars":
        import polars

        return polars.DataFrame(columns)
    import pandas

    return pandas.DataFrame(columns)


def of_two_types():
    """A collection, and batches of integers and of strings in all its columns."""
    features = {"a": SHAPE, "b": SHAPE | {"pooling": "mean"}, "h": {"shared_with": "a"}}
    collection = EmbeddingCollection(features)
    integers = {"a": [1, 2], "b": [[1], [2, 3]], "h": [2, 1]}
    strings = {"a": ["1", "2"], "b": [["1"], ["2", "3"]], "h": ["2", "1"]}
    return collection, as_table("polars", integers), as_table("polars", strings)


@pytest.mark.parametrize("is_string", [False, True])
def test_the_type_of_ids_is_that_of_training(is_string, tmp_path):
    pytest.importorskip("polars")
    collection, *tables = of_two_types()
    taught, other = reversed(tables) if is_string else tables
    collection.eval()(taught), collection(other)  # nothing is trained on them
    assert "id_type" not in collection.config()["a"]
    collection.train()(taught)
    assert collection.config()["a"]["id_type"] == ("string" if is_string else "integer")
    fresh = of_two_types()[0]
    fresh.load_state_dict(collection.state_dict())
    collection.save_pretrained(tmp_path)
    loaded = EmbeddingCollection.from_pretrained(tmp_path)
    for one in (collection, collection.freeze(), fresh, loaded, copy.deepcopy(loaded)):
        one.eval()(taught)
        with pytest.raises(InputError, match=r"feature 'a' has ids of type .*convert the column"):
            one(other)
    shared = taught.with_columns(h=other["h"])
    with pytest.raises(InputError, match="feature 'h' has ids of type"):
        collection.train()(shared)


def test_a_state_without_types_is_loaded_as_before():
    pytest.importorskip("polars")
    collection, integers, strings = of_two_types()
    old = collection.state_dict()
    collection(integers)
    del old["_extra_state"]  # as before there was one
    fresh = of_two_types()[0]
    fresh.load_state_dict(old)
    fresh(strings)
    assert fresh.config()["a"]["id_type"] == "string"


def test_a_type_of_ids_can_be_told():
    pytest.importorskip("polars")
    told = EmbeddingCollection({"a": SHAPE | {"id_type": "string"}})
    with pytest.raises(InputError, match="'a' has ids of type integer"):
        told(as_table("polars", {"a": [1]}))
    with pytest.raises(InputError, match="feature 'a': its id_type must be integer or string"):
        EmbeddingCollection({"a": SHAPE | {"id_type": "text"}})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("library", ["polars", "pandas", "pyarrow"])
def test_batches_of_empty_bags_and_of_no_rows(library, training):
    pytest.importorskip(library)
    shared = {"shared_with": "a", "pooling": "sum"}
    collection = EmbeddingCollection(
        {"a": SHAPE, "b": SHAPE | {"pooling": "max"}, "c": shared, "d": TABLE | {"pooling": "sum"}}
    ).train(training)
    columns = {"a": [1], "b": [[]], "c": [[]], "d": [[]]}
    embeddings = collection(as_table(library, columns))
    assert embeddings["a"].shape == (1, 6)
    assert not embeddings["b"].any()
    assert embeddings["d"].shape == (1, 5)
    empty = as_table(library, columns)[:0]
    assert {name: len(one) for name, one in collection(empty).items()} == dict.fromkeys("abcd", 0)
    untyped = as_table(library, {name: [] for name in columns})
    assert {name: len(one) for name, one in collection(untyped).items()} == dict.fromkeys("abcd", 0)


def test_what_is_no_batch_says_what_to_do():
    polars = pytest.importorskip("polars")
    collection = EmbeddingCollection({"a": SHAPE})
    frame = polars.DataFrame({"a": [1]}).lazy()
    with pytest.raises(InputError, match="got LazyFrame: collect a lazy frame"):
        collection(frame)
    assert collection(frame.collect())["a"].shape == (1, 6)


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


def test_the_work_of_pooling_does_not_grow_with_the_features():
    """Each feature adds views, which cost nothing to the processor that computes."""
    counts = []
    for num_features in (2, 5, 26):
        names = [f"f{i}" for i in range(num_features)]
        collection = EmbeddingCollection(dict.fromkeys(names, SHAPE | {"pooling": "mean"})).eval()
        bags = {name: Bags(draw((6,)), torch.tensor([0, 2, 2, 6])) for name in names}
        collection(bags)
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            collection(bags)
        operators = [event.name for event in profiler.events() if "::" in event.name]
        counts.append(sum(name not in ("aten::slice", "aten::as_strided") for name in operators))
    assert all(one == other for one, other in pairwise(counts))


@pytest.mark.parametrize(
    ("features", "named"),
    [
        ({}, "at least one feature"),
        ({"a": SHAPE | {"hidden": [0]}}, "feature 'a': hidden"),
        ({"a": SHAPE | {"method": "magic"}}, "feature 'a': .*magic"),
        ({"a": SHAPE | {"colour": "red"}}, "feature 'a': .*colour"),
        ({"a": SHAPE | {"padding_idx": 0.5}}, "feature 'a': .*float"),
        ({"a": SHAPE | {"pooling": "median"}}, "feature 'a': .*sum, mean, max, got 'median'"),
        ({"a": {"shared_with": "a"}}, "'a': it is shared_with 'a', .*of its own: there is none"),
        ({"a": SHAPE, "b": {"shared_with": "c"}}, "'b': it is shared_with 'c', .*of its own: 'a'"),
        ({"a": SHAPE, "b": SHAPE | {"shared_with": "a"}}, "'b': .*and a seed alone; got 'method'"),
        ({"a": SHAPE, "b": {"shared_with": "a", "seed": 0.5}}, "'b': .*float"),
        ({"a": TABLE, "b": {"shared_with": "a", "seed": "b"}}, "'b' has a seed, .*'a', .*numbered"),
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
        ({"a": ids, "b": [1]}, "feature 'b': ids must be an integer tensor, got list"),
        (
            {"a": ids, "b": Bags(ids, torch.tensor([0, 1]), torch.ones(1))},
            "feature 'b': weights are for .*'sum', this is None",
        ),
    ):
        with pytest.raises(InputError, match=named):
            collection(wrong)
    with pytest.raises(InputError, match="6, 8 wide"):
        EmbeddingCollection({"a": SHAPE, "b": SHAPE | {"embedding_dim": 8}})(
            torch.zeros(1, 2).int()
        )


def test_bags_that_cannot_be_used_are_refused():
    collection = EmbeddingCollection({"a": SHAPE, "b": SHAPE | {"pooling": "mean"}})
    ids = torch.tensor([1])
    weighted = Bags(ids, torch.tensor([0, 1]), torch.ones(1))
    for wrong, named in (
        ({"a": ids, "b": ids}, r"feature 'b': ids without offsets must have a bag a row"),
        ({"a": ids, "b": weighted}, "feature 'b': weights are for .*'sum', this is 'mean'"),
        (torch.tensor([[1, 2]]), "'b' take bags, which no column"),
    ):
        with pytest.raises(InputError, match=named):
            collection(wrong)


def test_freezing_that_cannot_be_done_is_refused():
    collection = EmbeddingCollection(dict.fromkeys(("a", "b"), SHAPE))
    with pytest.raises(InputError, match="no batched product of int8"):
        collection.freeze(torch.int8)
    with pytest.raises(InputError, match="frozen already"):
        collection.freeze().freeze()


MANY = {
    "a": TABLE,
    "b": TABLE,
    "c": SHAPE | {"seed": 7},
    "d": SHAPE | {"seed": 7},
    "e.g": SHAPE | {"hidden": [3]},
    "f": SHAPE | {"hidden": [3]},
}


@pytest.mark.parametrize("is_frozen", [False, True])
@given(order=st.permutations(list(MANY)))
@settings(max_examples=15, deadline=None)
def test_a_state_is_by_name_whatever_the_order(is_frozen, order):
    made = EmbeddingCollection(MANY).eval()
    other = EmbeddingCollection({name: MANY[name] for name in order}).eval()
    if is_frozen:
        made, other = made.freeze(), other.freeze()
    other.load_state_dict(made.state_dict())
    ids = dict.fromkeys(MANY, torch.arange(9))
    embeddings, others = made(ids), other(ids)
    assert all(torch.equal(embeddings[name], others[name]) for name in MANY)
    model = torch.nn.Sequential(other)
    model.load_state_dict(torch.nn.Sequential(made).state_dict())


@pytest.mark.parametrize(
    "features",
    [
        {name: config for name, config in MANY.items() if name != "b"} | {"x": TABLE},
        MANY | {"a": TABLE | {"num_embeddings": 41}, "c": SHAPE | {"hidden": [9]}},
        {**MANY, "x": TABLE},
    ],
)
def test_a_state_of_other_features_is_refused(features):
    with pytest.raises(CheckpointError, match=r"has the features .* build it with"):
        EmbeddingCollection(features).load_state_dict(EmbeddingCollection(MANY).state_dict())


def test_a_damaged_state_of_names_is_refused():
    state = EmbeddingCollection(MANY).state_dict()
    for damaged in (torch.zeros(3, dtype=torch.uint8), torch.tensor([91, 93])):
        with pytest.raises(CheckpointError, match="names of the collection's features"):
            EmbeddingCollection(MANY).load_state_dict(state | {"_extra_state": damaged})
