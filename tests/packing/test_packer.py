import subprocess
import sys

import pytest
import torch
from torch import nn

from tablefree import (
    GMF,
    ClaimedRows,
    DeepHashEmbedding,
    Embedding,
    EmbeddingCollection,
    Form,
    FullTable,
    InputError,
    convert,
    pack,
    packed_bytes,
    unpack,
)
from tablefree.embeddings import METHODS, build
from tablefree.packing.packer import Packer
from tablefree.packing.tables import packed_size

pytestmark = pytest.mark.filterwarnings("ignore::tablefree.CapacityWarning")
NUM_IDS, DIM = 1000, 16


def of_method(method):
    torch.manual_seed(0)
    size = NUM_IDS * DIM // (1 if method == "full_table" else 2)
    return build(
        method,
        num_parameters=size,
        num_embeddings=NUM_IDS,
        embedding_dim=DIM,
        seed="item_id",
        frequent_ids=torch.arange(NUM_IDS),
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", ["int4", "residual-2x4"])
def test_every_method_is_packed_saved_and_loaded(method, form, tmp_path):
    embedding = Packer(of_method(method)).module  # of CAFE, its form for inference
    packed = pack(embedding, form=form)
    ids = torch.arange(NUM_IDS)
    rows = packed(ids)
    assert packed_bytes(packed) == packed_size(embedding, Form.parse(form))
    assert packed_bytes(packed) < 0.6 * packed_bytes(embedding)
    packed.save_pretrained(tmp_path)
    for mapped in (False, True):
        loaded = Embedding.from_pretrained(tmp_path, mapped=mapped)
        assert type(loaded) is type(embedding)
        assert torch.equal(loaded(ids), rows)
    plain = unpack(loaded)
    assert type(plain) is type(embedding)
    assert torch.equal(plain(ids), rows)
    assert all(parameter.requires_grad for parameter in plain.parameters())
    assert embedding(ids).requires_grad or method == "cafe"  # what was packed is as it was


@pytest.fixture(scope="module")
def recommender():
    """A model with something in its scores, and pairs that it has and has not learned."""
    torch.manual_seed(0)
    model = GMF(FullTable(400, DIM), FullTable(300, DIM))
    directions = torch.randn(2, 4, DIM)
    with torch.no_grad():
        for table, turn in zip((model.users, model.items), directions, strict=True):
            rows = len(table.rows.weight)
            table.rows.weight.copy_(0.5 * torch.randn(rows, 4) @ turn + torch.randn(rows, DIM) / 10)
    generator = torch.Generator().manual_seed(1)
    pairs = []
    for _ in range(2):
        users = torch.randint(400, (20_000,), generator=generator)
        items = torch.randint(300, (20_000,), generator=generator)
        with torch.no_grad():
            chances = torch.sigmoid(model(users, items))
        pairs.append((users, items, torch.bernoulli(chances, generator=generator)))
    return model.eval(), *pairs


def auc(model, pairs):
    from tablefree.packing.examples import Examples

    return Examples("pairs", pairs).auc(model)


def test_scores_tell_which_errors_matter(recommender):
    model, examples, validation = recommender
    blind = pack(model, form="residual-2x4")
    knowing = pack(model, form="residual-2x4", examples=examples)
    assert auc(knowing, validation) > auc(blind, validation) + 0.005


def test_codebooks_that_learn_further_are_no_worse(recommender):
    model, examples, validation = recommender
    before = pack(model, form="residual-1x4", examples=examples)
    tuned = pack(model, form="residual-1x4", examples=examples, validation=validation)
    assert auc(tuned, validation) >= auc(before, validation)
    assert packed_bytes(tuned) == packed_bytes(before)


def test_a_budget_is_held(recommender):
    model, examples, validation = recommender
    whole = packed_bytes(model)
    for ratio in (1 / 4, 1 / 10):
        packed = pack(model, ratio=ratio, examples=examples, validation=validation)
        assert packed_bytes(packed) <= ratio * whole
    assert packed_bytes(pack(model, num_bytes=8000)) <= 8000
    assert pack(model, bytes_per_id=3).users.rows.data.shape[1] <= 3


def test_fingerprints_count_as_bytes_of_an_id():
    torch.manual_seed(0)
    packed = pack(ClaimedRows(640, DIM, num_rows=8, seed="x"), bytes_per_id=6)
    (only,) = packed.encoding.maps
    assert only.data.shape[1] <= 6 * 16


def test_a_loss_is_held_in_few_bytes(recommender):
    model, examples, validation = recommender
    before = auc(model, validation)
    sizes = []
    for max_loss in (0.02, 0.002):
        packed = pack(model, max_loss=max_loss, examples=examples, validation=validation)
        assert auc(packed, validation) >= before - max_loss
        sizes.append(packed_bytes(packed))
    assert sizes[0] < sizes[1] < packed_bytes(model) / 4


def test_sizes_are_asked_for_one_way():
    table = FullTable(100, 8)
    with pytest.raises(InputError, match=r"pass one of form, bytes_per_id, .*; got none"):
        pack(table)
    with pytest.raises(InputError, match="got form, ratio"):
        pack(table, form="int8", ratio=0.5)
    with pytest.raises(InputError, match="max_loss is of AUC in validation"):
        pack(table, max_loss=0.01)
    with pytest.raises(InputError, match="no form is as small as this num_bytes: the smallest"):
        pack(table, num_bytes=10)
    with pytest.raises(InputError, match="validation is what the model is called with"):
        pack(table, ratio=0.5, validation=(torch.arange(3),))
    with pytest.raises(InputError, match="has no rows to pack"):
        pack(nn.Linear(3, 3), form="int8")
    frozen = DeepHashEmbedding(8, num_hashes=16, hidden=(8,), seed=0).freeze()
    with pytest.raises(InputError, match="frozen network has its dtype already"):
        pack(frozen, form="int8")


def test_a_deep_hash_is_float16():
    torch.manual_seed(0)
    embedding = DeepHashEmbedding(8, num_hashes=64, hidden=(64, 64), seed=0).eval()
    packed = pack(embedding, ratio=0.6)
    ids = torch.arange(50)
    assert torch.allclose(packed(ids), embedding(ids), atol=1e-3)
    assert not torch.equal(packed(ids), embedding(ids))


def test_a_collection_is_packed(tmp_path):
    torch.manual_seed(0)
    config = {"capacity": 640, "num_rows": 8, "seed": "x", "embedding_dim": DIM}
    collection = EmbeddingCollection(
        {
            "user": {"method": "claimed_rows", **config},
            "item": {"method": "hashing_trick", "num_rows": 500, "embedding_dim": DIM, "seed": 1},
            "ad": {"method": "hashing_trick", "num_rows": 300, "embedding_dim": DIM, "seed": 2},
        }
    )
    ids = {name: torch.arange(40) for name in ("user", "item", "ad")}
    packed = pack(collection.eval(), form="levels-4")
    rows = packed(ids)
    packed.save_pretrained(tmp_path)
    loaded = EmbeddingCollection.from_pretrained(tmp_path, mapped=True)(ids)
    for name in ids:
        assert torch.equal(loaded[name], rows[name])
        assert torch.allclose(rows[name], collection(ids)[name], atol=0.1)


class Foreign(nn.Module):
    def __init__(self):
        super().__init__()
        self.item = nn.Embedding(5000, DIM)
        self.day = nn.Embedding(7, DIM)
        self.top = nn.Linear(2 * DIM, 1)

    def forward(self, item, day):
        return self.top(torch.cat([self.item(item), self.day(day)], 1)).squeeze(1)


def test_a_converted_model_of_another_library_is_packed():
    torch.manual_seed(0)
    model, _ = convert(Foreign())
    model.eval()
    item, day = torch.randint(5000, (3000,)), torch.randint(7, (3000,))
    labels = (model(item, day) > 0).float()
    packed = pack(model, ratio=1 / 4, validation=(item, day, labels))
    assert packed.top.weight.dtype == torch.float32  # not ours
    assert auc(packed, (item, day, labels)) > 0.9
    assert packed_bytes(packed) <= packed_bytes(model) / 4


SIZES = """
import ctypes, gc, os, sys
import torch
from tablefree import ClaimedRows

def resident():
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)  # what was freed does not count
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

torch.set_num_threads(1)
ids = torch.arange(1_000_000)
small = ClaimedRows.from_pretrained(sys.argv[2])
small(ids[:4096])  # kernels are there
before = resident()
loaded = ClaimedRows.from_pretrained(sys.argv[1], mapped=sys.argv[3] == "mapped")
total = 0.0
for part in ids.split(4096):
    total += float(loaded(part).sum())
print(resident() - before, total)
"""


def test_a_million_ids_take_what_is_told(tmp_path):
    torch.manual_seed(0)
    num_ids = 1_000_000
    whole = ClaimedRows(1_040_000, 32, num_rows=4000, seed="x")
    ids = torch.arange(num_ids)
    whole.encoding.claims.claim(ids)
    whole.encoding.claims.unlearnt = type(whole.encoding.claims.unlearnt)()  # as after training
    small = ClaimedRows(1600, 32, num_rows=4, seed="x")
    small.encoding.claims.claim(ids[:4096])  # so that all kernels are used
    small.encoding.claims.unlearnt = type(small.encoding.claims.unlearnt)()
    packed = pack(whole.eval(), form="int8")
    for name, module in (("whole", packed), ("small", pack(small.eval(), form="int8"))):
        module.save_pretrained(tmp_path / name)
    told = packed_bytes(packed)
    assert told == packed_size(whole, Form("int8"))
    files = sum(path.stat().st_size for path in (tmp_path / "whole").iterdir())
    assert told <= files <= 1.02 * told
    for how in ("read", "mapped"):
        found = subprocess.run(
            [sys.executable, "-c", SIZES, tmp_path / "whole", tmp_path / "small", how],
            capture_output=True,
            text=True,
            check=True,
        )
        grown = int(found.stdout.split()[0])
        assert 0.9 * told <= grown <= 1.1 * told


@pytest.mark.parametrize("name", ["bytes_per_id", "num_bytes", "ratio", "max_loss"])
@pytest.mark.parametrize("value", ["1/16", -1, float("nan"), float("inf"), [1], 1j, True])
def test_sizes_are_finite_numbers(recommender, name, value):
    model, _, validation = recommender
    with pytest.raises(InputError, match=f"{name} must be a finite number above 0, got"):
        pack(model, **{name: value}, validation=validation)


@pytest.mark.parametrize("form", [3, b"int4", torch.float16, ["int4"], Form])
def test_a_form_is_a_form_or_its_name(form):
    with pytest.raises(InputError, match="form is a Form or its name"):
        pack(FullTable(100, 8), form=form)


@pytest.mark.parametrize("call", [lambda one: pack(one, form="int8"), unpack, packed_bytes])
@pytest.mark.parametrize("what", [None, 3, "x", torch.zeros(2), {}, FullTable])
def test_what_is_no_module_is_refused(call, what):
    with pytest.raises(InputError, match="pass a module, such as an embedding or a model, got"):
        call(what)


@pytest.mark.parametrize("name", ["examples", "validation"])
@pytest.mark.parametrize(
    "change",
    [
        lambda y: 2 * y,
        lambda y: 2 * y - 1,
        lambda y: y + 0.5,
        lambda y: y * float("nan"),
        lambda y: y[:, None],
        lambda y: y + 1j,
    ],
)
def test_labels_are_zero_or_one(recommender, name, change):
    model, (users, items, labels), _ = recommender
    with pytest.raises(InputError, match=f"the labels of {name} are 0 or 1"):
        pack(model, ratio=0.3, **{name: (users, items, change(labels))})


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_no_auc_is_made_of_one_class(recommender, label):
    model, (users, items, labels), _ = recommender
    one_class = torch.full_like(labels, label)
    with pytest.raises(InputError, match=f"and all 20000 are {label:g}: pass others"):
        pack(model, ratio=0.3, validation=(users, items, one_class))


def test_the_smallest_size_that_is_named_can_be_had():
    table = FullTable(100, 8)
    with pytest.raises(InputError) as error:
        pack(table, num_bytes=10)
    smallest = int(str(error.value).split("takes ")[1].split()[0])
    assert packed_bytes(pack(table, num_bytes=smallest)) == smallest
    with pytest.raises(InputError, match=f"takes {smallest} bytes"):
        pack(table, num_bytes=smallest - 1)
