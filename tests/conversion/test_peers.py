"""Models of other libraries are converted, learn, and become models with tables again.

By the programs of the benchmarks, on a small set of made-up ratings: each a library's own model,
trainer and predictions, with what the conversion needs besides.
"""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tablefree import convert, materialize
from tablefree.conversion.adapters import Converted

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
NUM_USERS, NUM_ITEMS, NUM_EVENTS = 600, 700, 2_000
FILES = {
    "inter": "user_id:token item_id:token rating:float timestamp:float",
    "user": "user_id:token age:token gender:token occupation:token zip_code:token",
    "item": "item_id:token release_year:token",
}

# What the libraries do with NumPy, pandas and PyTorch is their own affair.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ratings and features in RecBole's files, in a folder where a library may write its logs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", ["drop_in"])  # which RecBole reads
    draw = np.random.default_rng(0)
    pairs = [(event % NUM_USERS, event % NUM_ITEMS) for event in range(NUM_EVENTS)]
    rows = {
        "inter": [(user, item, draw.integers(1, 6), 0) for user, item in pairs],
        "user": [
            (user, user % 60, user % 2, user % 20, 10_000 + user) for user in range(NUM_USERS)
        ],
        "item": [(item, 1930 + item % 70) for item in range(NUM_ITEMS)],
    }
    folder = tmp_path / "ratings"
    folder.mkdir()
    for part, header in FILES.items():
        lines = ["\t".join(map(str, row)) for row in (header.split(), *rows[part])]
        (folder / f"ratings.{part}").write_text("\n".join(lines))
    return folder


def program(name, library):
    """A program of the benchmarks, if its library is installed."""
    pytest.importorskip(library)
    return importlib.import_module(name)


def predictions(peer, model):
    return torch.as_tensor(np.asarray(peer.predict(model)))


def assert_drops_in(peer, model, names):
    """Converted, the model predicts, learns by the library's trainer, and gets its tables back."""
    with_tables = predictions(peer, model)
    reports = peer.convert(model)
    assert {table.name for report in reports for table in report.replaced} == names
    assert not any(report.refused for report in reports)
    fresh = predictions(peer, model)
    assert (fresh.shape, fresh.dtype) == (with_tables.shape, with_tables.dtype)

    parameters = [
        parameter
        for module in model.modules()
        if isinstance(module, Converted)
        for parameter in module.parameters()
    ]
    before = [parameter.clone() for parameter in parameters]
    peer.fit(model)
    assert not any(map(torch.equal, before, parameters))
    assert 0 < peer.auc(model) < 1
    trained = predictions(peer, model)
    assert not torch.equal(trained, fresh)

    materialize(model)
    assert not any(isinstance(module, Converted) for module in model.modules())
    torch.testing.assert_close(predictions(peer, model), trained, rtol=1e-4, atol=1e-5)


LARGE_FIELDS = ("user_id", "item_id", "zip_code")


@pytest.mark.parametrize("name", ["deep_fm", "dssm"])
def test_torch_rechub(folder, name):
    module = program("drop_in_rechub", "torch_rechub")
    make = getattr(module, name)
    peer = module.Rechub(make, module.Events(folder, module.numbered))
    names = {f"embedding.embed_dict.{field}" for field in LARGE_FIELDS}
    assert_drops_in(peer, peer.build(seed=0), names)

    model = peer.build(seed=0)
    peer.convert(model)
    assert not any(hasattr(feature, "embed") for feature in model.embedding.features)
    hashed = module.Rechub(make, module.Events(folder, module.hashed))
    assert hashed.test.dataset.x["user_id"].max() > 2**32
    hashed.fit(model)
    assert 0 < hashed.auc(model) < 1


def test_deepctr_torch(folder):
    module = program("drop_in_deepctr", "deepctr_torch")
    peer = module.DeepCTR(module.Events(folder, module.numbered))
    parts = ("embedding_dict", "linear_model.embedding_dict")
    names = {f"{part}.{field}" for part in parts for field in LARGE_FIELDS}
    assert_drops_in(peer, peer.build(seed=0), names)


def test_deepctr_torch_keeps_its_penalty(folder):
    module = program("drop_in_deepctr", "deepctr_torch")
    peer = module.DeepCTR(module.Events(folder, module.numbered))
    model = peer.build(seed=0)
    _, report = convert(model, min_rows=module.MIN_ROWS)
    assert not report.replaced
    assert all("regularization_weight" in reason for reason in report.refused.values())

    peer.convert(model)
    penalised = [*model.embedding_dict.parameters(), *model.linear_model.parameters()]
    penalty = module.L2 * sum(parameter.square().sum() for parameter in penalised)
    torch.testing.assert_close(model.get_regularization_loss(), penalty.view(1))


def test_deepctr_torch_takes_hashes_of_24_bits(folder):
    module = program("drop_in_deepctr", "deepctr_torch")
    model = module.DeepCTR(module.Events(folder, module.numbered)).build(seed=0)
    hashed = module.DeepCTR(module.Events(folder, module.hashed_to_24_bits))
    ids, _ = hashed.test
    assert ids["user_id"].max() > 2**23
    assert np.array_equal(ids["user_id"].astype(np.float32).astype(np.int64), ids["user_id"])
    hashed.convert(model)
    hashed.fit(model)
    assert 0 < hashed.auc(model) < 1


TOKENS = "token_embedding_table.embedding"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("DeepFM", {TOKENS, f"first_order_linear.{TOKENS}"}),
        ("TablefreeBPR", {"user_embedding", "item_embedding"}),
    ],
)
def test_recbole(folder, kind, names):
    module = program("drop_in_recbole", "recbole")
    peer = module.RecBole(getattr(module, kind), folder)
    assert_drops_in(peer, peer.build(seed=0), names)


def test_recbole_reads_a_weight(folder):
    module = program("drop_in_recbole", "recbole")
    peer = module.RecBole(module.BPR, folder)
    model, way_round = peer.build(seed=0), module.TablefreeBPR(peer.config, peer.train.dataset)
    way_round.load_state_dict(model.state_dict())
    users = {model.USER_ID: torch.tensor([1, 5, 9])}
    torch.testing.assert_close(way_round.full_sort_predict(users), model.full_sort_predict(users))
    (report,) = peer.convert(model)
    assert set(report.refused) == {"item_embedding"}
    assert "bpr.py" in report.refused["item_embedding"]
    assert isinstance(model.item_embedding, nn.Embedding)
